"""Prints a run's models, and the front that they expect."""

from typing import Any

from rich.table import Table

from evo_moo.analysis.surrogate_quality import ModelQuality, SurrogateQuality
from evo_moo.cli.console import cell, new_table, open_console, safe


def print_expected(data: dict[str, Any]) -> None:
    """Print the expected front."""
    console = open_console()
    console.print(f"Pareto front by what the models expect of noisy objectives: {len(data['front'])}")
    beside = ["front in"] if any("contexts" in member for member in data["front"]) else []
    headings = [heading for name in data["objectives"] for heading in (name, "measured")]
    table = new_table(["id", *beside, *headings], left=beside)
    for member in data["front"]:
        cells = [str(member["id"]), *([safe(", ".join(member["contexts"]))] if beside else [])]
        for metric in member["metrics"].values():
            expected = cell(metric["expected"]) + ("" if metric["sd"] is None else f" ± {metric['sd']:.2g}")
            cells += [expected, cell(metric["measured"])]
        table.add_row(*cells)
    console.print(table)
    for name, known in data["objectives"].items():
        words = f"expected by the model {known['model']}, ± its standard deviation" if known["model"] else ""
        console.print(safe(f"{name}: {words or 'as measured: ' + known['why']}"))


NO_SURROGATE = (
    "This run had no surrogate models: its job has no [surrogate]. `evo-moo run … --surrogate auto` searches with them."
)


def print_surrogate(quality: SurrogateQuality) -> None:
    """Print the quality of the models, and how good they were over time."""
    console = open_console()
    metrics = quality.metrics
    if quality.settings is None:
        console.print(NO_SURROGATE, markup=False)
        return
    console.print("Predicted beside measured (inside 2 sd: 95 % is right, and less where the metric itself is noisy)")
    console.print(_models(metrics))
    if any(model.history for model in metrics.values()):
        console.print("Rank correlation (and mean log-likelihood) in cross-validation, of each model that was tried")
        console.print(_history(metrics, quality.learnt))
    else:
        console.print("No model was chosen yet: they learn from the first population.")
    for name, model in metrics.items():
        if model.n_far_out:
            words = "values are so poor that they are learnt as failures: as places to keep away from"
            console.print(safe(f"{name}: {model.n_far_out} {words}"))
        if model.earlier:
            weights = ", ".join(f"{run} {weight:.0%}" for run, weight in model.earlier.items() if weight)
            console.print(safe(f"{name}: begins from {weights or 'no earlier run: without, it is predicted better'}"))
        for fault in model.faults:
            console.print(safe(f"{name}: {fault}"))
    for words in quality.earlier:
        console.print(safe(f"Models learn {words}"))
    console.print("Which variables matter: evo-moo importance RUN", highlight=False)


def _models(metrics: dict[str, ModelQuality]) -> Table:
    table = new_table(("metric", "model", "predicted", "rank correlation", "inside 2 sd"), left=("metric", "model"))
    for name, model in metrics.items():
        seen = model.predicted
        share = "" if seen.within_2_std is None else f"{seen.within_2_std:.0%}"
        chosen = safe(model.model or "not chosen yet")
        table.add_row(safe(name), chosen, str(seen.n), _number(seen.rank_correlation), share)
    return table


def _history(metrics: dict[str, ModelQuality], learnt: str) -> Table:
    families = list(dict.fromkeys(f for model in metrics.values() for look in model.history for f in look.scores))
    table = new_table(("metric", learnt, *families, "chosen"), left=("metric", "chosen"))
    for name, model in metrics.items():
        for i, look in enumerate(model.history):
            cells = [_score(look.scores.get(f)) for f in families]
            table.add_row(safe(name) if i == 0 else "", str(look.n), *cells, safe(look.chosen))
        table.add_section()
    return table


def _score(scores: dict[str, Any] | None) -> str:
    return f"{_number(scores['rank_correlation'])} ({_number(scores['log_likelihood'])})" if scores else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
