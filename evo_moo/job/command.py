"""The section of a job file for a command.

``[problem]`` may have a ``command`` in place of ``use``: any program that prints its metrics. What else it declares
stands beside it, and the goals in the job's own sections. Here that becomes the problem ``command`` with options.
"""

import contextlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evo_moo.problem.command.problem import CommandProblem
from evo_moo.problem.command.words import COMMAND, PLACE
from evo_moo.space.declared import declared_flat

GOALS = ("objectives", "constraints")
KEYS = tuple(key for key in inspect.signature(CommandProblem).parameters if key not in GOALS)
"""The keys of the section, which are those of ``CommandProblem`` but for the goals."""


def with_absolute_directory(data: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return a job's data with the folder of its command's files absolute: by default the one that paths begin at."""
    section = data.get("problem")
    if not isinstance(section, Mapping):
        return dict(data)
    table = section if "command" in section else section.get("options") if section.get("use") == COMMAND else None
    place = table.get(PLACE, ".") if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping) or not isinstance(place, str):
        return dict(data)
    table = {**table, PLACE: str((base / Path(place).expanduser()).absolute())}
    return {**data, "problem": table if "command" in section else {**section, "options": table}}


def with_command_as_options(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's data whose problem, if it has a ``command``, is named and has it, with the goals, as options.

    Keys that are none of a command stay in the section, where they are faults.
    """
    section = data.get("problem")
    if not isinstance(section, Mapping) or "command" not in section or "use" in section:
        return dict(data)
    given = section.get("options", {})
    options = {key: section[key] for key in KEYS if key in section}
    options |= {key: data[key] for key in GOALS if data.get(key) is not None}
    if not isinstance(given, Mapping):
        return dict(data)
    if isinstance(options.get("variables"), Mapping):
        with contextlib.suppress(ValueError):  # said where the problem is made
            options["variables"] = declared_flat(options["variables"])
    for key, word in (("variables", "boolean"), ("objectives", "direction")):  # of tables alone TOML keeps the order
        if isinstance(options.get(key), Mapping):
            options[key] = {name: _in_full(each, word) for name, each in options[key].items()}
    rest = {key: value for key, value in section.items() if key not in KEYS}
    left = {key: table for key, table in data.items() if key not in GOALS}
    return {**left, "problem": {**rest, "use": COMMAND, "options": {**options, **given}}}


def _in_full(declared: Any, word: str) -> Any:
    """Return a declaration that is a text alone as a table."""
    if not isinstance(declared, str):
        return declared
    return {word: True} if declared == word else {word: declared} if word == "direction" else declared


def in_keys_of_job(fault: str) -> str:
    """Return a fault of a command's problem by the keys that a job file has."""
    fault = fault.replace("`problem.options.", "`", 1)
    is_own = fault.startswith("`") and not fault.startswith(tuple(f"`{key}" for key in GOALS))
    return f"`problem.{fault[1:]}" if is_own else fault
