"""What models of latency see of an architecture: one-hots of its options, and its numbers in their ranges."""

from collections.abc import Sequence

import numpy as np

from evo_moo.problem import Configuration, SearchProblem
from evo_moo.toolkit.devices.device import Array

MOST_OPTIONS = 8
"""A variable of more whole numbers than these, without being a list of options, is one column."""


def architecture_inputs(problem: SearchProblem, configurations: Sequence[Configuration]) -> Array:
    """Return the inputs ``(n, n_columns)`` of architectures, each in [0, 1].

    A variable of few values has a column for each of them, in their order; another has one column, its place in its
    range, and one more for whether it exists if it need not. What does not exist is 0 in all. Variables that decide the
    training only have no column. In a space of options these are the one-hots of ``evo_moo.toolkit.modnas.Decisions``.
    """
    space = problem.space
    X = space.encode(configurations)
    codes, active = space.codes(X), space.active(X)
    columns = []
    for i, variable in enumerate(space.layout.parts.values()):
        if problem.architecture is not None and space.layout.owners[i] not in problem.architecture:
            continue
        n_values = int(space.high[i] - space.low[i]) + 1 if space.grid[i] else 0
        if variable.has_options or 0 < n_values <= MOST_OPTIONS:
            one_hots = np.eye(n_values)[(codes[:, i] - space.low[i]).astype(int)]
        else:
            one_hots = ((X[:, i] - space.xl[i]) / (space.xu[i] - space.xl[i]))[:, None]
            if variable.when:
                one_hots = np.column_stack([one_hots, np.ones(len(X))])
        columns.append(one_hots * active[:, i, None])
    return np.hstack(columns)
