"""pymoo operators on the encoded rows of a search space; each works on the whole population at once.

Each takes and gives canonical rows, draws from the ``random_state`` that pymoo passes, and keeps no state,
the duplicate eliminator's seen rows aside. Numeric columns are searched between the *wide* bounds of
the space, scaled to [0, 1], so that every step is relative to its range and the ends of a grid are reached
as easily as its middle.
"""

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.sampling import Sampling
from pymoo.operators.crossover.sbx import cross_sbx
from pymoo.operators.mutation.pm import mut_pm

from evo_moo.space.encoding import ZERO_SHARE
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.unit_points import Method
from evo_moo.space.variables import Array, Mask

REDRAWS = 64
MOST_RECENT = 10_000
"""Seen rows that are not sorted in yet, beside an eighth of those that are."""
SMALLEST_STEP = 1e-7
"""Of a column's range; the rounding of values in log scale could swallow less."""


class SpaceSampling(Sampling):  # type: ignore[misc]
    """Return the first population: the user's configurations, then sampled rows that differ from them."""

    def __init__(
        self, space: SearchSpace, method: Method = "random", configurations: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Encode the user's configurations.

        Args:
            space: The space to sample.
            method: As in ``SearchSpace.sample``.
            configurations: Configurations to begin with; all are kept, even beyond the number asked for.

        Raises:
            SpaceError: A configuration does not fit the space.
        """
        super().__init__()
        self.space, self.method = space, method
        self.first = space.encode(configurations)

    def _do(self, problem: Any, n_samples: int, *args: Any, random_state: Any = None, **kwargs: Any) -> Array:
        X = self.first
        # A small space repeats itself; a few more draws fill the population as far as it goes.
        for _ in range(8):
            if len(X) >= n_samples:
                break
            X = np.concatenate([X, self.space.sample(n_samples - len(X), random_state, self.method)])
            X = X[np.sort(np.unique(X, axis=0, return_index=True)[1])]
        return X


class SpaceCrossover(Crossover):  # type: ignore[misc]
    """Simulated binary crossover on numbers and ordered choices, uniform exchange on categories.

    A variable of several columns crosses in its own way. A column that is active in one parent only has that parent's
    value in both children. SBX is by Deb and Agrawal, "Simulated Binary Crossover for Continuous Search Space", Complex
    Systems 9 (1995), 115-148.
    """

    def __init__(self, space: SearchSpace, prob: float = 0.9, eta: float = 15) -> None:
        """Set the space, the probability that a pair is crossed, and the distribution index of SBX."""
        super().__init__(2, 2, prob=prob)
        self.space, self.eta = space, eta

    def crossed(self, X: Array, random_state: np.random.Generator) -> Array:
        """Return the ``(2, n_pairs, n_var)`` children of as many parents."""
        space, (_, n_pairs, n_var) = self.space, X.shape
        active = space.active(X.reshape(-1, n_var)).reshape(X.shape)
        X = np.where(active, X, np.where(active[::-1], X[::-1], space.draw(n_pairs, random_state)))
        number = ~space.category & ~space.layout.compound
        if number.any():
            low, high = space.wide_xl[number], space.wide_xu[number]
            U = (X[:, :, number] - low) / (high - low)
            ends = np.zeros(U.shape[2]), np.ones(U.shape[2])
            eta, half = np.full((n_pairs, 1), float(self.eta)), np.full((n_pairs, 1), 0.5)
            V = cross_sbx(U, *ends, eta, half, half, random_state=random_state)
            X[:, :, number] = np.where(V == U, X[:, :, number], low + V * (high - low))
        exchanged = space.category & ~space.layout.compound & (random_state.random((n_pairs, n_var)) < 0.5)
        X = np.where(exchanged, X[::-1], X)
        for name, kind in space.layout.compounds.items():
            place = space.layout.places[name]
            X[:, :, place] = kind.crossed(X[:, :, place], random_state, self.eta)
        return space.canonical(X.reshape(-1, n_var)).reshape(X.shape)

    def _do(self, problem: Any, X: Array, *args: Any, random_state: Any = None, **kwargs: Any) -> Array:
        return self.crossed(X, random_state)


class SpaceMutation(Mutation):  # type: ignore[misc]
    """Polynomial mutation on numbers and ordered choices, another option for categories.

    Only active variables mutate, at least one of each row, and each to another value; one of several columns mutates
    in its own way, and counts as one. A variable that a mutation activates begins with a fresh random value. Of a
    number that may be 0 beside a range in log scale, one mutation in five goes to 0 from any value, or from 0 to any.
    Polynomial mutation is by Deb and Goyal, "A Combined Genetic Adaptive Search (GeneAS) for Engineering Design",
    Computer Science and Informatics 26 (1996), 30-45.
    """

    def __init__(self, space: SearchSpace, prob_var: float | None = None, eta: float = 20) -> None:
        """Set the space and how much changes.

        Args:
            space: The space of the rows.
            prob_var: Probability of each active variable to mutate; by default one in the row's number of them.
            eta: Distribution index of the polynomial mutation; the higher, the smaller the steps.
        """
        super().__init__(prob=1.0)
        self.space, self.share, self.eta = space, prob_var, eta

    def mutated(self, X: Array, random_state: np.random.Generator) -> Array:
        """Return the mutants of ``(n, n_var)`` rows."""
        space = self.space
        before = space.codes(X)
        X = space.columns(before)
        active = space.active(X)
        first = space.layout.first
        bounds = space.bounds_of(before)
        chosen = self._hits((active & bounds.movable)[:, first], random_state)
        hit = np.zeros(X.shape, dtype=bool)
        hit[:, first] = chosen
        hit &= ~space.layout.compound
        # Columns that stay inactive go back to their bound when the rows are made canonical.
        Y = np.where(active, X, space.draw(len(X), random_state))
        rows, columns = np.nonzero(hit & space.category)
        n_options = space.xu[columns] + 1
        shift = 1 + np.floor(random_state.random(len(rows)) * (n_options - 1))
        Y[rows, columns] = (X[rows, columns] + shift) % n_options
        rows, columns = np.nonzero(hit & ~space.category)
        low, high = bounds.wide_xl[rows, columns], bounds.wide_xu[rows, columns]
        Y[rows, columns] = low + self._moved((X[rows, columns] - low) / (high - low), random_state) * (high - low)
        after = space.codes(Y)
        if (has_zero := hit & (space.zero_edge > -np.inf)).any():
            Y = np.where(has_zero, self._to_or_from_zero(X, Y, before == after, random_state), Y)
            after = space.codes(Y)
        stuck = hit & space.grid & (before == after)
        step = np.where(Y < X, -1.0, 1.0)
        step = np.where((before + step < bounds.low) | (before + step > bounds.high), -step, step)
        after = np.where(stuck, before + step, after)
        for name, kind in space.layout.compounds.items():
            place = space.layout.places[name]
            rows = np.flatnonzero(chosen[:, space.names.index(name)])
            after[rows, place] = kind.mutated(before[rows, place], random_state, self.eta)
        return space.canonical(space.columns(after))

    def _do(self, problem: Any, X: Array, *args: Any, random_state: Any = None, **kwargs: Any) -> Array:
        return self.mutated(X, random_state)

    def _to_or_from_zero(self, X: Array, Y: Array, is_same: Mask, random_state: Any) -> Array:
        """Return columns that may be 0: some change between it and any other value, those that stay 0 begin at low."""
        edge, top = self.space.zero_edge, self.space.wide_xu
        was_zero, jump = edge > X, random_state.random(X.shape) < ZERO_SHARE
        anywhere = top - random_state.random(X.shape) * (top - np.maximum(edge, self.space.wide_xl))
        small = np.where(was_zero & is_same, edge + np.abs(Y - X), Y)
        return np.where(jump, np.where(was_zero, anywhere, self.space.xl), small)

    def _hits(self, movable: Mask, random_state: Any) -> Mask:
        n_movable = np.maximum(movable.sum(axis=1, keepdims=True), 1)
        share = 1 / n_movable if self.share is None else self.share
        chance = np.where(movable, random_state.random(movable.shape), np.inf)
        # The smallest chance of a row falls on any column alike, and hits even if it is not below the share.
        smallest = chance == chance.min(axis=1, keepdims=True)
        return np.asarray(movable & ((chance < share) | smallest))

    def _moved(self, unit: Array, random_state: Any) -> Array:
        """Mutate ``(k,)`` numbers in [0, 1]; draws that stay, as half do at either end, are repeated."""
        ends = np.zeros(1), np.ones(1)
        moved = unit.copy()
        for _ in range(REDRAWS):
            still = np.flatnonzero(np.abs(moved - unit) < SMALLEST_STEP)
            if not still.size:
                break
            eta, always = np.full(still.size, float(self.eta)), np.ones(still.size)
            moved[still] = mut_pm(unit[still, None], *ends, eta, always, False, random_state=random_state)[:, 0]
        return moved


class SeenRows:
    """Rows by eight bytes of each, so that a million of them take 8 MB.

    A row that was never seen passes for a seen one with a chance of 5e-14 among a million; it is then made no more.
    """

    def __init__(self) -> None:
        """Begin with no row."""
        self._sorted, self._recent = np.empty(0, dtype=np.int64), set[int]()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def add(self, rows: Iterable[bytes]) -> None:
        """Add rows, each as bytes."""
        numbers = list(map(_number, rows))
        self._recent.update(itertools.compress(numbers, np.logical_not(self._have(numbers))))
        if len(self._recent) > MOST_RECENT + len(self._sorted) // 8:
            self._sorted, self._recent = self.numbers(), set()

    def have(self, rows: Iterable[bytes]) -> list[bool]:
        """Return for each row whether it was added."""
        return self._have(list(map(_number, rows)))

    def _have(self, numbers: list[int]) -> list[bool]:
        wanted = np.array(numbers, dtype=np.int64)
        places = np.searchsorted(self._sorted, wanted)
        found = np.append(self._sorted, 0)[places] == wanted
        known = (found & (places < len(self._sorted))).tolist()
        return [is_known or number in self._recent for is_known, number in zip(known, numbers, strict=True)]

    def numbers(self) -> npt.NDArray[np.int64]:
        """Return the numbers of all rows, ``(n,)``, in ascending order."""
        return np.sort(np.concatenate([self._sorted, np.fromiter(self._recent, np.int64, len(self._recent))]))

    def load(self, numbers: npt.NDArray[np.int64]) -> None:
        """Continue from the numbers of all rows."""
        self._sorted, self._recent = np.unique(numbers.astype(np.int64)), set()


def _number(row: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(row, digest_size=8).digest(), "little", signed=True)


class RowDuplicateElimination(DuplicateElimination):  # type: ignore[misc]
    """Drop rows that are forbidden, that repeat another row, or that were seen before.

    Attributes:
        seen: The canonical rows to drop wherever they turn up again.
    """

    def __init__(self, space: SearchSpace) -> None:
        """Begin with no row seen."""
        super().__init__()
        self.space = space
        self.seen = SeenRows()

    def remember(self, X: Array) -> None:
        """Add the rows of an ``(n, n_var)`` array to ``seen``."""
        self.seen.add(self._keys(X))

    def are_new(self, X: Array) -> Mask:
        """Return which rows of an ``(n, n_var)`` array were not seen and are not forbidden, ``(n,)``."""
        return ~np.array(self.seen.have(self._keys(X)), dtype=bool) & self.space.allowed(X)

    def _do(self, pop: Population, other: Population | None, is_duplicate: Mask) -> Mask:
        X = self.func(pop)
        keys = self._keys(X)
        if other is not None:
            taken = set(self._keys(self.func(other)))
            return np.array([key in taken for key in keys]) | self.seen.have(keys)
        first: dict[bytes, int] = {}
        repeated = [first.setdefault(key, i) != i for i, key in enumerate(keys)]
        return np.array(repeated) | self.seen.have(keys) | ~self.space.allowed(X)

    def _keys(self, X: Array) -> list[bytes]:
        rows = np.ascontiguousarray(self.space.canonical(X))
        return list(rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel().tolist())


def space_operators(space: SearchSpace) -> dict[str, Any]:
    """Return all operators of a space as the keyword arguments that pymoo's genetic algorithms take."""
    return {
        "sampling": SpaceSampling(space),
        "crossover": SpaceCrossover(space),
        "mutation": SpaceMutation(space),
        "eliminate_duplicates": RowDuplicateElimination(space),
    }
