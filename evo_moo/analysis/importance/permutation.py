"""Permutation importance: what a model loses on held-out configurations when a variable has another value.

Breiman, "Random Forests", Machine Learning 45 (2001), section 10, on held-out points. Half the increase of the squared
error is a variable's total effect if the variables are independent: Gregorutti, Michel & Saint-Pierre, "Correlation
and variable importance in random forests", Statistics and Computing 27 (2017), proposition 1.

A search does not sample evenly: what matters most may hardly vary any more. So both the values that are put in and the
configurations that count are weighted such that the values that were tried count evenly over their range.
"""

import math
from typing import NamedTuple

import numpy as np

from evo_moo.analysis.importance.cells import Cells, Weights
from evo_moo.analysis.validated_models import FEWEST, Validated
from evo_moo.seeding import seed_for
from evo_moo.space.variables import Mask
from evo_moo.surrogate.model_selection import Scores, score
from evo_moo.surrogate.protocol import Array, Prediction

MOST_PREDICTED = 40_000
"""Number of rows to predict, which decides how often values are drawn anew, up to ten times."""
N_DRAWN = 2000
FOLDS_FACTOR = 1.5
"""Points of one fold share a model, and models of several folds most of their data: a standard error over five folds
is so many times that of independent points. Nadeau & Bengio, "Inference for the Generalization Error", Machine
Learning 52 (2003), equation 9: the variance grows by ``1 + 5 / 4``.
"""


class Importance(NamedTuple):
    """Of one variable.

    Attributes:
        value: Share of the variance over the region, what no model explains included, that is lost when the variable
            is not known; about 0 for noise, and then as often below as above. It may exceed 1 where few values were
            tried, far apart: they differ more than all in between.
        error: Its standard error: of the configurations that there are, and of what the model has not learnt. In
            simulations the truth was within two errors in 97 to 100 % where variables act by themselves, and in 83 %
            where they act together.
    """

    value: float
    error: float


