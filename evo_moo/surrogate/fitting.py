"""Which model learns a metric: a family is chosen by validation, and fitted to what was measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from evo_moo.errors import SurrogateError
from evo_moo.problem.metrics import Metric
from evo_moo.surrogate.computed_metrics import ComputedMetrics
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.model_selection import (
    AveragedSurrogate,
    Fold,
    Scores,
    Validation,
    averaged,
    choose,
    score,
    validated,
)
from evo_moo.surrogate.posterior import MetricModel
from evo_moo.surrogate.protocol import Array, Columns, Surrogate
from evo_moo.surrogate.targets import Target
from evo_moo.surrogate.transfer import Taught, Teacher, weights_of_runs

Family = type[Surrogate]
ChoiceRecord = dict[str, Any]
"""A choice of a model, or a fault of one, as the ledger records it."""
FAMILIES = ("gp", "rf")
"""Names of the families to choose from, the first to try first."""
AVERAGE, NONE, COMPUTED = "average", "none", "computed"
"""Names of what else a metric is known by: the mixture of all families, nothing, or a formula."""
TAUGHT = "taught "
"""How the name of a family begins that learns what earlier runs leave unexplained."""
GOOD_ENOUGH = 0.7
"""A rank correlation from which on no other model is tried, no other shape of the targets, and no value is far out."""
GROWTH = 1.25
"""The choice of the model is looked at again whenever there are so many times more evaluations."""


@dataclass(frozen=True)
class Choice:
    """A family, and what decided for it.

    Attributes:
        family: Name of the family; ``NONE`` where none ranks better than chance.
        scores: Name of each family that was tried to its scores, in the order of trying.
        faults: Name of each family that could not learn to the reason.
        folds: Held-out points and the models of the chosen family that did not learn them.
        earlier: Name of each earlier run that could teach to what it counts, from 0 to 1.
    """

    family: str
    scores: Mapping[str, Scores]
    faults: Mapping[str, str]
    folds: Sequence[Fold] = ()
    earlier: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_hard(self) -> bool:
        """Whether the first model that could learn does not rank well alone."""
        first = next(iter(self.scores.values()), None)
        return first is None or first.rank_correlation < GOOD_ENOUGH


@dataclass(frozen=True)
class Families:
    """The model families that a metric's model is chosen from.

    Attributes:
        classes: Name of each family to its class, the first to try first.
        columns: What each feature is.
        seed: Decides everything random in the models.
        validate: Predicts each point by a model that did not learn it.
        noisy: Whether the metric depends on the evaluation's seed.
        always_average: Whether to try the average of several families, too, where one is good enough: it takes the
            predictions of all.
        teachers: Models of what earlier runs measured of the metric.
    """

    classes: Mapping[str, Family]
    columns: Columns
    seed: int
    validate: Callable[[Surrogate, Array, Array], Validation] = validated
    noisy: bool = False
    always_average: bool = True
    teachers: Sequence[Teacher] = ()

    def new(self, family: str) -> Surrogate:
        """Return a model of a family, of the ``AVERAGE`` of all, or a ``TAUGHT`` one, that has learnt nothing."""
        if family.startswith(TAUGHT):
            own = self.new(family.removeprefix(TAUGHT))
            return Taught(own, self.teachers) if self.teachers else own
        if family == AVERAGE:
            return AveragedSurrogate([self.new(member) for member in self.classes])
        model = self.classes[family](self.columns, self.seed)
        model.noisy = self.noisy
        return model

    def choose(self, Z: Array, y: Array, incumbent: str | None = None) -> Choice:
        """Choose a family by validation: try one after the other until one is good enough, and their average.

        With teachers, the best of them that learns what the teachers leave is tried, too; where none ranks better than
        chance, their average.

        Args:
            Z: ``(n, n_features)`` points.
            y: ``(n,)`` standardised targets.
            incumbent: The family in use.
        """
        validations, scores, faults = dict[str, Validation](), dict[str, Scores](), dict[str, str]()
        for family in self.classes:
            try:
                validations[family] = self.validate(self.new(family), Z, y)
            except SurrogateError as error:
                faults[family] = str(error)
                continue
            scores[family] = score(validations[family].prediction, y)
            if good := scores[family].rank_correlation >= GOOD_ENOUGH:
                break
        if len(validations) > 1 and (self.always_average or not good):
            validations[AVERAGE] = averaged(list(validations.values()))
            scores[AVERAGE] = score(validations[AVERAGE].prediction, y)
        earlier = dict.fromkeys((teacher.name for teacher in self.teachers), 0.0)
        if self.teachers and validations:
            family = TAUGHT + (choose(scores, (incumbent or "").removeprefix(TAUGHT)) or [*validations][-1])
            try:
                weights = weights_of_runs(self.teachers, Z, y, self.seed)
                if any(weights.values()):
                    validations[family] = self.validate(self.new(family), Z, y)
                    scores[family] = score(validations[family].prediction, y)
            except SurrogateError as error:
                faults[family] = str(error)
        family = choose(scores, incumbent) or NONE
        folds = validations[family].folds if family in validations else ()
        return Choice(family, scores, faults, folds, weights if family.startswith(TAUGHT) else earlier)


class MetricFit:
    """The model of one metric through a search: its family is chosen anew from time to time, and fitted each time.

    Args:
        name: Name of the metric.
        sign: -1 where more of the metric is better, else 1.
        declared: What is known of the metric.
        families: The families to choose from.
        features: What models see of rows.
        computed: Computes metrics that need no model, as long as they are what was measured.
        bounds: Values of the metric at which limits lie.
    """

    def __init__(
        self,
        name: str,
        sign: int,
        declared: Metric,
        families: Families,
        features: Features,
        computed: ComputedMetrics,
        bounds: Sequence[float] = (),
    ) -> None:
        self.name, self.sign, self.declared = name, sign, declared
        self._bounds = sign * np.array(bounds)
        self._families, self._features, self._computed = replace(families, noisy=declared.noisy), features, computed
        self._family: str | None = None
        self._model: Surrogate | None = None
        self._is_hard, self._n_at_choice = False, 0

    @property
    def is_hard(self) -> bool:
        """Whether the metric must be predicted, and the first family alone did not rank it well."""
        return self._is_hard and self._family != COMPUTED

    def fit(self, X: Array, values: Array, n_far_out: int) -> tuple[MetricModel, list[ChoiceRecord]]:
        """Fit the model, and return it with the decisions that were taken.

        Args:
            X: ``(n, n_var)`` encoded rows.
            values: ``(n,)`` values of the metric.
            n_far_out: Number of values that were left out, for the record.
        """
        log = self.declared.log and self.sign == 1 and min(values.min(), *self._bounds, np.inf) > 0
        if self._computed.agree(self.name, X, values):
            decision = {"metric": self.name, "n": len(values), "chosen": COMPUTED, "scores": {}}
            decisions = [decision] if self._family != COMPUTED else []
            self._use(COMPUTED)
            model = self._computed.model_of(self.name, self.sign, values, self._features)
            return replace(model, declared=self.declared, log=log), decisions
        target = Target.fit(self.sign * values, log, self._is_hard, self._bounds)
        Z, y = self._features.matrix(X), target.transform(self.sign * values)
        decisions = self._choose(Z, y, n_far_out) if len(y) >= GROWTH * self._n_at_choice else []
        unfitted = MetricModel(self.sign, target, declared=self.declared, log=log)
        if self._model is None:
            return unfitted, decisions
        try:
            return replace(unfitted, model=self._model.fit(Z, y)), decisions
        except SurrogateError as error:
            return unfitted, [*decisions, {"metric": self.name, "model": self._family, "fault": str(error)}]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays."""
        state = {"family": self._family, "is_hard": self._is_hard, "n_at_choice": self._n_at_choice}
        return state | {"model": self._model and self._model.dump()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a dumped state."""
        self._is_hard, self._n_at_choice = state["is_hard"], state["n_at_choice"]
        self._use(state["family"])
        if self._model is not None:
            self._model.load(state["model"])

    def _choose(self, Z: Array, y: Array, n_far_out: int) -> list[ChoiceRecord]:
        choice = self._families.choose(Z, y, self._family)
        self._n_at_choice, self._is_hard = len(y), choice.is_hard
        self._use(choice.family)
        faults = [{"metric": self.name, "model": family, "fault": fault} for family, fault in choice.faults.items()]
        scores = {family: asdict(each) for family, each in choice.scores.items()}
        chosen = {"metric": self.name, "n": len(y), "n_far_out": n_far_out, "chosen": choice.family, "scores": scores}
        if choice.earlier:
            chosen["earlier"] = dict(choice.earlier)
        return [*faults, chosen]

    def _use(self, family: str | None) -> None:
        """Change to a family, unless it is in use."""
        if family != self._family:
            self._family = family
            self._model = None if family in (None, NONE, COMPUTED) else self._families.new(family)
