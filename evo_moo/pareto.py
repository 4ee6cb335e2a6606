"""Dominance and hypervolume, by moocore."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
MOST_OBJECTIVES = 4
"""With more objectives, the hypervolume takes too long to be computed again and again."""
LARGEST = 1e70
"""Size of a value: four of them can be multiplied, as a hypervolume of so many objectives does."""
MOST_EXACT, N_DIRECTIONS = 5, 2**14


def drawn_in(values: Array) -> Array:
    """Return values in their order, those beyond ±1e70 nearer to it, so that nothing computed of them overflows.

    Such a value stands for "as bad as can be": it is larger than all others still, and no longer by how much.
    """
    size = np.abs(values)
    if not (size > LARGEST).any():
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.sign(values) * LARGEST * (1 + np.log(size / LARGEST))
    return np.where((size > LARGEST) & np.isfinite(values), beyond, values)


def thinned(n: int, most: int) -> npt.NDArray[np.int64]:
    """Return the places of ``n`` things: all, or of more than ``most`` so many at even distances."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def rank_and_crowding(F: Array, violation: Array) -> list[tuple[int, float]]:
    """Return what sorts rows, the best first: the non-dominated rank, then the negated crowding distance.

    What misses limits comes after all that keeps them, by the least violation.
    """
    import moocore
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

    ranks, crowding = np.zeros(len(F), dtype=int), np.zeros(len(F))
    feasible = np.flatnonzero(violation == 0)
    if len(feasible):
        ranks[feasible] = moocore.pareto_rank(F[feasible])
    for rank in np.unique(ranks[feasible]):
        members = feasible[ranks[feasible] == rank]
        crowding[members] = calc_crowding_distance(F[members])
    _, by_violation = np.unique(violation, return_inverse=True)
    others = np.flatnonzero(violation > 0)
    ranks[others] = ranks[feasible].max(initial=-1) + 1 + by_violation[others]
    return [(int(rank), -float(distance)) for rank, distance in zip(ranks, crowding, strict=True)]


def pareto_rows(F: Array, violation: Array) -> npt.NDArray[np.int64]:
    """Return the rows of the Pareto front, sorted by the first objective.

    Feasible rows only; if there are none, the rows of least violation. Rows with equal objectives are all kept.

    Args:
        F: ``(n, n_obj)`` array, minimised.
        violation: ``(n,)`` array of total constraint violations, 0 when feasible.
    """
    import moocore

    if len(F) == 0:
        return np.empty(0, dtype=np.int64)
    candidates = np.flatnonzero(violation == violation.min())
    front = candidates[moocore.is_nondominated(F[candidates], keep_weakly=True)]
    by_first_objective: npt.NDArray[np.int64] = front[np.lexsort(F[front].T[::-1])]
    return by_first_objective


def hypervolume(F: Array, ref_point: Any) -> float:
    """Return the volume that the points dominate, up to the reference point.

    Args:
        F: ``(n, n_obj)`` array, minimised; points beyond the reference point count nothing.
        ref_point: ``(n_obj,)`` values, minimised like ``F``.
    """
    import moocore

    ref = np.asarray(ref_point, dtype=float)
    inside = F[(ref > F).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=ref)) if len(inside) else 0.0


def share_of_front(F: Array, front: Array) -> float | None:
    """Return the hypervolume of points as a share of that of a front.

    Objectives are normalised to 0 at the front's best value and 1 at its worst; the reference point is 1.1 in each.

    Args:
        F: ``(n, n_obj)`` array, minimised.
        front: ``(m, n_obj)`` array, the front.

    Returns:
        The share, above 1 where the points lie between those of a continuous front; None for a single objective, and
        where an objective is the same all along the front: there is no scale to measure by.
    """
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    if front.shape[1] < 2 or not (nadir > ideal).all():
        return None
    ref = np.full(len(ideal), 1.1)
    found, whole = (hypervolume((points - ideal) / (nadir - ideal), ref) for points in (F, front))
    return found / whole


def reference_point(F: Array) -> Array:
    """Return a reference point for a set of points: its worst values, and a tenth of its range beyond.

    Where all values are the same, their size stands for the range, or 1 where they are 0.

    Args:
        F: ``(n, n_obj)`` array, at least one row.
    """
    worst, best = F.max(axis=0), F.min(axis=0)
    span = np.where(worst > best, worst - best, np.where(worst != 0, np.abs(worst), 1.0))
    return np.asarray(worst + 0.1 * span)


