"""Preparation of a search: what the run folder holds, and whether it agrees with the job."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from evo_moo.errors import JobError, RunFolderError, UsageError
from evo_moo.evaluation.problem_version import problem_parts
from evo_moo.job.check import check_job
from evo_moo.job.identity import (
    as_begun,
    changes,
    differences,
    ends_alike,
    followed,
    named_code,
    of_anybody,
    place_of_command,
)
from evo_moo.job.job import Job, SurrogateSection
from evo_moo.object_code import changed_parts
from evo_moo.optimizer.algorithms import PARETO
from evo_moo.plugins import ProblemSource, code_of_surrogate
from evo_moo.problem.command.words import COMMAND, PLACE
from evo_moo.problem.fronts import true_fronts
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.exploration.learnt import Exploration, known_space
from evo_moo.run.warm_start import WarmStart
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import Recorded, guarded_reads, read_job, reading
from evo_moo.storage.run_folder import RunFolder

LOGGER = logging.getLogger("evo_moo")
OBJECT = "the Python object "
"""How a job's reference to a problem begins that is none: no run folder holds Python objects."""
FEW_EVALUATIONS = 1000
"""Up to so many, models propose the candidates unless a job says otherwise."""


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


@dataclass(frozen=True)
class PreparedJob:
    """A checked job, ready to run from where its folder stands.

    Attributes:
        job: The job, with models decided.
        problem: The problem.
        source: How workers build the problem.
        recorded: What the run folder holds.
        accept_changes: Whether to go on where the code has changed.
        exploration: What the evaluations before a new search showed, where there were any.
    """

    job: Job
    problem: SearchProblem
    source: ProblemSource
    recorded: Recorded
    accept_changes: bool = False
    exploration: Exploration | None = None

    @property
    def parts(self) -> dict[str, str]:
        """The code of the problem and of a model of the user's own; see ``ProblemSource.parts``."""
        surrogate = self.job.surrogate
        own = problem_parts(self.problem, self.source)
        return own | (code_of_surrogate(surrogate.model) if surrogate else {})

    @property
    def goals(self) -> Goals:
        """Objectives and limits."""
        return self.job.goals(self.problem)

    @classmethod
    def of_folder(
        cls, job: Job, problem: SearchProblem, source: ProblemSource, run_dir: Path | None, accept_changes: bool
    ) -> Self:
        """Read what a job's folder holds, and decide by that whether models propose; arguments as for ``prepare``."""
        recorded = Recorded.read(run_dir)
        problem, source = known_space(problem, source, recorded.facts)
        return cls(_with_models_decided(job, problem, recorded), problem, source, recorded, accept_changes)

    def budget_faults(self) -> list[str]:
        """Return every fault of a budget that has no sense for what the folder holds."""
        return [*deadline_faults(self.job, self.recorded), *_n_evals_faults(self.job, self.recorded.cost)]


def prepare(
    job: Job, problem: SearchProblem, source: ProblemSource, run_dir: Path | None, *, accept_changes: bool = False
) -> PreparedJob:
    """Prepare a job to run from where its folder stands.

    Args:
        job: The job.
        problem: The problem.
        source: How workers build the problem.
        run_dir: The run folder; None where nothing is written, or where it is new.
        accept_changes: Whether to go on where the code has changed.

    Raises:
        JobError: The deadline has passed, or the budget is smaller than what the run has asked for; both are listed.
            Of a folder that belongs to another job, ``begin`` says so first.
    """
    prepared = PreparedJob.of_folder(job, problem, source, run_dir, accept_changes)
    if (faults := prepared.budget_faults()) and not misfits(prepared, run_dir):
        raise JobError(*faults)
    return prepared


def outside_faults(run_dir: Path | None) -> Callable[[Job], list[str]]:
    """Return a function that lists what is wrong around a job, for ``check_job`` to list it with all else.

    That is a deadline that has passed, and earlier runs that cannot be read; a run that has begun needs neither.
    """
    recorded = Recorded.read(run_dir)

    def faults_of(job: Job) -> list[str]:
        faults = deadline_faults(job, recorded)
        for run in (job.search.from_runs or []) if recorded.facts is None else []:
            try:
                with reading(Path(run)) as ledger:
                    ledger.facts()
            except RunFolderError as error:
                faults.append(f"`search.from`: {error}")
        return faults

    return faults_of


def misfits(prepared: PreparedJob, run_dir: Path | None) -> list[str]:
    """Return why a folder cannot go on with a job: in what both differ. A damaged folder speaks for itself."""
    if (facts := prepared.recorded.facts) is not None:
        with contextlib.suppress(RunFolderError), guarded_reads(run_dir):
            return _misfits(facts, prepared, run_dir)
    return []


def _misfits(facts: RunFacts, prepared: PreparedJob, run_dir: Path | None) -> list[str]:
    if changed := differences(facts, prepared.job, prepared.problem, run_dir):
        return changed
    changed = [] if prepared.accept_changes else changed_parts(facts.parts, prepared.parts)
    return [f"{each} (--accept-changes, in Python accept_changes=True, goes on with both)" for each in changed]


