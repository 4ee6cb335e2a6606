"""Expected hypervolume improvement of predicted candidates.

Everything is minimised. The region that the front leaves undominated, up to the reference point, is cut into
boxes that do not overlap; over a box, the expectation is a product of one-dimensional integrals, exact for
predictions that are independent between the objectives.
"""

import numpy as np

from evo_moo.surrogate.protocol import Array

NEGLIGIBLE = 4.0
"""Standard deviations beyond which a normal distribution has no weight."""
CERTAINTY = 12.0
"""Standard deviations beyond which even logarithms of a gain do not matter."""
N_POINTS = 6
"""Number of points of a numerical integral."""


class Boxes:
    """The undominated region below a reference point, as boxes.

    The boxes come from the local upper bounds of the front, computed point by point (Klamroth, Lacour and
    Vanderpooten 2015, "On the representation of the search region in multi-objective optimization", EJOR 245),
    and from the partition by their defining points (Lacour, Klamroth and Fonseca 2017, "A box
    decomposition algorithm to compute the hypervolume indicator", Computers & OR 79, eq. 7).

    Args:
        F: ``(n, n_obj)`` array; dominated points and those beyond the reference point do not matter.
        ref_point: ``(n_obj,)`` array.

    Attributes:
        lower: ``(n_boxes, n_obj)`` array; minus infinity where the region is unbounded.
        upper: ``(n_boxes, n_obj)`` array.
    """

    def __init__(self, F: Array, ref_point: Array) -> None:
        n_obj = len(ref_point)
        inside = F[(ref_point > F).all(axis=1)]
        if n_obj == 2:
            self.lower, self.upper = _strips(inside, ref_point)
            return
        bounds, _ = _local_upper_bounds(inside, ref_point)
        # Seen from the other side, the undominated region is what the local upper bounds dominate.
        U, Z = _local_upper_bounds(-bounds, np.full(n_obj, np.inf))
        low, high = U.copy(), U.copy()
        high[:, 0] = np.inf
        for j in range(1, n_obj):
            low[:, j] = Z[:, :j, j].max(axis=1)
        lower, upper = -high, -low
        some = (lower < upper).all(axis=1)
        self.lower, self.upper = lower[some], upper[some]

    def expected_improvement(self, mean: Array, std: Array) -> Array:
        """Return the expected hypervolume improvement of each candidate alone.

        Emmerich, Giannakoglou and Naujoks 2006, "Single- and multiobjective evolutionary optimization assisted
        by Gaussian random field metamodels", IEEE TEC 10; box by box as in Yang et al. 2019, "Efficient
        computation of expected hypervolume improvement using box decomposition algorithms", JOGO 75.

        Args:
            mean: ``(n, n_obj)`` array of predicted objectives.
            std: ``(n, n_obj)`` array of their standard deviations; 0 gives the improvement of the mean itself.

        Returns:
            ``(n,)`` array, at least 0.
        """
        product = np.ones((len(mean), len(self.lower)))
        for k in range(mean.shape[1]):
            ends, at = np.unique(np.concatenate([self.lower[:, k], self.upper[:, k]]), return_inverse=True)
            finite = np.isfinite(ends)  # nothing lies below minus infinity
            below = finite * expected_gain(np.where(finite, ends, 0.0) - mean[:, k, None], std[:, k, None])
            product *= (below[:, at[len(self.lower) :]] - below[:, at[: len(self.lower)]]).clip(0)
        return np.asarray(product.sum(axis=1))


def expected_gain(gap: Array, std: Array) -> Array:
    """Return the expectation of ``max(y, 0)`` for a normal ``y`` of mean ``gap`` and standard deviation ``std``."""
    from scipy.special import ndtr

    gap, std = np.broadcast_arrays(gap, np.maximum(std, 1e-12))
    z, gain = np.asarray(gap / std), np.asarray(np.maximum(gap, 0.0))
    uncertain = np.abs(z) < CERTAINTY
    z = z[uncertain]
    gain[uncertain] = std[uncertain] * (z * ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi))
    return gain


def expected_gain_of_largest(bound: Array, mean: Array, std: Array) -> Array:
    """Return the expectation of ``max(bound - max_j y_j, 0)`` for independent normal ``y_j``.

    It is the integral of ``prod_j Phi((t - mean_j) / std_j)`` over ``t`` up to the bound: by Gauss-Legendre points
    where the product is neither 0 nor 1.

    Args:
        bound: ``(...)`` array.
        mean: ``(..., n_obj)`` array of means.
        std: ``(..., n_obj)`` array of standard deviations.

    Returns:
        ``(...)`` array, at least 0.
    """
    from scipy.special import ndtr

    std = np.maximum(std, 1e-12)
    low = np.minimum((mean - NEGLIGIBLE * std).max(axis=-1), bound)
    high = np.minimum((mean + NEGLIGIBLE * std).max(axis=-1), bound)
    gain, some = np.asarray(bound - high), low < high
    low, half, mean, std = low[some], ((high - low) / 2)[some], mean[some], std[some]
    for point, weight in zip(*np.polynomial.legendre.leggauss(N_POINTS), strict=True):
        t = low + half * (1 + point)
        gain[some] += weight * half * ndtr((t[..., None] - mean) / std).prod(axis=-1)
    return gain


def _strips(F: Array, ref_point: Array) -> tuple[Array, Array]:
    """Return the boxes of two objectives: one strip beside each point, and one beyond them."""
    F = F[np.lexsort(F.T[::-1])]
    F = F[F[:, 1] < np.append(np.inf, np.minimum.accumulate(F[:, 1]))[:-1]]
    lower = np.column_stack([np.append(-np.inf, F[:, 0]), np.full(len(F) + 1, -np.inf)])
    upper = np.column_stack([np.append(F[:, 0], ref_point[0]), np.append(ref_point[1], F[:, 1])])
    return lower, upper


def _local_upper_bounds(F: Array, ref_point: Array) -> tuple[Array, Array]:
    """Return the local upper bounds of the points ``(n, n_obj)``, and the points that define them.

    Returns:
        Bounds ``(n_bounds, n_obj)``, and ``(n_bounds, n_obj, n_obj)``: for each bound and objective, the point
        that defines the value of the bound there.
    """
    n_obj, U = len(ref_point), ref_point[None, :].astype(float)
    Z = np.where(np.eye(n_obj, dtype=bool), U, -np.inf)[None]
    for z in F[np.lexsort(F.T[::-1])]:
        above = (z < U).all(axis=1)
        if not above.any():
            continue
        old_U, old_Z = U[above], Z[above]
        new_U, new_Z = [U[~above]], [Z[~above]]
        for j in range(n_obj):
            others = np.delete(old_Z[:, :, j], j, axis=1).max(axis=1, initial=-np.inf)
            kept = z[j] >= others
            bound, points = old_U[kept], old_Z[kept]
            bound[:, j] = z[j]
            points[:, j, :] = z
            new_U.append(bound)
            new_Z.append(points)
        U, Z = np.concatenate(new_U), np.concatenate(new_Z)
    return U, Z
