"""Preferences: weights of the losses, not negative, that sum to 1; drawn for training and fixed as rays for reading."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
SMALLEST = 1e-6
MARGIN = 0.1
"""Angle in radians between the outermost of two-dimensional rays and the axes, by default."""


def dirichlet(alpha: float | Sequence[float], n_objectives: int, seed: int) -> Callable[[], Array]:
    """Return a source of random preferences, each ``(n_objectives,)``, from a generator of its own.

    Args:
        alpha: Concentration, one for all objectives or one for each: below 1 the corners are drawn more often, above 1
            the middle. An objective of larger ``alpha`` has a larger mean weight.
        n_objectives: Number of objectives, at least 2.
        seed: Seed of the generator.

    Raises:
        ValueError: A concentration is not above 0, or there is not one for each objective.
    """
    concentration = np.broadcast_to(np.asarray(alpha, float), n_objectives) if np.ndim(alpha) == 0 else np.array(alpha)
    if concentration.shape != (n_objectives,) or not (concentration > 0).all():
        raise ValueError(
            f"`alpha` must be one number above 0, or one for each of {n_objectives} losses, but is {alpha}"
        )
    generator = np.random.default_rng(seed)
    return lambda: np.asarray(generator.dirichlet(concentration))


def as_preference(preference: Any, n_objectives: int) -> Array:
    """Return weights ``(n_objectives,)`` that sum to 1.

    Args:
        preference: One weight for each objective, in any unit; of two objectives also the share of the first.
        n_objectives: Number of objectives.

    Raises:
        ValueError: A weight is negative, all are 0, or their number is wrong.
    """
    try:
        weights = np.asarray(preference, float)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.ndim == 0 and n_objectives == 2:
        weights = np.array([weights, 1 - weights])
    if weights.shape != (n_objectives,) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        shares = "a share from 0 to 1, or 2 weights" if n_objectives == 2 else f"{n_objectives} weights"
        raise ValueError(f"`preference` must be {shares}, none negative and not all 0, but is {preference!r}")
    return np.asarray(weights / weights.sum())


def inverse(preference: Array) -> Array:
    """Return the direction in which losses stand under a preference: the larger a weight, the smaller the loss.

    On it, weight times loss is the same for all objectives (Mahapatra and Rajan, "Multi-Task Learning with User
    Preferences", ICML 2020). Of two weights it is the exchange.
    """
    aim = 1 / np.maximum(preference, SMALLEST)
    return np.asarray(aim / aim.sum())


def rays(n_objectives: int, n: int = 25, margin: float = MARGIN) -> Array:
    """Return fixed preferences that cover the trade-offs evenly.

    Args:
        n_objectives: Number of objectives, at least 2.
        n: Their number. Two objectives have exactly so many, by angles; three about so many, on a Fibonacci lattice of
            the sphere; more have at most so many, by Das and Dennis (pymoo), and at least their corners.
        margin: Of two objectives, the angle in radians between the outermost rays and the axes.

    Returns:
        ``(n, n_objectives)`` array of rows that sum to 1; of two objectives the first weighs most in the first row.

    Raises:
        ValueError: There is one objective or no ray.
    """
    for name, value, least in (("n_objectives", n_objectives, 2), ("n", n, 1)):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}, but is {value}")
    if n_objectives == 2:
        angles = np.linspace(margin, math.pi / 2 - margin, n) if n > 1 else np.array([math.pi / 4])
        directions = np.column_stack([np.cos(angles), np.sin(angles)])
    elif n_objectives == 3:
        directions = _fibonacci_octant(n)
    else:
        directions = _das_dennis(n_objectives, n)
    return np.asarray(directions / directions.sum(axis=1, keepdims=True))


def _fibonacci_octant(n: int) -> Array:
    """Return about ``n`` points of the unit sphere's positive octant, an eighth of a Fibonacci lattice on it all."""
    place = np.arange(8 * n) + 0.5
    z, turn = 1 - 2 * place / (8 * n), math.pi * (1 + math.sqrt(5)) * place
    radius = np.sqrt(1 - z**2)
    points = np.column_stack([radius * np.cos(turn), radius * np.sin(turn), z])
    return np.asarray(points[(points >= 0).all(axis=1)])


def _das_dennis(n_objectives: int, n: int) -> Array:
    from pymoo.util.ref_dirs import get_reference_directions

    n_partitions = 1
    while math.comb(n_partitions + n_objectives, n_objectives - 1) <= n:
        n_partitions += 1
    return np.asarray(get_reference_directions("das-dennis", n_objectives, n_partitions=n_partitions))
