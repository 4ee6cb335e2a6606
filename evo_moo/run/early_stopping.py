"""Which trainings may be stopped early: those whose learning curve cannot reach the front any more.

What a training may still gain is judged by the curves of this run that were completed, without a model of curves. Let
``g(i, e)`` be the change of an objective of curve ``i`` from epoch ``e`` to its full evaluation. The first few curves
give the scale ``s(e)``, the mean of ``|g(i, e)|``; each of the ``n`` later ones the number ``a(i)``, the largest
``-g(i, e) / s(e)`` over epochs and objectives. With ``q`` the ``ceil((n + 1)(1 - risk))``-th smallest of these, a new
curve gains more than ``q s(e)``, at any epoch and in any objective, with a probability of at most ``risk``: the rank of
its own number is uniform where curves are exchangeable. This is split conformal prediction (Lei et al.,
"Distribution-free predictive inference for regression", JASA 2018, section 2.2) of a whole band (Diquigiovanni, Fontana
and Vantini, "Conformal prediction bands for multivariate functional data", JMVA 2022, section 3).

Curves count that reached the top, since of those the loss would count. As stopping takes the slow starters from among
them, one configuration in ten, drawn by its id, is never stopped: once curves are judged, only these count.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from evo_moo.optimizer.candidate import Candidate
from evo_moo.pareto import pareto_rows
from evo_moo.problem.goals import Goals
from evo_moo.problem.learning_curve import Array, Bounds, LearningCurve
from evo_moo.problem.metrics import Metrics
from evo_moo.storage.evaluation_row import Evaluation

N_SCALING = 5
"""So many curves give the scale of the others."""
SPARE_EVERY = 10
"""One configuration in so many is never stopped."""


class EarlyStopping:
    """Judges trainings by the completed learning curves of a run.

    Args:
        goals: Objectives and limits.
        rungs: The fidelities, the last one full.
        cheap: Metrics that are known before the training: they do not change.
        risk: Probability with which a training that would reach more than is allowed for may be stopped.
        seed: Decides which configurations are spared.
    """

    def __init__(self, goals: Goals, rungs: Sequence[int], cheap: Collection[str], risk: float, seed: int) -> None:
        self._goals, self._rungs, self._cheap, self._risk, self._seed = goals, list(rungs), set(cheap), risk, seed
        self._asked: dict[int, Candidate | Evaluation] = {}
        self._metrics: dict[int, Metrics] = {}  # of what ended well
        self._curves: dict[int, LearningCurve] = {}
        self._bounds: dict[int | None, Bounds | None] = {}
        self._changes: dict[tuple[int, int], dict[int, Array]] = {}

    def ask(self, evaluation: Candidate | Evaluation) -> None:
        """Note an evaluation that begins."""
        self._asked[evaluation.id] = evaluation

    def take(self, key: int, metrics: Metrics, curve: LearningCurve | None) -> None:
        """Note the metrics and the curve of an evaluation that ended well."""
        self._metrics[key] = metrics
        if curve is not None:
            self._curves[key] = curve

    def recall(self, evaluations: Iterable[Evaluation], curves: Mapping[int, LearningCurve]) -> None:
        """Note the evaluations of a run that is resumed, and their curves by id."""
        for evaluation in evaluations:
            if evaluation.fidelity is not None:
                self.ask(evaluation)
                if evaluation.status in ("ok", "partial"):
                    self.take(evaluation.id, evaluation.metrics, curves.get(evaluation.id))

    def refresh(self) -> None:
        """Judge the next evaluations by all that has ended by now."""
        self._bounds = {}

    def bounds(self, key: int) -> Bounds | None:
        """Return what an evaluation that begins is judged by; None while too few curves are known."""
        asked = self._asked[key]
        if asked.replicate:
            return None
        if not self._bounds:
            self._bounds = self._all_bounds()
        bounds = self._bounds[asked.fidelity]
        return bounds and bounds._replace(spared=self._is_spared(key))

    def _is_spared(self, key: int) -> bool:
        lowest = self._climb(key)[0]
        return int(np.random.default_rng([self._seed, lowest]).integers(SPARE_EVERY)) == 0

    def _climb(self, key: int) -> list[int]:
        """Return an evaluation and those that it was promoted from, the lowest first."""
        climb = [key]
        while (below := self._asked[climb[0]].continues) is not None:
            climb.insert(0, below)
        return climb

    def _all_bounds(self) -> dict[int | None, Bounds | None]:
        tops = sorted(
            key
            for key in self._metrics
            if self._asked[key].fidelity == self._rungs[-1] and not self._asked[key].replicate
        )
        front = self._front(tops)
        climbs = [climb for top in tops if self._is_complete(climb := self._climb(top))]
        return {rung: self._rung_bounds(rung, climbs, front) if front else None for rung in self._rungs}

    def _is_complete(self, climb: Sequence[int]) -> bool:
        """Return whether all curves of a climb are known, and none of its trainings could have been stopped."""
        return all(key in self._curves and not self._curves[key].judged for key in climb)

    def _front(self, tops: Sequence[int]) -> list[list[float]]:
        """Return the front of the full evaluations, each the mean over its replicates."""
        groups: dict[int, list[Metrics]] = {key: [self._metrics[key]] for key in tops}
        for key, metrics in self._metrics.items():
            asked = self._asked[key]
            if asked.replicate and asked.continues in groups:
                groups[asked.continues].append(metrics)
        kept = [group for group in groups.values() if all(self._goals.violation(metrics) == 0 for metrics in group)]
        if not kept:
            return []
        F = np.array([self._goals.F(group).mean(axis=0) for group in kept])
        rows: list[list[float]] = F[pareto_rows(F, np.zeros(len(F)))].tolist()
        return rows

    def _rung_bounds(self, rung: int, climbs: Sequence[Sequence[int]], front: list[list[float]]) -> Bounds | None:
        keys = [next(key for key in climb if self._asked[key].fidelity == rung) for climb in climbs]
        changes = [self._changes_of(key, climb[-1]) for key, climb in zip(keys, climbs, strict=True)]
        last = int(np.median([self._curves[key].epochs[-1] for key in keys])) if keys else 0
        scaling, rest = changes[:N_SCALING], changes[N_SCALING:]
        rank = math.ceil((len(rest) + 1) * (1 - self._risk))
        # To stop after the last epoch would spare nothing.
        epochs = sorted(e for e in set.intersection(*map(set, scaling)) if e < last) if scaling else []
        if rank > len(rest) or not epochs:
            return None
        scale = {epoch: np.mean([np.abs(one[epoch]) for one in scaling], axis=0) for epoch in epochs}
        most = sorted(_largest(one, scale) for one in rest)[rank - 1]
        if not math.isfinite(most):
            return None
        usual = {e: np.median([one[e] for one in changes if e in one], axis=0).tolist() for e in epochs}
        return Bounds(front, {epoch: (-most * scale[epoch]).tolist() for epoch in epochs}, usual, last)

    def _changes_of(self, key: int, top: int) -> dict[int, Array]:
        """Return the change of each objective, minimised, from each epoch of an evaluation to the full one."""
        if (key, top) not in self._changes:
            self._changes[key, top] = self._computed_changes(key, top)
        return self._changes[key, top]

    def _computed_changes(self, key: int, top: int) -> dict[int, Array]:
        end, curve = self._metrics[top], self._curves[key]
        names = [objective.metric for objective in self._goals.objectives]
        if any(name not in curve.metrics and name not in self._cheap for name in names):
            return {}
        reported, n = curve.metrics, len(curve.epochs)
        rows = [{name: reported[name][i] if name in reported else end[name] for name in names} for i in range(n)]
        return dict(zip(curve.epochs, self._goals.F([end]) - self._goals.F(rows), strict=True))


def _largest(changes: Mapping[int, Array], scale: Mapping[int, Array]) -> float:
    """Return the largest gain of a curve in units of the scale; infinite where the scale knows no change at all."""
    numbers = [0.0]
    for epoch in changes.keys() & scale.keys():
        gains = -changes[epoch]
        some = gains > 0
        with np.errstate(divide="ignore"):
            numbers += (gains[some] / scale[epoch][some]).tolist()
    return max(numbers)
