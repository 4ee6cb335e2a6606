"""The section of a job file for progressive refinement, and the check of it on a problem."""

from typing import Annotated

from pydantic import Field, StrictStr

from evo_moo.job.budget import Section, Whole
from evo_moo.optimizer.refinement.rungs import geometric_rungs
from evo_moo.problem.search_problem import SearchProblem

Positive = Annotated[Whole, Field(ge=1)]


class RefinementSection(Section):
    """The rungs, the share that is promoted, and the risk of stopping early."""

    metric: StrictStr | None = None
    rungs: list[Positive] | None = None
    min: Positive | None = None
    max: Positive | None = None
    eta: Annotated[Whole, Field(ge=2)] = 4
    replicates: Annotated[Whole, Field(ge=1, le=100)] = 1
    weights_mb: Annotated[Whole, Field(ge=0)] = 1000
    risk: Annotated[float, Field(ge=0.001, le=0.5, allow_inf_nan=False)] | None = None

    def ladder(self, problem: SearchProblem) -> list[int]:
        """Return the rungs for a problem that declares a fidelity, the lowest first."""
        fidelity = problem.fidelity
        if self.rungs is not None or fidelity is None:
            return list(self.rungs or [])
        return geometric_rungs(self.min or fidelity.low, self.max or fidelity.high, self.eta)


def refinement_faults(section: RefinementSection | None, problem: SearchProblem) -> list[str]:
    """Return every fault of the section on a problem."""
    if section is None:
        return []
    fidelity = problem.fidelity
    if fidelity is None:
        return [
            f"`refinement` must go with a problem that can be evaluated at less than full length, but {problem.name()} "
            "declares no `fidelity` with these options; drop the section, or give the problem one"
        ]
    faults = []
    if section.metric not in (None, fidelity.name):
        faults.append(
            f"`refinement.metric` must be the problem's fidelity, {fidelity.name!r}, but is {section.metric!r}"
        )
    if section.rungs is not None:
        faults += [
            f"`refinement.{key}` must not go with `rungs`, which says it already; drop one of them"
            for key in ("min", "max")
            if getattr(section, key) is not None
        ]
    rungs = section.ladder(problem)
    low, high = ("min", "max") if section.rungs is None else ("rungs", "rungs")
    least = 1 if section.risk is not None else 2
    if rungs != sorted(set(rungs)) or len(rungs) < least:
        faults.append(
            f"`refinement.{low}` must give at least {['one rung', 'two rungs'][least - 1]}, each higher than the one "
            f"before, but gives {rungs}"
        )
    if section.risk is not None and not problem.reports:
        faults.append(
            f"`refinement.risk` must go with a problem that tells how its trainings go, but `evaluate` of "
            f"{problem.name()} does not name `report`; drop the key, or let it report"
        )
    if min(rungs) < fidelity.low:
        faults.append(f"`refinement.{low}` must be at least {fidelity.low} {fidelity.name}, but is {min(rungs)}")
    if rungs[-1] != fidelity.high:
        faults.append(
            f"`refinement.{high}` must end at the problem's full evaluation, {fidelity.high} {fidelity.name}, but ends "
            f"at {rungs[-1]}"
        )
    return faults
