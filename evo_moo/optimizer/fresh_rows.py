"""Which configurations were not asked for yet."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.core.population import Population

from evo_moo.optimizer.algorithms import Array
from evo_moo.space.designs import GridDesign, grid_faults
from evo_moo.space.operators import RowDuplicateElimination
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Mask

FILLING_ROUNDS, FILLING_DRAWS = 20, 1000


class FreshRows:
    """The encoded rows of a space that were not asked for yet.

    Args:
        space: The search space.
        duplicates: Knows the rows that were asked for; None: a row may be asked for twice, as by pymoo.
    """

    def __init__(self, space: SearchSpace, duplicates: RowDuplicateElimination | None) -> None:
        self._space, self._duplicates, self._size = space, duplicates, space.size()

    def are_new(self, X: Array) -> Mask:
        """Return which rows of an ``(n, n_var)`` array may be asked for, ``(n,)``."""
        return np.ones(len(X), dtype=bool) if self._duplicates is None else self._duplicates.are_new(X)

    def new_of(self, rows: Iterable[bytes]) -> Array:
        """Return those of some encoded rows that may be asked for, each once, ``(n, n_var)``."""
        X = np.frombuffer(b"".join(dict.fromkeys(rows))).reshape(-1, self._space.n_var)
        return X[self.are_new(X)]

    def left(self) -> int:
        """Return the number of configurations that were not asked for yet, or a very large number."""
        n_asked = len(self._duplicates.seen) if self._duplicates is not None else 0
        return int(min(self._size - n_asked, sys.maxsize))

    def remember(self, X: Array) -> None:
        """Note rows that are asked for, ``(n, n_var)``."""
        if self._duplicates is not None:
            self._duplicates.remember(X)

    def filled_up(self, made: Population, wanted: int, random_state: Any) -> Population:
        """Add new random rows until there are ``wanted``: mating makes too few in a small space or a dense front."""
        if self._duplicates is None and len(made):
            return made
        wanted = min(wanted, self.left())
        draws = self._draws(random_state)
        while len(made) < wanted and (X := next(draws, None)) is not None:
            drawn = Population.new(X=X)
            new = drawn if self._duplicates is None else self._duplicates.do(drawn, made)
            made = Population.merge(made, new[: wanted - len(made)])
        return made

    def _draws(self, random_state: Any) -> Iterator[Array]:
        for _ in range(FILLING_ROUNDS):
            yield self._space.sample(FILLING_DRAWS, random_state)
        # Draws miss the last few configurations of a finite space; it is used up only when all were asked.
        if self._duplicates is not None and self._space.grid.all() and not grid_faults(self._space, None):
            every = GridDesign(self._space, int(random_state.integers(2**32)))
            yield every.rows(0, len(every))

    def dump(self) -> npt.NDArray[np.int64] | None:
        """Return the numbers of the rows that were asked for, ``(n,)``, see ``SeenRows``."""
        return self._duplicates.seen.numbers() if self._duplicates is not None else None

    def load(self, numbers: npt.NDArray[np.int64] | None, *rows: Iterable[Array]) -> None:
        """Continue from what was dumped, and rows that were asked for or are made, each ``(n_var,)``."""
        if self._duplicates is None:
            return
        self._duplicates.seen.load(np.empty(0, dtype=np.int64) if numbers is None else numbers)
        rest = itertools.chain(*rows)
        while part := list(itertools.islice(rest, FILLING_DRAWS)):
            self._duplicates.remember(np.array(part))
