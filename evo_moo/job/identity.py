"""Whether a job is the one that a run was begun with: what may change from one start to the next, and what must not."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import orjson

from evo_moo.job.job import Job
from evo_moo.problem.command.files import digest_of_file
from evo_moo.problem.command.words import COMMAND, PLACE, CommandInWords, without_place
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.source_texts import text_digest
from evo_moo.values import for_toml, json_key

FREE_SECTIONS = ("budget", "evaluation", "policies")
"""What may change from one call to the next: no evaluation's result depends on it."""
FILES = (("problem", "use"), ("surrogate", "model"))
"""The keys of a job that may name a file of the user's own."""


class Begun(Protocol):
    """What a run recorded when it began.

    Attributes:
        job: The job as plain data.
        given_start: The job's start before configurations of earlier runs were added; None where there were none.
        goals: Objectives and limits.
        space: Name of a variable to its definition.
        parts: The problem's code, as ``ProblemSource.parts``, and that of a model of the user's own; empty if unknown.
        place: The run folder, absolute, when the job was recorded; empty if unknown.
    """

    @property
    def job(self) -> Mapping[str, Any]: ...  # noqa: D102

    @property
    def given_start(self) -> list[Any] | None: ...  # noqa: D102

    @property
    def goals(self) -> Goals: ...  # noqa: D102

    @property
    def space(self) -> Mapping[str, Mapping[str, Any]]: ...  # noqa: D102

    @property
    def parts(self) -> Mapping[str, str]: ...  # noqa: D102

    @property
    def place(self) -> str: ...  # noqa: D102


def differences(begun: Begun, job: Job, problem: SearchProblem, run_dir: Path | None) -> list[str]:
    """Return in what a job and its problem differ from those that a run was begun with, where they must not.

    Code is no part of it: ``changed_parts`` compares it.

    Args:
        begun: What the run recorded.
        job: The job.
        problem: Its problem.
        run_dir: Where the run's folder is now.
    """
    changed = [
        f"{key}: {there!r} there, {here!r} here"
        for key, (there, here) in changes(begun.job, as_begun(job, begun)).items()
        if key.partition(".")[0] not in FREE_SECTIONS and not _is_only_moved(key, there, here, begun, run_dir)
    ]
    changed += _space_differences(begun.space, problem.point_space.to_json())
    goals = job.goals(problem)
    return changed if begun.goals == goals else [*changed, f"goals: {begun.goals} there, {goals} here"]


def changes(recorded: Mapping[str, Any], job: Job) -> dict[str, list[Any]]:
    """Return in what a job differs from a recorded one: dotted keys to the value there and the value here."""
    there, here = (
        {f"{section}.{key}": value for section, table in each.items() for key, value in table.items()}
        for each in (recorded, orjson.loads(orjson.dumps(job.to_toml())))  # dates and tuples as they are recorded
    )
    return {k: [there.get(k), here.get(k)] for k in sorted(there | here) if there.get(k) != here.get(k)}


def as_begun(job: Job, begun: Begun) -> Job:
    """Return a job with all that its run began with: its own start, and what earlier runs added."""
    is_as_given = for_toml(begun.given_start) == for_toml(job.search.start)
    return job.starting_with(begun.job["search"]["start"]) if is_as_given else job


def ends_alike(recorded: Mapping[str, Any], job: Job) -> bool:
    """Return whether a job has the budget that was recorded; the deadline only interrupts a run."""
    budgets = [{**each.get("budget", {}), "deadline": None} for each in (recorded, job.to_toml())]
    return budgets[0] == budgets[1]


