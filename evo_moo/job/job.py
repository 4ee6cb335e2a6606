"""The job file: what to search, how, and for how long.

[problem]
use = "digits_cnn"                 # a name, pymoo:NAME, package.module:Class or path/to/file.py:Class
options = { }                      # keyword arguments of the problem's class
# or instead any program: command = ["python", "train.py", "--lr", "{lr}"], and what else ``CommandProblem`` takes

[search]
algorithm = "nsga2"                # or "nsga3"; or pymoo's "unsga3", "agemoea2", "smsemoa", "spea2", "ctaea", "moead";
                                   # or a baseline: "weighted-sum", "tchebycheff", "random", "sobol", "grid"
pop_size = 20
seed = 1
mode = "generational"              # or "steady-state": no worker waits for a generation's last evaluation
sampling = "random"                # of the first population; or "lhs" (Latin hypercube), "sobol"
start = [{ lr = 0.01 }]            # configurations that it begins with; { configuration = …, metrics = … } is only told
known = ["table.csv"]              # tables of configurations and their metrics, which are told, not evaluated
from = ["runs/monday"]             # earlier runs, relative to this file: it begins with their best, models learn all
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

[policies]                         # why goals are what they are, and who answers for them; shown, and changes no search
latency_ms = "the page answers within 200 ms; owner: shop team"

[contexts]                         # of the problem's, those that count, and how much; by default all alike
server = 2
phone = 1

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
gpus = "auto"                      # each worker is pinned to one, of all or of [0, 1], as nvidia-smi counts them
n_per_gpu = 2                      # workers that share a GPU, by default 1
cpus_per_worker = 4                # cores, and threads, of its own for each worker; by default one thread, on any core
workers = 2                        # by default one for each place on the GPUs or cores, else one per core
pool = "auto"                      # "loky" worker processes, "dask", "serial", or "auto"
address = "tcp://host:8786"        # of a Dask scheduler; without one, "dask" starts workers of its own
listen = "tcp://0.0.0.0:8786"      # where `evo-moo work` joins the run, from any host; there are no other workers then
keys = "keys"                      # folder of the keys for that, relative to this file; on the loopback not needed
timeout = "10 min"
memory_mb = 4000                   # limit on one evaluation, with all processes that it starts
retries = 1                        # how often an evaluation whose worker died is started again
profile_cache = true               # whether profiles of the same architecture are reused, also from other runs
"""

import os
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    StrictBool,
    StrictStr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from evo_moo.job.budget import BudgetSection, Seconds, Section, Whole
from evo_moo.job.refinement import RefinementSection
from evo_moo.optimizer.algorithms import AlgorithmName
from evo_moo.optimizer.arguments import is_pymoos
from evo_moo.optimizer.given_algorithm import GIVEN, FurtherName
from evo_moo.optimizer.surrogate_optimizer import BATCH
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.surrogate.proposals import InfillName
from evo_moo.values import for_toml, is_integer


class ProblemSection(Section):
    """The problem and the options of its class."""

    use: StrictStr
    options: dict[str, Any] = {}


def _or_an_object(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Let the description of an object pass as the name of an algorithm."""
    return value if isinstance(value, str) and value.startswith(GIVEN) else check(value)


class SearchSection(Section):
    """The algorithm and the first population."""

    algorithm: Annotated[Literal[AlgorithmName, FurtherName], WrapValidator(_or_an_object)] = "nsga2"
    given: Any = Field(default=None, exclude=True)  # the object, where the algorithm is one
    pop_size: Annotated[Whole, Field(ge=4)] | None = None
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 1
    mode: Literal["generational", "steady-state"] = "generational"
    sampling: Literal["random", "lhs", "sobol"] = "random"
    start: list[dict[str, Any]] = []
    known: list[StrictStr] | None = None
    from_runs: list[StrictStr] | None = Field(default=None, alias="from")
    grid_points: Any = None  # the space says what is right


class SurrogateSection(Section):
    """The models that propose candidates."""

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

    gpus: Any = None
    n_per_gpu: Annotated[Whole, Field(ge=1, le=64)] | None = None
    cpus_per_worker: Annotated[Whole, Field(ge=1)] | None = None
    workers: Annotated[Whole, Field(ge=1, le=1024)] | None = Field(default=None, validate_default=True)
    pool: Literal["auto", "loky", "dask", "serial"] = "auto"
    address: StrictStr | None = None
    listen: StrictStr | None = None
    keys: StrictStr | None = None
    timeout: Seconds | None = None
    memory_mb: Annotated[Whole, Field(ge=1)] | None = None
    retries: Annotated[Whole, Field(ge=0)] = 1
    profile_cache: StrictBool = True

    @field_validator("gpus")
    @classmethod
    def _all_or_some(cls, gpus: Any) -> Any:
        some = (
            isinstance(gpus, list | tuple) and gpus and all(is_integer(each) or isinstance(each, str) for each in gpus)
        )
        if gpus in (None, "auto") or some:
            return gpus
        raise ValueError('must be "auto", or a list of the numbers or the UUIDs of GPUs, such as [0, 1]')

    @field_validator("workers")
    @classmethod
    def _one_per_core(cls, workers: int | None, info: ValidationInfo) -> int | None:
        has_places = any(info.data.get(key) is not None for key in ("gpus", "cpus_per_worker"))
        return workers if workers or has_places else os.cpu_count() or 1

    @property
    def pins(self) -> bool:
        """Whether workers have a GPU or cores of their own."""
        return self.gpus is not None or self.cpus_per_worker is not None


class Job(Section):
    """A whole job; see the module for the file."""

    problem: ProblemSection
    search: SearchSection = SearchSection()
    budget: BudgetSection = BudgetSection()
    objectives: dict[str, Any] | None = None
    constraints: dict[str, Any] | None = None
    policies: dict[str, Annotated[StrictStr, Field(min_length=1, max_length=500)]] | None = None
    contexts: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = Field(default=None, min_length=1)
    surrogate: SurrogateSection | None = None
    refinement: RefinementSection | None = None
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)

    def goals(self, problem: SearchProblem) -> Goals:
        """Return the goals of the search: the job's own, else the problem's."""
        objectives = problem.objectives if self.objectives is None else self.objectives
        constraints = problem.constraints if self.constraints is None else self.constraints
        return problem.goals_of(objectives, constraints, self.contexts)

    def is_searched_as_by_pymoo(self, problem: SearchProblem) -> bool:
        """Return whether the populations are the very ones that pymoo makes of a plain problem."""
        return problem.is_plain and self.surrogate is None and is_pymoos(self.search.algorithm)

    def starting_with(self, start: list[dict[str, Any]]) -> "Job":
        """Return the job with another start, and no tables of more."""
        return self.model_copy(update={"search": self.search.model_copy(update={"start": start, "known": None})})

    def to_toml(self) -> dict[str, Any]:
        """Return plain data for a TOML file; what is not set is left out, and an option that is None is ``none``."""
        data = self.model_dump(exclude_none=True, by_alias=True)
        return data | {"search": for_toml(data["search"])}
