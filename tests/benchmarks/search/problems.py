"""Problems of the benchmark, over variables that every peer knows: reals, integers, ordered and unordered choices.

``PROBLEMS`` are those that a method may be tuned on, ``HELD_OUT`` those that nobody looks at while tuning. Only NumPy,
pymoo and evo-moo's search space are needed to build and evaluate one, so that a peer's own interpreter can.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Choice, Integer, Real, Variable
from tests.benchmarks.search import digits, engineering, fronts

Configuration = Mapping[str, Any]
N_INITIAL = 20


class UnavailableError(Exception):
    """Data that a problem needs are not there."""


@dataclass
class Problem:
    """Objectives to minimise, and constraints that hold where they are at most 0.

    Attributes:
        name: Its name.
        variables: Name to variable; none in log scale.
        n_obj: Number of objectives.
        n_constr: Number of constraints.
        function: Configurations to ``(n, n_obj)`` objectives and ``(n, n_constr)`` constraints.
        front: Gives ``(n, n_obj)`` points of the true Pareto front; None: it is searched for, once.
        worst: ``(n_obj,)`` values beyond which points of the front do not count; by default all do.
        hypervolume: That of the true front once it spans 0 to 1, up to 1.1 in each objective, where a formula says it;
            then ``front`` gives the ends alone.
        noise: ``(n_obj,)`` standard deviations of measured objectives; None: they are exact.
    """

    name: str
    variables: Mapping[str, Variable]
    n_obj: int
    n_constr: int
    function: Callable[[Sequence[Configuration]], tuple[np.ndarray, np.ndarray]] = field(repr=False)
    front: Callable[[], np.ndarray] | None = field(default=None, repr=False)
    worst: Sequence[float] | None = None
    hypervolume: float | None = None
    noise: Sequence[float] | None = None

    @cached_property
    def space(self) -> SearchSpace:
        """The variables as a search space."""
        return SearchSpace(self.variables)

    @property
    def is_continuous(self) -> bool:
        """Whether all variables are reals."""
        return not self.space.grid.any()

    @property
    def n_initial(self) -> int:
        """Size of the initial design of every method that has a model."""
        return min(N_INITIAL, 2 * (self.space.n_var + 1))

    def evaluate(self, configurations: Sequence[Configuration]) -> tuple[np.ndarray, np.ndarray]:
        """Give ``(n, n_obj)`` objectives and ``(n, n_constr)`` constraints."""
        F, G = self.function(configurations)
        return np.asarray(F, dtype=float), np.asarray(G, dtype=float).reshape(len(configurations), self.n_constr)


def of_pymoo(name: str, plain: Any, front: Callable[[], np.ndarray] | None) -> Problem:
    """Give a continuous problem of pymoo."""
    bounds = zip(plain.xl.tolist(), plain.xu.tolist(), strict=True)
    variables = {f"x{i}": Real(low, high) for i, (low, high) in enumerate(bounds, 1)}

    def function(configurations: Sequence[Configuration]) -> tuple[np.ndarray, np.ndarray]:
        X = np.array([list(configuration.values()) for configuration in configurations])
        out = plain.evaluate(X, return_values_of=["F", "G"], return_as_dictionary=True)
        return out["F"], out["G"]

    return Problem(name, variables, plain.n_obj, plain.n_ieq_constr, function, front)


def _pymoo(name: str, front: Callable[[Any], np.ndarray] | None, options: Mapping[str, Any], cache: Path) -> Problem:
    from pymoo.problems import get_problem

    plain = get_problem(name, **options)
    return of_pymoo(name, plain, front and partial(front, plain))


def _sphere(n_obj: int, cache: Path) -> Problem:
    problem = _pymoo("dtlz2", lambda plain: np.eye(n_obj), {"n_var": n_obj + 5, "n_obj": n_obj}, cache)
    return replace(problem, name=f"dtlz2-{n_obj}", hypervolume=fronts.hypervolume_above_sphere(n_obj))


def _dtlz7_of_four(cache: Path) -> Problem:
    return replace(_pymoo("dtlz7", fronts.dtlz7, {"n_var": 9, "n_obj": 4}, cache), name="dtlz7-4")


def _engineering(name: str, cache: Path) -> Problem:
    formula, low, high, n_obj = engineering.FORMULAS[name]
    kinds = [Integer if isinstance(end, int) else Real for end in low]
    variables = {f"x{i}": kind(*ends) for i, (kind, *ends) in enumerate(zip(kinds, low, high, strict=True), 1)}

    def function(configurations: Sequence[Configuration]) -> tuple[np.ndarray, np.ndarray]:
        X = np.array([list(configuration.values()) for configuration in configurations], dtype=float)
        return formula(X), np.empty((len(X), 0))

    return Problem(name, variables, n_obj, 0, function, worst=engineering.WORST.get(name))


def _nasbench201(dataset: str, device: str, cache: Path) -> Problem:
    folder = os.environ.get("EVO_MOO_DATA")
    path = Path(folder or "", "nasbench201.npz")
    if not folder or not path.exists():
        raise UnavailableError("EVO_MOO_DATA must name the folder of nasbench201.npz, but does not; set it")
    with np.load(path, allow_pickle=False) as data:
        operations = [str(name) for name in data["ops"]]
        edges = [f"edge_{i}" for i in range(len(data["edges"]))]
        error = 100 - data["test_acc_200"][:, data["datasets"].tolist().index(dataset)]
        latency_ms = data["latency_ms"][:, data["devices"].tolist().index(device)]
        F = np.column_stack([error, latency_ms])
        cells = {tuple(cell): row for row, cell in enumerate(data["arch"].tolist())}

    def function(configurations: Sequence[Configuration]) -> tuple[np.ndarray, np.ndarray]:
        rows = [cells[tuple(operations.index(c[edge]) for edge in edges)] for c in configurations]
        return F[rows], np.empty((len(rows), 0))

    variables = {edge: Choice(operations) for edge in edges}
    return Problem(f"nasbench201-{device}", variables, 2, 0, function, lambda: F)


def _noisy(name: str, noise: Sequence[float], cache: Path) -> Problem:
    return replace(PROBLEMS[name](cache), name=f"{name}-noisy", noise=noise)


def _digits(cache: Path) -> Problem:
    errors, parameters = digits.table(cache)
    F = np.column_stack([errors, parameters])
    cells = {digits.key(cell): row for row, cell in enumerate(digits.cells())}

    def function(configurations: Sequence[Configuration]) -> tuple[np.ndarray, np.ndarray]:
        rows = [cells[digits.key(configuration)] for configuration in configurations]
        return F[rows], np.empty((len(rows), 0))

    return Problem("digits", digits.VARIABLES, 2, 0, function, lambda: F)


Builder = Callable[[Path], Problem]

PROBLEMS: dict[str, Builder] = {
    **{name: partial(_pymoo, name, fronts.zdt, {"n_var": 10}) for name in ("zdt1", "zdt2", "zdt3", "zdt4")},
    "dtlz2": partial(_pymoo, "dtlz2", fronts.sphere, {"n_var": 8, "n_obj": 3}),
    **{f"dtlz2-{n_obj}": partial(_sphere, n_obj) for n_obj in (4, 5, 6)},
    "dtlz7": partial(_pymoo, "dtlz7", fronts.dtlz7, {"n_var": 8, "n_obj": 3}),
    "dtlz7-4": _dtlz7_of_four,
    "osy": partial(_pymoo, "osy", None, {}),
    "bnh": partial(_pymoo, "bnh", fronts.bnh, {}),
    "c2dtlz2": partial(_pymoo, "c2dtlz2", fronts.c2dtlz2, {"n_var": 8, "n_obj": 3}),
    "mw1": partial(_pymoo, "mw1", None, {"n_var": 8}),
    "carside": partial(_pymoo, "carside", None, {}),
    **{name: partial(_engineering, name) for name in ("re21", "re33", "re37")},
    **{f"nasbench201-{d}": partial(_nasbench201, "cifar10", d) for d in ("gold_6226", "fpga", "titan_rtx_256")},
    "digits": _digits,
    "zdt1-noisy": partial(_noisy, "zdt1", (0.1, 0.1)),
    "dtlz2-noisy": partial(_noisy, "dtlz2", (0.1, 0.1, 0.1)),
    # Trainings of one cell on CIFAR-10 differ by about so much, in % of the test data, from seed to seed.
    "nasbench201-gold_6226-noisy": partial(_noisy, "nasbench201-gold_6226", (0.25, 0.0)),
}

HELD_OUT: dict[str, Builder] = {
    "dtlz1": partial(_pymoo, "dtlz1", fronts.dtlz1, {"n_var": 6, "n_obj": 2}),
    "wfg4": partial(_pymoo, "wfg4", fronts.wfg4, {"n_var": 8, "n_obj": 3, "k": 4}),
    "mw7": partial(_pymoo, "mw7", None, {"n_var": 8}),
    "ctp1": partial(_pymoo, "ctp1", None, {"n_var": 4}),
    **{name: partial(_engineering, name) for name in ("re23", "re24", "re34")},
    "nasbench201-raspi4": partial(_nasbench201, "cifar100", "raspi4"),
}


def build(name: str, cache: Path) -> Problem:
    """Build a problem by name; ``cache`` is the folder of tables that are computed once.

    Raises:
        UnavailableError: Data that it needs are not there.
    """
    return (PROBLEMS | HELD_OUT)[name](cache)
