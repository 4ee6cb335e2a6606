"""Which of many offspring to evaluate, by the posterior of the models.

The alternative to ``infill`` for large populations: the models only sift what the algorithm bred, at the price of
one prediction for each.
"""

import numpy as np
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from evo_moo.surrogate.posterior import Posterior
from evo_moo.surrogate.protocol import Array

OVERSAMPLING = 10
"""So many offspring are bred for each that is evaluated."""
OPTIMISM = 1.0
"""Up to so many standard deviations, predictions are taken to be better than expected."""


def best_offspring(posterior: Posterior, X: Array, n: int, rng: np.random.Generator) -> Array:
    """Choose up to ``n`` rows.

    Rows that keep the limits and succeed with a probability of at least one half come first, those of the best
    predicted objectives before others, by non-dominated sorting and crowding distance (Deb et al. 2002, NSGA-II).
    Then come the others, the likeliest first.

    Args:
        posterior: What the models expect.
        X: ``(m, n_var)`` rows to choose from, all different.
        n: Number of rows.
        rng: Draws how optimistic the prediction of each row is, so that uncertain rows have their turn.
    """
    if len(X) <= n:
        return X
    doubt = np.maximum(-posterior.log_probability(X) - np.log(2), 0.0)
    likely = np.flatnonzero(doubt == 0)
    if len(likely) <= n:
        return X[np.argsort(doubt, kind="stable")[:n]]
    mean, std = posterior.objectives(X[likely])
    hopeful = mean - OPTIMISM * rng.random((len(likely), 1)) * std
    kept = RankAndCrowding().do(Problem(), Population.new(F=hopeful, X=X[likely]), n_survive=n, random_state=rng)
    return np.asarray(kept.get("X"))
