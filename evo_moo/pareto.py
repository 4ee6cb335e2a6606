"""Dominance and hypervolume, by moocore."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def pareto_rows(F: Array, violation: Array) -> npt.NDArray[np.int64]:
    """Give the rows of the Pareto front, sorted by the first objective.

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
    """Give the volume that the points dominate, up to the reference point.

    Args:
        F: ``(n, n_obj)`` array, minimised; points beyond the reference point count nothing.
        ref_point: ``(n_obj,)`` values, minimised like ``F``.
    """
    import moocore

    ref = np.asarray(ref_point, dtype=float)
    inside = F[(ref > F).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=ref)) if len(inside) else 0.0


def share_of_front(F: Array, front: Array) -> float | None:
    """Give the hypervolume of points as a share of that of a front.

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
    """Give a reference point for a set of points: its worst values, and a tenth of its range beyond.

    Args:
        F: ``(n, n_obj)`` array, at least one row.
    """
    worst, best = F.max(axis=0), F.min(axis=0)
    span = np.where(worst > best, worst - best, 1.0)
    return np.asarray(worst + 0.1 * span)


def hypervolume_history(F: Array, n_points: int = 200) -> tuple[npt.NDArray[np.int64], Array]:
    """Give the hypervolume after growing numbers of evaluations, for one reference point.

    Args:
        F: ``(n, n_obj)`` array in the order of evaluation, at least one row.
        n_points: About how many numbers of evaluations to take.

    Returns:
        Numbers of evaluations ``(m,)`` and hypervolumes ``(m,)``.
    """
    import moocore

    ref = reference_point(F)
    counts = np.unique(np.linspace(1, len(F), min(n_points, len(F))).astype(int))
    volumes, front, start = [], F[:0], 0
    for count in counts:
        front = np.vstack([front, F[start:count]])
        front = front[moocore.is_nondominated(front)]
        volumes.append(hypervolume(front, ref))
        start = count
    return counts, np.array(volumes)