class Permutation:
    """Permutation importances of one metric.

    Args:
        known: The metric, which must have a model.
        cells: The cells of the space.
        region: The region that is asked about.
        seed: Decides which values are put in.

    Attributes:
        inside: ``(n,)`` mask of the rows in the region.
    """

    def __init__(self, known: Validated, cells: Cells, region: Weights, seed: int) -> None:
        self._known, self._cells, self._region, self._seed = known, cells, region, seed
        space = cells.space
        self._active = space.active(known.X)
        places = cells.of(known.X)
        inside = np.stack([weights[places[:, i]] > 0 for i, weights in enumerate(region)], axis=1)
        self.inside: Mask = np.all(inside | ~self._active, axis=1)
        self._filled = self._with_values_for_all()
        self._held_out = np.zeros(len(known.X))
        for held_out, fitted in known.folds:
            self._held_out[held_out] = known.predict(known.X[held_out], fitted)
        self._unexplained = (known.y - self._held_out) ** 2
        self._variances: dict[bytes, float] = {}
        self._trainings = known.trainings
        self._n_draws = int(np.clip(MOST_PREDICTED // max(known.X.size, 1), 1, 10))

    def scores(self) -> Scores:
        """Return how well the model ranks the rows of the region that it did not learn."""
        rows = self.inside
        return score(Prediction(self._held_out[rows], np.ones(int(rows.sum()))), self._known.y[rows])

    def rows(self, place: slice) -> Mask:
        """Return which rows a variable's importance is taken over: those of the region in which it exists."""
        return self.inside & self._active[:, place.start]

    def of(self, place: slice) -> Importance | None:
        """Return the importance of the variable in a place of the layout; None where too few evaluations have it."""
        rows = self.rows(place)
        if rows.sum() < FEWEST:
            return None
        rng = np.random.default_rng(seed_for(f"permutation {place.start}", self._seed))
        weights = np.where(rows, self._evenness(place, rows), 0.0)
        weights /= weights.sum()
        loss = self._loss(place, rows, weights, rng)
        variance = self._variance((place.start,)) + float(weights @ self._unexplained)
        if variance <= 1e-12 * self._known.y.var():
            return Importance(0.0, 0.0)
        mean = float(weights @ loss)
        off = np.bincount(self._trainings, weights * (loss - mean))  # points of one training err together
        error = FOLDS_FACTOR * math.sqrt(float(off @ off))
        value = mean / variance
        return Importance(value, math.hypot(error / variance, self._not_learnt(value)))

    def _not_learnt(self, value: float) -> float:
        """Return the standard error of an importance for what the model has not learnt: models shrink effects.

        What is unexplained is noise, or effects that were not learnt. At the most all of it is such, shared out as what
        was learnt, or evenly where a variable has less; between none and that much, all is as likely, which has this
        standard deviation (JCGM 100:2008, "Guide to the expression of uncertainty in measurement", section 4.3.7).
        """
        unexplained = self.unexplained()
        share = float(np.clip(value / max(1 - unexplained, 1e-12), 1 / self._known.X.shape[1], 1.0))
        return unexplained * share / math.sqrt(3)

    def unexplained(self) -> float:
        """Return the share of the variance over the region that the model does not explain, noise for instance."""
        square = float(self._unexplained[self.inside].mean())
        return square / (square + self._variance(()))

    def _loss(self, place: slice, rows: Mask, weights: Array, rng: np.random.Generator) -> Array:
        """Return half the increase of each row's squared error, 0 where it does not count."""
        known, loss = self._known, np.zeros(len(rows))
        donors = rng.choice(len(rows), (self._n_draws, len(rows)), p=weights)
        for held_out, fitted in known.folds:
            counted = held_out[rows[held_out]]
            if counted.size:
                changed = np.tile(self._filled[counted], (self._n_draws, 1))
                changed[:, place] = self._filled[donors[:, counted].ravel(), place]
                after = known.predict(changed, fitted).reshape(self._n_draws, -1)
                loss[counted] = ((known.y[counted] - after) ** 2 - self._unexplained[counted]).mean(axis=0) / 2
        return loss

    def _with_values_for_all(self) -> Array:
        """Return the rows with values for what does not exist in them, drawn from those in which it does.

        They are needed when another value of a parent brings a variable into being.
        """
        filled, rng = self._known.X.copy(), np.random.default_rng(seed_for("filling", self._seed))
        for place in self._cells.space.layout.places.values():
            exists = self._active[:, place.start]
            if exists.any() and not exists.all():
                filled[~exists, place] = rng.choice(filled[exists, place], int((~exists).sum()))
        return filled

    def _evenness(self, place: slice, rows: Mask) -> Array:
        """Return weights by which the tried values cover their range evenly, wherever the search looked most.

        A number counts as much as the part of the range that is nearest to it, an option as much as any other, and so
        does a value of several columns; rows of the same value share its weight.
        """
        column, space = place.start, self._cells.space
        if space.layout.compound[column]:
            _, value, counts = np.unique(self._known.X[:, place], axis=0, return_inverse=True, return_counts=True)
            return np.asarray(1 / counts[value.reshape(-1)])
        values = self._known.X[:, column]
        tried, counts = np.unique(values[rows], return_counts=True)
        lengths = np.ones(len(tried))
        if not space.category[column] and len(tried) > 1:
            gaps = np.diff(tried)
            ends = np.concatenate([[tried[0] - gaps[0] / 2], tried[1:] - gaps / 2, [tried[-1] + gaps[-1] / 2]])
            lengths = np.diff(np.clip(ends, space.wide_xl[column], space.wide_xu[column]))
        places = np.clip(np.searchsorted(tried, values), 0, len(tried) - 1)
        return np.asarray((lengths / counts)[places])

    def _variance(self, columns: tuple[int, ...]) -> float:
        """Return the variance of what the model predicts over the part of the region in which variables exist."""
        weights, _ = self._cells.where_they_exist(columns, self._region)
        key = b"".join(column_weights.tobytes() for column_weights in weights)
        if key not in self._variances:
            rng = np.random.default_rng(seed_for("variance", self._seed))
            X = self._cells.rows(self._cells.draw(weights, N_DRAWN, rng), rng)
            self._variances[key] = float(self._known.predict(X).var())
        return self._variances[key]
