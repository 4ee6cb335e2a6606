"""What a full evaluation is expected to show, by what one on a lower rung showed."""

import numpy as np

from evo_moo.optimizer.algorithms import Array
from evo_moo.optimizer.refinement.ladder import Ladder
from evo_moo.optimizer.refinement.rungs import MIN_PAIRS
from evo_moo.problem.points import Offered, Point


class Extrapolation:
    """Extrapolates metrics from a rung to the top one by those candidates that reached it.

    They give a line from the rung to the top for each metric: the autoregressive model of Kennedy and O'Hagan,
    "Predicting the output from a complex computer code when fast approximations are available", Biometrika 2000,
    equation 1, without its second process; the line is Theil's and Sen's. While few are known it is the median change.

    Args:
        ladder: The evaluations.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._known: dict[tuple[int, int], dict[str, tuple[float, float]]] = {}

    def expected(self, candidate: int) -> Offered:
        """Return what is expected of a candidate's full evaluation; by the learning curve if it was stopped."""
        standing = self._ladder.standing(candidate)
        if standing.expected is not None:
            return {0: Point({}, standing.expected)}
        lines = self._lines(standing.rung)
        return {
            number: point._replace(metrics={name: a * point.metrics[name] + b for name, (a, b) in lines.items()})
            for number, point in (standing.offered or {}).items()
            if not point.fault
        }

    def _lines(self, rung: int) -> dict[str, tuple[float, float]]:
        """Return slope and intercept of each metric from a rung to the top."""
        ladder = self._ladder
        known = rung, len(ladder.compared(ladder.top))
        if known not in self._known:
            low, high = ladder.pairs(rung, ladder.top)
            self._known[known] = {
                name: _line(np.array([row[name] for row in low]), np.array([row[name] for row in high]))
                for name in ladder.goals.metric_names
            }
        return self._known[known]


def _line(low: Array, high: Array) -> tuple[float, float]:
    if len(low) < MIN_PAIRS or np.ptp(low) == 0:
        return 1.0, float(np.median(high - low)) if len(low) else 0.0
    from scipy.stats import theilslopes

    slope, intercept, *_ = theilslopes(high, low)
    return float(slope), float(intercept)
