"""An objective and a limit: what is wanted of one metric."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evo_moo.problem.metrics import with_unit

Array = npt.NDArray[np.float64]
EQUALITY_TOLERANCE, RELATIVE_TOLERANCE = 1e-4, 1e-6
"""How far off an equality still counts as kept: by as much as in pymoo, or by a millionth of the bound."""


@dataclass(frozen=True)
class Objective:
    """A metric to minimise or to maximise.

    Attributes:
        metric: Name of the metric.
        direction: ``"min"`` or ``"max"``.
        goal: The value that would be good enough. It is shown, and changes nothing in the search.
    """

    metric: str
    direction: Literal["min", "max"]
    goal: float | None = None

    @property
    def sign(self) -> int:
        """Factor that makes the metric one to minimise: -1 where it is maximised, else 1."""
        return -1 if self.direction == "max" else 1

    def best(self, values: Iterable[float]) -> float:
        """Return the best of some values of the metric."""
        return min(values, key=lambda value: self.sign * value)

    def in_words(self, unit: str = "") -> str:
        """Name it with its unit and its direction, as axes show it."""
        return f"{with_unit(self.metric, unit)}, {'more' if self.direction == 'max' else 'less'} is better"

    def reached(self, value: float) -> bool:
        """Return whether a value is good enough; without a goal every value is."""
        return self.goal is None or self.sign * value <= self.sign * self.goal


@dataclass(frozen=True)
class Limit:
    """A hard limit on a metric: one inequality or one equality."""

    metric: str
    relation: Literal["at_most", "at_least", "equals"]
    bound: float

    def violation(self, value: float) -> float:
        """Return the constraint's value: feasible when at most 0 (equality: when 0)."""
        return self.bound - value if self.relation == "at_least" else value - self.bound

    @property
    def tolerance(self) -> float:
        """How far off an equality's bound still counts as kept."""
        return max(EQUALITY_TOLERANCE, RELATIVE_TOLERANCE * abs(self.bound))

    def is_kept(self, value: float) -> bool:
        """Return whether a value keeps the limit."""
        return bool(self._over(value) <= 0)

    @property
    def ends(self) -> tuple[float, ...]:
        """The values at which the limit begins or ends to be kept: one, and of an equality two."""
        if self.relation == "equals":
            return self.bound - self.tolerance, self.bound + self.tolerance
        return (self.bound,)

    def excess(self, value: Any) -> Any:
        """Return how far a value, or each of an array, is beyond the limit, in the metric's own unit; else 0."""
        return np.maximum(self._over(value), 0.0)

    def _over(self, value: Any) -> Any:
        off = self.violation(value)
        return abs(off) - self.tolerance if self.relation == "equals" else off


def total_violation(limits: Sequence[Limit], excess: Array) -> Array:
    """Return by how much limits are missed in all, 0 where each is kept.

    Limits are in different units, so each counts by its own size: missed by ``excess`` it counts
    ``excess / (excess + |bound|)``, which is a half where it is missed by as much as its bound, and never more than 1.
    So however far off one limit is, the others count too. A bound of 0 has no size; 1 is taken. Where all bounds are 0,
    as in pymoo's problems, the excesses are added up as pymoo does.

    Args:
        limits: The limits.
        excess: ``(…, n_limits)`` array, by how much each is exceeded, at least 0.

    Returns:
        Array of the shape of ``excess`` without its last axis.
    """
    sizes = np.array([abs(limit.bound) for limit in limits])
    if sizes.any() and excess.any():
        with np.errstate(divide="ignore", over="ignore"):
            share = 1 / (1 + np.where(sizes > 0, sizes, 1.0) / excess)  # neither overflows nor is NaN
        excess = np.where(excess > 0, np.maximum(share, np.finfo(float).tiny), 0.0)
    return np.asarray(excess.sum(axis=-1))
