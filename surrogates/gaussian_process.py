"""Gaussian process with one length scale per feature, exact up to some hundred points.

scikit-learn's regressor serves the same model, but builds an ``(n, n, n_features)`` array for each gradient
of its likelihood and knows no priors; the direct gradient here needs two matrix products instead.

Equations numbered GPML are those of Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006.
"""

import copy
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from evo_moo.surrogate import (
    Array,
    Columns,
    Prediction,
    Surrogate,
    SurrogateError,
    canonical_order,
    checked_data,
    checked_rows,
)
from evo_moo.threads import one_blas_thread

MAX_POINTS = 500
"""More points are thinned out to these: cost grows with their cube."""
MOST_PER_TRAINING = 3
LENGTH_SCALE_LOC, LENGTH_SCALE_STD = math.sqrt(2.0), math.sqrt(3.0)
"""Log-normal prior of a length scale; half the logarithm of the number of features adds to its location.

Hvarfner, Hellsten & Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", 2024, eq. 5.
"""
NOISE_LOC, NOISE_STD = -6.0, 2.0
"""Log-normal prior of the noise's variance, as a share of the signal's; most of it lies far below 1."""
SIGNAL_COUNT = 1.0  # observations of mean square 1 that the prior of the signal's variance counts like
LOG_BOUNDS = (math.log(1e-2), math.log(1e4))
LOG_NOISE_BOUNDS = (math.log(1e-6), math.log(1e1))
MAX_ITERATIONS = 60
NEW_FIT, NEW_START = 1.05, 1.1
"""So many times more points than at the last fit, or at the last one from the default start, call for another."""
JITTERS = (0.0, 1e-8, 1e-6, 1e-4)