def named_code(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the references to code that a job has, of its ``"problem"`` and ``"model"``; a command in words."""
    tables = {word: (data.get(section), key) for word, (section, key) in zip(("problem", "model"), FILES, strict=True)}
    found = {word: table.get(key) for word, (table, key) in tables.items() if isinstance(table, Mapping)}
    named = {word: use for word, use in found.items() if isinstance(use, str)}
    if (options := _options_of_command(data)) is not None:
        named["problem"] = str(CommandInWords.of_options(options))
    return named


def place_of_command(data: Mapping[str, Any]) -> str:
    """Return the folder of the files of a job's command; empty where it names none."""
    return str((_options_of_command(data) or {}).get(PLACE, ""))


def of_anybody(references: Iterable[str]) -> list[str]:
    """Return the references to files and modules, and commands; registered names and pymoo's are what was installed."""
    return [use for use in references if CommandInWords.read(use) or (":" in use and not use.startswith("pymoo:"))]


def followed(data: Mapping[str, Any], begun: Begun, run_dir: Path) -> dict[str, Any]:
    """Return a recorded job whose files are looked for where they lie from the run folder, if both were moved together.

    Where there is a file at the old place too, the one that the run was begun with counts.

    Args:
        data: The job as plain data.
        begun: What the run recorded.
        run_dir: Where the run's folder is now.
    """
    data, here = dict(data), str(run_dir.absolute())
    options = _options_of_command(data)
    if options is not None and begun.place not in ("", here):
        moved = os.path.normpath(Path(here) / os.path.relpath(str(options.get(PLACE)), begun.place))
        is_old_one = _holds(str(options.get(PLACE)), begun.parts, same=True)
        if _holds(moved, begun.parts) and (_holds(moved, begun.parts, same=True) or not is_old_one):
            data["problem"] = {**data["problem"], "options": {**options, PLACE: moved}}
    for section, key in FILES if begun.place not in ("", here) else ():
        table = data.get(section)
        reference = table.get(key) if isinstance(table, dict) else None
        path, _, name = reference.rpartition(":") if isinstance(reference, str) else ("", "", "")
        moved = os.path.normpath(Path(here) / os.path.relpath(path, begun.place)) if path.endswith(".py") else ""
        known = begun.parts.get(Path(path).name)
        digests = [_file_digest(Path(each)) for each in (moved, path)]
        if moved and digests[0] and (digests[0] == known or digests[1] != known):
            data[section] = {**table, key: f"{moved}:{name}"}  # type: ignore[dict-item]
    return data


def _is_only_moved(key: str, there: Any, here: Any, begun: Begun, run_dir: Path | None) -> bool:
    """Return whether two values are the same, but for the folder in which everything lies."""
    if key == "problem.options" and begun.job["problem"]["use"] == COMMAND:
        return without_place(COMMAND, there) == without_place(COMMAND, here)
    if tuple(key.split(".")) in FILES:
        names = [value.rpartition("/")[2] if isinstance(value, str) else None for value in (there, here)]
        return bool(begun.parts) and names[0] == names[1] is not None
    if key == "search.from" and begun.place and run_dir is not None:
        return _from_place(there, begun.place) == _from_place(here, str(run_dir.absolute()))
    return False


def _options_of_command(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the options of a job's command; None where its problem is none, or the job, which may be any, is wrong."""
    section = data.get("problem")
    if not isinstance(section, Mapping) or section.get("use") != COMMAND:
        return None
    options = section.get("options", {})
    return options if isinstance(options, Mapping) else {}


def _holds(place: str, parts: Mapping[str, str], *, same: bool = False) -> bool:
    """Return whether a folder is there with all files of a command that lie in it, or even the ``same`` files."""
    inside = [name for name in parts if not name.startswith("..")]
    with suppress(OSError):
        return Path(place).is_dir() and all(
            digest_of_file(Path(place, name)) == parts[name] if same else Path(place, name).is_file() for name in inside
        )
    return False


def _from_place(paths: Sequence[str] | None, place: str) -> list[str]:
    return [os.path.relpath(path, place) for path in paths or ()]


def _file_digest(path: Path) -> str | None:
    with suppress(OSError):
        return text_digest(path.read_bytes())
    return None


def _space_differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    if there.keys() == here.keys() and list(there) != list(here):
        return [f"variables: {', '.join(there)} there, {', '.join(here)} here"]
    names = [name for name in {**there, **here} if not _is_same(there.get(name), here.get(name))]
    return [f"variable {name}: {_words(there.get(name))} there, {_words(here.get(name))} here" for name in names]


def _is_same(there: Mapping[str, Any] | None, here: Mapping[str, Any] | None) -> bool:
    """Return whether two definitions are of the same values; whether these are tuples or lists is the code's matter."""
    if there is None or here is None:
        return False
    one, other = ({key: value for key, value in each.items() if key != "declared"} for each in (there, here))
    # Equal numbers are one bound, but 1, 1.0 and True are three options.
    return one == other and all(json_key(one.get(key)) == json_key(other.get(key)) for key in ("options", "when"))


def _words(variable: Mapping[str, Any] | None) -> str:
    """Return a variable's definition in words."""
    if variable is None:
        return "none"
    rest = {key: value for key, value in variable.items() if key not in ("kind", "low", "high", "declared")}
    bounds = f" {variable['low']} to {variable['high']}" if {"low", "high"} <= variable.keys() else ""
    return f"{variable.get('kind')}{bounds}" + "".join(f", {key} = {value}" for key, value in rest.items())
