"""The job file: what to search, how, and for how long.

[problem]
use = "digits_cnn"                 # a name, pymoo:NAME, package.module:Class or path/to/file.py:Class
options = { }                      # keyword arguments of the problem's class

[search]
algorithm = "nsga2"                # or "nsga3"; or a baseline: "weighted-sum", "tchebycheff", "random", "sobol", "grid"
pop_size = 20
seed = 1
mode = "generational"              # or "steady-state": no worker waits for a generation's last evaluation
sampling = "random"                # of the first population; or "lhs" (Latin hypercube), "sobol"
start = [{ lr = 0.01 }]            # configurations that it begins with
from = ["runs/monday"]             # earlier runs whose best it begins with, relative to this file
grid_points = 5                    # of a grid, of every Real; or by name, number or values: { lr = 3, n = [8, 32] }

[budget]                           # at least one of
n_evals = 100                      # with [refinement] in full evaluations, of which a short one is a share
n_gen = 10
time = "2 h"                       # of searching, summed over resumes; or seconds
stop_when = "hypervolume stalls"   # or pymoo's "ftol", "xtol", "default"; { rule = "ftol", tol = 0.01, period = 20 }
deadline = 2026-12-01T08:00:00     # stops then as if by a signal, to be resumed; local time without an offset

[objectives]                       # instead of the problem's own
accuracy = "max"                   # or { direction = "max", goal = 0.99 }

[constraints]                      # instead of the problem's own
latency_ms = { at_most = 20 }

[surrogate]                        # models propose the candidates, by default if n_evals is at most 1000
model = "auto"                     # chosen by validation; or "none", "gp", "rf", package.module:Class, FILE.py:Class
infill = "ehvi"                    # searched on the models; or "prescreen": the best of ten times as many offspring
repeats = true                     # measure noisy members of the front again, where that tells more than new ones
batch = 4                          # candidates at a time, by default pop_size to prescreen; in steady state one

[refinement]                       # short evaluations first, where the problem declares a fidelity
metric = "epochs"                  # its name, as a check
rungs = [2, 6, 18]                 # the last one full; or min = 2, max = 18, with eta between one rung and the next
eta = 4                            # one in so many rises from each rung
risk = 0.05                        # stops trainings whose curves will not reach the front; by default none
replicates = 1                     # trainings with different seeds of what reaches the front
weights_mb = 1000                  # size that saved weights keep below

[evaluation]
workers = 2
pool = "auto"                      # "loky" worker processes, "dask", "serial", or "auto"
address = "tcp://host:8786"        # of a Dask scheduler; without one, "dask" starts workers of its own
timeout = "10 min"
memory_mb = 4000                   # limit on one evaluation, with all processes that it starts
retries = 1                        # how often an evaluation whose worker died is started again
profile_cache = true               # whether profiles of the same architecture are reused, also from other runs
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import AfterValidator, Field, StrictBool, StrictStr, ValidationError, ValidationInfo, field_validator

from evo_moo.algorithms import EVOLUTIONARY, PARETO, AlgorithmName
from evo_moo.designs import grid_faults
from evo_moo.errors import EvoMooError, JobError
from evo_moo.goals import Goals, find_faults
from evo_moo.job_budget import BudgetSection, Seconds, Section, StopWhenSection, Whole
from evo_moo.job_faults import fault_text
from evo_moo.job_refinement import RefinementSection, refinement_faults
from evo_moo.plugins import ProblemSource, load_surrogate
from evo_moo.prescreening import InfillName
from evo_moo.problem import SearchProblem
from evo_moo.stop_rules import MOST_OBJECTIVES
from evo_moo.surrogate_optimizer import BATCH

FREE_SECTIONS = ("budget", "evaluation")
"""What may change from one call to the next: no evaluation's result depends on it."""

RunPath = Annotated[StrictStr, AfterValidator(lambda path: str(Path(path).expanduser().absolute()))]


class ProblemSection(Section):
    """Which problem, and its options."""

    use: StrictStr
    options: dict[str, Any] = {}


class SearchSection(Section):
    """Which algorithm."""

    algorithm: AlgorithmName = "nsga2"
    pop_size: Annotated[Whole, Field(ge=4)] | None = None
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 1
    mode: Literal["generational", "steady-state"] = "generational"
    sampling: Literal["random", "lhs", "sobol"] = "random"
    start: list[dict[str, Any]] = []
    from_runs: list[RunPath] | None = Field(default=None, alias="from")
    grid_points: Whole | dict[str, Whole | list[Any]] | None = None


