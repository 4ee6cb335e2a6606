"""What earlier runs teach: models of their outcomes, from which the models of new outcomes begin.

Another data set, device or space has other values, but often nearly the same order. So an earlier run counts by the
shape of what it measured: a model of its standardised values, metric by metric, over the variables that both spaces
have. The new model learns what the earlier ones, weighted by how well they rank the new outcomes, leave unexplained;
cross-validation decides between it and a model that begins from nothing.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from evo_moo.pareto import thinned
from evo_moo.problem.metrics import Metrics, checked_metrics
from evo_moo.surrogate.model_selection import ONE_SIDED_99, chance_deviation
from evo_moo.surrogate.protocol import Array, Prediction, Surrogate, checked_data

N_BOOTSTRAPS = 200
MOST_RANKED = 300
"""Number of new outcomes by which earlier runs are ranked at most."""
UNLUCKY = 0.95
"""An earlier run counts if half of its samples are ranked no worse than this share of the samples of the best one."""


@dataclass(frozen=True)
class EarlierOutcomes:
    """What an earlier run measured, as far as it can be said in a new space.

    Attributes:
        name: Name of the run.
        variables: The variables that it shares with the new space.
        X: ``(n, n_var)`` encoded rows; variables that are not shared hold anything.
        metrics: The metrics of each row.
        left_out: What of the run has no place in the new space, in words; empty where all has.
    """

    name: str
    variables: tuple[str, ...]
    X: Array
    metrics: Sequence[Metrics]
    left_out: str = ""

    @classmethod
    def of(
        cls, name: str, had: Sequence[str], has: Sequence[str], X: Array, metrics: Sequence[Metrics], n_lost: int
    ) -> Self:
        """Say what is left out of a run that ``had`` other variables than the new space ``has``.

        Args:
            name: Name of the run.
            had: Names of its variables.
            has: Names of the variables of the new space.
            X: ``(n, n_var)`` rows that can be said in it.
            metrics: The metrics of each row.
            n_lost: Number of evaluations that cannot.
        """
        unknown, missing = (", ".join(n for n in a if n not in b) for a, b in ((had, has), (has, had)))
        parts = [f"{n_lost} evaluations with values that this space does not have"] if n_lost else []
        parts += [f"{unknown}, which this space does not have"] if unknown else []
        parts += [f"{missing}, which that run did not have"] if missing else []
        return cls(name, tuple(n for n in has if n in had), X, metrics, "; ".join(parts))

    def in_words(self) -> str:
        """Say what is learnt of the run, and what is left out."""
        return f"{len(self.X)} outcomes of {self.name}{self.left_out and f', without: {self.left_out}'}"

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**self.__dict__, "X": self.X.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], n_var: int) -> Self:
        """Read what ``to_json`` returned.

        Raises:
            ValueError, LookupError, TypeError: The data are damaged.
        """
        metrics = [checked_metrics(each) for each in data["metrics"]]
        X = np.array(data["X"], dtype=float).reshape(len(metrics), n_var)
        if not np.isfinite(X).all():
            raise ValueError("rows of an earlier run that are not finite")
        return cls(str(data["name"]), tuple(map(str, data["variables"])), X, metrics, str(data["left_out"]))


class Teacher:
    """A model of what an earlier run measured of one metric; it is fitted when it is first asked.

    Args:
        name: Name of the run.
        used: ``(n_features,)`` mask of the features that the earlier run knew.
        fit: Returns the model, which predicts targets by these features alone.
    """

    def __init__(self, name: str, used: npt.NDArray[np.bool_], fit: Callable[[], Surrogate]) -> None:
        self.name, self._used, self._fit = name, used, fit

    @cached_property
    def _model(self) -> Surrogate:
        return self._fit()

    def predict(self, Z: Array) -> Array:
        """Return the targets that are expected at ``(n, n_features)`` points, ``(n,)``."""
        return self._model.mean(Z[:, self._used])


def rank_weights(predictions: Sequence[Array], y: Array, seed: int) -> Array:
    """Return what each of ``k`` predictions counts by how well it ranks the targets, ``(n,)`` each: ``(k,)``, of sum 1.

    The share of bootstrap samples of the targets in which it ranks the fewest pairs wrong, as in the ranking-weighted
    ensemble of Feurer, Letham, Hutter & Bakshy 2018, "Practical transfer learning for Bayesian optimization". Against
    dilution by many weak ones, one whose median loss exceeds nearly all losses of the best counts nothing; so does one
    that ranks no better than chance, and if all are so, the sum is 0.
    """
    rows = np.lexsort((*predictions, y))[thinned(len(y), MOST_RANKED)]  # so that the order of outcomes decides nothing
    n, truth = len(rows), np.less.outer(y[rows], y[rows])
    wrong = np.array([np.less.outer(p, p) != truth for p in (each[rows] for each in predictions)], dtype=float)
    tau = 1 - 2 * wrong.sum(axis=(1, 2)) / max(n * (n - 1), 1)
    weights, able = np.zeros(len(wrong)), tau > ONE_SIDED_99 * chance_deviation(n)
    if able.any():
        counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), N_BOOTSTRAPS)
        losses = np.array([((counts @ each) * counts).sum(axis=1) for each in wrong[able]])
        medians = np.median(losses, axis=1)
        losses[medians > np.quantile(losses[medians.argmin()], UNLUCKY)] = np.inf
        is_best = losses == losses.min(axis=0)
        weights[able] = (is_best / is_best.sum(axis=0)).mean(axis=1)
    return weights


class Line(NamedTuple):
    """The best line through what teachers expect.

    Attributes:
        weights: What each teacher counts, ``(k,)``; 0 where none helps.
        slope: Of the targets along the weighted mean of the teachers, at least 0.
        shift: The targets where that mean is 0.
    """

    weights: Array
    slope: float
    shift: float

    @classmethod
    def through(cls, expected: Sequence[Array], y: Array, seed: int) -> Self:
        """Fit the line to ``(n,)`` targets, by least squares; ``expected`` are the teachers' means there."""
        weights = rank_weights(expected, y, seed)
        mean = weights @ np.array(expected)
        centred = mean - mean.mean()
        slope = max(float(centred @ y) / max(float(centred @ centred), 1e-12), 0.0)
        return cls(weights * (slope > 0), slope, float(np.mean(y)) - slope * float(mean.mean()))


