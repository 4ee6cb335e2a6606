"""What surrogate models together expect of configurations that were not evaluated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.problem.objectives import Limit
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.protocol import Array, Surrogate
from evo_moo.surrogate.targets import TAIL, Target

Mask = npt.NDArray[np.bool_]

_LEAST_PROBABILITY = 1e-12
LEAST_RATIO = 1e-3
"""A standard deviation never reaches below so much of a value whose logarithm counts: no chance is without bounds."""


@dataclass(frozen=True)
class MetricModel:
    """A model of one metric, which it sees as a target to minimise.

    Attributes:
        sign: -1 where more of the metric is better, else 1.
        target: Between the metric times its sign, and what the model learns.
        model: Predicts the targets. Without one, and without a formula, the metric may be anywhere among its values
            so far.
        formula: Computes the ``(n,)`` targets of ``(n, n_features)`` points instead, NaN where they are not known.
        log: Whether trade-offs are weighed by the metric's logarithm.
        declared: What the problem says of the metric.
    """

    sign: int
    target: Target
    model: Surrogate | None = None
    formula: Callable[[Array], Array] | None = None
    log: bool = False
    declared: Metric = field(default_factory=Metric)

    @property
    def is_noisy(self) -> bool:
        """Whether the predicted mean is nearer to the truth than what was measured; without a model it is not.

        A metric that does not depend on the seed is what was measured: what a model takes for noise is ruggedness.
        """
        return self.model is not None and self.declared.noisy

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the targets at ``(n, n_features)`` points, each ``(n,)``."""
        if self.formula is not None:
            targets = self.formula(X)
            unknown = np.isnan(targets)
            return np.where(unknown, 0.0, targets), unknown.astype(float)
        if self.model is None:
            return np.zeros(len(X)), np.ones(len(X))
        return self.model.predict(X)

    def values(self, X: Array) -> tuple[Array, Array]:
        """Return the metric, minimised: the median, and how far one standard deviation lies on the better side."""
        return self._values(*self.predict(X))

    def metric(self, X: Array) -> tuple[Array, Array]:
        """Return ``values`` with the metric as it is measured, not minimised."""
        median, std = self.values(X)
        return self.sign * median, std

    def medians(self, targets: Array) -> Array:
        """Return the metric as it is measured, of targets of any shape; of predicted means, the median."""
        return np.asarray(self.sign * self.target.inverse(np.clip(targets, -TAIL, TAIL)))

    def objective(self, X: Array) -> tuple[Array, Array]:
        """Return ``values`` of the metric, or of its logarithm where trade-offs are weighed by that."""
        return self._of_logarithm(*self.values(X))

    def lookahead(self, X: Array) -> tuple[Array, Array]:
        """Return the mean of ``objective``, and how far one more evaluation there would move it on average.

        Observed with noise, the mean moves by ``std**2 / sqrt(std**2 + noise**2)`` in standard deviations (Frazier,
        Powell & Dayanik 2009, "The knowledge-gradient policy for correlated normal beliefs").
        """
        mean, std = self.predict(X)
        if self.model is not None:
            std = std**2 / np.maximum(np.hypot(std, self.model.noise()), 1e-12)
        return self._of_logarithm(*self._values(mean, std))

    def log_probability(self, X: Array, limit: Limit) -> Array:
        """Return the logarithm of the probability that a limit holds, ``(n,)``."""
        from scipy.special import log_ndtr

        mean, std = self.predict(X)
        std = np.maximum(std, 1e-9)
        if limit.relation == "equals":
            low, high = self._targets(limit)
            # The density: the probability of a thin band vanishes.
            return np.asarray(-0.5 * (((low + high) / 2 - mean) / std) ** 2 - np.log(std))
        below = (limit.relation == "at_most") == (self.sign == 1)
        gap = (self._targets(limit)[0] - mean) / std
        return np.asarray(log_ndtr(gap if below else -gap))

    def with_fantasies(self, X: Array) -> "MetricModel":
        """Return the model that also learnt these points, with the predictions as their values."""
        return self if self.model is None else replace(self, model=self.model.condition(X, self.predict(X)[0]))

    def _values(self, mean: Array, std: Array) -> tuple[Array, Array]:
        mean = np.clip(mean, -TAIL, TAIL)
        middle = self.target.inverse(mean)
        return middle, np.maximum(middle - self.target.inverse(np.maximum(mean - std, -TAIL)), 1e-12)

    def _of_logarithm(self, middle: Array, width: Array) -> tuple[Array, Array]:
        if not self.log:
            return middle, width
        better = np.maximum(middle - width, LEAST_RATIO * middle)
        return np.log(middle), np.maximum(np.log(middle / better), 1e-12)

    def _targets(self, limit: Limit) -> Array:
        return np.sort(self.target.transform(self.sign * np.array(limit.ends)))


