"""Which model to trust: scores of predictions of points that a model did not learn, and the choice by them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from evo_moo.surrogate.protocol import Array, Prediction, Surrogate, canonical_order

Fold = tuple[npt.NDArray[np.intp], Surrogate]
"""Indices of points, and a model that did not learn them."""
N_FOLDS = 5
LIKELIHOOD_MARGIN = 0.1
"""A model in use is left only for one that is better by this log-likelihood per point."""
ONE_SIDED_99 = 2.326
"""Standard deviations of a normal distribution that 99 % lie below.

Predictions of one fold share their model, so that more models of mere noise pass than the 1 % of independent
pairs: hardly more than 5 % of Gaussian processes and forests, when tried with 15 to 100 points.
"""


@dataclass(frozen=True)
class Scores:
    """How well a model predicts points that it did not learn.

    Attributes:
        rank_correlation: Kendall's tau-b between predictions and targets; 0 where either is constant.
        log_likelihood: Mean log density of the standardised targets.
        n: Number of points.
    """

    rank_correlation: float
    log_likelihood: float
    n: int

    @property
    def better_than_chance(self) -> bool:
        """Whether a model that knows nothing would hardly ever rank so well; see ``ONE_SIDED_99``."""
        return self.rank_correlation > ONE_SIDED_99 * chance_deviation(self.n)


def chance_deviation(n: int) -> float:
    """Return the standard deviation of Kendall's tau of ``n`` unrelated pairs.

    Kendall, "A new measure of rank correlation", 1938: the variance is ``2 (2n + 5) / (9 n (n - 1))``.
    """
    return math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1))) if n > 1 else math.inf


class Validation(NamedTuple):
    """Predictions of points by models that did not learn them.

    Attributes:
        prediction: Predictions of the targets, ``(n,)`` each; ``std`` includes the noise.
        folds: The models; none where a model validates itself.
    """

    prediction: Prediction
    folds: Sequence[Fold] = ()


def validated(model: Surrogate, X: Array, y: Array) -> Validation:
    """Validate a kind of model in its own way, if it has one, else by cross-validation.

    Args:
        model: The kind of model; it is left as it is, and need not be fitted.
        X: ``(n, n_features)`` points.
        y: ``(n,)`` standardised targets.

    Raises:
        SurrogateError: The model cannot learn these data.
    """
    # Of a training with several points, models that validate themselves would know the others.
    prediction = None if any(model.columns.of_choice) else model.held_out(X, y)
    return cross_validated(model, X, y) if prediction is None else Validation(prediction)


def cross_validated(model: Surrogate, X: Array, y: Array, most: int | None = None) -> Validation:
    """Predict each point by a fresh model that was fitted without the fifth of the points that holds it.

    Equal points, which are replicates, and the points of one training are held out together; models of one seed have
    the same folds. A single point gets mean 0 and deviation 1, as of any standardised target. Leave-one-out of one fit
    would be cheaper, but its hyperparameters have seen the points: of Gaussian processes that learnt mere noise, most
    would pass.

    Args:
        model: The kind of model; it is left as it is, and need not be fitted.
        X: ``(n, n_features)`` points.
        y: ``(n,)`` standardised targets.
        most: How many points each model learns at most.

    Raises:
        SurrogateError: The model cannot learn these data.
    """
    _, group = np.unique(model.columns.trainings(X), axis=0, return_inverse=True)
    groups = np.random.default_rng(model.seed).permutation(group.max() + 1)
    # By the sorted points, so that their order decides nothing.
    shuffled = canonical_order(X, y)
    shuffled = shuffled[np.argsort(np.argsort(groups)[group[shuffled]], kind="stable")]
    folds, mean, std = list[Fold](), np.zeros(len(y)), np.ones(len(y))
    for fold in np.array_split(groups, min(N_FOLDS, len(groups))) if len(groups) > 1 else []:
        is_out = np.isin(group[shuffled], fold)
        held_out, learnt = shuffled[is_out], np.sort(shuffled[~is_out][:most])
        fitted = model.fresh().fit(X[learnt], y[learnt])
        mean[held_out], latent = fitted.predict(X[held_out])
        std[held_out] = np.hypot(latent, fitted.noise())
        folds.append((held_out, fitted))
    return Validation(Prediction(mean, std), folds)


def averaged(validations: Sequence[Validation]) -> Validation:
    """Return the validation of the mixture of several kinds of model."""
    members = zip(*(validation.folds for validation in validations), strict=False)
    folds = [(fold[0][0], AveragedSurrogate([model for _, model in fold])) for fold in members]
    return Validation(mixture([validation.prediction for validation in validations]), folds)


def score(prediction: Prediction, y: Array) -> Scores:
    """Score predictions of points that their model did not learn, ``(n,)``."""
    from scipy.stats import kendalltau

    mean, std = prediction
    correlation = float(kendalltau(mean, y).statistic) if len(y) > 1 else math.nan
    log_density = -0.5 * ((y - mean) / std) ** 2 - np.log(std) - 0.5 * math.log(2 * math.pi)
    return Scores(0.0 if math.isnan(correlation) else correlation, float(log_density.mean()), len(y))


def choose(scores: Mapping[str, Scores], incumbent: str | None = None) -> str | None:
    """Choose the model to use, by name.

    Models that rank no better than chance are out. Of those whose rank correlation is the highest, or less than the
    deviation of chance below it, the best log-likelihood wins; the incumbent, if among them, stays unless it is worse
    than that by more than ``LIKELIHOOD_MARGIN``.

    Args:
        scores: Scores of all models, by name; the first wins a tie.
        incumbent: The model in use.

    Returns:
        The name; None when no model ranks better than chance.
    """
    able = {name: score for name, score in scores.items() if score.better_than_chance}
    if not able:
        return None
    highest = max(score.rank_correlation for score in able.values())
    near = {name: score for name, score in able.items() if score.rank_correlation > highest - chance_deviation(score.n)}
    best = max(near, key=lambda name: near[name].log_likelihood)
    if incumbent in near and near[best].log_likelihood - near[incumbent].log_likelihood <= LIKELIHOOD_MARGIN:
        return incumbent
    return best


class AveragedSurrogate(Surrogate):
    """The mixture of several models, each with the same weight."""

    def __init__(self, members: Sequence[Surrogate]) -> None:
        super().__init__(members[0].columns, members[0].seed)
        self.members = list(members)
        self.extrapolates = all(member.extrapolates for member in members)

    def fresh(self) -> "AveragedSurrogate":
        """Return the mixture of fresh members."""
        return AveragedSurrogate([member.fresh() for member in self.members])

    def fit(self, X: Array, y: Array) -> Self:
        """Fit all members."""
        for member in self.members:
            member.fit(X, y)
        return self

    def predict(self, X: Array) -> Prediction:
        """Return the mixture's mean and standard deviation."""
        return mixture([member.predict(X) for member in self.members])

    def mean(self, X: Array) -> Array:
        """Return the mixture's mean."""
        return np.asarray(np.mean([member.mean(X) for member in self.members], axis=0))

    def noise(self) -> float:
        """Return the root mean square of the members' noise."""
        return math.sqrt(float(np.mean([member.noise() ** 2 for member in self.members])))

    def sample(self, X: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw ``(n, len(X))`` joint samples, from each member in turn."""
        drawn = np.empty((n, len(X)))
        for i, member in enumerate(self.members):
            drawn[i :: len(self.members)] = member.sample(X, len(drawn[i :: len(self.members)]), rng)
        return drawn

    def condition(self, X: Array, y: Array) -> "AveragedSurrogate":
        """Return the mixture of the conditioned members."""
        return AveragedSurrogate([member.condition(X, y) for member in self.members])

    def dump(self) -> dict[str, Any]:
        """Return the states of the members."""
        return {"members": [member.dump() for member in self.members]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Load each member."""
        for member, member_state in zip(self.members, state["members"], strict=True):
            member.load(member_state)


def mixture(predictions: Sequence[Prediction]) -> Prediction:
    """Return the mean and standard deviation of several models' predictions together, each of the same weight."""
    means = np.array([prediction.mean for prediction in predictions])
    variances = np.array([prediction.std**2 for prediction in predictions])
    return Prediction(means.mean(axis=0), np.sqrt(variances.mean(axis=0) + means.var(axis=0)))
