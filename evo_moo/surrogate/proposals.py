"""Candidates by surrogate models: what was measured so far decides what is evaluated next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from evo_moo.errors import SurrogateError
from evo_moo.plugins import load_surrogate
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric, Metrics
from evo_moo.space.search_space import SearchSpace
from evo_moo.surrogate.computed_metrics import ComputedMetric, ComputedMetrics
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.fitting import AVERAGE, COMPUTED, FAMILIES, GOOD_ENOUGH, GROWTH, NONE
from evo_moo.surrogate.infill import Infill, Mask
from evo_moo.surrogate.model_selection import AveragedSurrogate, Scores, choose, cross_validated, mixture, score
from evo_moo.surrogate.observations import Observed
from evo_moo.surrogate.outliers import Fences
from evo_moo.surrogate.posterior import Belief, MetricModel
from evo_moo.surrogate.prescreening import best_offspring
from evo_moo.surrogate.protocol import Array, Prediction, Surrogate
from evo_moo.surrogate.targets import Target
from evo_moo.surrogate.track_record import TrackRecord
from evo_moo.threads import one_blas_thread

InfillName = Literal["ehvi", "prescreen"]
TRUSTED = 0.3
"""Rank correlation between predictions and outcomes from which on every candidate comes from the models."""


@dataclass(frozen=True)
class Proposal:
    """A row to evaluate.

    Attributes:
        x: ``(n_var,)`` encoded row.
        origin: ``"infill"``, or ``"mating"`` where the models are not trusted; ``"replicate"`` of a row that was
            evaluated before.
        prediction: Metric to the predicted mean and standard deviation; empty without models.
        repeats: Id of the first evaluation of this row, if there is one.
    """

    x: Array
    origin: str
    prediction: Mapping[str, tuple[float, float]]
    repeats: int | None = None


class Prescreening:
    """Surrogate models of a search, and the candidates that they propose.

    Args:
        space: The search space.
        goals: Objectives and limits.
        model: ``"auto"`` chooses a family for each metric by validation; or one family, by its name or by a
            reference to a class.
        seed: Decides everything random in the models.
        infill: ``"ehvi"`` searches the models for rows of the largest expected hypervolume improvement;
            ``"prescreen"`` takes the best of the offspring.
        computed: Gives the metrics that need no model, as long as they are what was measured.
        metrics: What is known of each metric.
        repeats: Whether rows of the front whose objectives are noisy may be evaluated again.

    Attributes:
        archive: Evaluation id to its row and its metrics, or None where it failed.
        decisions: Choices of models that were not fetched yet, each as plain data.

    Raises:
        PluginError: There is no such model.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        model: str = "auto",
        seed: int = 1,
        infill: InfillName = "ehvi",
        computed: ComputedMetrics | None = None,
        metrics: Mapping[str, Metric] | None = None,
        repeats: bool = False,
    ) -> None:
        self._repeats = repeats
        self.space, self.goals, self.seed, self.infill, self._computed = space, goals, seed, infill, computed
        self._metrics = metrics or {}
        self._features = Features(space, computed.table if computed else None)
        self._families = {name: load_surrogate(name) for name in (FAMILIES if model == "auto" else (model,))}
        self.archive: dict[int, tuple[Array, Metrics | None]] = {}
        self._models: dict[str, Surrogate] = {}
        self._chosen: dict[str, str] = {}
        self._looked_at: dict[str, int] = {}
        self._record = TrackRecord(goals)
        self._turn = 0
        self._hard: set[str] = set()  # metrics that the first model alone does not rank well
        self.decisions: list[dict[str, Any]] = []

    def tell(self, evaluation_id: int, x: Array, metrics: Metrics | None) -> None:
        """Take an outcome in; None: the evaluation failed."""
        self.archive[evaluation_id] = x, metrics
        self._record.tell(evaluation_id, metrics)

    def expect(self, evaluation_id: int, proposal: Proposal) -> None:
        """Note which evaluation a proposal became."""
        self._record.expect(evaluation_id, proposal.prediction)

    def propose(
        self,
        n: int,
        pending: Array,
        offspring: Array,
        is_new: Callable[[Array], Mask],
        rng: np.random.Generator,
    ) -> list[Proposal]:
        """Choose up to ``n`` rows to evaluate.

        Args:
            n: Number of rows.
            pending: ``(m, n_var)`` rows that are being evaluated.
            offspring: ``(k, n_var)`` rows that the algorithm bred of its population.
            is_new: Tells which rows may be asked for.
            rng: Source of all randomness.
        """
        with one_blas_thread():
            belief = self._learn()
            self._turn += n
            n_plain = n if belief is None else self._n_plain(n)
            proposals = [Proposal(x, "mating", {}) for x in offspring[is_new(offspring)][:n_plain]] if n_plain else []
            if belief is None or n_plain == n:
                return proposals
            plain = np.array([p.x for p in proposals]).reshape(-1, self.space.n_var)
            taken = np.concatenate([pending, plain])
            if len(taken):
                belief = belief.knowing(taken)

            def is_free(X: Array) -> Mask:
                return is_new(X) & ~_any_equal(X, taken)

            if self.infill == "prescreen":
                X = best_offspring(belief, offspring[is_free(offspring)], n - n_plain, rng)
            else:
                infill = Infill(self.space, rng, is_free)
                turn, exploration = self._turn - n, self._record.exploration()
                may_repeat = self._repeats and self._knows_the_noise(belief)
                seen = Observed.of(self.archive, self.goals, belief, self._metrics)
                X = infill.batch(belief, seen, n - n_plain, turn, exploration, offspring, may_repeat)
            return proposals + self._with_predictions(belief, X)

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays; what was told is not part of it."""
        return {
            "models": {name: model.dump() for name, model in self._models.items()},
            "chosen": self._chosen,
            "looked_at": self._looked_at,
            "hard": sorted(self._hard),
            "record": self._record.dump(),
            "turn": self._turn,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take a dumped state over; the outcomes so far must be told anew before or after."""
        self._chosen, self._looked_at = dict(state["chosen"]), dict(state["looked_at"])
        self._hard = set(state.get("hard", ()))
        self._record.load(state["record"])
        self._turn = state["turn"]
        self._models = {}
        for name, its_state in state["models"].items():
            self._models[name] = self._new_model(self._chosen[name])
            self._models[name].load(its_state)

    def _learn(self) -> Belief | None:
        """Fit the models to everything told; None when they predict no objective better than chance."""
        ids = sorted(self.archive)
        known = [(x, m) for x, m in (self.archive[i] for i in ids) if m is not None]
        hard = sorted(name for name in self._hard if self._chosen[name] != COMPUTED)
        fences = Fences.around(hard, [m for _, m in known], self.goals, self._metrics)
        models = {}
        for name in self.goals.metric_names:
            rows = [(x, m[name]) for x, m in known if name in m and fences.hold(m, name)]
            if not rows:
                return None
            models[name] = self._fitted(name, np.array([x for x, _ in rows]), np.array([value for _, value in rows]))
        to_predict = [o.metric for o in self.goals.objectives if self._chosen[o.metric] != COMPUTED]
        if to_predict and all(models[metric].model is None for metric in to_predict):
            return None
        return Belief(self.goals, self._features, models, self._success(ids, fences))

    def _fitted(self, name: str, X: Array, values: Array) -> MetricModel:
        sign = -1 if name in {o.metric for o in self.goals.objectives if o.direction == "max"} else 1
        log = name in self._metrics and self._metrics[name].log and sign == 1 and bool(values.min() > 0)
        if self._computed is not None and self._computed.agree(name, X, values):
            return replace(self._as_computed(name, sign, values, self._computed), log=log)
        target = Target.fit(sign * values, log, spread_best=name in self._hard)
        Z, y = self._features.matrix(X), target.transform(sign * values)
        self._choose(name, Z, y)
        if self._chosen[name] == NONE:
            return MetricModel(sign, target, None, log)
        model = self._models.setdefault(name, self._new_model(self._chosen[name]))
        try:
            model.fit(Z, y)
        except SurrogateError as error:
            self.decisions.append({"metric": name, "model": self._chosen[name], "fault": str(error)})
            return MetricModel(sign, target, None, log)
        return MetricModel(sign, target, model, log)

    def _as_computed(self, name: str, sign: int, values: Array, computed: ComputedMetrics) -> MetricModel:
        if self._chosen.get(name) != COMPUTED:
            self._chosen[name] = COMPUTED
            self._models.pop(name, None)
            self.decisions.append({"metric": name, "n": len(values), "chosen": COMPUTED, "scores": {}})
        return MetricModel(sign, *ComputedMetric.of(name, sign, values, computed, self._features))

    def _choose(self, name: str, Z: Array, y: Array) -> None:
        """Look at the choice of a metric's model again, if there is much more to learn from than last time."""
        if len(y) < GROWTH * self._looked_at.get(name, 0):
            return
        self._looked_at[name] = len(y)
        predicted: dict[str, Prediction] = {}
        scores: dict[str, Scores] = {}
        for family in self._families:
            try:
                predicted[family] = cross_validated(self._new_model(family), Z, y)
            except SurrogateError as error:
                self.decisions.append({"metric": name, "model": family, "fault": str(error)})
                continue
            scores[family] = score(predicted[family], y)
            if scores[family].rank_correlation >= GOOD_ENOUGH:
                break
        if len(predicted) > 1:
            scores[AVERAGE] = score(mixture(list(predicted.values())), y)
        before = self._chosen.get(name)
        chosen = choose(scores, before) or NONE
        first = next(iter(scores.values()), None)
        if first is None or first.rank_correlation < GOOD_ENOUGH:
            self._hard.add(name)
        else:
            self._hard.discard(name)
        if chosen != before:
            self._models.pop(name, None)
        self._chosen[name] = chosen
        its_scores = {family: asdict(its) for family, its in scores.items()}
        n_far_out = sum(m is not None and name in m for _, m in self.archive.values()) - len(y)
        decision = {"metric": name, "n": len(y), "n_far_out": n_far_out, "chosen": chosen, "scores": its_scores}
        self.decisions.append(decision)

    def _new_model(self, family: str) -> Surrogate:
        if family == AVERAGE:
            return AveragedSurrogate([self._new_model(member) for member in self._families])
        return self._families[family](self._features.columns, self.seed)

    def _success(self, ids: Sequence[int], fences: Fences) -> Surrogate | None:
        """Learn which configurations fail or do not work at all, once some have."""
        told = [self.archive[i][1] for i in ids]
        succeeded = np.array([float(metrics is not None and fences.hold_all(metrics)) for metrics in told])
        if succeeded.all():
            return None
        Z = self._features.matrix(np.array([self.archive[i][0] for i in ids]))
        return load_surrogate("rf")(self._features.columns, self.seed).fit(Z, succeeded)

    def _knows_the_noise(self, belief: Belief) -> bool:
        """Return whether some objective is noisy by its seed, and all such have models that know how noisy."""
        names = [o.metric for o in self.goals.objectives]
        noisy = [
            name
            for name in names
            if name in self._metrics and self._metrics[name].noisy and not self._metrics[name].cheap
        ]
        models = [belief.models[name].model for name in noisy]
        return bool(noisy) and all(model is not None and model.extrapolates for model in models)

    def _n_plain(self, n: int) -> int:
        """Return how many of ``n`` candidates are plain offspring: up to half, the worse the models ranked lately."""
        correlation = self._record.rank_correlation()
        if correlation is None or correlation >= TRUSTED:
            return 0
        share = 0.5 * min(1.0, (TRUSTED - correlation) / TRUSTED)
        return int(share * n) if n > 1 else int(self._turn % 4 == 0)

    def _with_predictions(self, belief: Belief, X: Array) -> list[Proposal]:
        Z = self._features.matrix(X)
        predicted = {}
        for name, model in belief.models.items():
            if model.model is not None and not isinstance(model.model, ComputedMetric):
                middle, width = model.values(Z)
                predicted[name] = (model.sign * middle, width)
        first = {x.tobytes(): key for key, (x, _) in sorted(self.archive.items(), reverse=True)}
        return [
            Proposal(
                x,
                "replicate" if x.tobytes() in first else "infill",
                {name: (float(mean[i]), float(std[i])) for name, (mean, std) in predicted.items()},
                first.get(x.tobytes()),
            )
            for i, x in enumerate(X)
        ]


def _any_equal(X: Array, rows: Array) -> Mask:
    return np.asarray((X[:, None, :] == rows[None]).all(axis=2).any(axis=1))