def begin(folder: RunFolder, prepared: PreparedJob, version: str | None, warm: WarmStart | None) -> Job:
    """Write what a new folder needs; refuse one that belongs to another job, but let its budget be extended.

    Args:
        folder: The run folder.
        prepared: The job.
        version: Version of the problem.
        warm: What a new search takes from earlier runs.

    Returns:
        The job, with the configurations that its search began with.
    """
    facts = folder.ledger.facts()
    if facts.job:
        return _go_on(folder, facts, prepared, version)
    job, problem, goals = prepared.job, prepared.problem, prepared.goals
    job = job if warm is None else job.starting_with(warm.start)
    folder.write_seal(of_anybody(named_code(job.to_toml()).values()))
    folder.write_job(job.to_toml())
    folder.write_environment(job.search.seed)
    front = "population" if job.is_searched_as_by_pymoo(problem) else "archive"
    with folder.ledger.transaction():
        more = {"job": job.to_toml(), "front": front, "true_front": true_fronts(problem, goals)}
        more |= {"parts": prepared.parts, "place": _place(folder)}
        given_start = prepared.job.search.start
        if prepared.exploration is not None:
            given_start = prepared.exploration.given_start
            more |= {**prepared.exploration.facts(), "given_start": given_start}
        record_problem(folder.ledger, problem, goals, version, **more)
        if warm is not None:
            folder.ledger.set_meta(
                given_start=given_start,
                known_outcomes=warm.known,
                earlier_outcomes=[outcomes.to_json() for outcomes in warm.earlier],
            )
            folder.ledger.record_event("warm start", n_start=len(warm.start), n_known=len(warm.known))
            LOGGER.info("begins with %d configurations, the outcomes of %d known", len(warm.start), len(warm.known))
            for outcomes in warm.earlier:
                LOGGER.info("models learn %s", outcomes.in_words())
    return job


def record_problem(ledger: Ledger, problem: SearchProblem, goals: Goals, version: str | None, **facts: Any) -> None:
    """Record in a new ledger what is evaluated, with more facts on the run by their names."""
    ledger.set_meta(
        goals=goals.to_json(),
        metrics={name: asdict(metric) for name, metric in problem.known_metrics.items()},
        space=problem.point_space.to_json(),
        problem_version=version,
        state="new",
        **facts,
    )


def _go_on(folder: RunFolder, facts: RunFacts, prepared: PreparedJob, version: str | None) -> Job:
    if changed := _misfits(facts, prepared, folder.path):
        raise RunFolderError(
            f"a run folder belongs to one job, but `{folder.path}` was made for another: {'; '.join(changed)}; "
            "name a new folder, and this one by --from to begin with what it knows"
        )
    if faults := _n_evals_faults(prepared.job, folder.ledger.cost()):
        raise JobError(*faults)
    job = as_begun(prepared.job, facts)
    folder.write_seal(of_anybody(named_code(job.to_toml()).values()))
    state = facts.state if ends_alike(facts.job, job) else "stopped"
    if edited := changes(facts.job, job):
        folder.write_job(job.to_toml(), replace=True)
        with folder.ledger.transaction():
            folder.ledger.set_meta(job=job.to_toml(), state=state)
            folder.ledger.record_event("job changed", **edited)
    with folder.ledger.transaction():
        if facts.place != _place(folder):
            folder.ledger.set_meta(place=_place(folder))
        if facts.space != (space := prepared.problem.point_space.to_json()):
            folder.ledger.set_meta(space=space)  # the same, but for what an older version did not record of tuples
        if state != "finished":
            _record_version(folder.ledger, facts, prepared.parts, version)
        elif changed_parts(facts.parts, prepared.parts):
            LOGGER.warning("finished before its code changed: nothing of it is evaluated by the new code")
    return job


def _record_version(ledger: Ledger, facts: RunFacts, parts: dict[str, str], version: str | None) -> None:
    """Record that what follows is evaluated by other code, if it is: as a whole the run then is of no version."""
    if changed := changed_parts(facts.parts, parts):
        n = sum(ledger.counts().values())
        ledger.record_event("code changed", changed=changed, n_asked=n)
        LOGGER.warning("goes on after %d evaluations although %s, as accepted", n, "; ".join(changed))
    if changed or facts.problem_version != version:
        ledger.set_meta(problem_version=None, **({"parts": parts} if facts.parts else {}))


def _place(folder: RunFolder) -> str:
    return str(folder.path or "")


def _with_models_decided(job: Job, problem: SearchProblem, recorded: Recorded) -> Job:
    """Return the job with models or without, where it does not say.

    A run goes on as it began. Else there are models where evaluations are few, hence dear; not for plain pymoo
    problems, which are searched as pymoo does.
    """
    chosen = job.surrogate
    if chosen is not None:
        chosen = None if chosen.model == "none" else chosen
    elif recorded.job is not None:
        section = recorded.job.get("surrogate")
        chosen = SurrogateSection(**section) if section else None
    elif not problem.is_plain and job.search.algorithm in PARETO:
        chosen = SurrogateSection() if (job.budget.n_evals or math.inf) <= FEW_EVALUATIONS else None
    return job.model_copy(update={"surrogate": chosen})


def _n_evals_faults(job: Job, cost: float) -> list[str]:
    n_asked, n_evals = math.ceil(cost), job.budget.n_evals
    if n_evals is None or n_evals >= n_asked:
        return []
    return [
        f"`budget.n_evals` must be at least {n_asked}, as many as the run has asked for, but is {n_evals}; "
        "give more, or name a new folder"
    ]


def deadline_faults(job: Job, recorded: Recorded) -> list[str]:
    """Return the fault of a deadline that has passed, unless the run is finished."""
    deadline, facts = job.budget.limits().deadline, recorded.facts
    is_finished = facts is not None and facts.state == "finished" and ends_alike(facts.job, job)
    if deadline is None or deadline > time.time() or is_finished:
        return []
    rule = f"`budget.deadline` must be in the future, but is {job.budget.deadline}"
    return [f"{rule}; give a later one, or none (--deadline none)"]
