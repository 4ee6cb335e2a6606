"""Reads job files, and changes what they say by assignments of the command line; nothing is checked here."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evo_moo.errors import JobError
from evo_moo.plugins import absolute_reference


def read_job_file(path: Path) -> dict[str, Any]:
    """Read a job file without checking it; paths of the problem and of earlier runs are relative to the file.

    Raises:
        JobError: The file is missing or is not TOML.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JobError(f"`{path}` must be a job file, but cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise JobError(f"`{path}` must be TOML, but is not: {error}") from error
    problem = data.get("problem")
    if isinstance(problem, dict) and isinstance(problem.get("use"), str):
        problem["use"] = absolute_reference(problem["use"], path.parent)
    surrogate = data.get("surrogate")
    if isinstance(surrogate, dict) and isinstance(surrogate.get("model"), str):
        surrogate["model"] = absolute_reference(surrogate["model"], path.parent)
    search = data.get("search")
    if isinstance(search, dict) and isinstance(search.get("from"), list):
        search["from"] = [
            str(path.parent / Path(run).expanduser()) if isinstance(run, str) else run for run in search["from"]
        ]
    return data


def override(data: dict[str, Any], assignments: Sequence[str]) -> None:
    """Apply ``key=value`` assignments, such as ``search.pop_size=24``, to a job's data.

    Raises:
        JobError: An assignment has no ``=``, or its key no section.
    """
    faults = []
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        section, dot, name = key.strip().partition(".")
        if not equals or not dot:
            faults.append(f"`--set` must be section.key=value, as in search.pop_size=24, but is {assignment!r}")
            continue
        table = data.setdefault(section, {})
        *parents, last = name.split(".")
        for parent in parents:
            table = table.setdefault(parent, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table[last] = _toml_value(text.strip())
        else:
            faults.append(f"`--set {key.strip()}` must name a key of a table, but what is before it is no table")
    if faults:
        raise JobError(*faults)


def option_assignments(options: Sequence[str]) -> list[str]:
    """Return the problem's options, as ``NAME=VALUE``, as assignments for ``override``.

    Raises:
        JobError: One has no name, or no ``=``.
    """
    wrong = [option for option in options if "=" not in option or not option.partition("=")[0].strip()]
    if wrong:
        raise JobError(*(f"`--option` must be NAME=VALUE, as in epochs=2, but is {option!r}" for option in wrong))
    return [f"problem.options.{option.lstrip()}" for option in options]


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
