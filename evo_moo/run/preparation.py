"""What a job and its run folder must agree on before the search begins or goes on."""

import contextlib
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.errors import JobError, RunFolderError, UsageError
from evo_moo.job.check import check_job
from evo_moo.job.job import Job, SurrogateSection
from evo_moo.optimizer.algorithms import PARETO
from evo_moo.plugins import ProblemSource
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.warm_start import WarmStart
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import read_job, reading
from evo_moo.storage.run_folder import FREE_SECTIONS, RunFolder

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
        problem: The problem, if the run searched a Python object.
        changes: Values by dotted keys that replace those of the job.
        way_out: What to do where ``problem`` is missing.

    Raises:
        RunFolderError: It is no run folder.
        JobError: The job, with its changes, is wrong.
        UsageError: ``problem`` is missing.
    """
    data = read_job(run_dir)
    use = problem_of(data)
    is_object = use.startswith(OBJECT)
    if is_object and problem is None:
        raise UsageError(f"`{run_dir}` searched {use}: {way_out}")
    return check_job(data, problem if is_object else None, changes=changes)


def has_begun(run_dir: Path | None) -> bool:
    """Return whether a folder holds a run that has recorded its job."""
    if run_dir is not None and (run_dir / "run.sqlite").is_file():
        with contextlib.suppress(RunFolderError), reading(run_dir) as ledger:
            return bool(ledger.facts().job)
    return False


def begin(
    folder: RunFolder, job: Job, problem: SearchProblem, goals: Goals, version: str | None, warm: WarmStart | None
) -> list[dict[str, Any]]:
    """Write what a new folder needs; refuse one that belongs to another job, but let its budget be extended.

    Returns:
        The configurations that the search begins with: those that it began with, if it has.
    """
    data = job.to_toml()
    facts = folder.ledger.facts()
    if facts.job:
        if facts.given_start == data["search"]["start"]:
            data["search"]["start"] = facts.job["search"]["start"]
        before, now = _flat(facts.job), _flat(data)
        if changed := differences(facts, data, goals):
            raise RunFolderError(
                f"a run folder belongs to one job, but `{folder.path}` was made for another: {'; '.join(changed)}; "
                "name a new folder"
            )
        state = facts.state if _ends_alike(facts.job, data) else "stopped"
        if before != now:
            folder.write_job(data, replace=True)
            with folder.ledger.transaction():
                folder.ledger.set_meta(job=data, state=state)
                changes = {k: [before.get(k), now.get(k)] for k in sorted(before | now) if before.get(k) != now.get(k)}
                folder.ledger.record_event("job changed", **changes)
        if state != "finished" and facts.problem_version != version:
            # What follows is measured by another version than what is there: as a whole the run is of none.
            with folder.ledger.transaction():
                folder.ledger.set_meta(problem_version=None)
        return list(data["search"]["start"])
    if warm is not None:
        data["search"]["start"] = warm.start
    folder.write_job(data)
    folder.write_environment(job.search.seed)
    with folder.ledger.transaction():
        folder.ledger.set_meta(
            job=data,
            goals=goals.to_json(),
            metrics={name: asdict(metric) for name, metric in problem.known_metrics.items()},
            space=problem.space.to_json(),
            problem_version=version,
            front="population" if job.is_searched_as_by_pymoo(problem) else "archive",
            true_front=_true_front(problem, goals),
            state="new",
        )
        if warm is not None:
            folder.ledger.set_meta(given_start=job.search.start, known_outcomes=warm.known)
            folder.ledger.record_event("warm start", n_start=len(warm.start), n_known=len(warm.known))
            LOGGER.info("begins with %d configurations, the outcomes of %d known", len(warm.start), len(warm.known))
    return list(data["search"]["start"])


def _true_front(problem: SearchProblem, goals: Goals) -> list[list[float]] | None:
    """Return the exact Pareto front where the problem knows it, as rows of objectives, minimised."""
    try:
        known = problem.pareto_front(goals)
        front = np.empty((0, 0)) if known is None else np.asarray(known, dtype=float)
    except Exception as error:
        LOGGER.warning("`pareto_front` of `%s` failed: %s: %s", problem.name(), type(error).__name__, error)
        return None
    fits = front.ndim == 2 and len(front) and front.shape[1] == len(goals.objectives) and np.isfinite(front).all()
    return front.tolist() if fits else None


def with_models_decided(job: Job, problem: SearchProblem, run_dir: Path | None) -> Job:
    """Return the job with models or without, where it does not say.

    A run goes on as it began. Else there are models where evaluations are few, hence dear; not for plain pymoo
    problems, which are searched as pymoo does.
    """
    chosen, recorded = job.surrogate, _recorded_job(run_dir)
    if chosen is None and recorded is not None:
        there = recorded.get("surrogate")
        chosen = SurrogateSection(**there) if there else None
    elif chosen is None and not problem.is_plain and job.search.algorithm in PARETO:
        n_evals = job.budget.n_evals
        chosen = SurrogateSection() if n_evals is not None and n_evals <= FEW_EVALUATIONS else None
    elif chosen is not None and chosen.model == "none":
        chosen = None
    return job.model_copy(update={"surrogate": chosen})


def _recorded_job(run_dir: Path | None) -> Mapping[str, Any] | None:
    """Return the job of a folder's run from its ledger, else from its job file, which outlives a damaged ledger."""
    if run_dir is None or not (run_dir / "run.sqlite").exists():
        return None
    with contextlib.suppress(RunFolderError), reading(run_dir) as ledger:
        if job := ledger.facts().job:
            return job
    with contextlib.suppress(RunFolderError, JobError):
        return read_job(run_dir)
    return None


