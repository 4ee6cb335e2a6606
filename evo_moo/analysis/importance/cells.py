"""A search space cut into cells, as a product of independent variables with a probability for each cell.

A variable that does not exist in a configuration gets a random value all the same: the space then is a plain product,
and seeming effects of the value average out. Where a variable exists is a product, too, of the codes that its
ancestors must have. So every integral over configurations is a sum over cells, one variable after the other.
"""

import math

import numpy as np
import numpy.typing as npt

from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Mask
from evo_moo.surrogate.protocol import Array

Indices = npt.NDArray[np.intp]
Weights = tuple[Array, ...]
"""For each variable the ``(n_cells,)`` probabilities of its cells, which sum to 1."""

MOST_CELLS, FEWEST_CELLS, CELLS_IN_ALL = 48, 8, 2000
"""Of a range: a function that bends less than this often loses next to nothing of its variance. Of many, fewer."""


N_DRAWN = 4096
"""Rows by which the probability is estimated that variables with alternative conditions exist."""


N_DRAWN = 4096
"""Values of variables with several columns that show how likely the cells of these are."""


class Cells:
    """The cells of a space's variables.

    A number with few values has one cell for each, as has each option; a wide range is cut into equal parts, and
    wherever a condition begins or ends.

    Attributes:
        space: The search space.
        weights: How likely each cell is when configurations are drawn as ``SearchSpace.sample`` draws them.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        most = min(MOST_CELLS, max(FEWEST_CELLS, CELLS_IN_ALL // space.n_var))
        self._edges = [_edges(space, column, most) for column in range(space.n_var)]
        self.weights: Weights = tuple(_normalised(np.diff(edges)) for edges in self._edges)
        if space.layout.compounds:
            drawn = self.of(space.codes(space.draw(N_DRAWN, np.random.default_rng(0))))
            self.weights = tuple(
                _normalised(np.bincount(drawn[:, i], minlength=len(weights)).astype(float))
                if space.layout.compound[i]
                else weights
                for i, weights in enumerate(self.weights)
            )

    @property
    def counts(self) -> list[int]:
        """Number of cells of each variable."""
        return [len(weights) for weights in self.weights]

    def of(self, X: Array) -> Indices:
        """Return the cells, ``(n, n_var)``, in which the columns of ``(n, n_var)`` encoded rows lie."""
        places = [
            np.clip(np.searchsorted(edges, column, side="right") - 1, 0, len(edges) - 2)
            for edges, column in zip(self._edges, X.T, strict=True)
        ]
        return np.stack(places, axis=1)

    def draw(self, weights: Weights, n: int, rng: np.random.Generator) -> Indices:
        """Draw ``(n, n_var)`` cells, each variable by itself; of one of several columns those of its nearest value."""
        drawn = [np.searchsorted(np.cumsum(column)[:-1], rng.random(n), side="right") for column in weights]
        cells, compound = np.stack(drawn, axis=1), self.space.layout.compound
        if compound.any():
            cells = np.where(compound, self.of(self.space.codes(self._points(cells, rng))), cells)
        return cells

    def rows(self, cells: Indices, rng: np.random.Generator) -> Array:
        """Draw an encoded row, ``(n, n_var)`` and canonical, from each row of cells."""
        return self.space.canonical(self._points(cells, rng))

    def _points(self, cells: Indices, rng: np.random.Generator) -> Array:
        low = np.stack([edges[cells[:, i]] for i, edges in enumerate(self._edges)], axis=1)
        high = np.stack([edges[cells[:, i] + 1] for i, edges in enumerate(self._edges)], axis=1)
        return np.asarray(low + (high - low) * rng.random(low.shape))

    def spanned(self, X: Array) -> Weights:
        """Return the weights inside the box that canonical ``(n, n_var)`` rows span.

        Of a number, all from the smallest to the largest; of options without order, those that are there. A variable
        that exists in none of the rows keeps its whole range.
        """
        cells, active = self.of(X), self.space.active(X)
        inside = []
        for i, weights in enumerate(self.weights):
            places = np.arange(len(weights))
            seen = cells[active[:, i], i] if active[:, i].any() else places
            kept = np.isin(places, seen) if self.space.category[i] else (seen.min() <= places) & (places <= seen.max())
            inside.append(_normalised(weights * kept))
        return tuple(inside)

    def where_they_exist(self, columns: tuple[int, ...], weights: Weights) -> tuple[Weights, float]:
        """Return the weights where some variables exist together.

        Args:
            columns: Those variables.
            weights: The weights of the region that is asked about.

        Returns:
            The restricted weights, and the probability that they exist; it is 0 where they never do. With alternative
            conditions it is estimated, and the restriction has room for all of these.
        """
        restricted = list(weights)
        for column in columns:
            for ancestor, accepted in self.space.needed(column).items():
                restricted[ancestor] = restricted[ancestor] * self._within(ancestor, accepted)
        # Rounded, since the probabilities of cells sum to 1 but for the last digits.
        share = round(math.prod(float(column.sum()) for column in restricted), 12)
        if share and any(map(self.space.has_alternatives, columns)):
            rng = np.random.default_rng(0)
            exist = self.space.active(self.rows(self.draw(weights, N_DRAWN, rng), rng))[:, list(columns)].all(axis=1)
            share = max(float(exist.mean()), 0.5 / N_DRAWN)
        return tuple(_normalised(column) for column in restricted), share

    def _within(self, column: int, accepted: tuple[tuple[float, float], ...]) -> Mask:
        edges = self._edges[column]
        codes = codes_of(self.space, column, (edges[:-1] + edges[1:]) / 2)
        return np.asarray(np.any([(low <= codes) & (codes <= high) for low, high in accepted], axis=0))


def _edges(space: SearchSpace, column: int, most: int) -> Array:
    """Return the ascending edges of a column's cells; on a grid they lie between the values."""
    low, high = space.wide_xl[column], space.wide_xu[column]
    accepted = [interval for child in range(space.n_var) for interval in space.needed(child).get(column, ())]
    half = 0.5 if space.grid[column] else 0.0
    conditions = np.array([bound for first, last in accepted for bound in (first - half, last + half)])
    if not space.grid[column]:
        cuts = np.linspace(low, high, most + 1)
        inner, edge = column_of(space, column, conditions), space.zero_edge[column]
        cuts = np.concatenate([cuts, inner, [edge]])
        return np.unique(np.clip(np.append(cuts[cuts >= edge], low), low, high))
    first, last = space.low[column] - 0.5, space.high[column] + 0.5
    codes = np.linspace(low, high, most + 1)
    codes = np.floor(np.exp(codes) if space.log[column] else codes) + 0.5
    if last - first <= most or space.category[column]:
        codes = np.arange(first, last + 1)
    codes = np.unique(np.clip(np.concatenate([codes, conditions, [first, last]]), first, last))
    return column_of(space, column, codes)


def column_of(space: SearchSpace, column: int, codes: Array) -> Array:
    """Return the encoded column of ``(n,)`` codes of a variable."""
    rows = np.tile(space.low, (len(codes), 1))
    rows[:, column] = codes
    return np.ascontiguousarray(space.columns(rows)[:, column])


def codes_of(space: SearchSpace, column: int, values: Array) -> Array:
    """Return the codes of ``(n,)`` values of an encoded column."""
    if space.layout.compound[column]:  # a part alone makes up no value
        return np.rint(values) if space.grid[column] else np.asarray(values)
    X = np.tile(space.xl, (len(values), 1))
    X[:, column] = values
    codes = space.codes(X, of_rows=False)
    return np.ascontiguousarray(codes[:, column])  # of strided input, logarithms may be off by one bit


def _normalised(weights: Array) -> Array:
    total = weights.sum()
    return np.asarray(weights / total if total > 0 else weights)