class SurrogateSection(Section):
    """Which models propose candidates."""

    model: StrictStr = "auto"
    infill: InfillName = "ehvi"
    batch: Annotated[Whole, Field(ge=1, le=1000)] | None = Field(default=None, validate_default=True)
    repeats: StrictBool = True

    @field_validator("batch")
    @classmethod
    def _batch_of_ehvi(cls, batch: int | None, info: ValidationInfo) -> int | None:
        return BATCH if batch is None and info.data.get("infill") == "ehvi" else batch


class EvaluationSection(Section):
    """Where and how evaluations run."""

    workers: Annotated[Whole, Field(ge=1, le=1024)] = Field(default_factory=lambda: os.cpu_count() or 1)
    pool: Literal["auto", "loky", "dask", "serial"] = "auto"
    address: StrictStr | None = None
    timeout: Seconds | None = None
    memory_mb: Annotated[Whole, Field(ge=1)] | None = None
    retries: Annotated[Whole, Field(ge=0)] = 1
    profile_cache: StrictBool = True


class Job(Section):
    """A whole job; see the module for the file."""

    problem: ProblemSection
    search: SearchSection = SearchSection()
    budget: BudgetSection = BudgetSection()
    objectives: dict[str, Any] | None = None
    constraints: dict[str, Any] | None = None
    surrogate: SurrogateSection | None = None
    refinement: RefinementSection | None = None
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)

    def goals(self, problem: SearchProblem) -> Goals:
        """Give the goals of the search: the job's own, else the problem's."""
        objectives = problem.objectives if self.objectives is None else self.objectives
        constraints = problem.constraints if self.constraints is None else self.constraints
        return Goals.declared(objectives, constraints)

    def is_searched_as_by_pymoo(self, problem: SearchProblem) -> bool:
        """Tell whether the populations are the very ones that pymoo makes of a plain problem."""
        return problem.is_plain and self.surrogate is None and self.search.algorithm in PARETO

    def to_toml(self) -> dict[str, Any]:
        """Give plain data for a TOML file; what is None is left out."""
        return self.model_dump(exclude_none=True, by_alias=True)


def check_job(data: Mapping[str, Any], problem: Any = None) -> tuple[Job, SearchProblem, ProblemSource]:
    """Check a job as a whole, and build its problem.

    Args:
        data: The job as plain data.
        problem: The problem as a Python object, where the job names it only for display.

    Raises:
        JobError: With every fault found, each with its key, the rule and the value.
    """
    faults: list[str] = []
    job = None
    try:
        job = Job.model_validate(data)
    except ValidationError as error:
        faults += [fault_text(e, _KNOWN_KEYS) for e in error.errors()]
    section = data.get("problem")
    use = section.get("use") if isinstance(section, dict) else None
    options = section.get("options", {}) if isinstance(section, dict) else {}
    source, built = ProblemSource(use, options), None
    if isinstance(use, str) and isinstance(options, dict):
        try:
            source = source if problem is None else ProblemSource.of_object(problem)
            built = source.build()
        except EvoMooError as error:
            key = "problem.use" if problem is None else "problem"
            faults += [f"`{key}`: {line}" for line in str(error).splitlines()]
    if built is not None:
        objectives, constraints = data.get("objectives"), data.get("constraints")
        if _is_table(objectives) and _is_table(constraints):
            declared = (objectives if objectives is not None else built.objectives, constraints or {})
            faults += find_faults(*declared, built.known_metrics)
            faults += _too_few_for_nsga3(job, len(declared[0]))
        faults += _start_faults(job, built)
        faults += _baseline_faults(job, built)
        faults += refinement_faults(job.refinement if job else None, built)
    faults += _surrogate_faults(data)
    faults += _pool_faults(job)
    faults += _unwritable(job)
    faults += _budget_faults(data.get("budget", {}), job, built)
    if faults or job is None or built is None:
        raise JobError(faults)
    return job, built, source


def _too_few_for_nsga3(job: Job | None, n_obj: int) -> list[str]:
    if job is None or job.search.algorithm != "nsga3" or (job.search.pop_size or n_obj) >= n_obj:
        return []
    return [
        f"`search.pop_size` must be at least the number of objectives for nsga3, {n_obj}, but is {job.search.pop_size}"
    ]