@dataclass(frozen=True)
class Expected:
    """What the models expect of rows.

    Attributes:
        X: ``(n, n_var)`` encoded rows.
        mean: ``(n, n_obj)`` objectives, minimised; some are logarithms, see ``MetricModel.log``.
        std: ``(n, n_obj)`` standard deviations of the objectives.
        cautious: ``(n, n_obj)`` means that are worse by ``Posterior.caution`` standard deviations.
        log_probabilities: ``(n, n_views)`` logarithms of the probability that all limits hold and the evaluation
            succeeds, in each context.
    """

    X: Array
    mean: Array
    std: Array
    cautious: Array
    log_probabilities: Array

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: Any) -> "Expected":
        """Return some rows, by a slice, a mask or indices."""
        return Expected(*(getattr(self, each.name)[rows] for each in fields(self)))

    def __add__(self, other: "Expected") -> "Expected":
        """Return these rows, then the others."""
        return Expected(*(np.concatenate([getattr(e, each.name) for e in (self, other)]) for each in fields(self)))

    def in_view(self, number: int, columns: npt.NDArray[np.int64]) -> "Expected":
        """Return what is expected in one context, of the objectives in these columns."""
        if self.log_probabilities.shape[1] == 1:
            return self
        mean, std, cautious = (each[:, columns] for each in (self.mean, self.std, self.cautious))
        return Expected(self.X, mean, std, cautious, self.log_probabilities[:, [number]])

    @property
    def log_probability(self) -> Array:
        """``(n,)`` logarithms of that probability, with contexts in the one where it is likeliest."""
        return np.asarray(self.log_probabilities.max(axis=1))

    @property
    def are_likely(self) -> Mask:
        """Which rows keep the limits and succeed more likely than not, ``(n,)``."""
        return np.asarray(self.log_probability > np.log(0.5))


@dataclass(frozen=True)
class Posterior:
    """Predictions of all metrics of a configuration, and of its success.

    Attributes:
        goals: Objectives and limits.
        features: What the models see of encoded rows.
        models: Metric to its model.
        success: A model of success, 1, and failure, 0; None while nothing has failed.
        caution: Standard deviations by which each objective is taken as worse than predicted, ``(n_obj,)`` or one.
    """

    goals: Goals
    features: Features
    models: Mapping[str, MetricModel]
    success: Surrogate | None = None
    caution: Array | float = 0.0

    @property
    def objective_models(self) -> list[MetricModel]:
        """The models of the objectives, in their order."""
        return [self.models[objective.metric] for objective in self.goals.objectives]

    def expect(self, X: Array) -> Expected:
        """Return what is expected of ``(n, n_var)`` encoded rows."""
        Z = self.features.matrix(X)
        mean, std = self._objectives(Z)
        return Expected(X, mean, std, mean + self.caution * std, self._log_probabilities(Z))

    def view(self, number: int) -> "Posterior":
        """Return what is expected in one context, the ``number``-th of the goals' views."""
        if not self.goals.contexts:
            return self
        caution = np.broadcast_to(self.caution, len(self.goals.objectives))[self.goals.columns_of_views[number]]
        return replace(self, goals=self.goals.views[number], caution=caution)

    def objectives(self, X: Array) -> tuple[Array, Array]:
        """Predict the objectives of ``(n, n_var)`` encoded rows: mean and standard deviation, ``(n, n_obj)``.

        They are minimised; some are logarithms, see ``MetricModel.log``.
        """
        return self._objectives(self.features.matrix(X))

    def metrics(self, X: Array) -> dict[str, tuple[Array, Array]]:
        """Return the median and standard deviation of each metric that has a model, at ``(n, n_var)`` rows."""
        Z = self.features.matrix(X)
        return {name: model.metric(Z) for name, model in self.models.items() if model.model}

    def lookahead(self, X: Array) -> tuple[Array, Array]:
        """Return the mean of ``objectives``, and how far one more evaluation of a row would move it, ``(n, n_obj)``."""
        Z = self.features.matrix(X)
        means, steps = zip(*(model.lookahead(Z) for model in self.objective_models), strict=True)
        return np.stack(means, axis=1), np.stack(steps, axis=1)

    @property
    def knows_the_noise(self) -> bool:
        """Whether some trained objective is noisy by its seed, and all such have models that know how noisy."""
        trained = self.objective_models
        noisy = [m.model for m in trained if m.declared.noisy and not m.declared.cheap and m.formula is None]
        return bool(noisy) and all(model is not None and model.extrapolates for model in noisy)

    def chance(self, exploration: float) -> Array:
        """Return the share of each objective's standard deviation that is a chance of better values, ``(n_obj,)``.

        Args:
            exploration: The share for models that do not extrapolate, whose deviations promise more than they hold.
        """
        models = [each.model for each in self.objective_models]
        return np.array([1.0 if model is None or model.extrapolates else exploration for model in models])

    def log_probability(self, X: Array) -> Array:
        """Return the log probability that all limits hold and the evaluation succeeds, ``(n,)``."""
        return np.asarray(self._log_probabilities(self.features.matrix(X)).max(axis=1))

    def with_fantasies(self, X: Array) -> "Posterior":
        """Return the posterior after measuring ``(n, n_var)`` rows, with the predictions as the values."""
        Z = self.features.matrix(X)
        return replace(self, models={name: model.with_fantasies(Z) for name, model in self.models.items()})

    def _objectives(self, Z: Array) -> tuple[Array, Array]:
        means, stds = zip(*(model.objective(Z) for model in self.objective_models), strict=True)
        return np.stack(means, axis=1), np.stack(stds, axis=1)

    def _log_probabilities(self, Z: Array) -> Array:
        """Return the log probability that the limits of each context hold and the evaluation succeeds, by column."""
        total = np.zeros((len(Z), len(self.goals.views)))
        for limit in self.goals.limits:
            views = [i for i, view in enumerate(self.goals.views) if limit in view.limits]
            total[:, views] += self.models[limit.metric].log_probability(Z, limit)[:, None]
        if self.success is not None:
            total += np.log(np.clip(self.success.predict(Z).mean, _LEAST_PROBABILITY, 1.0))[:, None]
        return total
