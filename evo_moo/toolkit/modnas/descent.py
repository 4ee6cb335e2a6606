"""Descent for several losses at once: the direction that lowers all of them."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[np.float64]
MOST_ITERATIONS = 1000
TOLERANCE = 1e-8
"""Gap to the shortest vector's squared length, as a share of the longest gradient's."""


def min_norm_weights(gradients: Tensor) -> Tensor:
    """Return the weights of the shortest vector in the convex hull of gradients.

    That vector is 0 only where no direction lowers all losses; otherwise a small step against it lowers them all:
    Desideri, "Multiple-gradient descent algorithm (MGDA) for multiobjective optimization", Comptes Rendus Mathematique
    350, 2012; Sener and Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018, equation 3.

    Args:
        gradients: ``(n, n_parameters)`` array, one row for each loss; rows of zeros are left out.

    Returns:
        ``(n,)`` weights, at least 0, that sum to 1; all 0 where all gradients are.
    """
    rows = gradients.detach().double()
    gram = (rows @ rows.T).cpu().numpy()
    used = gram.diagonal() > 0
    weights = np.zeros(len(gram))
    if used.any():
        weights[used] = _frank_wolfe(gram[np.ix_(used, used)])
    return torch.from_numpy(weights).to(gradients)


def common_direction(gradients: Tensor) -> Tensor:
    """Return the ``(n_parameters,)`` shortest convex combination of ``(n, n_parameters)`` gradients of equal length.

    Each gradient is divided by its length first, so that none counts more for its unit.
    """
    lengths = gradients.norm(dim=1, keepdim=True)
    units = gradients / torch.where(lengths > 0, lengths, 1.0)
    return min_norm_weights(units) @ units


def _frank_wolfe(gram: Array) -> Array:
    """Return the weights of the shortest vector by the inner products of all gradients.

    Frank and Wolfe's method (Jaggi, "Revisiting Frank-Wolfe", ICML 2013) with exact line search, from one gradient to
    another: the plain one crawls towards an optimum on a face, the pairwise one converges linearly (Lacoste-Julien and
    Jaggi, "On the Global Linear Convergence of Frank-Wolfe Optimization Variants", NeurIPS 2015, algorithm 2).
    """
    weights = np.zeros(len(gram))
    weights[gram.diagonal().argmin()] = 1.0
    for _ in range(MOST_ITERATIONS):
        slopes = gram @ weights
        towards, away = int(slopes.argmin()), int(np.where(weights > 0, slopes, -np.inf).argmax())
        gap = slopes[away] - slopes[towards]
        if gap <= TOLERANCE * gram.diagonal().max():
            break
        curvature = gram[towards, towards] + gram[away, away] - 2 * gram[towards, away]
        # Of two gradients that are equal up to rounding, it may come out as 0 or less.
        step = weights[away] if gap >= weights[away] * curvature else gap / curvature
        weights[towards] += step
        weights[away] -= step
    return np.asarray(weights / weights.sum())
