"""True Pareto fronts, and what share of their hypervolume a set of points has."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tests.benchmarks.search.problems import Problem

Array = np.ndarray
N_CURVE, N_SURFACE, N_VOLUME = 20_001, 501, 31
REFERENCE = 1.1
"""Reference point in each objective, once the true front spans 0 to 1."""
POP_SIZE, N_GENERATIONS, SEEDS = 300, 400, (1, 2, 3)


def zdt(plain: Any) -> Array:
    """The curve along the first variable, with g = 1: all others are 0 (Zitzler et al. 2000, eqs. 7 to 10)."""
    X = np.zeros((N_CURVE, plain.n_var))
    X[:, 0] = np.linspace(0, 1, N_CURVE)
    return np.asarray(plain.evaluate(X, return_values_of=["F"]))


def bnh(plain: Any) -> Array:
    """BNH's own curve."""
    return np.asarray(plain.pareto_front(n_points=N_CURVE))


def dtlz1(plain: Any) -> Array:
    """The line between (0.5, 0) and (0, 0.5)."""
    f1 = np.linspace(0, 0.5, N_CURVE)
    return np.column_stack([f1, 0.5 - f1])


def sphere(plain: Any) -> Array:
    """The unit sphere's positive octant."""
    a, b = (angle.ravel() for angle in np.meshgrid(*[np.linspace(0, np.pi / 2, N_SURFACE)] * 2))
    return np.column_stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])


def hypervolume_above_sphere(n_obj: int) -> float:
    """The hypervolume that the positive orthant of the unit sphere dominates, up to 1.1 in each objective."""
    ball = math.pi ** (n_obj / 2) / math.gamma(n_obj / 2 + 1)
    return float(REFERENCE**n_obj - ball / 2**n_obj)


def c2dtlz2(plain: Any) -> Array:
    """What of the sphere is feasible; a feasible point beyond it is dominated by one on it."""
    from pymoo.problems.many.cdtlz import constraint_c2

    F = sphere(plain)
    return F[np.ravel(constraint_c2(F, plain.r)) <= 0]


def wfg4(plain: Any) -> Array:
    """The ellipsoid of radii 2, 4, 6."""
    return sphere(plain) * (2.0, 4.0, 6.0)


def dtlz7(plain: Any) -> Array:
    """DTLZ7 with g = 1 (Deb et al. 2005, eq. 6.27)."""
    n_free = plain.n_obj - 1
    axis = np.linspace(0, 1, N_SURFACE if n_free == 2 else N_VOLUME)
    free = np.column_stack([f.ravel() for f in np.meshgrid(*[axis] * n_free)])
    h = plain.n_obj - (free / 2 * (1 + np.sin(3 * np.pi * free))).sum(axis=1)
    return np.column_stack([free, 2 * h])


