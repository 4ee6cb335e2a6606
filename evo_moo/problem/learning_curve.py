"""Learning curves: what a training reports while it runs, and when that is enough to stop it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evo_moo.errors import MetricError
from evo_moo.problem.contexts import NO_CONTEXTS, ByContext
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics, checked_metrics

Array = npt.NDArray[np.float64]
MOST_POINTS = 100
"""A curve keeps at most so many points; of a longer one every second, every fourth, and so on."""
MOST_METRICS = 16
"""A curve has at most so many metrics."""


class Bounds(NamedTuple):
    """What a training is judged by while it runs, as plain data.

    Attributes:
        fronts: Rows of objectives, minimised, of the search's front so far; with contexts for each that of its own.
        gains: Epoch to the most that each objective can be expected to change by until the full evaluation, minimised:
            the lower, the better.
        usual: Epoch to the change of each objective that is to be expected.
        last: The epoch at which such a training usually ends.
        spared: Whether the training runs to its end, and only its curve notes when it would have been stopped.
    """

    fronts: list[list[list[float]]]
    gains: dict[int, list[float]]
    usual: dict[int, list[float]]
    last: int
    spared: bool = False


class LearningCurve(NamedTuple):
    """What a training reported while it ran.

    Attributes:
        epochs: The epochs of the points that are kept.
        metrics: Metric names to as many values.
        judged: Whether the training could have been stopped.
        would_stop: The epoch at which a spared training would have been stopped, or another one was; None if at none.
        share_trained: Share of the training that was done when it was stopped, from 0 to 1; 1 if it was not.
        expected: The metrics that a stopped training would have had in the end; None if it was not stopped.
    """

    epochs: list[int]
    metrics: dict[str, list[float]]
    judged: bool = False
    would_stop: int | None = None
    share_trained: float = 1.0
    expected: Metrics | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the arguments that make the curve again, as plain data: so the ledger keeps it."""
        record = self._asdict()
        if self.expected is None:
            del record["share_trained"], record["expected"]
        return record


class TrainingStopped(BaseException):
    """Ends a training that will not reach the front; not an ``Exception``, so that no problem catches it by accident.

    Args:
        reason: One line on why.
    """


class Report:
    """Notes the learning curve of a training: ``evaluate`` gets it as ``report``, and calls it after each epoch.

    Args:
        goals: Objectives and limits; without them nothing is judged.
        bounds: What the training is judged by; None: it runs to its end.
        known: Metrics that are known before it, such as the latency.
        by_context: Which metrics may have a value for each context.

    Attributes:
        metrics: What was reported last.
        would_stop: As in ``LearningCurve``.
    """

    def __init__(
        self,
        goals: Goals | None = None,
        bounds: Bounds | None = None,
        known: Metrics | None = None,
        by_context: ByContext = NO_CONTEXTS,
    ) -> None:
        self._goals, self._bounds, self._known, self._by_context = goals, bounds, known or {}, by_context
        self._points: list[tuple[int, Metrics]] = []
        self._count, self._stride = 0, 1
        self._first = self._last = 0
        self.metrics: Metrics = {}
        self.would_stop: int | None = None

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Note the metrics after an epoch.

        Args:
            epoch: Its number, counted from 1 over all rungs; it grows.
            metrics: Metric names to numbers, the same names at every epoch, up to 16. Where one that is no goal has
                no finite number at some epoch, the curve leaves it out.

        Raises:
            MetricError: The epoch does not grow, or the metrics are not such.
            TrainingStopped: The training may end here; it is to be passed on.
        """
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch <= self._last:
            raise MetricError(f"a reported epoch must be a whole number above {self._last}, but is {epoch!r}")
        if len(metrics) > MOST_METRICS:
            raise MetricError(f"a report must have at most {MOST_METRICS} metrics, but has {len(metrics)}")
        goals = self._goals.metric_names if self._goals else ()
        metrics = self._by_context.spread(metrics)
        self.metrics = checked_metrics(metrics, [name for name in goals if name in metrics or name in self.metrics])
        self._first, self._last = self._first or epoch, epoch
        self._count += 1
        if self._count % self._stride == 0:
            self._points.append((epoch, self.metrics))
        if len(self._points) > MOST_POINTS:
            self._points, self._stride = self._points[1::2], 2 * self._stride
        self._judge(epoch)

    def _judge(self, epoch: int) -> None:
        bounds, goals = self._bounds, self._goals
        if bounds is None or goals is None or epoch not in bounds.gains or self.would_stop is not None:
            return
        values = self._known | self.metrics
        if not goals.has_objectives(values):
            return
        best = goals.F([values])[0] + bounds.gains[epoch]
        each = zip(bounds.fronts, goals.columns_of_views, strict=True)
        if not all(_dominates(np.array(front), best[columns]) for front, columns in each):
            return
        self.would_stop = epoch
        if not bounds.spared:
            ends = zip(goals.objectives, goals.signs * best, strict=True)
            words = ", ".join(f"{objective.metric} {value:.4g}" for objective, value in ends)
            fronts = "the front of each context" if goals.contexts else "the front"
            raise TrainingStopped(f"after epoch {epoch} of {bounds.last}: at best {words}, which {fronts} dominates")

    def curve(self, *, stopped: bool = False) -> LearningCurve | None:
        """Return what was reported; None if nothing was.

        Args:
            stopped: Whether the training was stopped.
        """
        if not self._points:
            return None
        names = set.intersection(*(set(metrics) for _, metrics in self._points))
        curve = LearningCurve(
            [epoch for epoch, _ in self._points],
            {name: [metrics[name] for _, metrics in self._points] for name in sorted(names)},
            judged=self._bounds is not None and not self._bounds.spared,
            would_stop=self.would_stop,
        )
        return curve._replace(share_trained=self._share_trained(), expected=self._expected()) if stopped else curve

    def _share_trained(self) -> float:
        if self._bounds is None:
            return 1.0
        return min(1.0, (self._last - self._first + 1) / max(1, self._bounds.last - self._first + 1))

    def _expected(self) -> Metrics:
        """Return the metrics of the end after the usual change of the objectives."""
        values = self._known | self.metrics
        if self._bounds is None or self._goals is None:
            return values
        usual = self._bounds.usual[self._last]
        for objective, change in zip(self._goals.objectives, usual, strict=True):
            values[objective.metric] += objective.sign * change
        return values


def _dominates(front: Array, best: Array) -> bool:
    """Return whether a row of ``(n, n_obj)`` objectives is as good as others in each, and better in some."""
    return bool(((front <= best).all(axis=1) & (front < best).any(axis=1)).any())