class GaussianProcess(Surrogate):
    """Matérn-5/2 kernel over numbers times an overlap kernel over categories, fitted by maximum a posteriori."""

    def __init__(self, columns: Columns, seed: int = 0) -> None:
        super().__init__(columns, seed)
        self._theta: Array | None = None
        self._n_at_default = self._n_at_fit = 0
        self._fitted = False

    def fit(self, X: Array, y: Array) -> Self:
        """Fit the hyperparameters from those of the last fit, and now and then from a default start, too.

        Later data are taken to be the earlier ones and some more: where they are hardly more, the hyperparameters stay.
        A model of other data is a ``fresh`` one.
        """
        from scipy.linalg import solve_triangular

        X, y = checked_data(X, y, self.columns)
        order = canonical_order(X, y)
        n_best = 1 if self.noisy else MAX_POINTS // 2
        order = order[self.columns.few_per_training(X[order], MOST_PER_TRAINING)]
        rows = order[thinned(X[order], y[order], MAX_POINTS, self.columns, n_best)]
        objective = LogPosterior(X[rows], y[rows], self.columns, self.noisy)
        n, starts = len(y), [] if self._theta is None else [self._theta]
        if not self._n_at_default <= n < NEW_START * self._n_at_default:
            starts, self._n_at_default, self._n_at_fit = [objective.default_start, *starts], n, 0
        with one_blas_thread():
            if self._theta is None or not self._n_at_fit <= n < NEW_FIT * self._n_at_fit:
                self._theta, self._n_at_fit = objective.best_from(starts), n
            self._L = _cholesky(objective.covariance(self._theta))
            half = solve_triangular(self._L, objective.y, lower=True)
        self._signal = float((half @ half + SIGNAL_COUNT) / (len(half) + SIGNAL_COUNT))
        self._X, self._y = objective.X, objective.y
        self._solve()
        return self

    def predict(self, X: Array) -> Prediction:
        """Return the posterior's mean and standard deviation, GPML eq. 2.25 and 2.26."""
        cross, V = self._cross(X)
        variance = self._signal * np.maximum(1.0 - np.einsum("ij,ij->j", V, V), 1e-12)
        return Prediction(cross.T @ self._alpha, np.sqrt(variance))

    def mean(self, X: Array) -> Array:
        """Return the posterior's mean, GPML eq. 2.25."""
        return np.asarray(self._correlation(X).T @ self._alpha)

    def noise(self) -> float:
        """Return the standard deviation of the noise that was learnt."""
        return math.sqrt(self._signal * self._noise)

    def sample(self, X: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw ``(n, len(X))`` joint samples; the cost grows with the cube of ``len(X)``."""
        cross, V = self._cross(X)
        X = checked_rows(X, self.columns)
        L = _cholesky(correlation(X, X, self._length_scales, self.columns) - V.T @ V, JITTERS[1:])
        return np.asarray(cross.T @ self._alpha + math.sqrt(self._signal) * (rng.standard_normal((n, len(X))) @ L.T))

    def condition(self, X: Array, y: Array) -> "GaussianProcess":
        """Extend the Cholesky factor by the new points: quadratic in the number of points, not cubic."""
        X, y = checked_data(X, y, self.columns)
        _, V = self._cross(X)
        corner = correlation(X, X, self._length_scales, self.columns) + self._noise * np.eye(len(X)) - V.T @ V
        n, more = len(self._y), len(y)
        other = copy.copy(self)
        other._L = np.zeros((n + more, n + more))
        other._L[:n, :n], other._L[n:, :n], other._L[n:, n:] = self._L, V.T, _cholesky(corner)
        other._X, other._y = np.concatenate([self._X, X]), np.concatenate([self._y, y])
        other._solve()
        return other

    def dump(self) -> dict[str, Any]:
        """Return the logarithms of the length scales, then of the noise's share, and the number of points behind."""
        return {"theta": copy.copy(self._theta), "n_at_default": self._n_at_default, "n_at_fit": self._n_at_fit}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over the hyperparameters, from which the next fit starts."""
        theta = state.get("theta")
        if theta is not None and not (np.shape(theta) == (len(self.columns) + 1,) and np.isfinite(theta).all()):
            raise SurrogateError(f"`theta` must hold {len(self.columns) + 1} finite numbers, but is {theta}")
        self._theta, self._fitted = None if theta is None else np.array(theta, dtype=float), False
        self._n_at_default, self._n_at_fit = state.get("n_at_default", 0), state.get("n_at_fit", 0)

    @property
    def _length_scales(self) -> Array:
        self._require_fit()
        return np.exp(self._theta[:-1])  # type: ignore[index]

    @property
    def _noise(self) -> float:
        return math.exp(self._theta[-1])  # type: ignore[index]

    def _solve(self) -> None:
        from scipy.linalg import cho_solve

        self._alpha: Array = cho_solve((self._L, True), self._y)
        self._fitted = True

    def _cross(self, X: Array) -> tuple[Array, Array]:
        """Return the correlation of the data with ``m`` points, and the factor's solution of it, both ``(n, m)``."""
        from scipy.linalg import solve_triangular

        cross = self._correlation(X)
        return cross, solve_triangular(self._L, cross, lower=True, check_finite=False)

    def _correlation(self, X: Array) -> Array:
        self._require_fit()
        return correlation(self._X, checked_rows(X, self.columns), self._length_scales, self.columns)

    def _require_fit(self) -> None:
        if not self._fitted:
            raise SurrogateError("a model must be fitted before it is asked, but there was no `fit`; call it first")


class LogPosterior:
    """Negative log posterior of the hyperparameters, and its gradient.

    The covariance is ``signal * (R + noise * I)``. The signal's variance is profiled out: its prior, the
    inverse gamma of ``SIGNAL_COUNT`` observations of variance 1, leaves its best value in closed form.
    """

    def __init__(self, X: Array, y: Array, columns: Columns, noisy: bool = False) -> None:
        self.X, self.y, self.columns, self.noisy = X, y, columns, noisy
        self.numbers, self.bits, categories = (X[:, own] for own in (columns.number, columns.binary, columns.category))
        self.mismatch = np.array([np.not_equal.outer(column, column) for column in categories.T], dtype=float)
        # A variable of many features weighs as much as one of a single feature.
        n, location = X.shape[1], np.array([LENGTH_SCALE_LOC + math.log(d) / 2.0 for d in columns.dimensions])
        self.location = np.append(location, NOISE_LOC)
        self.std = np.append(np.full(n, LENGTH_SCALE_STD), NOISE_STD)
        # The prior's mode: exp(location - std^2), and of a logarithm exp(location).
        self.default_start = np.append(location - LENGTH_SCALE_STD**2, NOISE_LOC)

    def best_from(self, starts: list[Array]) -> Array:
        """Return the best of the optima that are reached from the starts."""
        from scipy.optimize import minimize

        bounds = [LOG_BOUNDS] * self.X.shape[1] + [LOG_NOISE_BOUNDS]
        options = {"maxiter": MAX_ITERATIONS, "ftol": 1e-7}
        settings = {"jac": True, "method": "L-BFGS-B", "bounds": bounds, "options": options}
        best = min((minimize(self, start, **settings) for start in starts), key=lambda result: result.fun)
        if not (np.isfinite(best.fun) and np.isfinite(best.x).all()):
            raise SurrogateError(f"a fit must end at finite hyperparameters, but ended with {best.message}")
        return np.asarray(best.x)

    def covariance(self, theta: Array) -> Array:
        """Return the ``(n, n)`` covariances of the observations, in units of the signal's variance."""
        R = correlation(self.X, self.X, np.exp(theta[:-1]), self.columns)
        return np.asarray(R + math.exp(theta[-1]) * np.eye(len(R)))

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """Return the value and the ``(n_features + 1,)`` gradient by the logarithms of all hyperparameters.

        The likelihood is GPML eq. 5.8, its gradient eq. 5.9.
        """
        from scipy.linalg import cho_solve

        scales, noise = np.exp(theta[:-1]), math.exp(theta[-1])
        number, category, binary = self.columns.number, self.columns.category, self.columns.binary
        Z, bits, weights = self.numbers / scales[number], self.bits / scales[binary], 1.0 / scales[category] ** 2
        overlap = _overlap(self.mismatch, weights) if weights.size else 1.0
        overlap = overlap * _bit_overlap(bits, bits) if bits.size else overlap
        scaled, decay = _scaled_distance(Z, Z)
        slope = -5.0 / 6.0 * (1.0 + scaled) * decay  # Matérn's derivative by the squared distance
        R = _matern(scaled, decay) * overlap
        n = len(self.y)
        L = _cholesky(R + noise * np.eye(n))
        inverse = cho_solve((L, True), np.eye(n), check_finite=False)
        alpha = inverse @ self.y
        signal = (self.y @ alpha + SIGNAL_COUNT) / (n + SIGNAL_COUNT)
        value = 0.5 * (n + SIGNAL_COUNT) * math.log(signal) + np.log(np.diag(L)).sum()
        W = 0.5 * (inverse - np.outer(alpha, alpha) / signal)
        gradient = np.empty_like(theta)
        gradient[:-1][number] = -2.0 * _squares(W * slope * overlap, Z)
        gradient[:-1][category] = np.tensordot(self.mismatch, W * R, 2) * weights if weights.size else 0.0
        gradient[:-1][binary] = _squares(W * R, bits) if bits.size else 0.0
        gradient[-1] = noise * np.trace(W)
        prior, prior_gradient = self.prior(theta)
        return value + prior, gradient + prior_gradient

    def prior(self, theta: Array) -> tuple[float, Array]:
        """Return the negative log density of the log-normal priors, and its gradient.

        They are densities of the values, whose mode for the noise is next to nothing: noise is taken for structure,
        as it is where the metric does not depend on the seed. Where it does, the noise's is the density of the
        logarithm, whose mode is the location.
        """
        scaled = (theta - self.location) / self.std
        of_value = np.append(np.ones(len(theta) - 1), 0.0 if self.noisy else 1.0)
        return float((of_value * theta + 0.5 * scaled**2).sum()), of_value + scaled / self.std


def correlation(A: Array, B: Array, length_scales: Array, columns: Columns) -> Array:
    """Return the ``(n, m)`` prior correlations between ``(n, n_features)`` and ``(m, n_features)`` points.

    Args:
        A: Points.
        B: Points.
        length_scales: ``(n_features,)`` length scales.
        columns: What each feature is: categories and bits are equal or different, and nothing between.
    """
    A_scaled, B_scaled, category = A / length_scales, B / length_scales, columns.category
    R = _matern(*_scaled_distance(A_scaled[:, columns.number], B_scaled[:, columns.number]))
    if category.any():
        mismatch = np.array([np.not_equal.outer(a, b) for a, b in zip(A[:, category].T, B[:, category].T, strict=True)])
        R *= _overlap(mismatch, length_scales[category] ** -2)
    return R * _bit_overlap(A_scaled[:, columns.binary], B_scaled[:, columns.binary]) if columns.binary.any() else R


def _squares(H: Array, Z: Array) -> Array:
    """Return the sum of H_ij (z_i - z_j)^2 for each column of Z, without an array of all differences."""
    return np.asarray(2.0 * (H.sum(axis=0) @ Z**2 - (Z * (H @ Z)).sum(axis=0)))


def _bit_overlap(A: Array, B: Array) -> Array:
    """Return the overlap of ``(n, k)`` and ``(m, k)`` scaled bits: that of categories, for many at once."""
    return np.asarray(np.exp(-0.1 * _scaled_distance(A, B)[0] ** 2))


def _overlap(mismatch: Array, weights: Array) -> Array:
    return np.asarray(np.exp(-0.5 * np.tensordot(weights, mismatch, 1)))


def _scaled_distance(A: Array, B: Array) -> tuple[Array, Array]:
    """Return the distances times the root of 5, and the exponential decay by them."""
    from scipy.spatial.distance import cdist

    scaled = cdist(A, B)
    scaled *= math.sqrt(5.0)
    return scaled, np.exp(-scaled)


def _matern(scaled: Array, decay: Array) -> Array:
    """Return Matérn's correlations with nu = 5/2, GPML eq. 4.17."""
    R = scaled / 3.0
    R += 1.0
    R *= scaled
    R += 1.0
    R *= decay
    return R


def _cholesky(A: Array, jitters: tuple[float, ...] = JITTERS) -> Array:
    """Return the lower factor, with as little added to the diagonal as is needed."""
    from scipy.linalg import LinAlgError, cholesky

    for jitter in jitters:
        try:
            return np.asarray(cholesky(A + jitter * np.eye(len(A)), lower=True, check_finite=False))
        except LinAlgError:
            continue
    raise SurrogateError("a covariance must be positive definite, but is not even with jitter; use another model")


def thinned(X: Array, y: Array, n: int, columns: Columns, n_best: int) -> npt.NDArray[np.intp]:
    """Return ascending indices of at most ``n`` points: of the smallest targets, then each the farthest from those.

    Args:
        X: ``(n_points, n_features)`` points in canonical order.
        y: ``(n_points,)`` targets.
        n: Number of points to keep.
        columns: As in ``correlation``, whose value at unit length scales is the nearness.
        n_best: Number of points chosen for their targets; the smallest of many noisy ones are the luckiest.
    """
    if len(y) <= n:
        return np.arange(len(y))
    unit = np.ones(X.shape[1])
    chosen = list(np.argsort(y, kind="stable")[:n_best])
    nearness = correlation(X, X[chosen], unit, columns).max(axis=1)
    nearness[chosen] = np.inf
    while len(chosen) < n:
        chosen.append(np.argmin(nearness))
        nearness = np.maximum(nearness, correlation(X, X[chosen[-1:]], unit, columns)[:, 0])
        nearness[chosen[-1]] = np.inf
    return np.sort(np.array(chosen))
