"""The command that chooses a model of a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evo_moo.cli.runs import AsJson, InContext, RunDir, folder_of

if TYPE_CHECKING:
    from evo_moo.analysis.choice import Decision
    from evo_moo.analysis.result import Result
    from evo_moo.analysis.weight_sweep import Reach

VALUES = "NAME=VALUE,..."


HardLimits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="LIMIT", help='Hard limit on any metric, as "latency_ms <= 20"; repeatable.'),
]
Weights = Annotated[str | None, typer.Option(metavar=VALUES, help="How much each objective counts.")]
Method = Annotated[str | None, typer.Option(help="With --weights: tchebycheff, weighted-sum, asf, pseudo-weights.")]
Aim = Annotated[str | None, typer.Option(metavar=VALUES, help="Values to be reached, a reference point.")]
Order = Annotated[str | None, typer.Option(metavar="NAME,...", help="Objectives, the most important first.")]
Tolerance = Annotated[str | None, typer.Option(metavar=VALUES, help="With --order: how far off the best is as good.")]
Knee = Annotated[bool, typer.Option("--knee", help="A knee of the front: a high trade-off point.")]


def pick(
    path: RunDir,
    context: InContext = None,
    limits: HardLimits = None,
    weights: Weights = None,
    method: Method = None,
    aim: Aim = None,
    order: Order = None,
    tolerance: Tolerance = None,
    knee: Knee = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Instead: which members a weighted sum can reach; draws RUN/sweep.png.")
    ] = False,
    record: Annotated[
        str | None, typer.Option("--record", metavar="REASON", help="Write the choice, and why, into the run's audit.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose a model from the front by limits and one rule; exit 1 if nothing keeps the limits.

    Without a rule, objectives without a limit count alike. Of a run with contexts name one by --context.
    """
    from evo_moo.analysis import choice
    from evo_moo.analysis.result import Result
    from evo_moo.cli.console import draw, show_data
    from evo_moo.errors import UsageError
    from evo_moo.storage.log import write_audit
    from evo_moo.storage.reading import guarded_reads

    path = folder_of(path)
    rules, faults = rules_of(limits, weights, method, aim, order, tolerance, knee)
    if sweep and rules.keys() - {"limits"}:
        faults.append("`--sweep` must go with --limit alone: it tries all weights")
    if faults:
        raise UsageError(*faults)
    with guarded_reads(path):
        result = Result.read(path).in_one(context)
        if sweep:
            from evo_moo.analysis.weight_sweep import sweep as reach
            from evo_moo.report.analysis_figures import sweep_figure

            members = reach(result, rules.get("limits", {}))
            data = [member.to_json() for member in members]
            show_data(data, lambda _: _print_sweep(members, result), as_json)
            draw(lambda: sweep_figure(result, members), path / "sweep.png")
            return
        decision = choice.pick(result, **rules)
        if record:
            write_audit(path, "pick", id=decision.chosen.id, rule=decision.rule, why=decision.why, reason=record)
        show_data(decision.to_json(), lambda _: _print_decision(decision, result), as_json)


def rules_of(
    limits: Sequence[str] | None,
    weights: str | None,
    method: str | None,
    aim: str | None,
    order: str | None,
    tolerance: str | None,
    knee: bool,
) -> tuple[dict[str, Any], list[str]]:
    """Return the rules of a choice, as ``choice.pick`` takes them, and what is wrong with their texts."""
    from evo_moo.analysis.choice import parse_limits

    bounds, faults = parse_limits(limits or [])
    given = {"weights": weights, "aim": aim, "tolerance": tolerance}
    tables = {key: _table(key, text, faults) for key, text in given.items()}
    rules: dict[str, Any] = {"limits": bounds, "method": method, "knee": knee}
    rules |= {"weights": tables["weights"], "aim": tables["aim"], "tolerances": tables["tolerance"]}
    rules["order"] = [name.strip() for name in order.split(",")] if order else ()
    return {name: value for name, value in rules.items() if value}, faults


def _table(key: str, text: str | None, faults: list[str]) -> dict[str, float] | None:
    """Read ``NAME=VALUE,...``; what is wrong joins the faults."""
    if text is None:
        return None
    table = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            table[name.strip()] = float(number)
        except ValueError:
            faults.append(f"`--{key}` must be NAME=VALUE, or several with commas between, but has {part!r}")
    return table


def _print_decision(decision: "Decision", result: "Result") -> None:
    from evo_moo.cli.console import cell, heading, new_table, open_console, pairs, safe
    from evo_moo.cli.front_table import trust_words
    from evo_moo.problem.points import key_in_words
    from evo_moo.text import digits_apart

    console, e = open_console(), decision.chosen
    console.print(safe(f"{key_in_words(e.id).capitalize()}: {pairs(e.configuration)}"), highlight=False)
    n = len(decision.ranking)
    among = f"{n} {'candidate' if n == 1 else 'candidates'}, the front of what keeps the limits"
    among += f" in {decision.context}" if decision.context else ""
    console.print(safe(f"Rule: {decision.rule}; among {among}"), highlight=False)
    console.print(safe(f"Why: {decision.why}"), highlight=False)
    runner_up = f"runner-up {decision.runner_up.id}" if decision.runner_up else "no runner-up"
    headings = ("objective", "chosen", "best of the run", "given up", "share of the front's range", runner_up)
    table = new_table(headings, left=["objective"])
    for trade in decision.trades:
        sd = decision.spread.get(trade.metric)
        trust = f" ± {sd:.2g}" if sd is not None else ""
        trust = trust_words(result, e.id, trade.metric) if e.id in result.doubts else trust
        digits = digits_apart([float(trade.value), float(trade.best), trade.runner_up])
        table.add_row(
            safe(f"{trade.direction} {heading(trade.metric, result.known_metrics)}"),
            cell(float(trade.value), digits) + trust,
            cell(float(trade.best), digits),
            cell(float(trade.given_up)),
            "" if trade.share is None else f"{trade.share:.1%}",
            cell(trade.runner_up, digits),
        )
    console.print(table)
    if e.id in result.doubts:
        console.print(safe(f"In doubt (?): {result.doubts_in_words([e])}"), highlight=False)
    named = {trade.metric for trade in decision.trades}
    if others := {name: value for name, value in e.metrics.items() if name not in named}:
        console.print(safe(f"Other metrics: {pairs(others)}"), highlight=False)


def _print_sweep(members: "Sequence[Reach]", result: "Result") -> None:
    from evo_moo.cli.console import cell, digits_of, heading, new_table, open_console, safe

    console = open_console()
    n_reached = sum(member.weights is not None for member in members)
    console.print(f"A weighted sum reaches {n_reached} of {len(members)} members of the front, whatever the weights")
    names, reaching = [objective.metric for objective in result.goals.objectives], "weights that reach it"
    table = new_table(["id", *(heading(name, result.known_metrics) for name in names), reaching], left=[reaching])
    digits = digits_of([member.evaluation.metrics for member in members])
    for member in members:
        words = "none: it lies behind the convex hull"
        if member.weights is not None:
            words = ",".join(f"{name}={weight:.4g}" for name, weight in member.weights.items())
        values = [cell(float(member.evaluation.metrics[name]), digits[name]) for name in names]
        table.add_row(str(member.evaluation.id), *values, safe(words))
    console.print(table)
