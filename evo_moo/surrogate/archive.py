"""What a search has measured, evaluation by evaluation."""

from bisect import insort
from typing import NamedTuple, TypeGuard

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

    def n_of(self, x: Array) -> int:
        """Return the number of outcomes of a row."""
        return len(self._ids_of.get(x.tobytes(), ()))

    def first_id_of(self, x: Array) -> int | None:
        """Return the id of the first evaluation of a row; None where there is none."""
        ids = self._ids_of.get(x.tobytes())
        return ids[0] if ids else None

    def mean_of(self, x: Array) -> Metrics:
        """Return the mean metrics of a row's replicates that have objectives; there must be one."""
        replicates = (self._observations[key].metrics for key in self._ids_of[x.tobytes()])
        return mean_metrics([metrics for metrics in replicates if self._has_objectives(metrics)])

    def with_objectives(self) -> tuple[Array, list[list[Metrics]]]:
        """Return the ``(n, n_var)`` rows that have objectives, each once, and the metrics of each row's replicates."""
        replicates: dict[bytes, list[Metrics]] = {}
        for observation in self.observations:
            if self._has_objectives(observation.metrics):
                replicates.setdefault(observation.x.tobytes(), []).append(observation.metrics)
        return np.array([np.frombuffer(x) for x in replicates]), list(replicates.values())

    def _has_objectives(self, metrics: Metrics | None) -> TypeGuard[Metrics]:
        return metrics is not None and all(objective.metric in metrics for objective in self._goals.objectives)
