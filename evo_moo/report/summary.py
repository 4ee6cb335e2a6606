"""The best values and the hypervolume so far, for callbacks that write them down."""

import numpy as np

from evo_moo.pareto import MOST_OBJECTIVES, Array, hypervolume, pareto_rows, reference_point
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.storage.evaluation_row import Evaluation


class Summary:
    """The best values and the hypervolume so far, for callbacks that write them down.

    The reference point is a tenth of the range beyond the worst of the first generation. ``at_s`` is the time at which
    the latest evaluation ended.
    """

    def __init__(self, goals: Goals) -> None:
        """Begin with nothing seen."""
        self._goals, self.n_evals = goals, 0
        self._ref: Array | None = None
        self._front: Array = np.empty((0, len(goals.objectives)))
        self._seen: list[Metrics] = []
        self.at_s = 0.0

    def see(self, evaluation: Evaluation) -> None:
        """Take an evaluation in."""
        self.n_evals += 1
        self.at_s = (evaluation.started_at or evaluation.asked_at) + (evaluation.duration_s or 0.0)
        if evaluation.feasible:
            self._seen.append(evaluation.metrics)

    def numbers(self) -> dict[str, float]:
        """Return the numbers at a generation's end: ``n_evals``, ``best.METRIC`` and ``hypervolume``."""
        if self._seen:
            seen = np.vstack([self._front, self._goals.F(self._seen)])
            self._ref = reference_point(seen) if self._ref is None else self._ref
            self._front, self._seen = seen[pareto_rows(seen, np.zeros(len(seen)))], []
        numbers: dict[str, float] = {"n_evals": self.n_evals}
        if len(self._front):
            for objective, value in zip(self._goals.objectives, self._front.min(axis=0).tolist(), strict=True):
                numbers[f"best.{objective.metric}"] = objective.sign * value
            if 2 <= self._front.shape[1] <= MOST_OBJECTIVES:
                numbers["hypervolume"] = hypervolume(self._front, self._ref)
        return numbers
