"""The best values and the hypervolume so far, for callbacks that write them down."""

import numpy as np

from evo_moo.analysis.statistics.replicates import means_and_spread
from evo_moo.pareto import MOST_OBJECTIVES, pareto_rows
from evo_moo.problem.goals import Goals
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunBox


class Summary:
    """The best values and the hypervolume so far, for callbacks that write them down.

    The hypervolume is the run's, a share of its box. ``at_s`` is the time at which the latest evaluation ended.
    """

    def __init__(self, goals: Goals) -> None:
        """Begin with nothing seen."""
        self._goals, self.n_evals = goals, 0
        self._full: list[Evaluation] = []
        self.at_s = 0.0

    def see(self, evaluation: Evaluation) -> None:
        """Take an evaluation in."""
        self.n_evals += not evaluation.is_told
        self.at_s = (evaluation.started_at or evaluation.asked_at) + (evaluation.duration_s or 0.0)
        if evaluation.status == "ok":
            self._full += evaluation.offers()

    def numbers(self, generation: int, fixed: RunBox | None) -> dict[str, float]:
        """Return the numbers at a generation's end: ``n_evals``, ``best.METRIC`` and ``hypervolume``."""
        means, _ = means_and_spread(self._full)
        F = self._goals.F([metrics for metrics in means.values() if not self._goals.violation(metrics)])
        front = F[pareto_rows(F, np.zeros(len(F)))]
        numbers: dict[str, float] = {"n_evals": self.n_evals}
        if len(front):
            for objective, value in zip(self._goals.objectives, front.min(axis=0).tolist(), strict=True):
                numbers[f"best.{objective.metric}"] = objective.sign * value
            if fixed is not None and generation >= fixed.generation and 2 <= F.shape[1] <= MOST_OBJECTIVES:
                numbers["hypervolume"] = fixed.box.share(front)
        return numbers