def weights_of_runs(teachers: Sequence[Teacher], Z: Array, y: Array, seed: int) -> dict[str, float]:
    """Return the names of earlier runs with their weights in the ``Line``, those of a name together."""
    weights = dict.fromkeys((teacher.name for teacher in teachers), 0.0)
    line = Line.through([teacher.predict(Z) for teacher in teachers], y, seed)
    for teacher, weight in zip(teachers, line.weights, strict=True):
        weights[teacher.name] += float(weight)
    return weights


class Taught(Surrogate):
    """A model of what is left of the targets once the best line through what teachers expect is taken off.

    Args:
        own: Learns what is left.
        teachers: Models of earlier runs; at least one.
    """

    def __init__(self, own: Surrogate, teachers: Sequence[Teacher]) -> None:
        super().__init__(own.columns, own.seed)
        self._own, self._teachers = own, teachers
        self.extrapolates = own.extrapolates
        self._line = Line(np.zeros(len(teachers)), 0.0, 0.0)

    def fresh(self) -> "Taught":
        """Return a model with the same teachers that has learnt nothing else."""
        return Taught(self._own.fresh(), self._teachers)

    def fit(self, X: Array, y: Array) -> Self:
        """Weigh the teachers, and learn what they leave; see ``Surrogate``."""
        X, y = checked_data(X, y, self.columns)
        self._line = Line.through([teacher.predict(X) for teacher in self._teachers], y, self.seed)
        self._own.fit(X, y - self._expected(X))
        return self

    def predict(self, X: Array) -> Prediction:
        """Return what the teachers expect and what they leave, together, with the deviation of the latter."""
        mean, std = self._own.predict(X)
        return Prediction(mean + self._expected(X), std)

    def noise(self) -> float:
        """Return the noise of what is left."""
        return self._own.noise()

    def sample(self, X: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw ``(n, len(X))`` joint samples."""
        return self._own.sample(X, n, rng) + self._expected(X)

    def condition(self, X: Array, y: Array) -> "Taught":
        """Return a copy that also learnt what the teachers leave at these points."""
        X, y = checked_data(X, y, self.columns)
        other = copy.copy(self)
        other._own = self._own.condition(X, y - self._expected(X))
        return other

    def dump(self) -> dict[str, Any]:
        """Return the state of the model of what is left."""
        return self._own.dump()

    def load(self, state: Mapping[str, Any]) -> None:
        """Load the model of what is left."""
        self._own.load(state)

    def _expected(self, X: Array) -> Array:
        weights, slope, shift = self._line
        counting = compress(zip(weights, self._teachers, strict=True), weights > 0)
        return shift + slope * sum((weight * teacher.predict(X) for weight, teacher in counting), np.zeros(len(X)))