def differences(facts: RunFacts, job: Mapping[str, Any], goals: Goals) -> list[str]:
    """Say in what a job differs from the one that a run was made for, where it must not.

    Args:
        facts: Those of the run.
        job: The job as plain data.
        goals: Its goals.
    """
    if facts.given_start == job["search"]["start"]:
        job = {**job, "search": {**job["search"], "start": facts.job["search"]["start"]}}
    before, now = _flat(facts.job), _flat(job)
    changed = [
        f"{key}: {before.get(key)!r} there, {now.get(key)!r} here"
        for key in sorted(before | now)
        if before.get(key) != now.get(key) and key.partition(".")[0] not in FREE_SECTIONS
    ]
    return changed if facts.goals == goals else [*changed, "the problem's goals"]


def refuse_fewer_evaluations(job: Job, ledger: Ledger) -> None:
    """Refuse a budget of fewer evaluations than a run has asked for.

    Raises:
        JobError: It has.
    """
    n_asked, n_evals = math.ceil(ledger.cost()), job.budget.n_evals
    if n_evals is not None and n_evals < n_asked:
        raise JobError(
            f"`budget.n_evals` must be at least {n_asked}, as many as the run has asked for, but is {n_evals}; "
            "give more, or name a new folder"
        )


def ended_evaluations(ledger: Ledger, goals: Goals) -> list[Evaluation]:
    """Read the evaluations that ended before.

    Raises:
        TypeError: A metric is no number.
        KeyError: An objective is missing.
    """
    ended = list(ledger.ended())
    for e in ended:
        numbers = [e.metrics[o.metric] for o in goals.objectives] if e.status in ("ok", "partial") else []
        if not all(isinstance(value, int | float) for value in [*numbers, *e.metrics.values()]):
            raise TypeError(f"evaluation {e.id} has a metric that is no number")
    return ended


def refuse_past_deadline(job: Job, run_dir: Path | None) -> None:
    """Refuse a job that would have to have ended by now, unless its run is finished.

    Raises:
        JobError: The deadline has passed.
    """
    deadline = job.budget.limits().deadline
    if deadline is None or deadline > time.time():
        return
    if run_dir is not None and (run_dir / "run.sqlite").is_file():
        with reading(run_dir) as ledger:
            facts = ledger.facts()
        if facts.state == "finished" and _ends_alike(facts.job, job.to_toml()):
            return
    raise JobError(
        f"`budget.deadline` must be in the future, but is {job.budget.deadline}; give a later one, or none "
        "(--deadline none)"
    )


def _ends_alike(job: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two jobs have the same budget; the deadline only interrupts a run."""
    budgets = [{**each.get("budget", {}), "deadline": None} for each in (job, other)]
    return budgets[0] == budgets[1]


def _flat(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's values by their dotted keys."""
    return {f"{section}.{key}": value for section, table in job.items() for key, value in table.items()}
