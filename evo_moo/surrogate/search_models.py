"""The models of a search: what was measured so far, learnt metric by metric, failures included."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric, Metrics
from evo_moo.problem.objectives import Limit
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.surrogate.archive import Archive
from evo_moo.surrogate.computed_metrics import ComputedMetrics
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.fitting import AVERAGE, ChoiceRecord, Families, Family, MetricFit
from evo_moo.surrogate.outliers import Fences
from evo_moo.surrogate.posterior import MetricModel, Posterior
from evo_moo.surrogate.protocol import Array, Surrogate
from evo_moo.surrogate.targets import Target
from evo_moo.surrogate.transfer import EarlierOutcomes, Teacher

FEWEST_TAUGHT = 10
"""Of an earlier run with fewer outcomes nothing is learnt."""


class SearchModels:
    """Surrogate models of all metrics of a search, and of success.

    Args:
        problem: The problem; it may compute some metrics, which need no model as long as they are what was measured.
        goals: Objectives and limits.
        families: Name of each model family to its class, the first to try first; one is chosen for each metric.
        success: The class of the model that tells which configurations fail.
        seed: Decides everything random in the models.
        earlier: What earlier runs measured, from which the models of the same metrics begin.
    """

    def __init__(
        self,
        problem: SearchProblem,
        goals: Goals,
        families: Mapping[str, Family],
        success: Family,
        seed: int = 1,
        earlier: Sequence[EarlierOutcomes] = (),
    ) -> None:
        self.goals, self._metrics = goals, problem.metrics
        computed = ComputedMetrics(problem)
        n_var = problem.space.n_var
        self._features = Features(problem.point_space, computed.table if problem.computes else None, n_var)
        is_noisy = any(self._metrics.get(objective.metric, Metric()).noisy for objective in goals.objectives)
        self._families = Families(families, self._features.columns, seed, noisy=is_noisy)
        self._fits = {}
        for name in goals.metric_names:
            metric = self._metrics.get(name, Metric())
            bounds = [end for limit in goals.limits if limit.metric == name for end in limit.ends]
            teachers = [t for outcomes in earlier if (t := self._teacher(outcomes, name, metric))]
            of_metric = replace(self._families, teachers=teachers)
            self._fits[name] = MetricFit(name, goals.sign(name), metric, of_metric, self._features, computed, bounds)
        self._success_model = success(self._features.columns, seed)
        self._decisions: list[ChoiceRecord] = []

    def fit(self, archive: Archive) -> Posterior | None:
        """Fit the models to all that was measured; None when they predict no objective better than chance."""
        points = archive.points()
        measured = [(x, metrics) for x, metrics in points if metrics is not None]
        hard = [name for name, fit in self._fits.items() if fit.is_hard]
        fences = Fences.around(hard, [metrics for _, metrics in measured], self.goals, self._metrics)
        models = {}
        for name, fit in self._fits.items():
            rows = [(x, metrics[name]) for x, metrics in measured if name in metrics]
            near = [(x, value) for x, value in rows if fences.hold({name: value}, name)]
            if not near:
                return None
            X, values = np.array([x for x, _ in near]), np.array([value for _, value in near])
            models[name], decisions = fit.fit(X, values, len(rows) - len(near))
            self._decisions += decisions
        predicted = [m for m in (models[o.metric] for o in self.goals.objectives) if m.formula is None]
        if predicted and all(model.model is None for model in predicted):
            return None
        is_known = {name: model.model is not None or model.formula is not None for name, model in models.items()}
        unknown = [limit for limit in self.goals.limits if not is_known[limit.metric]]
        return Posterior(self.goals, self._features, models, self._success(points, fences, unknown))

    def learn(self, X: Array, values: Array) -> MetricModel:
        """Return a model, of the first family, of ``(n,)`` values of ``(n, n_var)`` rows, which are minimised.

        Raises:
            SurrogateError: It cannot learn them.
        """
        target = Target.fit(values)
        model = self._families.new(next(iter(self._families.classes)))
        return MetricModel(1, target, model.fit(self._features.matrix(X), target.transform(values)))

    def take_decisions(self) -> list[ChoiceRecord]:
        """Return the choices of models since the last call."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays; the archive is not part of it."""
        return {name: fit.dump() for name, fit in self._fits.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a dumped state."""
        for name, fit in self._fits.items():
            fit.load(state[name])

    def _teacher(self, outcomes: EarlierOutcomes, name: str, declared: Metric) -> Teacher | None:
        """Return the model of what an earlier run measured of a metric; None: too little, or always the same."""
        rows = [i for i, metrics in enumerate(outcomes.metrics) if name in metrics]
        values = np.array([outcomes.metrics[i][name] for i in rows])
        if len(rows) < FEWEST_TAUGHT or values.min() == values.max():
            return None
        values *= self.goals.sign(name)
        target = Target.fit(values, declared.log and bool(values.min() > 0), spread_best=True)
        used = self._features.known(outcomes.variables)
        families = replace(self._families, columns=self._features.columns.of(used), noisy=declared.noisy)

        def fitted() -> Surrogate:
            Z = self._features.matrix(outcomes.X[rows])
            return families.new(AVERAGE).fit(Z[:, used], target.transform(values))

        return Teacher(outcomes.name, used, fitted)

    def _success(
        self, points: Sequence[tuple[Array, Metrics | None]], fences: Fences, limits: Sequence[Limit]
    ) -> Surrogate | None:
        """Learn which configurations fail, do not work at all, or break limits that no model knows, once some have."""

        def succeeded_at(metrics: Metrics | None) -> bool:
            if metrics is None or not fences.hold_all(metrics):
                return False
            broken = {limit for limit in limits if limit.metric in metrics and not limit.is_kept(metrics[limit.metric])}
            return any(broken.isdisjoint(view.limits) for view in self.goals.views)

        succeeded = np.array([float(succeeded_at(metrics)) for _, metrics in points])
        if succeeded.all():
            return None
        Z = self._features.matrix(np.array([x for x, _ in points]))
        return self._success_model.fresh().fit(Z, succeeded)
