"""Prints a Pareto front, and how the evaluations ended."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from evo_moo.analysis.fronts.endings import why_no_front
from evo_moo.analysis.run_front import RunFront
from evo_moo.analysis.statistics.choice_effects import ChoiceEffect, change_words
from evo_moo.cli.console import MAX_ROWS, cell, digits_of, heading, new_table, open_console, pairs, safe
from evo_moo.problem.points import Key
from evo_moo.text import FEWEST

MAX_REASONS = 10
WIDEST = 16
"""Characters of a metric's column; longer names are folded."""
BESIDE = len("│ 1000 │  │")
"""Characters of a table beside metrics and configurations."""
OF_CONFIGURATION = 0.5
"""Share of a table's width that configurations take at most."""


def print_front(result: RunFront) -> None:
    """Print the front as a table, with contexts one for each; then how evaluations ended."""
    console = open_console()
    for front in [result.within(name) for name in result.contexts] or [result]:
        _print_members(console, front)
    if words := result.doubts_in_words():
        console.print(safe(f"In doubt (?): {words}"))
    if words := result.hypervolume_in_words():
        console.print(safe(f"Hypervolume: {words}"))
    _print_share(console, result)
    if result.contexts and result.feasible:
        several = sum(len(names) > 1 for names in result.serves.values())
        console.print(f"{len(result.front)} {result.members} on the fronts, {several} of them on several")
    _print_endings(console, result)
    for change in result.code_changes:
        console.print(safe(f"The code changed, as accepted, {change}"))


def _print_share(console: Console, result: RunFront) -> None:
    """Print how much of the hypervolume of the true front is reached, where that is known."""
    share = result.share_of_true_hypervolume()
    if share is not None and result.true_front is not None:
        console.print(f"Hypervolume: {share:.2%} of that of the true front ({len(result.true_front)} points)")
    elif share is not None:
        each = [(name, result.within(name).share_of_true_hypervolume()) for name in result.contexts]
        words = ", ".join(f"{name} {value:.2%}" for name, value in each if value is not None)
        console.print(safe(f"Hypervolume: {share:.2%} of that of the true fronts, on average ({words})"))


def _print_members(console: Console, result: RunFront) -> None:
    """Print a front: objectives, what else has room, configuration."""
    if not result.front:
        console.print(f"There is no front: {why_no_front(result.endings)}.")
    else:
        names = list(dict.fromkeys([*result.goals.metric_names, *(name for m in result.metrics for name in m)]))
        names = [name for name in names if result.names.are_here(name)]
        members = result.front[:MAX_ROWS]
        others = [", ".join(n for n in result.serves.get(e.id, ()) if n != result.context) for e in members]
        digits, of_options = digits_of([e.metrics for e in members]), digits_of([e.configuration for e in members])
        columns = {
            name: [
                cell(e.metrics.get(name), digits.get(name, FEWEST)) + trust_words(result, e.id, name) for e in members
            ]
            for name in names
        }
        configurations = [safe(pairs(e.configuration, of_options)) for e in members]
        room = min(max(len("configuration"), *map(len, configurations)), int(OF_CONFIGURATION * console.width))
        beside = {"also on": [safe(words) for words in others]} if result.context else {}
        room += sum(len(" │ ") + max(map(len, [name, *words])) for name, words in beside.items())
        shown = _that_fit(columns, result, console.width - room - BESIDE)
        console.print(_title(result))
        headings = [heading(name, result.known_metrics) for name in shown]
        table = new_table(["id", *headings, *beside, "configuration"], left=[*beside, "configuration"])
        for column in table.columns[1 : 1 + len(headings)]:
            column.max_width = WIDEST
        for i, e in enumerate(members):
            of_others = [words[i] for words in beside.values()]
            table.add_row(str(e.id), *(columns[name][i] for name in shown), *of_others, configurations[i])
        console.print(table)
        if len(result.front) > MAX_ROWS:
            console.print(f"and {len(result.front) - MAX_ROWS} more; --csv prints all")
        if len(shown) < len(names):
            console.print(f"{len(names) - len(shown)} metrics had no room here; --csv prints all")


