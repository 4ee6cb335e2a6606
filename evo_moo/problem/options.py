"""The options of a problem's class: their types, and what a text of the command line means for each.

The type of an option is its annotation, else that of its default: ``shift=0`` takes every number, ``flag=False`` a
truth value. An option with neither has no known type: it takes everything that TOML has a word for.
"""

import ast
import contextlib
import datetime
import enum
import inspect
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "none": None, "null": None}
_OF_DEFAULT = {bool: bool, int: int | float, float: float, str: str, list: list, tuple: tuple, dict: dict}
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_EMPTY = inspect.Parameter.empty
_OPENING = ("[", "{", "(", "'", '"')


class Text(str):
    """The value of an option as it stands on the command line: what it means depends on the option's type."""


class Options(NamedTuple):
    """Options that were read.

    Attributes:
        plain: Names to values as a job file holds them; a None that is the default is left out.
        typed: Names to values as the class is to get them: a tuple, a path or a member of an enum where it asks for it.
        faults: Every fault, each beginning with the option's name.
    """

    plain: dict[str, Any]
    typed: dict[str, Any]
    faults: list[str]


class _Option(NamedTuple):
    """An option that a class declares: the rule on its type in words, and the type, where they are known."""

    name: str
    rule: str = ""
    adapter: "TypeAdapter[Any] | None" = None
    default: Any = _EMPTY

    @classmethod
    def of(cls, parameter: inspect.Parameter) -> "_Option":
        name, default, kind = parameter.name, parameter.default, parameter.annotation
        by_default = kind is _EMPTY
        if by_default:
            kind = _OF_DEFAULT.get(type(default), Any)
        elif default is None and not isinstance(kind, str):
            kind = Optional[kind]  # noqa: UP045 - of any annotation
        if kind is Any or isinstance(kind, str):
            return cls(name, default=default)
        from pydantic import TypeAdapter

        rule = f"must be {_in_words(kind)}{f', as the default {default!r} is' if by_default else ''}"
        # What pydantic has no schema for, such as an array, is taken as it is.
        with contextlib.suppress(Exception):
            return cls(name, rule, TypeAdapter(kind), default)
        return cls(name, default=default)

    def typed(self, value: Any) -> Any:
        """Return a value as the class is to get it; ``ValueError`` with the rule where it is of another type."""
        if self.adapter is None:
            return value
        try:
            text = json.dumps(value, default=_plain)
        except (TypeError, ValueError):
            return value  # an object of Python's, which no job holds
        try:
            made = self.adapter.validate_json(text, strict=True)
        except ValueError:
            way_out = "; annotate the option if it takes other types" if ", as the default" in self.rule else ""
            raise ValueError(f"{self.rule}, but is {value!r}{way_out}") from None
        return value if made == value else made

    def takes(self, value: Any) -> bool:
        """Return whether a value is of the option's type."""
        try:
            self.typed(value)
        except ValueError:
            return False
        return True

    def meant(self, text: str) -> Any:
        """Return the plain value that a text means; ``ValueError`` with the rule where it means none."""
        toml, literal, word = _toml(text), _literal(text), _WORDS.get(text.strip().lower(), _EMPTY)
        words = [] if word is _EMPTY else [word]
        if self.adapter is None:
            if not toml and (literal or words or text.startswith(_OPENING)):
                way_out = self._way_out(text, literal + words)
                raise ValueError(f"must be TOML, as no type is declared for it, but is {text}; {way_out}")
            return toml[0] if toml else text
        for value in (*toml, *literal, text, *words):
            if self.takes(value):
                return value
        with contextlib.suppress(ValueError):
            value = self.adapter.validate_python(text)
            if isinstance(value, bool | int | float):
                return value
        raise ValueError(f"{self.rule}, but is {text!r}")

    def _way_out(self, text: str, readings: Sequence[Any]) -> str:
        quoted = f"write {self.name}='{json.dumps(text)}' for the text"
        if not readings:
            return quoted
        value = readings[0]
        return f"{'leave it out' if value is None else f'write {self.name}={_in_toml(value)}'}, or {quoted}"


def read_options(target: Any, options: Mapping[str, Any]) -> Options:
    """Read the options of a problem's class.

    Args:
        target: The class; anything else is taken to accept every option.
        options: Names to values, of which each may be a ``Text`` or a table of some.
    """
    declared, takes_any = _declared(target)
    read = Options({}, {}, [])
    for name, given in options.items():
        if name not in declared and not takes_any:
            takes = ", ".join(f"`{known}`" for known in declared) or "none"
            read.faults.append(f"`{name}` is no option of {target.__name__}; its options: {takes}")
            continue
        option = declared.get(name, _Option(name))
        try:
            value = _read(option, given)
            typed = option.typed(value)
        except ValueError as fault:
            read.faults.append(f"`{name}` {fault}")
            continue
        read.typed[name] = typed
        if value is not None or option.default is not None:
            read.plain[name] = value
    missing = [name for name, option in declared.items() if option.default is _EMPTY and name not in options]
    read.faults.extend(f"`{name}` must be given, but is missing" for name in missing)
    return read


def _declared(target: Any) -> tuple[dict[str, _Option], bool]:
    """Return the options that a class names, and whether it takes others too."""
    parameters: Mapping[str, inspect.Parameter] | None = None
    for resolved in (True, False):
        if isinstance(target, type) and parameters is None:
            with contextlib.suppress(Exception):  # annotations are the user's code
                parameters = inspect.signature(target, eval_str=resolved).parameters
    if parameters is None:
        return {}, True
    declared = {name: _Option.of(p) for name, p in parameters.items() if p.kind in _NAMED}
    return declared, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def _read(option: _Option, value: Any) -> Any:
    if isinstance(value, Text):
        return option.meant(str(value))
    if isinstance(value, Mapping):
        return {name: _read(_Option(f"{option.name}.{name}"), below) for name, below in value.items()}
    return value


def _in_words(kind: Any) -> str:
    """Name a type as its annotation does, without the modules."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return f"one of {', '.join(repr(member.value) for member in kind)}"
    words = inspect.formatannotation(kind)
    return re.sub(r"'[^']*'|(?:\w+\.)+(?=[A-Za-z_])", lambda part: part[0] if part[0].startswith("'") else "", words)


def _toml(text: str) -> list[Any]:
    """Return the value of a text in TOML, if it is one."""
    with contextlib.suppress(tomllib.TOMLDecodeError):
        data = tomllib.loads(f"value = {text}")
        return [data["value"]] if len(data) == 1 else []
    return []


def _literal(text: str) -> list[Any]:
    """Return the value of a text in Python, as plain data, if it is a literal."""
    with contextlib.suppress(ValueError):
        return [float(text)]
    with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return [json.loads(json.dumps(ast.literal_eval(text)))]  # tuples become lists
    return []


def _in_toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(name))} = {_in_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_in_toml, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise TypeError
