"""Which trainings may be stopped early: those whose learning curve cannot reach the front any more.

What a training may still gain is judged by the curves of this run that were completed, without a model of curves. Let
``g(i, e)`` be the change of an objective of curve ``i`` from epoch ``e`` to its full evaluation. The first few curves
give the scale ``s(e)``, the mean of ``|g(i, e)|``; each of the ``n`` later ones the number ``a(i)``, the largest
``-g(i, e) / s(e)`` over epochs and objectives. With ``q`` the ``ceil((n + 1)(1 - risk))``-th smallest of these, a new
curve gains more than ``q s(e)``, at any epoch and in any objective, with a probability of at most ``risk``: the rank of
its own number is uniform where curves are exchangeable. This is split conformal prediction (Lei et al.,
"Distribution-free predictive inference for regression", JASA 2018, section 2.2) of a whole band (Diquigiovanni, Fontana
and Vantini, "Conformal prediction bands for multivariate functional data", JMVA 2022, section 3).

A search drifts, to trainings that gain later than those before. So recent curves weigh more (Barber, Candès, Ramdas and
Tibshirani, "Conformal prediction beyond exchangeability", Annals of Statistics 51, 2023, section 3), and the level
adapts to what curves turn out to gain (Gibbs and Candès, "Adaptive conformal inference under distribution shift",
NeurIPS 2021, equation 2): a curve beyond the band lowers the level of the next ones, one within it raises the level
again, up to ``risk``. At a level of 0 nothing is stopped. The same is done once more for those curves alone that
reached the front, since of these the loss would count, and the lower of both levels holds.

Curves count that reached the top. As stopping takes the slow starters from among them, one configuration in ten, drawn
by its id, is never stopped, and counts ten times where it would have been (Horvitz and Thompson, JASA 1952).
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from evo_moo.optimizer.candidate import Candidate
from evo_moo.pareto import pareto_rows
from evo_moo.problem.goals import Goals
from evo_moo.problem.learning_curve import Array, Bounds, LearningCurve
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import evaluation_of
from evo_moo.storage.evaluation_row import Evaluation

Rows = list[list[float]]
N_SCALING = 5
"""So many curves give the scale of the others."""
SPARE_EVERY = 10
"""One configuration in so many is never stopped."""
MEMORY = 4.0
"""The weight of a curve falls by a factor e over ``MEMORY / risk`` later ones."""
STEPS = (0.05, 0.1)
"""How far one curve moves the level: of all, and of those that reached the front."""


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
        self._asked[evaluation_of(evaluation.id)] = evaluation

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
                    self.take(evaluation.training_id, evaluation.metrics, curves.get(evaluation.training_id))

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
        fronts = self._fronts(tops)
        climbs = [climb for top in tops if self._is_complete(climb := self._climb(top))]
        return {rung: self._rung_bounds(rung, climbs, fronts) if all(fronts) else None for rung in self._rungs}

    def _is_complete(self, climb: Sequence[int]) -> bool:
        """Return whether all curves of a climb are known."""
        return all(key in self._curves for key in climb)

    def _fronts(self, tops: Sequence[int]) -> list[Rows]:
        """Return the front of the full evaluations in each context, each the mean over its replicates."""
        groups: dict[int, list[Metrics]] = {key: [self._metrics[key]] for key in tops}
        for key, metrics in self._metrics.items():
            asked = self._asked[key]
            if asked.replicate and asked.continues in groups:
                groups[asked.continues].append(metrics)
        return [_front_of(view, list(groups.values())) for view in self._goals.views]

    def _rung_bounds(
        self, rung: int, climbs: Sequence[Sequence[int]], fronts: list[list[list[float]]]
    ) -> Bounds | None:
        keys = [next(key for key in climb if self._asked[key].fidelity == rung) for climb in climbs]
        changes = [self._changes_of(key, climb[-1]) for key, climb in zip(keys, climbs, strict=True)]
        last = int(np.median([self._curves[key].epochs[-1] for key in keys])) if keys else 0
        scaling, rest = changes[:N_SCALING], changes[N_SCALING:]
        # To stop after the last epoch would spare nothing.
        epochs = sorted(e for e in set.intersection(*map(set, scaling)) if e < last) if scaling else []
        if not rest or not epochs:
            return None
        scale = {epoch: np.mean([np.abs(one[epoch]) for one in scaling], axis=0) for epoch in epochs}
        gains = np.array([_largest(one, scale) for one in rest])
        counts = np.array([self._stands_for(climb) for climb in climbs[N_SCALING:]], dtype=float)
        most = largest_gain(gains, counts, self._reached_front(climbs)[N_SCALING:], self._risk)
        if not math.isfinite(most):
            return None
        usual = {e: np.median([one[e] for one in changes if e in one], axis=0).tolist() for e in epochs}
        return Bounds(fronts, {epoch: (-most * scale[epoch]).tolist() for epoch in epochs}, usual, last)

    def _stands_for(self, climb: Sequence[int]) -> int:
        """Return for how many climbs one stands: those that would have been stopped are seen only where spared."""
        return SPARE_EVERY if any(self._curves[key].would_stop is not None for key in climb) else 1

    def _reached_front(self, climbs: Sequence[Sequence[int]]) -> list[bool]:
        """Return which climbs ended on the front of all climbs up to then, in any context."""
        metrics = [self._metrics[climb[-1]] for climb in climbs]
        of_views = zip(*(_on_growing_front(view, metrics) for view in self._goals.views), strict=True)
        return list(map(any, of_views))

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


def _front_of(goals: Goals, groups: Sequence[Sequence[Metrics]]) -> Rows:
    """Return the front of groups of replicates, each by its mean; empty where none keeps the limits."""
    kept = [group for group in groups if all(goals.violation(metrics) == 0 for metrics in group)]
    if not kept:
        return []
    F = np.array([goals.F(group).mean(axis=0) for group in kept])
    rows: Rows = F[pareto_rows(F, np.zeros(len(F)))].tolist()
    return rows


def _on_growing_front(goals: Goals, metrics: Sequence[Metrics]) -> list[bool]:
    """Return which evaluations are on the front of themselves and those before."""
    feasible = np.array([goals.violation(row) == 0 for row in metrics])
    F = np.where(feasible[:, None], goals.F(metrics), np.inf)
    dominated = [((F[:i] <= F[i]).all(axis=1) & (F[:i] < F[i]).any(axis=1)).any() for i in range(len(F))]
    return [bool(kept) and not below for kept, below in zip(feasible, dominated, strict=True)]


def largest_gain(gains: Array, counts: Array, on_front: Sequence[bool], risk: float) -> float:
    """Return what the next curve gains at most, by the gains of those before; see the module.

    Args:
        gains: ``(n,)`` largest gains of curves, in their order.
        counts: For how many curves each of them stands, ``(n,)``.
        on_front: Which of them reached the front.
        risk: The probability to gain more, at most.

    Returns:
        Infinity where too few curves are known, or where they gained more than expected too often.
    """
    decay = 1 - risk / MEMORY
    levels = np.array([risk, risk])
    for i in range(math.ceil(1 / risk) - 1, len(gains)):
        level = float(levels.min())
        beyond = level > 0 and gains[i] > _quantile(gains[:i], counts[:i], level, decay)
        moves = np.array([risk - beyond, (risk - beyond) * on_front[i]])
        levels = np.minimum(levels + np.array(STEPS) * moves, risk)
    return _quantile(gains, counts, float(levels.min()), decay)


def _quantile(gains: Array, counts: Array, level: float, decay: float) -> float:
    """Return what a new curve gains at most but for a probability of ``level``, as the next one in the sequence."""
    if level <= 0:
        return math.inf
    weights = counts * decay ** np.arange(len(gains) - 1, -1, -1)
    order = np.argsort(gains, kind="stable")
    up_to = np.cumsum(weights[order])
    needed = (1 - level) * (weights.sum() + 1) * (1 - 1e-12)  # as sums are rounded
    place = int(np.searchsorted(up_to, needed))
    return float(gains[order][place]) if place < len(gains) else math.inf


def _largest(changes: Mapping[int, Array], scale: Mapping[int, Array]) -> float:
    """Return the largest gain of a curve in units of the scale; infinite where the scale knows no change at all."""
    numbers = [0.0]
    for epoch in changes.keys() & scale.keys():
        gains = -changes[epoch]
        some = gains > 0
        with np.errstate(divide="ignore"):
            numbers += (gains[some] / scale[epoch][some]).tolist()
    return max(numbers)
