"""Points in the unit cube that are spread more evenly than random ones."""

from typing import Literal

import numpy as np

from evo_moo.space.variables import Array

Method = Literal["random", "sobol", "lhs"]


def unit_points(n: int, n_unit: int, rng: np.random.Generator, method: Method) -> Array:
    """Return ``(n, n_unit)`` points; the methods are those of ``SearchSpace.sample``."""
    if method == "random":
        return rng.random((n, n_unit))
    from scipy.stats import qmc  # its import takes longer than most searches of a plain problem

    # A number, since SciPy would spawn from a generator, and what that counts is no part of its state.
    seed = int(rng.integers(2**32))
    if method == "lhs":
        return np.asarray(qmc.LatinHypercube(n_unit, seed=seed).random(n))
    # A power of two keeps the sequence balanced; what is left of it is a net, too.
    return np.asarray(qmc.Sobol(n_unit, seed=seed).random_base2(max(n - 1, 0).bit_length())[:n])
