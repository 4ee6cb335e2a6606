"""Translates configurations of one space into another."""

from collections.abc import Sequence

import numpy as np

from evo_moo.seeding import evaluation_seed
from evo_moo.space.search_space import Configuration, SearchSpace
from evo_moo.space.variable import Array, Mask


def translated(space: SearchSpace, configurations: Sequence[Configuration], seed: int) -> tuple[Array, Mask]:
    """Translate configurations of another space.

    Args:
        space: The space to translate into.
        configurations: Names to values, of any space.
        seed: Decides, together with a configuration, what is drawn for values that it lacks.

    Returns:
        Canonical rows ``(n, n_var)``, and a mask ``(n,)`` of those that no rule forbids.
    """
    codes = np.empty((len(configurations), space.n_var))
    for row, configuration in zip(codes, configurations, strict=True):
        row[:] = space.codes(space.draw(1, np.random.default_rng(evaluation_seed(seed, configuration))))[0]
        for name, kind in space.variables.items():
            nearest = kind.nearest_codes(configuration[name]) if name in configuration else None
            place = space.layout.places[name]
            row[place] = row[place] if nearest is None else nearest
    X = space.canonical(space.columns(codes))
    return X, space.allowed(X)
