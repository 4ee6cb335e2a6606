"""A problem with the space that a run learnt of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from evo_moo.job.job import Job
from evo_moo.plugins import EXPLORED, ProblemSource
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.storage.facts import RunFacts


@dataclass(frozen=True)
class Exploration:
    """What the evaluations before a search showed, as a run records it.

    Attributes:
        n_evals: Number of these evaluations; they count in the budget.
        explored: What the problem is made again with.
        given_start: The job's start without what they measured.
    """

    n_evals: int
    explored: dict[str, Any]
    given_start: list[Any] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """Return what the ledger keeps."""
        return {"exploration": {"n_evals": self.n_evals, "explored": self.explored}}


def left_of_budget(job: Job, facts: RunFacts) -> Job:
    """Return a job with a budget that lacks the evaluations which explored."""
    n_evals, recorded = job.budget.n_evals, facts.exploration
    if n_evals is None or recorded is None:
        return job
    left = job.budget.model_copy(update={"n_evals": max(1, n_evals - recorded["n_evals"])})
    return job.model_copy(update={"budget": left})


def known_space(
    problem: SearchProblem, source: ProblemSource, facts: RunFacts | None
) -> tuple[SearchProblem, ProblemSource]:
    """Return a problem and its source with the space that a run recorded, where the problem does not declare it."""
    recorded = None if facts is None else facts.exploration
    return (problem, source) if problem.is_explored or recorded is None else with_space(problem, source, recorded)


def with_space(
    problem: SearchProblem, source: ProblemSource, recorded: Mapping[str, Any]
) -> tuple[SearchProblem, ProblemSource]:
    """Return a problem and its source with the space of an exploration."""
    known = problem.explored_as(recorded["explored"])
    if source.reference is None:
        return known, ProblemSource.of_object(known)
    return known, replace(source, options={**source.options, EXPLORED: recorded["explored"]})
