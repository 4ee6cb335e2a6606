"""Functional analysis of variance: how much of a metric's variance over a region each variable explains.

Hutter, Hoos & Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014. A forest is
grown over cells, so that each leaf is a box; marginals over the boxes are exact sums. Unlike in the paper, the variance
is that of the forest's mean, not the mean of the trees' variances: what single trees learn of the noise cancels.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evo_moo.analysis.importance.cells import Cells, Indices, Weights
from evo_moo.space.variables import Mask
from evo_moo.surrogate.protocol import Array

N_TREES = 64
LEAF = 2
"""Fewest points of a leaf."""
N_DRAWN = 8192
"""Points over which the forest's variance is taken; it is off by about 2 %."""
N_VALUES = 512
"""Values of a variable of several columns that stand for all."""


class Effect(NamedTuple):
    """A share of the variance.

    Attributes:
        share: From 0 to about 1.
        sd: Its standard deviation over the trees, each of which learnt another bootstrap sample.
    """

    share: float
    sd: float


class _Region(NamedTuple):
    """What a forest is over a region.

    Attributes:
        inside: ``(n_leaves, n_var)`` probabilities of each variable to be within each leaf's box; of one of several
            columns at the first of them, and 1 at the others.
        joint: First column of each such variable to which of its values each leaf's box holds, ``(n_leaves, n)``.
        of_trees: ``(n_trees,)`` variances of the trees, exact.
        total: Variance of the trees' mean, over points that were drawn.
    """

    inside: Array
    joint: dict[int, Array]
    of_trees: Array
    total: float


