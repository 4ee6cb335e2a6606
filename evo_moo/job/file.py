"""A job as plain data: read from a file or the command line, changed by dotted keys, and not checked yet."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from evo_moo.errors import JobError
from evo_moo.job.command import with_absolute_directory
from evo_moo.plugins import DIRECTIONS, absolute_reference
from evo_moo.problem.options import Text
from evo_moo.problem.trials.problem import DIRECTION_WORDS
from evo_moo.text import parse_toml

OPTIONS = "problem.options."


def read_job_file(path: Path) -> dict[str, Any]:
    """Read a job file without checking it; paths in it are relative to the file.

    Raises:
        JobError: The file is missing or is not TOML.
    """
    try:
        data = parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JobError(f"`{path}` must be a job file, but cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise JobError(f"`{path}` must be TOML, but is not: {error}") from error
    return with_absolute_paths(data, path.parent)


def with_absolute_paths(data: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return a job's data with the files, tables, keys and earlier runs that it names read relative to ``base``."""
    data = with_absolute_directory(data, base)
    for section, key in (("problem", "use"), ("surrogate", "model"), ("search", "from"), ("search", "known")):
        table = data[section] if isinstance(data.get(section), dict) else {}
        value = table.get(key)
        if isinstance(value, str) and section != "search":
            data[section] = {**table, key: absolute_reference(value, base)}
        elif isinstance(value, list) and section == "search":
            paths = [each if not isinstance(each, str) else base / Path(each).expanduser() for each in value]
            paths = [str(each.absolute()) if isinstance(each, Path) else each for each in paths]
            data[section] = {**table, key: paths}
    evaluation = data["evaluation"] if isinstance(data.get("evaluation"), dict) else {}
    if isinstance(keys := evaluation.get("keys"), str):
        data["evaluation"] = {**evaluation, "keys": str((base / Path(keys).expanduser()).absolute())}
    return data


def override(data: Mapping[str, Any], changes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Set values of a job's data by dotted keys, such as ``search.pop_size``.

    Args:
        data: The job; it stays as it is.
        changes: Dotted keys to values.

    Returns:
        The changed data, and a fault for each key that lies below what is no table.
    """
    changed, faults = dict(data), []
    for key, value in changes.items():
        try:
            changed = _with(changed, key.split("."), value)
        except ValueError:
            faults.append(f"`{key}` must be a key of a table, but what is before it is no table")
    return changed, faults


def _with(table: Mapping[str, Any], key: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a table with a value at a key; a name in it may have dots, such as that of a variable."""
    lengths = range(len(key), 0, -1)
    n = next((n for n in lengths if ".".join(key[:n]) in table), 1)
    name, rest = ".".join(key[:n]), key[n:]
    below = table.get(name, {})
    if rest and not isinstance(below, dict):
        raise ValueError("no table")
    return {**table, name: _with(below, rest, value) if rest else value}


def settings(assignments: Iterable[str]) -> dict[str, Any]:
    """Read ``section.key=value`` assignments: dotted keys to values, which are text where they are not TOML.

    What an option of the problem means depends on the problem: it stays a ``Text``.

    Raises:
        JobError: An assignment has no ``=``, or its key no section.
    """
    values: dict[str, Any] = {}
    faults = []
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        if equals and "." in key:
            if key.startswith(OPTIONS):
                values[key] = Text(text)
                continue
            values[key] = text
            with suppress(ValueError):
                values[key] = parse_toml(f"value = {text}")["value"]
        else:
            faults.append(f"`--set` must be section.key=value, as in search.pop_size=24, but is {assignment!r}")
    if faults:
        raise JobError(*faults)
    return values


def option_settings(options: Iterable[str]) -> dict[str, Any]:
    """Read options of the problem, ``NAME=VALUE``: their dotted keys in a job to their values.

    Raises:
        JobError: One has no name, or no ``=``.
    """
    options = list(options)
    wrong = [option for option in options if "=" not in option or not option.partition("=")[0].strip()]
    if wrong:
        raise JobError(*(f"`--option` must be NAME=VALUE, as in epochs=2, but is {option!r}" for option in wrong))
    return settings(f"{OPTIONS}{option.lstrip()}" for option in options)


def gpu_setting(text: str) -> str | list[int | str]:
    """Read the GPUs of workers: ``auto``, or numbers and UUIDs with commas between."""
    parts = [part.strip() for part in text.split(",")]
    return text if text == "auto" else [int(part) if part.isdecimal() else part for part in parts]


def direction_settings(directions: Sequence[str], more: Sequence[str]) -> dict[str, Any]:
    """Read the directions of a define-by-run objective: ``maximize`` or ``accuracy=maximize``, for each value one.

    Args:
        directions: What stands after ``--directions``, one for each time that it is there.
        more: Arguments that stand alone: the second direction, and so on.

    Raises:
        JobError: One is none.
    """
    if more and not directions:
        raise JobError(f"a run must be of one job or problem, but {more[0]!r} is given too; leave it out")
    words = [*directions, *more]
    pairs = [word.rpartition("=") for word in words]
    wrong = [word for word, (_, _, direction) in zip(words, pairs, strict=True) if direction not in DIRECTION_WORDS]
    if wrong or len({bool(name) for name, _, _ in pairs}) > 1:
        raise JobError(
            "`--directions` must be maximize or minimize for each value, or NAME=maximize, NAME=minimize, "
            f"but has {' '.join(words)!r}"
        )
    if not words:
        return {}
    named = {name: direction for name, _, direction in pairs}
    return {f"{OPTIONS}{DIRECTIONS}": named if all(named) else [direction for _, _, direction in pairs]}


def problem_options(options: Iterable[str]) -> dict[str, Any]:
    """Read options of the problem, ``NAME=VALUE``: the keyword arguments of its class.

    Raises:
        JobError: One has no name, no ``=``, or lies below what is no table.
    """
    data, faults = override({"problem": {"options": {}}}, option_settings(options))
    if faults:
        raise JobError(*faults)
    return dict(data["problem"]["options"])
