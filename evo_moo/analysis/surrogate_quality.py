"""How well the surrogate models of a run predict its metrics, read from the ledger alone."""

import math
from collections.abc import Sequence
from typing import Any

from evo_moo.problem.metrics import Metric
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.ledger import Ledger


def surrogate_view(ledger: Ledger) -> dict[str, Any]:
    """Return the quality of a run's models as plain data.

    Args:
        ledger: The run's ledger; the run may still go on.

    Returns:
        ``settings``: the job's section on surrogates, None where the run had none. ``metrics``: name to

        - ``model``: the one in use now, ``"none"`` where none predicts better than chance; None before a choice;
        - ``history``: the choices, each with the number ``n`` of evaluations known, what was ``chosen``, and
          the cross-validated ``scores`` of each model;
        - ``n_far_out``: how many values were too poor to be learnt with the others, by the latest choice;
        - ``faults``: why models could not learn;
        - ``predicted``: the number ``n`` of predictions whose evaluation has ended, their ``rank_correlation``
          (Kendall's tau-b) with what was measured, and the share ``within_2_std`` of the measured values that are
          at most two standard deviations off; None where there are too few;
        - ``pairs``: lists of evaluation id, predicted mean and standard deviation, and measured value;
        - ``unit`` and ``log`` of the metric.
    """
    facts = ledger.facts()
    settings = facts.job.get("surrogate")
    evaluations = list(ledger.evaluations("prediction IS NOT NULL"))
    decisions = [detail for _, kind, detail in ledger.events() if kind == "surrogate"]
    names = facts.goals.metric_names if settings is not None else ()
    known = {name: facts.metrics.get(name, Metric()) for name in names}
    return {
        "settings": settings,
        "metrics": {
            name: {
                **_choices([decision for decision in decisions if decision["metric"] == name]),
                **_accuracy(name, evaluations),
                "unit": known[name].unit,
                "log": known[name].log,
            }
            for name in names
        },
    }


def _choices(decisions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    # A run that was killed makes again the choices that its last checkpoint does not know.
    looks = {d["n"] + d.get("n_far_out", 0): d for d in decisions if "chosen" in d}
    history = [
        {"n": n, "chosen": decision["chosen"], "scores": decision["scores"]} for n, decision in sorted(looks.items())
    ]
    faults = [f"{decision['model']}: {decision['fault']}" for decision in decisions if "fault" in decision]
    return {
        "model": history[-1]["chosen"] if history else None,
        "history": history,
        "n_far_out": looks[max(looks)].get("n_far_out", 0) if looks else 0,
        "faults": list(dict.fromkeys(faults)),
    }


def _accuracy(name: str, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    from scipy.stats import kendalltau

    pairs = []
    for e in evaluations:
        mean, std = (e.prediction or {}).get(name, (None, None))
        if mean is not None and std is not None and name in e.metrics:
            pairs.append([e.id, float(mean), float(std), float(e.metrics[name])])
    tau = float(kendalltau([p[1] for p in pairs], [p[3] for p in pairs]).statistic) if len(pairs) > 1 else math.nan
    inside = [abs(measured - mean) <= 2 * std for _, mean, std, measured in pairs]
    return {
        "predicted": {
            "n": len(pairs),
            "rank_correlation": None if math.isnan(tau) else tau,
            "within_2_std": sum(inside) / len(inside) if inside else None,
        },
        "pairs": pairs,
    }
