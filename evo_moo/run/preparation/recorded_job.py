"""The job that a run folder holds, and the code that it names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evo_moo.errors import UsageError
from evo_moo.job.check import check_job
from evo_moo.job.identity import (
    followed,
    named_code,
    of_anybody,
    place_of_command,
)
from evo_moo.job.job import Job
from evo_moo.plugins import ProblemSource
from evo_moo.problem.command.words import COMMAND, PLACE, CommandInWords
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.exploration.learnt import known_space
from evo_moo.storage.reading import Recorded, guarded_reads, read_job
from evo_moo.storage.trust import is_sealed

OBJECT = "the Python object "
"""How a job's reference to a problem begins that is none: no run folder holds Python objects."""


def problem_of(job: Mapping[str, Any]) -> str:
    """Return the reference of a job's problem; empty where the job, which may come from anywhere, has none."""
    section = job.get("problem")
    use = section.get("use") if isinstance(section, dict) else None
    return use if isinstance(use, str) else ""


def recorded_job(
    run_dir: Path, problem: Any, changes: Mapping[str, Any], way_out: str
) -> tuple[Job, SearchProblem, ProblemSource]:
    """Check the job that a run folder holds, and build its problem again.

    Args:
        run_dir: The run folder.
        problem: The problem, if the run searched a Python object; else a reference to the problem's new place, of a
            command the folder of its files; or None.
        changes: Values by dotted keys that replace those of the job.
        way_out: What to do where ``problem`` is missing.

    Raises:
        RunFolderError: It is no run folder.
        JobError: The job, with its changes, is wrong.
        UsageError: ``problem`` is missing, or is not what the run searched.
    """
    data, facts = read_job(run_dir), Recorded.read(run_dir).facts
    if facts is not None:
        data = followed(data, facts, run_dir)
        if facts.exploration is not None:  # what it measured fits a space that the job alone does not have
            data["search"] = {**data["search"], "start": facts.given_start}
    job, built, source = _rebuilt(data, run_dir, problem, changes, way_out)
    return job, *known_space(built, source, facts)


def _rebuilt(
    data: Mapping[str, Any], run_dir: Path, problem: Any, changes: Mapping[str, Any], way_out: str
) -> tuple[Job, SearchProblem, ProblemSource]:
    use = problem_of(data)
    if use.startswith(OBJECT):
        if problem is None or isinstance(problem, str):
            raise UsageError(f"`{run_dir}` searched {use}: {way_out}")
        return check_job(data, problem, changes=changes)
    if problem is not None and not isinstance(problem, str):
        raise UsageError(f"`{run_dir}` searched `{use}`, so `problem` must name it where it moved, but is {problem!r}")
    if problem is not None:
        is_command = use == COMMAND
        place = {f"problem.options.{PLACE}": problem} if is_command else {"problem.use": problem}
        changes = {**changes, **place}
    elif use == COMMAND and not Path(place_of_command(data)).is_dir():
        raise UsageError(
            f"the folder of the command's files must be where it was, or lie to `{run_dir}` as it did, but "
            f"`{place_of_command(data)}` is none; name the new place by --problem DIR (from Python, `problem`)"
        )
    elif (path := use.rpartition(":")[0]).endswith(".py") and not Path(path).is_file():
        raise UsageError(
            f"the file of the problem must be where it was, or lie to `{run_dir}` as it did, but `{path}` is no file; "
            "name the new place by --problem FILE.py:Class (from Python, `problem`)"
        )
    return check_job(data, changes=changes)


def code_to_load(run_dir: Path, problem: str | None = None) -> tuple[dict[str, str], bool]:
    """Return what code a command that goes on with a run would load, and whether this user has run it.

    Args:
        run_dir: The run folder.
        problem: Where the user says that the problem lies now; None: where the folder says.

    Returns:
        ``"problem"`` and ``"model"`` to references, as ``named_code`` has them, and whether none of them is new.

    Raises:
        RunFolderError: It is no run folder.
    """
    data, facts = read_job(run_dir), Recorded.read(run_dir).facts
    with guarded_reads(run_dir):
        named = named_code(data if facts is None else followed(data, facts, run_dir))
    is_known = is_sealed(run_dir, of_anybody(named.values()))
    if problem is not None and CommandInWords.read(named.get("problem", "")):  # the folder still says what is run
        return named, is_known
    if problem is not None:  # which the user names, not the folder
        named["problem"] = problem
        is_known = is_known or not of_anybody(use for what, use in named.items() if what != "problem")
    return named, is_known or not of_anybody(named.values())