def searched(problem: "Problem") -> Array:
    """Give all non-dominated points that long runs of NSGA-II meet; integers are rounded."""
    import moocore
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.optimize import minimize

    space = problem.space

    class Encoded(PymooProblem):
        def __init__(self) -> None:
            shape = {"n_obj": problem.n_obj, "n_ieq_constr": problem.n_constr}
            super().__init__(n_var=space.n_var, xl=space.xl, xu=space.xu, **shape)

        def _evaluate(self, X: Array, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            out["F"], out["G"] = problem.evaluate(space.decode(space.canonical(X)))

    met: list[Array] = [np.empty((0, problem.n_obj))]

    def keep(algorithm: Any) -> None:
        F = algorithm.pop.get("F")[(algorithm.pop.get("G") <= 0).all(axis=1)]
        if len(F):
            F = np.concatenate([met[0], F])
            met[0] = F[moocore.is_nondominated(F)]

    for seed in SEEDS:
        minimize(Encoded(), NSGA2(pop_size=POP_SIZE), ("n_gen", N_GENERATIONS), seed=seed, callback=keep)
    return met[0]


def without_ties(F: Array) -> Array:
    """Leave out points that are on a front only by a thousandth of its range: a longer search would dominate them.

    They can lie far off in the other objectives, and would put the nadir there.
    """
    import moocore

    unit = (F - F.min(axis=0)) / np.ptp(F, axis=0)
    extent = F[moocore.is_nondominated(np.round(unit, 3))].max(axis=0)
    return F[(extent >= F).all(axis=1)]


@dataclass(frozen=True)
class Scale:
    """What a share is measured by.

    Attributes:
        ideal: ``(n_obj,)`` best values on the true front.
        nadir: ``(n_obj,)`` worst values on the true front.
        hypervolume: That of the true front once it spans 0 to 1, up to 1.1 in each objective.
    """

    ideal: Array
    nadir: Array
    hypervolume: float

    @classmethod
    def of_front(cls, F: Array) -> "Scale":
        """Measure the front of ``(n, n_obj)`` points."""
        import moocore

        F = F[moocore.is_nondominated(F)]
        one = cls(F.min(axis=0), F.max(axis=0), 1.0)
        return cls(one.ideal, one.nadir, one.share(F))

    def share(self, F: Array) -> float:
        """Give the share of the true hypervolume that ``(n, n_obj)`` feasible points have."""
        import moocore

        points = (F - self.ideal) / (self.nadir - self.ideal)
        points = points[(points < REFERENCE).all(axis=1)]
        if not len(points):
            return 0.0
        return float(moocore.hypervolume(points, ref=[REFERENCE] * points.shape[1])) / self.hypervolume

    def shares(self, F: Sequence[Sequence[float]], G: Sequence[Sequence[float]]) -> list[float]:
        """Give the share after each of ``(n, n_obj)`` objectives with ``(n, n_constr)`` constraints."""
        import moocore

        shares: list[float] = []
        front = np.empty((0, len(self.ideal)))
        for f, g in zip(np.asarray(F, dtype=float), G, strict=True):
            better = all(value <= 0 for value in g) and not (front <= f).all(axis=1).any()
            if better:
                front = np.concatenate([front, f[None]])
                front = front[moocore.is_nondominated(front)]
            shares.append(self.share(front) if better or not shares else shares[-1])
        return shares

    def shares_of_chosen(self, F: Sequence[Sequence[float]], noisy: Sequence[Sequence[float]]) -> list[float]:
        """Give the share after each of ``(n, n_obj)`` evaluations, of what one would choose by noisy measurements.

        The front is chosen by what was measured, in the mean where a configuration was measured several times, which
        its true objectives ``F`` tell; what is chosen counts by these.
        """
        import moocore

        true, which = np.unique(np.array(F), axis=0, return_inverse=True)
        total, count = np.zeros_like(true), np.zeros(len(true))
        shares = []
        for i, measured in zip(which.ravel(), noisy, strict=True):
            total[i] += measured
            count[i] += 1
            met = np.flatnonzero(count)
            shares.append(self.share(true[met[moocore.is_nondominated(total[met] / count[met, None])]]))
        return shares


def scale(problem: "Problem", cache: Path) -> Scale:
    """Give a problem's scale, computed once and kept in a folder."""
    path = cache / f"scale-{problem.name}.json"
    if path.exists():
        kept = json.loads(path.read_text())
        return Scale(np.array(kept["ideal"]), np.array(kept["nadir"]), kept["hypervolume"])
    F = problem.front() if problem.front else searched(problem)
    if problem.worst is not None:
        F = F[(problem.worst >= F).all(axis=1)]
    if problem.hypervolume is None:
        found = Scale.of_front(F if problem.front else without_ties(F))
    else:
        found = Scale(F.min(axis=0), F.max(axis=0), problem.hypervolume)
    cache.mkdir(parents=True, exist_ok=True)
    kept = {"ideal": found.ideal.tolist(), "nadir": found.nadir.tolist(), "hypervolume": found.hypervolume}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(kept))
    partial.replace(path)
    return found
