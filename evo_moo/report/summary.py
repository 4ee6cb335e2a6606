"""The best values and the hypervolume so far, for callbacks that write them down."""

from evo_moo.analysis.statistics.replicates import means_and_spread
from evo_moo.pareto import MOST_OBJECTIVES
from evo_moo.problem.contexts import at
from evo_moo.problem.fronts import Fronts
from evo_moo.problem.goals import Goals
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.run_boxes import Boxes


class Summary:
    """The best values and the hypervolume so far, for callbacks that write them down.

    The hypervolume is the run's, a share of its box, or with contexts the mean over those of all. ``at_s`` is the time
    at which the latest evaluation ended.
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

    def numbers(self, generation: int, fixed: Boxes) -> dict[str, float]:
        """Return the numbers at a generation's end: ``n_evals``, ``best.METRIC`` and ``hypervolume``.

        With contexts there is also that of each, as ``hypervolume@phone``.
        """
        means, _ = means_and_spread(self._full)
        feasible = [metrics for metrics in means.values() if not self._goals.violation(metrics)]
        numbers: dict[str, float] = {"n_evals": self.n_evals}
        numbers |= {f"best.{name}": value for name, value in self._goals.best_kept(feasible, {}).items()}
        boxes = [None if each is None or generation < each.generation else each.box for each in fixed]
        if any(boxes) and 2 <= len(self._goals.views[0].objectives) <= MOST_OBJECTIVES:
            fronts = Fronts(self._goals)
            fronts.add(feasible)
            numbers["hypervolume"] = fronts.share(boxes)
            for context, box, F in zip(self._goals.contexts, boxes, fronts.F, strict=False):
                numbers[at("hypervolume", context.name)] = box.share(F) if box else 0.0
        return numbers
