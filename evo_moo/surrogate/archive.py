"""What a search has measured, evaluation by evaluation."""

from bisect import insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Offered, mean_offer
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.search_space import SearchSpace
from evo_moo.surrogate.protocol import Array

MOST_CHOICES = 32
"""Of more different choices after trainings, those that were offered most often count."""


FEW = 5
"""Of the points of one training, which are almost copies, so many stand for all where models learn predictions."""
RECHOSEN = 0.2
"""Share of varied rows whose choices are drawn anew."""


@dataclass(frozen=True)
class Offers:
    """The points of trainings, as encoded rows: the variables of the training, then the choices after it.

    Attributes:
        space: The space of points.
        n_var: Number of columns of a training.
        choices: ``(m, n_choices)`` encoded choices that trainings offer, at least one row; of no columns where there
            are no post-training variables, and a training is its one point.
    """

    space: SearchSpace
    n_var: int
    choices: Array

    def of(self, X: Array, most: int | None = None) -> Array:
        """Return the rows of all points that trainings offer, training by training.

        Args:
            X: ``(n, n_var)`` or ``(n, n_point_var)`` rows of the trainings.
            most: How many points of each to return at most, evenly spaced among the choices.
        """
        if not self.choices.shape[1]:
            return X
        n = min(len(self.choices), most or len(self.choices))
        chosen = self.choices[np.unique(np.linspace(0, len(self.choices) - 1, n).round().astype(int))]
        return self._joined(np.repeat(X, len(chosen), axis=0), np.tile(chosen, (len(X), 1)))

    def drawn(self, X: Array, rng: np.random.Generator) -> Array:
        """Return the row of one point of each training of ``(n, n_var)`` rows, the choices drawn at random."""
        if not self.choices.shape[1]:
            return X
        return self._joined(X, self.choices[rng.integers(len(self.choices), size=len(X))])

    def mended(self, X: Array, parents: Array, rng: np.random.Generator) -> Array:
        """Return varied ``(n, n_point_var)`` rows of points with choices that are offered: mostly the parents'."""
        if not self.choices.shape[1]:
            return X
        anew = rng.random(len(X)) < RECHOSEN
        chosen = self.choices[rng.integers(len(self.choices), size=len(X))]
        return self._joined(X, np.where(anew[:, None], chosen, parents[:, self.n_var :]))

    def _joined(self, X: Array, choices: Array) -> Array:
        return self.space.canonical(np.hstack([X[:, : self.n_var], choices]))


class Observation(NamedTuple):
    """The outcome of one evaluation.

    Attributes:
        id: Number of the evaluation.
        x: ``(n_var,)`` encoded row of the training.
        offered: What it offers; None where the evaluation failed.
        X: ``(n_points, n_point_var)`` encoded rows of the points, choices included, in their order.
    """

    id: int
    x: Array
    offered: Offered | None
    X: Array


class Archive:
    """Outcomes of a search; evaluations of the same row are replicates of the first of them.

    Args:
        problem: Its spaces encode configurations, and the choices of points.
        goals: Objectives and limits.
    """

    def __init__(self, problem: SearchProblem, goals: Goals) -> None:
        self._goals, self._space, self._point_space = goals, problem.space, problem.point_space
        self._observations: dict[int, Observation] = {}
        self._ids_of: dict[bytes, list[int]] = {}

    def record(self, evaluation_id: int, x: Array, offered: Offered | None) -> None:
        """Record an outcome; None: the evaluation failed."""
        if evaluation_id not in self._observations:
            insort(self._ids_of.setdefault(x.tobytes(), []), evaluation_id)
        rows = self._rows_of_points(x, offered)
        self._observations[evaluation_id] = Observation(evaluation_id, x, offered, rows)

    @property
    def observations(self) -> list[Observation]:
        """All outcomes, in the order of asking."""
        return [self._observations[key] for key in sorted(self._observations)]

    def points(self) -> list[tuple[Array, Metrics | None]]:
        """Return the encoded rows of all points, each with its metrics, or None where it could not be made.

        A failed training counts as one point, in the middle of all choices.
        """
        return [
            (row, None if point is None or point.fault else dict(point.metrics))
            for o in self.observations
            for row, point in zip(o.X, o.offered.values() if o.offered else [None], strict=True)
        ]

    def metrics_at(self, evaluation_id: int, row: Array) -> Metrics | None:
        """Return the metrics of the point of an evaluation that has this row; None where there is none."""
        observation = self._observations[evaluation_id]
        for own, point in zip(observation.X, (observation.offered or {}).values(), strict=False):
            if np.array_equal(own, row) and not point.fault:
                return dict(point.metrics)
        return None

    def ids_of(self, x: Array) -> Sequence[int]:
        """Return the ids of the evaluations of a training's row, in the order of asking."""
        return self._ids_of.get(x.tobytes(), ())

    def n_replicates(self) -> int:
        """Return the number of evaluations beyond the first of each row, also of those that failed."""
        return len(self._observations) - len(self._ids_of)

    def mean_of(self, x: Array) -> Offered:
        """Return the mean of what a row's replicates offer that have objectives; there must be one."""
        offers = (self._observations[key].offered for key in self.ids_of(x))
        return mean_offer([offered for offered in offers if offered and self._has_objectives(offered)])

    def with_objectives(self) -> tuple[Array, list[list[Metrics]]]:
        """Return the rows of points that have objectives, each once, and the metrics of each one's replicates."""
        replicates: dict[bytes, list[Metrics]] = {}
        for row, metrics in self.points():
            if metrics and self._goals.has_objectives(metrics):
                replicates.setdefault(row.tobytes(), []).append(metrics)
        return np.array([np.frombuffer(x) for x in replicates]), list(replicates.values())

    def offers(self) -> Offers:
        """Return which points trainings are expected to offer: those of the choices that were offered most often."""
        n_var = self._space.n_var
        if self._point_space is self._space:
            return Offers(self._space, n_var, np.empty((1, 0)))
        rows = (row[n_var:].tobytes() for o in self.observations if o.offered for row in o.X)
        common = sorted(row for row, _ in Counter(rows).most_common(MOST_CHOICES))
        choices = np.array([np.frombuffer(row) for row in common]).reshape(-1, self._point_space.n_var - n_var)
        return Offers(self._point_space, n_var, choices[np.lexsort(choices.T[::-1])])

    def _has_objectives(self, offered: Offered) -> bool:
        return any(not point.fault and self._goals.has_objectives(point.metrics) for point in offered.values())

    def _rows_of_points(self, x: Array, offered: Offered | None) -> Array:
        """Return the rows of the points that a training of a row offers."""
        space = self._point_space
        if space is self._space:
            return x[None, :]
        codes = np.tile(space.codes([np.append(x, (space.xl + space.xu)[len(x) :] / 2)]), (len(offered or [x]), 1))
        for row, point in zip(codes, (offered or {}).values(), strict=False):
            for column, code in space.codes_of_values(point.choices).items():
                row[column] = code
        return space.canonical(space.columns(codes))
