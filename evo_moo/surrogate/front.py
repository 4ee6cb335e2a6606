"""The front that candidates are measured against, and the range of it that counts."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from evo_moo.surrogate.outliers import FAR_OUT
from evo_moo.surrogate.protocol import Array

TRADE_OFF = 0.3
"""A gain in one objective counts only if it costs the others less than 1 / TRADE_OFF times as much, in ranges."""
MARGIN = 0.1
"""How far beyond the front its reference point lies, in ranges of the front."""


@dataclass(frozen=True)
class Front:
    """The front that candidates are measured against, and the scales of the objectives.

    Attributes:
        F: ``(n, n_obj)`` objectives of the non-dominated feasible rows; empty while nothing is feasible.
        ideal: ``(n_obj,)`` best values.
        span: ``(n_obj,)`` ranges of the front.
        worst: ``(n_obj,)`` worst values seen that are not far out.
        outer: ``(n_obj,)`` reference point up to which the ends of the front can grow.
    """

    F: Array
    ideal: Array
    span: Array
    worst: Array
    outer: Array

    @classmethod
    def of(cls, F: Array, seen: Array) -> Self:
        """Return the front with the scales of what was measured.

        Args:
            F: ``(n, n_obj)`` objectives of the non-dominated feasible rows; empty while nothing is feasible.
            seen: ``(m, n_obj)`` objectives of all feasible rows, or of all rows if none is.
        """
        ideal, worst = seen.min(axis=0), worst_of_usual(seen)
        ends = F.max(axis=0) if len(F) > 2 else np.vstack([F, worst]).max(axis=0)
        span = np.maximum(ends - ideal, 1e-12)
        return cls(F, ideal, span, worst, np.maximum(worst, ideal + (1 + MARGIN) * span))

    @property
    def exists(self) -> bool:
        """Whether anything is feasible."""
        return len(self.F) > 0

    @property
    def n_obj(self) -> int:
        """Number of objectives."""
        return len(self.span)

    @property
    def inner(self) -> Array:
        """``(n_obj,)`` reference point up to where trade-offs are still worth their price."""
        return np.asarray(self.ideal + (1 + MARGIN) * self.span)

    def with_points(self, F: Array) -> Self:
        """Return the front with ``(n, n_obj)`` points, as if they had been measured; the scales stay."""
        return replace(self, F=np.concatenate([self.F, F])) if self.exists else self

    def expecting(self, F: Array) -> Self:
        """Return the front with the scales that ``(n, n_obj)`` predicted points would give it."""
        if not self.exists:
            return self
        ideal, nadir = proper_range(np.concatenate([self.F, F]))
        return replace(self, ideal=ideal, span=nadir - ideal)

    def scaled(self, F: Array) -> Array:
        """Return ``(n, n_obj)`` points in ranges of the front, from the ideal point."""
        return np.asarray((F - self.ideal) / self.span)


def worst_of_usual(F: Array) -> Array:
    """Return the worst of the ``(n, n_obj)`` values that are not far out, ``(n_obj,)``; one outlier sets no scale."""
    low, high = np.quantile(F, [0.25, 0.75], axis=0)
    with np.errstate(over="ignore"):  # a distance beyond all numbers is not far out
        is_usual = (high + FAR_OUT * (high - low) >= F) | (high == low)
    return np.asarray(np.where(is_usual, F, -np.inf).max(axis=0))


def proper_range(F: Array) -> tuple[Array, Array]:
    """Return the ideal and the nadir point of the part of a front whose trade-offs are worth their price.

    A point is left out if another one is much better in some objectives for little in the others: if it is
    dominated in ``F_i + TRADE_OFF * sum of the other objectives``, all in ranges of the front (Ikeda, Kita &
    Kobayashi 2001, "Failure of Pareto-based MOEAs: does non-dominated really mean near to optimal?").
    The ranges are those of what is left, until nothing more is left out.

    Args:
        F: ``(n, n_obj)`` points.

    Returns:
        ``(n_obj,)`` ideal and nadir, the nadir greater by more than nothing.
    """
    import moocore

    front = F[moocore.is_nondominated(F)]
    while True:
        ideal, nadir = front.min(axis=0), front.max(axis=0)
        scaled = (front - ideal) / np.maximum(nadir - ideal, 1e-12)
        others = scaled.sum(axis=1, keepdims=True) - scaled
        proper = np.asarray(moocore.is_nondominated(scaled + TRADE_OFF * others))
        if proper.all():
            return ideal, np.maximum(nadir, ideal + 1e-12)
        front = front[proper]
