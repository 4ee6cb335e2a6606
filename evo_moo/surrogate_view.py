"""How well the surrogate models of a run know its metrics, told from the ledger alone."""

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from evo_moo.evaluation_row import Evaluation
from evo_moo.goals import Goals
from evo_moo.ledger import Ledger
from evo_moo.tables import open_console, safe

MAX_VARIABLES = 20
NO_SURROGATE = (
    "This run had no surrogate models: its job has no [surrogate]. `evo-moo run … --surrogate auto` searches with them."
)


def surrogate_view(ledger: Ledger) -> dict[str, Any]:
    """Tell of a run's models as plain data.

    Args:
        ledger: The run's ledger; the run may still go on.

    Returns:
        ``settings``: the job's section on surrogates, None where the run had none. ``metrics``: name to

        - ``model``: the one in use now, ``"none"`` where none predicts better than chance; None before a choice;
        - ``history``: the choices, each with the number ``n`` of evaluations learnt from, what was ``chosen``, and
          the cross-validated ``scores`` of each model;
        - ``faults``: why models could not learn;
        - ``importances``: the shares of the variables in what the model learnt when it was chosen; a name that ends
          in ``?`` stands for whether a conditional variable is there. Empty where no share was recorded;
        - ``predicted``: the number ``n`` of predictions whose evaluation has ended, their ``rank_correlation``
          (Kendall's tau-b) with what was measured, and the share ``within_2_std`` of the measured values that are
          at most two standard deviations off; None where there are too few;
        - ``pairs``: lists of evaluation id, predicted mean and standard deviation, and measured value;
        - ``unit`` and ``log`` of the metric.
    """
    meta = ledger.meta()
    settings = meta.get("job", {}).get("surrogate")
    evaluations = list(ledger.evaluations("prediction IS NOT NULL"))
    decisions = [detail for _, kind, detail in ledger.events() if kind == "surrogate"]
    names = Goals.from_json(meta["goals"]).metric_names if settings is not None else ()
    known = meta["metrics"]
    return {
        "settings": settings,
        "metrics": {
            name: {
                **_choices([decision for decision in decisions if decision["metric"] == name]),
                **_accuracy(name, evaluations),
                "unit": known.get(name, {}).get("unit", ""),
                "log": known.get(name, {}).get("log", False),
            }
            for name in names
        },
    }


def print_surrogate(view: dict[str, Any]) -> None:
    """Print what ``surrogate_view`` gives: the models, how good they were over time, and what they looked at."""
    console = open_console()
    metrics = view["metrics"]
    if view["settings"] is None:
        console.print(NO_SURROGATE, markup=False)
        return
    console.print("Predicted beside measured (inside 2 sd: 95 % is right, and less where the metric itself is noisy)")
    console.print(_models(metrics))
    if any(its["history"] for its in metrics.values()):
        console.print("Rank correlation (and mean log-likelihood) in cross-validation, of each model that was tried")
        console.print(_history(metrics))
    else:
        console.print("No model was chosen yet: they learn from the first population.")
    if any(its["importances"] for its in metrics.values()):
        console.print("Importance of the variables to the model in use, when it was chosen")
        console.print(_importances(metrics))
    for name, its in metrics.items():
        for fault in its["faults"]:
            console.print(safe(f"{name}: {fault}"))


def _choices(decisions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    # A run that was killed makes again the choices that its last checkpoint does not know.
    looks = {_n_learnt(decision): decision for decision in decisions if "chosen" in decision}
    history = [
        {"n": n, "chosen": decision["chosen"], "scores": decision["scores"]} for n, decision in sorted(looks.items())
    ]
    last = looks[history[-1]["n"]] if history else {}
    faults = [f"{decision['model']}: {decision['fault']}" for decision in decisions if "fault" in decision]
    return {
        "model": last.get("chosen"),
        "history": history,
        "faults": list(dict.fromkeys(faults)),
        "importances": last.get("importances", {}),
    }


def _n_learnt(decision: dict[str, Any]) -> int:
    """Give the number of evaluations that a choice was made with; earlier versions noted it with the scores only."""
    return int(decision.get("n") or max((scores["n"] for scores in decision["scores"].values()), default=0))


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


def _models(metrics: dict[str, Any]) -> Table:
    table = Table()
    for heading in ("metric", "model", "predicted", "rank correlation", "inside 2 sd"):
        table.add_column(heading, justify="left" if heading in ("metric", "model") else "right")
    for name, its in metrics.items():
        seen = its["predicted"]
        share = "" if seen["within_2_std"] is None else f"{seen['within_2_std']:.0%}"
        table.add_row(
            safe(name), safe(its["model"] or "not chosen yet"), str(seen["n"]), _number(seen["rank_correlation"]), share
        )
    return table


def _history(metrics: dict[str, Any]) -> Table:
    families = list(dict.fromkeys(f for its in metrics.values() for look in its["history"] for f in look["scores"]))
    table = Table()
    for heading in ("metric", "evaluations", *families, "chosen"):
        table.add_column(safe(heading), justify="right" if heading in ("evaluations", *families) else "left")
    for name, its in metrics.items():
        for i, look in enumerate(its["history"]):
            cells = [_score(look["scores"].get(f)) for f in families]
            table.add_row(safe(name) if i == 0 else "", str(look["n"]), *cells, safe(look["chosen"]))
        table.add_section()
    return table


def _score(scores: dict[str, Any] | None) -> str:
    return f"{_number(scores['rank_correlation'])} ({_number(scores['log_likelihood'])})" if scores else ""


def _importances(metrics: dict[str, Any]) -> Table:
    """Give the variables as rows, those that matter most to any metric first."""
    table = Table()
    shares = {name: its["importances"] for name, its in metrics.items() if its["importances"]}
    largest: dict[str, float] = {}
    for its_shares in shares.values():
        for variable, share in its_shares.items():
            largest[variable] = max(share, largest.get(variable, 0.0))
    ranked = sorted(largest, key=lambda variable: -largest[variable])
    table.add_column("variable")
    for name in shares:
        table.add_column(safe(name), justify="right")
    for variable in ranked[:MAX_VARIABLES]:
        table.add_row(safe(variable), *(f"{its.get(variable, 0.0):.0%}" for its in shares.values()))
    if len(ranked) > MAX_VARIABLES:
        table.add_row(f"and {len(ranked) - MAX_VARIABLES} more; --json has all", *("" for _ in shares))
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
