"""How well the surrogate models of a run predict its metrics, read from the ledger alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evo_moo.pareto import thinned
from evo_moo.problem.metrics import Metric
from evo_moo.storage.ledger import Ledger
from evo_moo.surrogate.transfer import EarlierOutcomes

MOST_PAIRS = 5000


@dataclass(frozen=True)
class ModelChoice:
    """A choice of a metric's model.

    Attributes:
        n: Number of evaluations, or points, that were known.
        chosen: The model.
        scores: Name of a model to its scores in cross-validation.
    """

    n: int
    chosen: str
    scores: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Accuracy:
    """Predictions beside the measured values; None where there are too few.

    Attributes:
        n: Number of predictions whose evaluation has ended.
        rank_correlation: Kendall's tau-b of predicted and measured values.
        within_2_std: Share of the measured values that are at most two standard deviations off.
    """

    n: int
    rank_correlation: float | None
    within_2_std: float | None


@dataclass(frozen=True)
class ModelQuality:
    """The models of one metric.

    Attributes:
        model: The model in use now, ``"none"`` where none predicts better than chance; None before a choice.
        history: The choices, in order.
        n_far_out: Number of values that were too poor to be learnt with the others, by the latest choice.
        faults: Why models could not learn.
        predicted: How good the predictions were.
        pairs: Id of the evaluation or point, predicted mean and standard deviation, and measured value, of each
            prediction; of more than ``MOST_PAIRS`` so many at even distances.
        unit: The metric's unit.
        log: Whether the metric is logarithmic.
        earlier: Name of each earlier run that teaches the metric to what it counts in the model in use, 0 to 1.
    """

    model: str | None
    history: list[ModelChoice]
    n_far_out: int
    faults: list[str]
    predicted: Accuracy
    pairs: list[list[Any]]
    unit: str
    log: bool
    earlier: dict[str, float]


@dataclass(frozen=True)
class SurrogateQuality:
    """A run's models.

    Attributes:
        settings: The job's section on surrogates; None where the run had none.
        metrics: The models of each metric.
        earlier: What is learnt of each earlier run, and what is left out, in words.
        learnt: What models learn, in a word: ``evaluations``, or the ``points`` that these offer.
    """

    settings: dict[str, Any] | None
    metrics: dict[str, ModelQuality]
    earlier: list[str]
    learnt: str = "evaluations"

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def surrogate_quality(ledger: Ledger) -> SurrogateQuality:
    """Read the quality of a run's models; the run may still go on."""
    facts = ledger.facts()
    settings = facts.job.get("surrogate")
    decisions = [detail for _, _, detail in ledger.events("surrogate")]
    pairs: dict[str, list[list[Any]]] = {name: [] for name in facts.goals.metric_names if settings is not None}
    for e in ledger.predicted() if pairs else ():
        prediction, seen = e.prediction or {}, e.as_predicted()
        for name, of_metric in pairs.items():
            mean, std = prediction.get(name, (None, None))
            if seen is not None and mean is not None and std is not None and name in seen.metrics:
                of_metric.append([seen.id, float(mean), float(std), float(seen.metrics[name])])
    known = facts.metrics
    metrics = {name: _quality(name, known.get(name, Metric()), decisions, rows) for name, rows in pairs.items()}
    earlier = [EarlierOutcomes.from_json(each, len(facts.space)).in_words() for each in facts.earlier_outcomes]
    return SurrogateQuality(settings, metrics, earlier, "points" if ledger.has_points() else "evaluations")


def _quality(name: str, metric: Metric, decisions: Sequence[Mapping[str, Any]], pairs: list[list[Any]]) -> ModelQuality:
    decisions = [decision for decision in decisions if decision["metric"] == name]
    # A run that was killed makes again the choices that its last checkpoint does not know.
    choices = {d["n"] + d.get("n_far_out", 0): d for d in decisions if "chosen" in d}
    history = [ModelChoice(n, choice["chosen"], choice["scores"]) for n, choice in sorted(choices.items())]
    return ModelQuality(
        model=history[-1].chosen if history else None,
        history=history,
        n_far_out=choices[max(choices)].get("n_far_out", 0) if choices else 0,
        faults=list(dict.fromkeys(f"{d['model']}: {d['fault']}" for d in decisions if "fault" in d)),
        predicted=_accuracy(pairs),
        pairs=[pairs[i] for i in thinned(len(pairs), MOST_PAIRS)],
        unit=metric.unit,
        log=metric.log,
        earlier=choices[max(choices)].get("earlier", {}) if choices else {},
    )


def _accuracy(pairs: Sequence[Sequence[Any]]) -> Accuracy:
    from scipy.stats import kendalltau

    tau = float(kendalltau([p[1] for p in pairs], [p[3] for p in pairs]).statistic) if len(pairs) > 1 else math.nan
    inside = [abs(measured - mean) <= 2 * std for _, mean, std, measured in pairs]
    return Accuracy(len(pairs), None if math.isnan(tau) else tau, sum(inside) / len(inside) if inside else None)
