"""Configurations of which only some values are given."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evo_moo.errors import SpaceError
from evo_moo.seeding import evaluation_seed
from evo_moo.space.search_space import Configuration, SearchSpace
from evo_moo.values import plain

MOST_DRAWS = 1000


def completed(space: SearchSpace, given: Mapping[str, Any], seed: int) -> Configuration:
    """Return a configuration with the given values; the others are drawn, by the seed and what is given.

    They are drawn so that each given variable exists, and that no rule forbids the whole.

    Args:
        space: The search space.
        given: Names to values, of all variables or of some.
        seed: Decides what is drawn.

    Raises:
        SpaceError: A name is unknown, a value is out of range, or values cannot stand together.
    """
    try:
        return space.decode(space.encode([given]))[0]
    except SpaceError as error:
        if not isinstance(given, Mapping):
            raise
        given = space.flat(given)
        if all(name in given for name in space.names):
            raise
        codes = space.codes_of_values(given)
        rng = np.random.default_rng(evaluation_seed(seed, plain(given)))
        rows = space.codes(space.draw(MOST_DRAWS, rng))
        rows[:, list(codes)] = list(codes.values())
        X = drawn = space.canonical(space.columns(rows))
        X = X[space.active(X)[:, list(codes)].all(axis=1)]
        if any(kind.named for kind in space.variables.values()):  # a drawn bound may have moved what is given
            X = X[np.isclose(space.codes(X)[:, list(codes)], list(codes.values()), rtol=1e-9).all(axis=1)]
        X = X[space.allowed(X)]
        if not len(X):
            space.encode([{**space.decode(drawn[:1])[0], **given}])  # says what does not fit, if it is no rule
            raise error
        return space.decode(X[:1])[0]
