"""Several objectives as one number, and the selection that an evolution by such numbers makes."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pymoo.core.population import Population
from pymoo.core.survival import Survival
from pymoo.decomposition.aasf import AASF
from pymoo.decomposition.tchebicheff import Tchebicheff
from pymoo.decomposition.weighted_sum import WeightedSum

from evo_moo.pareto import pareto_rows

Array = npt.NDArray[np.float64]
Scalarisation = Literal["weighted-sum", "tchebycheff", "asf"]
RHO = 1e-4
"""Share of the weighted sum in an achievement function: it decides between equal largest terms."""
NO_WEIGHT = 1e-10
"""What a weight of 0 becomes where it is divided by."""


def scalarised(N: Array, weights: Array, method: Scalarisation) -> Array:
    """Return the scalarised values of points under weights, ``(n, k)`` array, less is better.

    ``"weighted-sum"`` is the sum of w_i N_i; it reaches the convex part of a front only. ``"tchebycheff"`` is the
    largest w_i |N_i| (Bowman 1976), ``"asf"`` the achievement function max w_i N_i + rho sum w_i N_i (Wierzbicki 1980,
    augmented), negative beyond the reference point; both reach every point of a front. All by ``pymoo.decomposition``.

    Args:
        N: ``(n, n_obj)`` array, normalised objectives less the reference point.
        weights: ``(k, n_obj)`` array, at least 0: the larger, the more an objective counts.
        method: Which function.
    """
    if method == "asf":  # pymoo divides by its weights
        divisors = 1 / np.maximum(weights, NO_WEIGHT)
        return np.asarray(AASF(eps=0.0, rho=RHO).do(N, divisors, _type="many_to_many"))
    function = WeightedSum() if method == "weighted-sum" else Tchebicheff()
    return np.asarray(function.do(N, weights, _type="many_to_many"))


def normalised(F: Array, among: Array | None = None) -> Array:
    """Scale objectives to 0 at the best and 1 at the worst value of a front; where all are equal, to 0.

    Args:
        F: ``(n, n_obj)`` array, minimised.
        among: ``(m, n_obj)`` array, the front; by default ``F`` itself.
    """
    front = F if among is None else among
    ideal, span = front.min(axis=0), np.ptp(front, axis=0)
    return np.asarray((F - ideal) / np.where(span > 0, span, 1.0))


class ScalarisedSurvival(Survival):  # type: ignore[misc]
    """Keeps those that are best under some weights: a single-objective evolution for each weight vector, in one pool.

    Every weight vector ranks all individuals. Who is first under some vector comes before who is at most second, and
    so on: Hughes, "Multiple single objective Pareto sampling", CEC 2003, section 3. Objectives are scaled by the
    non-dominated of those present. Infeasible ones follow, by their violation.

    Args:
        weights: ``(k, n_obj)`` array.
        method: Which function.
    """

    def __init__(self, weights: Array, method: Scalarisation) -> None:
        super().__init__(filter_infeasible=True)
        self._weights, self._method = weights, method

    def _do(self, problem: Any, pop: Population, *_: Any, n_survive: int = 0, **__: Any) -> Population:
        F = pop.get("F")
        N = normalised(F, F[pareto_rows(F, np.zeros(len(F)))])
        values = scalarised(N, self._weights, self._method)
        if self._method == "tchebycheff":  # where the largest terms are equal, as under a weight of 0
            values = values + RHO * N.sum(axis=1, keepdims=True)
        ranks = values.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
        ranks.sort(axis=1)
        return pop[np.lexsort(ranks.T[::-1])[:n_survive]]
