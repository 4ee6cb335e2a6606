"""What drives the trade-offs, as tables for the terminal."""

import itertools
from typing import Any

from rich.console import Console
from rich.table import Table

from evo_moo.analysis.importance.importances import learnt_in_words
from evo_moo.cli.console import new_table, open_console, pairs, safe
from evo_moo.text import shown_option

MAX_VARIABLES = 20
MAX_PAIRS = 5
LEAST_PAIR = 0.01
WORDS = """\
Importance: the share of a metric's variance that is lost when its model is told wrong values of the variable, on
configurations that it did not learn, ± standard error, which allows for effects that the model has not learnt; (in
parentheses: it may be nothing). Alone: the share that the
variable explains by itself (fANOVA), ± standard deviation over the trees. A variable that exists only in some
configurations is told over those."""


def print_importances(data: dict[str, Any]) -> None:
    """Print importances: a table of variables, then the models, and what pairs of variables do."""
    console = open_console()
    shown = {name: metric for name, metric in data["metrics"].items() if metric["variables"]}
    left_out = "".join(f", {n} {status} left out" for status, n in data["left_out"].items())
    console.print(
        f"What drives the metrics over {data['over']}, from {data['n_evaluated']} configurations{safe(left_out)}"
    )
    if shown:
        console.print(_importances(shown))
    for name, metric in data["metrics"].items():
        console.print(safe(f"{name}: {_basis(metric)}"), highlight=False)
        large = [pair for pair in metric["pairs"] if pair["share"] >= LEAST_PAIR][:MAX_PAIRS]
        if large:
            words = ", ".join(f"{p['one']} with {p['other']} {_share(p['share'], p['sd'])}" for p in large)
            console.print(safe(f"    only together: {words}"), highlight=False)
    if shown:
        console.print(WORDS, highlight=False, soft_wrap=True)


def print_dependence(data: dict[str, Any]) -> None:
    """Print partial dependences: where each metric's mean is the least and the most."""
    console, shown = open_console(), {name: metric for name, metric in data.items() if metric["curves"]}
    table = new_table(("variable", *shown, "not tried"))
    for variable in dict.fromkeys(name for metric in shown.values() for name in metric["curves"]):
        curves = [metric["curves"].get(variable) for metric in shown.values()]
        untried = next(curve["untried"] for curve in curves if curve)
        table.add_row(safe(variable), *(safe(_ends(curve)) for curve in curves), safe(untried))
    if shown:
        console.print("Mean prediction over the evaluated configurations, by the value of one variable")
        console.print(table)
    _print_nothing(console, {name: metric["nothing"] for name, metric in data.items() if metric["nothing"]})


def print_changes(data: dict[str, Any]) -> None:
    """Print local changes: the evaluation, and what each change is predicted to do."""
    console, metrics = open_console(), data["metrics"]
    console.print(safe(f"Around evaluation {data['id']}: {pairs(data['configuration'])}"), highlight=False)
    for name, metric in metrics.items():
        measured = "" if metric["measured"] is None else f"measured {shown_option(metric['measured'])}, "
        predicted = f"{shown_option(metric['predicted'])} ± {metric['sd']:.2g}"
        console.print(safe(f"{name}: {measured}predicted {predicted}"), highlight=False)
    table = new_table(("variable", "from", "to", *metrics, "besides"))
    for change in data["changes"]:
        effects = [_effect(change["effects"][name]) for name in metrics]
        ends = [safe(shown_option(change["value"])), safe(shown_option(change["becomes"]))]
        table.add_row(safe(change["variable"]), *ends, *effects, safe(_notes(change)))
    if metrics:
        console.print(table)
        console.print("Predicted change, and between which values it lies with 90 %; an asterisk: all of one sign")
    _print_nothing(console, data["nothing"])


def _importances(shown: dict[str, Any]) -> Table:
    rows = {name: {row["variable"]: row for row in metric["variables"]} for name, metric in shown.items()}
    largest: dict[str, float] = {}
    for variable, row in itertools.chain(*(by_variable.items() for by_variable in rows.values())):
        value = -1.0 if row["importance"] is None else row["importance"]
        largest[variable] = max(value, largest.get(variable, -1.0))
    ranked = sorted(largest, key=lambda variable: -largest[variable])
    columns = [heading for name in shown for heading in (name, "alone")]
    table = new_table(["variable", *columns, "exists in"], left=["variable"])
    for variable in ranked[:MAX_VARIABLES]:
        each = [by_variable[variable] for by_variable in rows.values()]
        cells = [words for row in each for words in (_importance(row), _share(row["main"], row["main_sd"]))]
        exists = each[-1]["exists_in"]
        table.add_row(safe(variable), *cells, "" if exists == 1 else f"{exists:.0%}")
    if len(ranked) > MAX_VARIABLES:
        table.add_row(f"and {len(ranked) - MAX_VARIABLES} more; --json has all")
    return table


def _basis(metric: dict[str, Any]) -> str:
    if metric["nothing"]:
        tau = "" if metric["rank_correlation"] is None else f" (rank correlation {metric['rank_correlation']:.2f})"
        return str(metric["nothing"]) + tau
    words = f"{metric['model']} ranks what it did not learn with a correlation of {metric['rank_correlation']:.2f}"
    words += f"; {metric['unexplained']:.0%} of the variance is unexplained"
    words += "; shares are of the variance of its logarithm" if metric["log"] else ""
    words += f"; {learnt}" if (learnt := learnt_in_words(metric)) else ""
    if not any(row["main"] is not None for row in metric["variables"]):
        words += "; the forest of fANOVA ranks no better than chance, so its shares are not told"
    return words


def _importance(row: dict[str, Any]) -> str:
    if row["importance"] is None:
        return f"of {row['n']} only"
    words = _share(row["importance"], row["error"])
    return words if row["importance"] > 2 * row["error"] else f"({words})"


def _share(value: float | None, spread: float | None) -> str:
    if value is None or spread is None:
        return ""
    return f"{round(100 * value)} ± {round(100 * spread)} %"


def _ends(curve: dict[str, Any] | None) -> str:
    if curve is None:
        return ""
    at = sorted(zip(curve["mean"], curve["value"], strict=True), key=lambda point: point[0])
    return " to ".join(f"{shown_option(mean)} at {shown_option(value)}" for mean, value in (at[0], at[-1]))


def _effect(effect: dict[str, float]) -> str:
    sure = "*" if effect["low"] > 0 or effect["high"] < 0 else ""
    return f"{effect['change']:+.3g}{sure} ({effect['low']:+.3g} .. {effect['high']:+.3g})"


def _notes(change: dict[str, Any]) -> str:
    notes = [f"with {name}={shown_option(value)}" for name, value in change["new"].items()]
    notes += [f"without {', '.join(change['gone'])}"] if change["gone"] else []
    return ", ".join(notes if change["tried"] else [*notes, "never tried: extrapolated"])


def _print_nothing(console: Console, nothing: dict[str, str]) -> None:
    for name, why in nothing.items():
        console.print(safe(f"{name}: {why}"), highlight=False)
