"""A job that is ready to run: checked, with models decided, and against what its folder holds."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from evo_moo.errors import JobError, RunFolderError
from evo_moo.evaluation.problem_version import problem_parts
from evo_moo.job.identity import (
    differences,
    ends_alike,
)
from evo_moo.job.job import Job, SurrogateSection
from evo_moo.object_code import changed_parts
from evo_moo.optimizer.algorithms import PARETO
from evo_moo.plugins import ProblemSource, code_of_surrogate
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.assembly import device_faults
from evo_moo.run.exploration.learnt import Exploration, known_space
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.reading import Recorded, guarded_reads, reading

FEW_EVALUATIONS = 1000
"""Up to so many, models propose the candidates unless a job says otherwise."""


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
        return [*deadline_faults(self.job, self.recorded), *n_evals_faults(self.job, self.recorded.cost)]


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

    That is a deadline that has passed, GPUs that this host does not have, and earlier runs that cannot be read, which
    a run that has begun needs no more.
    """
    recorded = Recorded.read(run_dir)

    def faults_of(job: Job) -> list[str]:
        faults = [*deadline_faults(job, recorded), *device_faults(job)]
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
            return misfits_with(facts, prepared, run_dir)
    return []


def misfits_with(facts: RunFacts, prepared: PreparedJob, run_dir: Path | None) -> list[str]:
    """Return in what a job differs from the run that ``facts`` describe; nothing where it goes on with it."""
    if changed := differences(facts, prepared.job, prepared.problem, run_dir):
        return changed
    changed = [] if prepared.accept_changes else changed_parts(facts.parts, prepared.parts)
    return [f"{each} (--accept-changes, in Python accept_changes=True, goes on with both)" for each in changed]


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


def n_evals_faults(job: Job, cost: float) -> list[str]:
    """Return the fault of a number of evaluations that is smaller than what the run has spent, its ``cost``."""
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
