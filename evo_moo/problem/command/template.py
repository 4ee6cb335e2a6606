"""Texts with placeholders: the arguments of a command, its environment, what its configuration file holds.

``{lr}`` stands for the value of that name, ``{{`` and ``}}`` for braces. Each text is filled in one pass and stays one
argument: whatever a value holds, it is never read again, neither for placeholders nor by a shell.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evo_moo.values import plain

Command = Sequence[str | Sequence[str]]
"""Arguments; an inner list is left out as a whole where it names a value that is not there."""
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FLAG = re.compile(r"--?[A-Za-z][^={}]*")


class NoValueError(Exception):
    """A text names a value that is not there: of an inactive variable, or None."""


def names_in(template: Any) -> list[str]:
    """Return the names of the placeholders in a text, or in all texts of a list or a table, at any depth.

    Raises:
        ValueError: A brace stands alone, with the way out.
    """
    names = []
    for text in texts_in(template):
        for match in _BRACES.finditer(text):
            if match[0] in ("{", "}"):
                raise ValueError(f"a brace of its own is written {match[0] * 2}, but {text!r} has a single one")
            if match[1] is not None:
                names.append(match[1])
    return list(dict.fromkeys(names))


def filled(text: str, values: Mapping[str, Any]) -> str:
    """Return a text with the values of its placeholders.

    Raises:
        NoValueError: A value is not there.
    """

    def part(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        if values.get(match[1]) is None:
            raise NoValueError
        return as_text(values[match[1]])

    return _BRACES.sub(part, text)


def as_text(value: Any) -> str:
    """Write a value as an argument: a text as it is, ``true`` and ``false``, all else as JSON."""
    value = plain(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def filled_arguments(command: Command, values: Mapping[str, Any]) -> list[str]:
    """Return the arguments of a command.

    An argument that names a value which is not there is left out, with the flag before it. Of ``"--flag", "{name}"``
    with a truth value, ``--flag`` alone stays where it is true, and nothing where it is false.
    """
    arguments: list[str] = []
    before = ""
    for item in command:
        if not isinstance(item, str):
            absent = any(values.get(name) is None for name in names_in(item))
            arguments += [] if absent else filled_arguments(item, values)
            before = ""
            continue
        value = values.get(_lone(item) or "")
        has_flag = _FLAG.fullmatch(before) is not None and not item.startswith("-")
        before = item
        if isinstance(value, bool) and has_flag:
            del arguments[len(arguments) - (not value) :]
            continue
        try:
            arguments.append(filled(item, values))
        except NoValueError:
            del arguments[len(arguments) - has_flag :]
    return arguments


def filled_table(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a table with values in place of its placeholders; a text that is one placeholder becomes the value.

    Entries whose value is not there are left out; None stays, where the value is None.

    Raises:
        NoValueError: The template itself is a text whose value is not there.
    """
    if isinstance(template, str):
        name = _lone(template)
        if name is None:
            return filled(template, values)
        if name not in values:
            raise NoValueError
        return plain(values[name])
    if isinstance(template, Mapping):
        return dict(_present(template.items(), values))
    if isinstance(template, list | tuple):
        return [value for _, value in _present(enumerate(template), values)]
    return template


def _present(items: Any, values: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    for key, template in items:
        try:
            yield key, filled_table(template, values)
        except NoValueError:
            continue


def _lone(text: str) -> str | None:
    """Return the name of the placeholder that is the whole text; None where there is more, or another."""
    match = _BRACES.fullmatch(text)
    return match[1] if match else None


def texts_in(template: Any) -> Iterator[str]:
    """Return all texts of a list or a table, at any depth, or the text itself."""
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping | list | tuple):
        for below in template.values() if isinstance(template, Mapping) else template:
            yield from texts_in(below)
