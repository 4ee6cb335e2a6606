"""Random forest: for rugged metrics and for spaces of categories.

The trees are extremely randomised ones (Geurts, Ernst & Wehenkel 2006) on bootstrap samples: their thresholds
are drawn, not put midway between points, so that the trees disagree where there are no data. Hutter, Xu, Hoos
& Leyton-Brown, "Algorithm runtime prediction: Methods & evaluation", 2014, section 4.3.2, draw them likewise.
"""

import copy
import functools
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from evo_moo.surrogate import (
    Array,
    Columns,
    Prediction,
    Surrogate,
    SurrogateError,
    canonical_order,
    checked_data,
    checked_rows,
)

N_TREES = 100
MIN_VARIANCE = 1e-4
"""Of a leaf: a leaf of one point does not make its value certain."""


class RandomForest(Surrogate):
    """Mean of the trees, and variance between and within them.

    The spread in a leaf is partly noise, and a forest cannot separate the two: ``std`` includes it.
    """

    extrapolates = False

    def __init__(self, columns: Columns, seed: int = 0) -> None:
        super().__init__(columns, seed)
        self._forest: Any = None

    def fit(self, X: Array, y: Array) -> Self:
        """Grow a new forest; the same data and seed give the same one. See ``Surrogate``."""
        from sklearn.ensemble import ExtraTreesRegressor

        X, y = checked_data(X, y, self.columns)
        self._order = canonical_order(X, y)
        self._X = X[self._order]
        self._forest = ExtraTreesRegressor(N_TREES, bootstrap=True, random_state=self.seed)
        self._forest.fit(self._design(self._X), y[self._order])
        trees = [tree.tree_ for tree in self._forest.estimators_]
        self._offsets = np.cumsum([0] + [tree.node_count for tree in trees])
        self._means = np.concatenate([tree.value[:, 0, 0] for tree in trees])
        self._variances = np.maximum(np.concatenate([tree.impurity for tree in trees]), MIN_VARIANCE)
        self._counts = np.concatenate([tree.weighted_n_node_samples for tree in trees])
        return self

    def predict(self, X: Array) -> Prediction:
        """Return mean and standard deviation by the law of total variance, Hutter et al. 2014, section 4.3.2."""
        leaves = self._leaves(checked_rows(X, self.columns))
        return self._mixture(leaves, np.ones(leaves.shape, dtype=bool))

    def sample(self, X: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw ``(n, len(X))`` joint samples: each is a tree, with one deviation per leaf."""
        leaves = self._leaves(checked_rows(X, self.columns))
        drawn = np.empty((n, len(leaves)))
        for row, tree in zip(drawn, rng.integers(N_TREES, size=n), strict=True):
            nodes = leaves[:, tree]
            deviations = rng.standard_normal(self._offsets[tree + 1] - self._offsets[tree])
            row[:] = self._means[nodes] + np.sqrt(self._variances[nodes]) * deviations[nodes - self._offsets[tree]]
        return drawn

    def condition(self, X: Array, y: Array) -> "RandomForest":
        """Put the points into the leaves where they fall; the trees stay as they are."""
        X, y = checked_data(X, y, self.columns)
        other = copy.copy(self)
        other._means, other._variances = self._means.copy(), self._variances.copy()
        other._counts = self._counts.copy()
        for nodes, value in zip(self._leaves(X), y, strict=True):
            count, gap = other._counts[nodes], value - other._means[nodes]
            other._counts[nodes] += 1.0
            other._means[nodes] += gap / (count + 1.0)
            merged = count / (count + 1.0) * (other._variances[nodes] + gap**2 / (count + 1.0))
            other._variances[nodes] = np.maximum(merged, MIN_VARIANCE)
        return other

    def held_out(self, X: Array, y: Array) -> Prediction:
        """Return the out-of-bag predictions: each point's by the trees that did not learn it.

        A point that every tree learnt has the mean 0 and the deviation 1 of any standardised target.
        """
        forest = type(self)(self.columns, self.seed).fit(X, y)
        leaves = forest._leaves(forest._X)
        unseen = np.ones(leaves.shape, dtype=bool)
        for tree, rows in enumerate(forest._forest.estimators_samples_):
            unseen[rows, tree] = False
        known = unseen.any(axis=1)
        mean, std = np.zeros(len(leaves)), np.ones(len(leaves))
        mean[forest._order[known]], std[forest._order[known]] = forest._mixture(leaves[known], unseen[known])
        return Prediction(mean, std)

    def dump(self) -> dict[str, Any]:
        """Return nothing: a forest learns no hyperparameters."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over nothing, and forget the forest."""
        self._forest = None

    @functools.cached_property
    def _sources(self) -> npt.NDArray[np.intp]:
        """The feature that each column of the design comes from: one for each option of a category."""
        n_options = np.array(self.columns.n_options)
        widths = np.where(self.columns.category & (n_options > 2), n_options, 1)
        return np.repeat(np.arange(len(widths)), widths)

    def _design(self, X: Array) -> Array:
        design = X[:, self._sources]
        for i in np.flatnonzero(np.bincount(self._sources, minlength=len(self.columns)) > 1):
            columns = np.flatnonzero(self._sources == i)
            design[:, columns] = X[:, [i]] == np.arange(len(columns))
        return design

    def _leaves(self, X: Array) -> npt.NDArray[np.intp]:
        """Return the ``(n, n_trees)`` nodes where points end, counted through all trees."""
        self._require_fit()
        if not len(X):
            return np.empty((0, N_TREES), dtype=np.intp)
        # Tree by tree: scikit-learn's own loop starts a pool of threads, which costs more than the trees.
        design = self._design(X).astype(np.float32)
        nodes = [tree.tree_.apply(design) for tree in self._forest.estimators_]
        return np.asarray(np.stack(nodes, axis=1) + self._offsets[:-1])

    def _mixture(self, leaves: npt.NDArray[np.intp], used: npt.NDArray[np.bool_]) -> Prediction:
        means, weights = self._means[leaves], used / used.sum(axis=1, keepdims=True)
        mean = (weights * means).sum(axis=1)
        variance = (weights * (self._variances[leaves] + (means - mean[:, None]) ** 2)).sum(axis=1)
        return Prediction(mean, np.sqrt(variance))

    def _require_fit(self) -> None:
        if self._forest is None:
            raise SurrogateError("a model must be fitted before it is asked, but there was no `fit`; call it first")
