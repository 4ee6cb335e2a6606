"""What a search has measured, evaluation by evaluation."""

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics, mean_metrics
from evo_moo.surrogate.protocol import Array


class Observation(NamedTuple):
    """The outcome of one evaluation.

    Attributes:
        id: Number of the evaluation.
        x: ``(n_var,)`` encoded row.
        metrics: The metrics; None where the evaluation failed.
    """

    id: int
    x: Array
    metrics: Metrics | None


class Archive:
    """Outcomes of a search; evaluations of the same row are replicates of the first of them.

    Args:
        goals: Objectives and limits.
    """

    def __init__(self, goals: Goals) -> None:
        self._goals = goals
        self._observations: dict[int, Observation] = {}
        self._ids_of: dict[bytes, list[int]] = {}

    def record(self, evaluation_id: int, x: Array, metrics: Metrics | None) -> None:
        """Record an outcome; None: the evaluation failed."""
        if evaluation_id not in self._observations:
            insort(self._ids_of.setdefault(x.tobytes(), []), evaluation_id)
        self._observations[evaluation_id] = Observation(evaluation_id, x, metrics)

    @property
    def observations(self) -> list[Observation]:
        """All outcomes, in the order of asking."""
        return [self._observations[key] for key in sorted(self._observations)]

    def ids_of(self, x: Array) -> Sequence[int]:
        """Return the ids of the evaluations of a row, in the order of asking."""
        return self._ids_of.get(x.tobytes(), ())

    def mean_of(self, x: Array) -> Metrics:
        """Return the mean metrics of a row's replicates that have objectives; there must be one."""
        replicates = (self._observations[key].metrics for key in self.ids_of(x))
        return mean_metrics([metrics for metrics in replicates if metrics and self._goals.has_objectives(metrics)])

    def with_objectives(self) -> tuple[Array, list[list[Metrics]]]:
        """Return the ``(n, n_var)`` rows that have objectives, each once, and the metrics of each row's replicates."""
        replicates: dict[bytes, list[Metrics]] = {}
        for _, x, metrics in self.observations:
            if metrics and self._goals.has_objectives(metrics):
                replicates.setdefault(x.tobytes(), []).append(metrics)
        return np.array([np.frombuffer(x) for x in replicates]), list(replicates.values())