def _budget_faults(budget: Any, job: Job | None, problem: SearchProblem | None) -> list[str]:
    faults = []
    if isinstance(budget, dict) and all(value is None for key, value in budget.items() if key != "deadline"):
        faults.append("`budget` must set n_evals, n_gen, time or stop_when, but sets none; try --n-evals 100")
    stop_when = job.budget.stop_when if job else None
    if stop_when is None:
        return faults
    of_hypervolume = stop_when.rule == "hypervolume stalls"
    for key, rule in (("n_skip", "hypervolume stalls"), ("tol", "default")):
        if getattr(stop_when, key) is not None and stop_when.rule == rule:
            faults.append(f"`budget.stop_when.{key}` must go with another rule, but the rule is {rule!r}")
    objectives = (job.objectives if job else None) or (problem.objectives if problem else {})
    if of_hypervolume and len(objectives) > MOST_OBJECTIVES:
        faults.append(
            f"`budget.stop_when` = 'hypervolume stalls' must go with at most {MOST_OBJECTIVES} objectives, for which "
            f"it is quick to compute, but there are {len(objectives)}; try 'ftol'"
        )
    return faults


def _start_faults(job: Job | None, problem: SearchProblem) -> list[str]:
    faults = []
    for i, configuration in enumerate(job.search.start if job else []):
        try:
            problem.space.encode([configuration])
        except EvoMooError as error:
            faults.append(f"`search.start[{i}]`: {error}")
    return faults


def _baseline_faults(job: Job | None, problem: SearchProblem) -> list[str]:
    if job is None:
        return []
    search, faults = job.search, []
    if search.algorithm == "grid":
        faults += [f"`search.grid_points` {fault}" for fault in grid_faults(problem.space, search.grid_points)]
    elif search.grid_points is not None:
        faults.append(f"`search.grid_points` must go with algorithm = 'grid', but it is {search.algorithm!r}")
    if search.sampling != "random":
        faults += _algorithm_faults("search.sampling", search.algorithm, EVOLUTIONARY)
    if job.surrogate is not None and job.surrogate.model != "none":
        faults += _algorithm_faults("surrogate", search.algorithm, PARETO)
    return faults


def _algorithm_faults(key: str, given: str, fitting: Sequence[str]) -> list[str]:
    *most, last = map(repr, fitting)
    words = f"`{key}` must go with algorithm = {', '.join(most)} or {last}, but it is {given!r}"
    return [] if given in fitting else [words]


def _surrogate_faults(data: Mapping[str, Any]) -> list[str]:
    section = data.get("surrogate")
    model = section.get("model") if isinstance(section, dict) else None
    if not isinstance(model, str) or model in ("auto", "none"):
        return []
    try:
        load_surrogate(model)
    except EvoMooError as error:
        return [f"`surrogate.model`: {error}"]
    return []


def _pool_faults(job: Job | None) -> list[str]:
    faults = []
    if job and job.evaluation.address is not None and job.evaluation.pool != "dask":
        faults.append(f"`evaluation.address` must go with pool = 'dask', but pool is {job.evaluation.pool!r}")
    if job and job.evaluation.memory_mb is not None and job.evaluation.pool == "serial":
        faults.append("`evaluation.memory_mb` must go with worker processes, but pool is 'serial'; try 'loky'")
    return faults


def _unwritable(job: Job | None) -> list[str]:
    """Find values that a TOML file cannot hold; they can only come from Python."""
    try:
        tomli_w.dumps(job.to_toml() if job else {})
    except (TypeError, ValueError) as error:
        return [f"`problem.options` and `search.start` must hold values that TOML knows, but: {error}"]
    return []


def _is_table(value: Any) -> bool:
    return value is None or isinstance(value, dict)


_KNOWN_KEYS = {
    "": list(Job.model_fields),
    "problem": list(ProblemSection.model_fields),
    "search": [field.alias or name for name, field in SearchSection.model_fields.items()],
    "budget": list(BudgetSection.model_fields),
    "budget.stop_when": list(StopWhenSection.model_fields),
    "surrogate": list(SurrogateSection.model_fields),
    "refinement": list(RefinementSection.model_fields),
    "evaluation": list(EvaluationSection.model_fields),
}
