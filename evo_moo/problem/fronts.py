"""The fronts of all contexts as they grow, and the hypervolume over them; without contexts there is one."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evo_moo.pareto import Array, Box, pareto_rows
from evo_moo.problem.goals import Goals

if TYPE_CHECKING:
    from evo_moo.problem.search_problem import SearchProblem

LOGGER = logging.getLogger("evo_moo")


class Fronts:
    """The Pareto fronts of what is feasible: one for each context, or one of all.

    Args:
        goals: Objectives and limits.

    Attributes:
        F: For each of the goals' ``views`` its front, ``(n, n_obj)`` array, minimised.
    """

    def __init__(self, goals: Goals) -> None:
        self._goals = goals
        self.F = [view.F([]) for view in goals.views]

    def add(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Take in the metrics of evaluations, each on the fronts whose limits it keeps."""
        for k, view in enumerate(self._goals.views):
            if kept := [metrics for metrics in rows if not view.violation(metrics)]:
                F = np.vstack([self.F[k], view.F(kept)])
                self.F[k] = F[pareto_rows(F, np.zeros(len(F)))]

    def share(self, boxes: Sequence[Box | None]) -> float:
        """Return the hypervolume as a share of the boxes; see ``mean_share``."""
        return mean_share(self._goals, boxes, self.F)


def mean_share(goals: Goals, boxes: Sequence[Box | None], fronts: Sequence[Array]) -> float:
    """Return the hypervolumes of the fronts of all contexts as shares of their boxes, on average by weight.

    Args:
        goals: Say how much each context counts.
        boxes: For each of the ``views`` of the goals a box; where there is none the share is 0.
        fronts: For each of them an ``(n, n_obj)`` array of points, minimised.
    """
    each = zip(goals.weights.tolist(), boxes, fronts, strict=True)
    return float(sum(weight * box.share(F) for weight, box, F in each if box is not None))


def true_fronts(problem: "SearchProblem", goals: Goals) -> Any:
    """Return the exact Pareto front where the problem knows it, minimised; with contexts those of each by its name."""
    if not goals.contexts:
        return _true_front(problem, goals)
    named = zip(goals.contexts, goals.views, strict=True)
    return {context.name: front for context, view in named if (front := _true_front(problem, view))} or None


def _true_front(problem: "SearchProblem", goals: Goals) -> list[list[float]] | None:
    try:
        front = np.asarray(problem.pareto_front(goals), dtype=float)  # of None an array without axes
    except Exception as error:
        LOGGER.warning("`pareto_front` of `%s` failed: %s: %s", problem.name(), type(error).__name__, error)
        return None
    fits = front.ndim == 2 and len(front) and front.shape[1] == len(goals.objectives) and np.isfinite(front).all()
    return front.tolist() if fits else None