class Box(NamedTuple):
    """The unit in which hypervolumes are measured: a box of objectives, minimised.

    Attributes:
        best: ``(n_obj,)`` corner of the best values.
        ref: ``(n_obj,)`` reference point, worse in every objective.
    """

    best: Array
    ref: Array

    @classmethod
    def around(cls, F: Array) -> Self:
        """Return the box from the best values of ``(n, n_obj)`` points, at least one, to their reference point."""
        return cls(F.min(axis=0), reference_point(F))

    @classmethod
    def joint(cls, boxes: "Iterable[Box]") -> Self:
        """Return the smallest box that holds all of some, at least one."""
        bests, refs = zip(*boxes, strict=True)
        return cls(np.min(bests, axis=0), np.max(refs, axis=0))

    def share(self, F: Array) -> float:
        """Return the hypervolume of ``(n, n_obj)`` points as a share of the box; above 1 where they lie beyond it.

        No unit of an objective counts. Above five objectives it is approximated, without chance.
        """
        import moocore

        N, ref = (F - self.best) / (self.ref - self.best), np.ones(len(self.ref))
        if len(ref) <= MOST_EXACT:
            return hypervolume(N, ref)
        inside = N[(ref > N).all(axis=1)]
        return float(moocore.hv_approx(inside, ref=ref, nsamples=N_DIRECTIONS)) if len(inside) else 0.0


def frame(front: Array, others: Array, *, is_max: bool, is_log: bool) -> tuple[float, float]:
    """Return the range of an axis that shows a front, with room for what it dominates.

    It reaches the middle of the others, unless that is so far off that the front would be a corner.

    Args:
        front: ``(n,)`` values on the front, at least one.
        others: ``(m,)`` values off it.
        is_max: Whether more is better.
        is_log: Whether the axis is logarithmic; the front then is above 0.
    """
    sign = -1.0 if is_max else 1.0
    others = others[others > 0] if is_log else others
    on, off = (sign * (np.log(values) if is_log else values) for values in (front, others))
    low, high = float(on.min()), float(on.max())
    usual = 1.0 if is_log else abs(high) or 1.0
    span = high - low if high - low > 1e-6 * usual else usual  # values that only rounding tells apart are one
    middle = 2 * float(np.median(off / 2)) if len(off) else high  # two halves never overflow
    worse = min(max(high + 0.6 * span, middle + 0.1 * span), high + 2.5 * span)
    ends = sorted((sign * (low - 0.1 * span), sign * worse))
    start, end = np.exp(ends) if is_log else ends
    return float(start), float(end)


class History(NamedTuple):
    """How a front grew.

    Attributes:
        counts: ``(m,)`` numbers of evaluations.
        volumes: ``(m,)`` hypervolumes after them, as shares of one box.
        sizes: ``(m,)`` numbers of points on the front, equal ones counted once.
    """

    counts: npt.NDArray[np.int64]
    volumes: Array
    sizes: npt.NDArray[np.int64]


def hypervolume_history(F: Array, box: Box, n_points: int = 200, ends: npt.NDArray[np.int64] | None = None) -> History:
    """Return the hypervolume after growing numbers of evaluations.

    Args:
        F: ``(n, n_obj)`` array in the order of evaluation, at least one row.
        box: What the hypervolumes are shares of.
        n_points: About how many numbers of evaluations to take; a quarter of it above four objectives.
        ends: Numbers of rows after which to look; by default any.
    """
    import moocore

    n_obj = F.shape[1]
    n_points = n_points if n_obj <= 4 else -(-n_points // 4)
    ends = np.arange(1, len(F) + 1, dtype=np.int64) if ends is None else ends
    counts = ends[np.unique(np.linspace(1, len(ends), min(n_points, len(ends))).astype(int)) - 1]
    volumes, sizes, front, start = [], [], F[:0], 0
    for count in counts:
        front = np.vstack([front, F[start:count]])
        front = front[moocore.is_nondominated(front)]
        volumes.append(box.share(front))
        sizes.append(len(front))
        start = count
    return History(counts, np.array(volumes), np.array(sizes))
