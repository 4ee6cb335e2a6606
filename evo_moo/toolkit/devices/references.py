"""The ten reference networks of a problem: the same on all devices, and in the same order."""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from evo_moo.errors import ProblemError
from evo_moo.problem import Configuration, SearchProblem
from evo_moo.seeding import seed_for
from evo_moo.space import SearchSpace
from evo_moo.toolkit.devices.device import N_REFERENCES, Array

SEED, N_DRAWN, MOST_OPTIONS, SWEEPS = 10, 128, 6, 3
SIZES = ("flops", "macs", "n_params", "params")
"""Beginnings of the names of computed metrics that say how large a network is, the best first."""


def references(problem: SearchProblem) -> list[Configuration]:
    """Return the reference networks of a problem, ten different architectures.

    What the problem names itself by the attribute ``reference_configurations``; else the smallest, then one of each
    eighth of random networks by their size, then the largest, all by one fixed seed. Variables that decide the training
    only have their lowest value or first option.

    Args:
        problem: The problem. The size is what it computes as FLOPs or parameters, else the FLOPs of its networks, else
            the mean of its numbers in their ranges.

    Raises:
        ProblemError: Its latency depends on choices after the training, or it has fewer than ten architectures.
    """
    if problem.is_profiled_by_point:
        raise ProblemError(
            f"the latency of `{problem.name()}` must not depend on choices after the training, to be predicted on "
            "other devices, but does; search it without these choices"
        )
    named: Sequence[Configuration] | None = getattr(problem, "reference_configurations", None)
    chosen = [dict(each) for each in named] if named is not None else _chosen(problem)
    if (n := len({problem.architecture_key(each) for each in chosen})) < N_REFERENCES:
        raise ProblemError(f"`{problem.name()}` must have {N_REFERENCES} different reference networks, but has {n}")
    return chosen[:N_REFERENCES]


def _chosen(problem: SearchProblem) -> list[Configuration]:
    space, size_of = problem.space, _size_of(problem)
    owners = enumerate(space.layout.owners)
    fixed = [i for i, name in owners if problem.architecture and name not in problem.architecture]
    drawn = space.canonical(np.column_stack([_drawn(space, column, column in fixed) for column in range(space.n_var)]))
    drawn = drawn[space.allowed(drawn)]
    if len(drawn) < N_REFERENCES:  # rules forbid nearly all
        drawn = space.sample(N_DRAWN, np.random.default_rng(SEED))
    rows = {problem.architecture_key(config): row for config, row in zip(space.decode(drawn), drawn, strict=True)}
    X = np.stack(list(rows.values()))
    sizes = np.array([size_of(config) for config in space.decode(X)])
    free = [column for column in range(space.n_var) if column not in fixed]
    corners = space.canonical([space.xl, np.where(np.isin(np.arange(space.n_var), fixed), space.xl, space.xu)])
    starts = [[X[sizes.argmin()], corners[0]], [X[sizes.argmax()], corners[1]]]
    ends = [_climbed(space, np.stack(start), free, size_of, sign) for start, sign in zip(starts, (-1, 1), strict=True)]
    known = {problem.architecture_key(config) for config in space.decode(np.stack(ends))}
    between = [row for row in X[np.argsort(sizes, kind="stable")] if _key(problem, row) not in known]
    places = np.linspace(0, len(between), N_REFERENCES - 1)[:-1] + len(between) / (N_REFERENCES - 2) / 2
    middle = [between[int(place)] for place in places] if len(between) >= N_REFERENCES - 2 else between
    return space.decode(np.stack([ends[0], *middle, ends[1]]))


def _drawn(space: SearchSpace, column: int, is_fixed: bool) -> Array:
    """Return values of a column, the same whatever the other variables are: options may add variables of training."""
    if is_fixed:
        return np.full(N_DRAWN, space.xl[column])
    unit = np.random.default_rng(seed_for(list(space.layout.parts)[column], SEED)).random(N_DRAWN)
    values: Array = space.wide_xl[column] + unit * (space.wide_xu[column] - space.wide_xl[column])
    return values


def _key(problem: SearchProblem, row: Array) -> str:
    return problem.architecture_key(problem.space.decode(row[None])[0])


def _size_of(problem: SearchProblem) -> Callable[[Configuration], float]:
    (first,) = problem.space.decode(problem.space.sample(1, np.random.default_rng(SEED)))
    computed = problem.call_compute(first).metrics
    for beginning in SIZES:
        if name := next((name for name in computed if name.startswith(beginning)), None):
            return lambda config: float(problem.call_compute(config).metrics[name])
    if problem.has_network:
        from evo_moo.toolkit.devices.work import work_of

        @functools.cache
        def flops(key: str) -> float:
            work = work_of(*problem.network(configurations[key]))
            return sum(value for kind, value in work.items() if kind.startswith("flops"))

        configurations: dict[str, Configuration] = {}

        def size(config: Configuration) -> float:
            key = problem.architecture_key(config)
            configurations[key] = config
            return flops(key)

        return size
    return lambda config: float(_share_of_range(problem.space, problem.space.encode([config]))[0])


def _share_of_range(space: SearchSpace, X: Array) -> Array:
    """Return the mean of the numbers of rows in their ranges, ``(n,)``; what does not exist is 0."""
    width = np.where(space.xu > space.xl, space.xu - space.xl, 1.0)
    shares: Array = np.where(space.active(X), (X - space.xl) / width, 0.0).mean(axis=1)
    return shares


def _climbed(
    space: SearchSpace, starts: Array, free: Sequence[int], size_of: Callable[[Configuration], float], sign: int
) -> Array:
    """Return the largest row, or with sign -1 the smallest, that changes of one variable after the other lead to."""

    def largest(X: Array) -> tuple[float, Array]:
        X = X[space.allowed(X)]
        sizes = [sign * size_of(config) for config in space.decode(X)]
        return max(sizes), X[int(np.argmax(sizes))]

    ends = []
    for row in starts[space.allowed(starts)]:
        best = -math.inf
        for _ in range(SWEEPS):
            before = best
            for column in free:
                codes = np.unique([space.low[column], space.high[column]])
                if space.grid[column] and space.high[column] - space.low[column] < MOST_OPTIONS:
                    codes = np.arange(space.low[column], space.high[column] + 1)
                near = np.repeat(space.codes(row[None]), len(codes) + 1, axis=0)
                near[1:, column] = codes
                best, row = largest(space.canonical(space.columns(near)))
            if best == before:
                break
        ends.append(row)
    return largest(np.stack(ends))[1]
