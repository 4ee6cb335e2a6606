"""The latencies of a device as a mixture of known columns: latencies on other devices, and the work of the networks."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evo_moo.pareto import thinned
from evo_moo.toolkit.devices.device import Array

MOST_GROUPS = 20
LEAST = 1e-9
DOUBT = (0.65, 0.4)
"""Weights of the two variances where there are no three known devices to fit them by; about those of NAS-Bench-201."""
FEWEST_DEVICES, FEWEST_CONFIGURATIONS, MOST_LOOKED_AT = 3, 10, 300


class Mixed(NamedTuple):
    """What a mixture predicts of networks.

    Attributes:
        mean: ``(n,)`` latencies, in the unit of those that were measured.
        jackknife: ``(n,)`` standard deviations of the logarithm over fits that leave measurements out.
        residual: Root mean square of the logarithm of predicted by measured, of measurements left out.
    """

    mean: Array
    jackknife: Array
    residual: float

    def doubt(self, weights: tuple[float, float] = DOUBT) -> Array:
        """Return the standard deviations of the logarithm, ``(n,)``, by the weights of the two variances."""
        return np.sqrt(weights[0] * self.jackknife**2 + weights[1] * self.residual**2)


def mixture(columns: Array, latencies: Array, asked: Array) -> Mixed:
    """Fit measured latencies as a sum of columns with weights of at least 0, and predict others by it.

    The least squares are of relative errors, and a constant is among the columns: a device whose calls take long. On
    NAS-Bench-201 this ranks better than absolute errors in the device's unit.

    Args:
        columns: ``(n_measured, n_columns)``, positive: latencies on known devices, FLOPs, bytes.
        latencies: ``(n_measured,)``, positive.
        asked: ``(n, n_columns)``, the same columns of the networks to predict.
    """
    scale = columns.mean(axis=0)
    known, wanted = (np.column_stack([each / scale, np.ones(len(each))]) for each in (columns, asked))
    mean = wanted @ _weights(known, latencies)
    n = len(latencies)
    logs, errors = [], []
    for left_out in np.array_split(np.random.default_rng(0).permutation(n), min(n, MOST_GROUPS)):
        kept = np.setdiff1d(np.arange(n), left_out)
        weights = _weights(known[kept], latencies[kept])
        logs.append(np.log(np.maximum(wanted @ weights, LEAST)))
        errors += list(np.log(np.maximum(known[left_out] @ weights, LEAST) / latencies[left_out]))
    share = (len(logs) - 1) / len(logs)
    spread = np.sqrt(share * np.square(np.array(logs) - np.log(np.maximum(mean, LEAST))).sum(axis=0))
    return Mixed(np.maximum(mean, LEAST), spread, float(np.sqrt(np.mean(np.square(errors)))))


def calibrated(columns: Array, asked: Array, of_devices: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the weights of the two variances of the doubt, as they would have been right on known devices.

    Each device in turn is predicted by the mixture of the other columns.

    Args:
        columns: ``(n_measured, n_columns)``, as ``mixture`` takes them.
        asked: ``(n, n_columns)``, likewise.
        of_devices: ``(n_columns,)`` mask of the columns that are latencies on known devices.
    """
    if of_devices.sum() < FEWEST_DEVICES or len(asked) < FEWEST_CONFIGURATIONS:
        return DOUBT
    asked = asked[thinned(len(asked), MOST_LOOKED_AT)]
    variances, squares = [], []
    for device in np.flatnonzero(of_devices):
        mixed = mixture(np.delete(columns, device, axis=1), columns[:, device], np.delete(asked, device, axis=1))
        variances.append(np.column_stack([mixed.jackknife**2, np.full(len(asked), mixed.residual**2)]))
        squares.append(np.square(np.log(mixed.mean / asked[:, device])))
    squared = np.concatenate(squares)
    weights = _least_squares(np.concatenate(variances), np.minimum(squared, np.quantile(squared, 0.99)))
    return (float(weights[0]), float(weights[1])) if weights.any() else DOUBT


def _weights(columns: Array, latencies: Array) -> Array:
    return _least_squares(columns / latencies[:, None], np.ones(len(latencies)))


def _least_squares(A: Array, b: npt.NDArray[np.float64]) -> Array:
    """Return the non-negative solution of least squares, ``(n_columns,)``."""
    from scipy.optimize import nnls  # its import takes longer than most commands

    weights: Array = nnls(A, b, maxiter=100 * A.shape[1])[0]
    return weights