def print_choices(effects: Sequence[ChoiceEffect], result: RunFront) -> None:
    """Print what each value of each post-training variable gained and cost, the metrics of the goals first."""
    console, changed = open_console(), {name for effect in effects for name in effect.changes}
    names = [name for name in dict.fromkeys([*result.goals.metric_names, *result.known_metrics]) if name in changed]
    first = ["choice", "value", "trainings", "on the front", "not made"]
    room = console.width - sum(len(f"{word} │ ") for word in first)
    room -= max((len(e.variable) + len(e.value) for e in effects), default=0)
    columns = {name: [change_words(e.changes.get(name)) for e in effects] for name in names}
    metrics = _that_fit(columns, result, room)
    table = new_table([*first, *(heading(name, result.known_metrics) for name in metrics)], left=first[:2])
    for i, e in enumerate(effects):
        counts = str(e.n_trainings or ""), str(e.n_on_front), str(e.n_not_made or "")
        changes = [safe(change_words(e.changes.get(name))) for name in metrics]
        if not e.n_trainings and changes:
            changes[0] = "first point" if e.n_first else ""
        is_new = not i or effects[i - 1].variable != e.variable
        table.add_row(safe(e.variable) if is_new else "", safe(e.value), *counts, *changes)
    console.print(table)
    if len(metrics) < len(names):
        console.print(f"{len(names) - len(metrics)} metrics had no room here; --json prints all")
    console.print(
        "Median change, and as a share, from the first point of a training to the one with this value that is "
        "otherwise nearest to it."
    )


def trust_words(result: RunFront, evaluation_id: Key, name: str) -> str:
    """Return what is put behind a value: its standard deviation, or the mark and the interval of one in doubt."""
    if name in (doubts := result.doubts.get(evaluation_id, {})):
        low, high = doubts[name]
        return f"? ({cell(low)} to {cell(high)})"
    spread = result.spread.get(evaluation_id, {})
    return f" ± {spread[name]:.2g}" if spread.get(name) else ""


def _that_fit(columns: Mapping[str, Sequence[str]], result: RunFront, room: int) -> list[str]:
    """Return the metrics whose columns fit into so many characters, in their order, the objectives in any case."""
    shown = []
    objectives = {objective.metric for objective in result.goals.objectives}
    for name, cells in columns.items():
        texts = [heading(name, result.known_metrics), *cells]
        room -= min(max(map(len, texts)), WIDEST) + len(" │ ")
        if name in objectives or room >= 0:
            shown.append(name)
    return shown


def _title(result: RunFront) -> str:
    ended = sum(n for (status, _), n in result.endings.items() if status != "asked")
    told = f" and {result.n_told} told" if result.n_told else ""
    here = f" in {safe(result.context)}" if result.context else ""
    if not result.feasible:
        return f"Nothing of {ended} evaluations{told} keeps the limits{here}; the nearest: {len(result.front)}"
    points = " points" if result.has_points else ""
    title = f"Pareto front{here}: {len(result.front)}{points} of {ended} evaluations{told}"
    objectives = result.goals.objectives
    if all(objective.goal is None for objective in objectives):
        return title
    reaching = sum(all(o.reached(m[o.metric]) for o in objectives) for m in result.metrics)
    return f"{title}; {reaching} reach every goal"


def _print_endings(console: Console, result: RunFront) -> None:
    """Print how many evaluations did not end well, or lack a metric, by reason."""
    failures = [*result.failures(), *result.notes()]
    for failure in failures[:MAX_REASONS]:
        console.print(safe(f"{failure.n} {failure.status}: {failure.reason}"))
    if len(failures) > MAX_REASONS:
        console.print(f"and {len(failures) - MAX_REASONS} other reasons")