class Forest:
    """Trees over cells, and what of their variance comes from where.

    Args:
        cells: The cells of the space.
        X: ``(n, n_var)`` canonical rows.
        y: ``(n,)`` values, with a variance of about 1.
        seed: Decides everything random.
        trainings: ``(n,)`` numbers of the rows' trainings: a tree learns all points of one, or none; by default each
            row is one.

    Attributes:
        out_of_bag: ``(n,)`` predictions of the rows by the trees that did not learn them.
    """

    def __init__(
        self, cells: Cells, X: Array, y: Array, seed: int, trainings: npt.NDArray[np.intp] | None = None
    ) -> None:
        self._cells, self._seed = cells, seed
        self._ends = np.cumsum([0, *cells.counts])
        self._regions: dict[bytes, _Region] = {}
        order = np.lexsort((y, *X.T[::-1]))
        self.out_of_bag = np.empty(len(y))
        label = np.arange(len(y)) if trainings is None else trainings
        _, first, label = np.unique(label[order], return_index=True, return_inverse=True)
        rows_of = [np.flatnonzero(label == i) for i in np.argsort(first)]
        self.out_of_bag[order] = self._grow(X[order], y[order], rows_of)

    def main(self, column: int, weights: Weights) -> Effect:
        """Return the share of what the variable that begins at a column does by itself."""
        region = self._in(weights)
        return _effect(*self._main_variances(column, region, weights), region)

    def pair(self, one: int, other: int, weights: Weights) -> Effect:
        """Return the share of what two variables, by their first columns, do together beyond what each does alone."""
        region = self._in(weights)
        planes = self._planes(one, other, region).reshape(N_TREES, -1)
        likely = np.outer(_likely(one, region, weights), _likely(other, region, weights))
        of_trees, of_all = _variances(planes, likely.ravel())
        for column in (one, other):
            main_of_trees, main_of_all = self._main_variances(column, region, weights)
            of_trees, of_all = of_trees - main_of_trees, of_all - main_of_all
        return _effect(np.maximum(of_trees, 0.0), max(of_all, 0.0), region)

    def predict(self, cells: Indices) -> Array:
        """Return the ``(n,)`` means over the trees of ``(n, n_var)`` cells."""
        design = self._design(cells)
        return np.asarray(np.mean([tree.predict(design) for tree in self._trees], axis=0))

    def _in(self, weights: Weights) -> _Region:
        key = b"".join(column.tobytes() for column in weights)
        if key not in self._regions:
            inside = np.stack([self._box(i) @ column for i, column in enumerate(weights)], axis=1)
            joint = self._joint(weights)
            for first, holds in joint.items():
                inside[:, self._place(first)] = 1.0
                inside[:, first] = holds.mean(axis=1)
            likely = inside.prod(axis=1)
            means = np.array([likely[leaves] @ self._values[leaves] for leaves in self._leaves_of])
            squares = np.array([likely[leaves] @ self._values[leaves] ** 2 for leaves in self._leaves_of])
            values = self.predict(self._cells.draw(weights, N_DRAWN, np.random.default_rng(self._seed)))
            self._regions[key] = _Region(inside, joint, squares - means**2, float(values.var()))
        return self._regions[key]

    def _grow(self, X: Array, y: Array, rows_of: Sequence[npt.NDArray[np.intp]]) -> Array:
        from sklearn.tree import DecisionTreeRegressor

        rng, n = np.random.default_rng(self._seed), len(y)
        known, active = self._cells.of(X), self._cells.space.active(X)
        self._trees = []
        sums, counts = np.zeros(n), np.zeros(n)
        for _ in range(N_TREES):
            # Each tree draws other values for what does not exist.
            design = self._design(np.where(active, known, self._cells.draw(self._cells.weights, n, rng)))
            learnt = np.concatenate([rows_of[i] for i in rng.integers(len(rows_of), size=len(rows_of))])
            tree = DecisionTreeRegressor(min_samples_leaf=LEAF, random_state=int(rng.integers(2**31)))
            tree.fit(design[learnt], y[learnt])
            unseen = np.setdiff1d(np.arange(n), learnt)
            if unseen.size:
                sums[unseen] += tree.predict(design[unseen])
                counts[unseen] += 1
            self._trees.append(tree)
        boxes, values = zip(*(self._leaves(tree.tree_) for tree in self._trees), strict=True)
        self._boxes, self._values = np.concatenate(boxes), np.concatenate(values)
        ends = np.cumsum([0, *map(len, values)]).tolist()
        self._leaves_of = [slice(a, b) for a, b in itertools.pairwise(ends)]
        return sums / np.maximum(counts, 1)

    def _design(self, cells: Indices) -> Array:
        """Return what trees split: cells of numbers as they are, and a column for each option without order."""
        columns = [
            cells[:, [i]] == np.arange(n) if self._is_split_by_option(i) else cells[:, [i]]
            for i, n in enumerate(self._cells.counts)
        ]
        return np.hstack(columns).astype(np.float32)

    def _is_split_by_option(self, column: int) -> bool:
        return bool(self._cells.space.category[column]) and self._cells.counts[column] > 2

    def _leaves(self, tree: Any) -> tuple[Mask, Array]:
        """Return the boxes of a tree's leaves, ``(n_leaves, n_cells)`` over all variables' cells, and their means."""
        tests: list[tuple[int, Array]] = []
        for i, n in enumerate(self._cells.counts):
            codes = np.eye(n) if self._is_split_by_option(i) else np.arange(n, dtype=float)[None]
            tests += [(i, row) for row in codes]
        reach = np.ones((tree.node_count, int(self._ends[-1])), dtype=bool)
        for node in np.flatnonzero(tree.children_left >= 0):
            column, codes = tests[tree.feature[node]]
            below = codes <= tree.threshold[node]
            for child, goes in ((tree.children_left[node], below), (tree.children_right[node], ~below)):
                reach[child] = reach[node]
                reach[child, self._ends[column] : self._ends[column + 1]] &= goes
        ends = np.flatnonzero(tree.children_left < 0)
        return reach[ends], tree.value[ends, 0, 0]

    def _box(self, column: int) -> Array:
        # As numbers: NumPy multiplies a mask without BLAS, many times slower.
        return self._boxes[:, self._ends[column] : self._ends[column + 1]].astype(float)

    def _place(self, column: int) -> slice:
        layout = self._cells.space.layout
        return layout.places[layout.owners[column]]

    def _joint(self, weights: Weights) -> dict[int, Array]:
        """Return the first column of each variable of several to which of its drawn values each leaf's box holds."""
        layout = self._cells.space.layout
        firsts = [layout.places[name].start for name in layout.compounds]
        if not firsts:
            return {}
        drawn = self._cells.draw(weights, N_VALUES, np.random.default_rng(self._seed))
        return {
            first: np.prod([self._box(i)[:, drawn[:, i]] for i in range(*self._place(first).indices(len(weights)))], 0)
            for first in firsts
        }

    def _main_variances(self, column: int, region: _Region, weights: Weights) -> tuple[Array, float]:
        return _variances(self._curves(column, region), _likely(column, region, weights))

    def _curves(self, column: int, region: _Region) -> Array:
        """Return each tree's mean over all other variables, ``(n_trees, n_cells)``."""
        rest = self._values * np.delete(region.inside, column, axis=1).prod(axis=1)
        box = region.joint.get(column, self._box(column))
        return np.stack([rest[leaves] @ box[leaves] for leaves in self._leaves_of])

    def _planes(self, one: int, other: int, region: _Region) -> Array:
        """Return each tree's mean over all but two variables, ``(n_trees, n_cells, n_cells)``."""
        rest = self._values * np.delete(region.inside, [one, other], axis=1).prod(axis=1)
        a, b = (region.joint.get(column, self._box(column)) for column in (one, other))
        a = a * rest[:, None]
        return np.stack([a[leaves].T @ b[leaves] for leaves in self._leaves_of])


def _likely(column: int, region: _Region, weights: Weights) -> Array:
    """Return how likely each cell of a variable is, or each drawn value of one of several columns."""
    if column in region.joint:
        n = region.joint[column].shape[1]
        return np.full(n, 1 / n)
    return weights[column]


def _effect(of_trees: Array, of_all: float, region: _Region) -> Effect:
    """Return what an effect's variance in each tree and in all together is of the whole variance."""
    if region.total <= 1e-12:
        return Effect(0.0, 0.0)
    shares = of_trees / np.where(region.of_trees > 1e-12, region.of_trees, np.inf)
    return Effect(of_all / region.total, float(shares.std()))


def _variances(values: Array, weights: Array) -> tuple[Array, float]:
    """Return the variance of each tree's ``(n_trees, n)`` values, and that of the values' mean over the trees."""
    together = values.mean(axis=0)
    of_trees = values**2 @ weights - (values @ weights) ** 2
    return of_trees, max(float(together**2 @ weights - (together @ weights) ** 2), 0.0)
