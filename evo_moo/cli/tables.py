"""Tables for the terminal."""

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from evo_moo.analysis.run_front import RunFront
from evo_moo.cli.console import cell, heading, open_console, pairs, safe
from evo_moo.errors import EvoMooError
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts, run_state
from evo_moo.storage.folder_lock import holder_of
from evo_moo.storage.reading import reading
from evo_moo.storage.run_folder import run_dirs

if TYPE_CHECKING:
    from evo_moo.analysis.batch_summary import GroupRow, RunRow
    from evo_moo.run.doctor import Finding
MAX_ROWS, MAX_REASONS = 40, 10
WIDEST = 16
"""Characters of a metric's column; longer names are folded."""
FOR_CONFIGURATION = 50
"""Characters of a front's table that are kept for ids and configurations."""


def print_front(result: RunFront) -> None:
    """Print the front as a table: objectives, what else has room, configuration; then how evaluations ended."""
    console = open_console()
    if not result.front:
        console.print("No evaluation has ended well.")
    else:
        names = list(dict.fromkeys([*result.goals.metric_names, *(name for m in result.metrics for name in m)]))
        shown = _that_fit(names, result, console.width - FOR_CONFIGURATION)
        console.print(_title(result))
        table = Table()
        table.add_column("id", justify="right")
        for name in shown:
            table.add_column(
                safe(heading(name, result.known_metrics)), justify="right", overflow="fold", max_width=WIDEST
            )
        table.add_column("configuration", overflow="fold")
        for e in result.front[:MAX_ROWS]:
            spread = result.spread.get(e.id, {})
            cells = [f"{cell(e.metrics.get(n))}{f' ± {spread[n]:.2g}' if n in spread else ''}" for n in shown]
            words = pairs(e.configuration)
            table.add_row(str(e.id), *cells, safe(words))
        console.print(table)
        if len(result.front) > MAX_ROWS:
            console.print(f"and {len(result.front) - MAX_ROWS} more; --csv prints all")
        if len(shown) < len(names):
            console.print(f"{len(names) - len(shown)} metrics had no room here; --csv prints all")
    share = result.share_of_true_hypervolume()
    if share is not None and result.true_front is not None:
        console.print(f"Hypervolume: {share:.2%} of that of the true front ({len(result.true_front)} points)")
    _print_endings(console, result)


def print_runs(root: Path) -> None:
    """Print one row per run below ``root``: state, progress, best value of each objective."""
    table = Table()
    for title in ("run", "problem", "state", "evaluations", "best"):
        table.add_column(title, overflow="fold")
    for path in run_dirs(root):
        try:
            with reading(path) as ledger:
                ended = ledger.cost("status != 'asked'")
                table.add_row(*map(safe, _run_row(path, ledger.facts(), ended, ledger.evaluations("status = 'ok'"))))
        except EvoMooError as error:
            table.add_row(safe(path.name), "", "damaged", "", safe(str(error)))
    if table.row_count:
        open_console().print(table)
    else:
        open_console().print(f"No runs in {safe(str(root))}.")


def print_findings(findings: "list[Finding]") -> None:
    """Print one row per part of a run folder: whether it is intact, and what was seen."""
    table = Table()
    for title in ("part", "", "seen"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        table.add_row(finding.what, "sound" if finding.sound else "damaged", safe(finding.detail))
    open_console().print(table)


def print_provenance(story: dict[str, Any]) -> None:
    """Print all that is known of one evaluation, as ``provenance`` returns it."""
    console, table = open_console(), Table(show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    member = story["survived"]
    facts = {
        "evaluation": f"{story['id']}, of generation {story['generation']}",
        "configuration": pairs(story["configuration"]),
        "why": story["why"],
        "parents": _relatives(story["parents"]),
        "seed": story["seed"],
        "worker": f"process {story['worker']}, attempt {story['attempts']}" if story["worker"] else "",
        "asked": _when(story["asked_at"]),
        "started": _when(story["started_at"]),
        "took": f"{story['duration_s']:.4g} s" if story["duration_s"] is not None else "",
        "ended": f"{story['status']}{': ' if story['reason'] else ''}{story['reason']}",
        "metrics": pairs(story["metrics"]),
        "fidelity": _fidelity(story),
        "prediction": _predicted(story["prediction"]),
        "limits": "kept" if story["feasible"] else f"exceeded by {story['violation']}" if story["violation"] else "",
        "front": "on it" if story["on_front"] else "not on it",
        "population": f"in those of generations {member[0]} to {member[-1]}" if member else "never in it",
        "children": _relatives(story["children"]),
        "events": "; ".join(f"{kind} {detail}" for _, kind, detail in story["events"]),
        "traceback": story["traceback"].rstrip(),
        "output": story["output"].rstrip(),
    }
    for what, value in facts.items():
        if value != "":
            table.add_row(what, safe(str(value)))
    console.print(table)


def print_batch(groups: "Sequence[GroupRow]", rows: "Sequence[RunRow]") -> None:
    """Print a batch's groups with their means, and then why runs are not finished."""
    console = open_console()
    table = Table()
    for title in ("group", "runs", "n_evals", "hypervolume", "front", "failed evaluations", "time (s)"):
        table.add_column(title, justify="left" if title == "group" else "right", overflow="fold")
    for group in groups:
        spread = "" if group.hypervolume_sd is None else f" ± {group.hypervolume_sd:.4f}"
        volume = "" if group.hypervolume is None else f"{group.hypervolume:.4f}{spread}"
        count = str(group.runs) if group.finished == group.runs else f"{group.finished} of {group.runs}"
        means = [cell(mean) for mean in (group.n_front, group.n_failed, group.time_s)]
        table.add_row(safe(group.group), count, cell(group.n_evals), volume, *means)
    console.print(table)
    console.print("Means over the finished runs; hypervolume ± standard deviation, as a share of one box per problem.")
    for row in rows:
        if row.state != "finished":
            console.print(safe(f"{row.name}: {row.state}{f': {row.reason}' if row.reason else ''}"))


def _that_fit(names: Sequence[str], result: RunFront, room: int) -> list[str]:
    """Return the metrics whose columns fit into so many characters, in their order, the objectives in any case."""
    shown = []
    objectives = {objective.metric for objective in result.goals.objectives}
    for name in names:
        room -= min(len(heading(name, result.known_metrics)), WIDEST) + len(" │ ")
        if name in objectives or room >= 0:
            shown.append(name)
    return shown


def _title(result: RunFront) -> str:
    ended = sum(n for (status, _), n in result.endings.items() if status != "asked")
    if not result.feasible:
        return f"Nothing of {ended} evaluations keeps the limits; the nearest: {len(result.front)}"
    title = f"Pareto front: {len(result.front)} of {ended} evaluations"
    objectives = result.goals.objectives
    if all(objective.goal is None for objective in objectives):
        return title
    reaching = sum(all(o.reached(m[o.metric]) for o in objectives) for m in result.metrics)
    return f"{title}; {reaching} reach every goal"


def _print_endings(console: Console, result: RunFront) -> None:
    """Print how many evaluations did not end well, by reason."""
    failures = result.failures()
    for failure in failures[:MAX_REASONS]:
        console.print(safe(f"{failure.n} {failure.status}: {failure.reason}"))
    if len(failures) > MAX_REASONS:
        console.print(f"and {len(failures) - MAX_REASONS} other reasons")


def _run_row(path: Path, facts: RunFacts, done: float, ok: Iterable[Evaluation]) -> list[str]:
    state = run_state(facts.state, holder_of(path) is not None)
    total = facts.job.get("budget", {}).get("n_evals")
    metrics = [e.metrics for e in ok if e.feasible]
    objectives = facts.goals.objectives if metrics else ()
    best = [f"{o.metric} {o.best(m[o.metric] for m in metrics):.4g}" for o in objectives]
    return [path.name, facts.problem, state, f"{done:g}/{total}" if total else f"{done:g}", ", ".join(best)]


def _relatives(relatives: list[dict[str, Any]]) -> str:
    lines = [f"{r['id']} {r['status']}: {pairs(r['objectives'])}" for r in relatives[:MAX_ROWS]]
    more = [f"and {len(relatives) - MAX_ROWS} more; --json has all"] if len(relatives) > MAX_ROWS else []
    return "\n".join(lines + more) or "none"


def _fidelity(story: dict[str, Any]) -> str:
    if story["fidelity"] is None:
        return ""
    risen = f", rose from {story['continues']}" if story["continues"] and not story["replicate"] else ""
    again = f", repetition {story['replicate']} of {story['continues']}" if story["replicate"] else ""
    return f"{story['fidelity']}{risen}{again}, at the cost of {story['cost']:.3g} full evaluations"


def _predicted(prediction: dict[str, dict[str, float | None]] | None) -> str:
    lines = []
    for name, p in (prediction or {}).items():
        off = "" if p["off_by_std"] is None else f", {p['off_by_std']:+.2g} standard deviations off"
        lines.append(f"{name}: {p['mean']:.4g} +- {p['std']:.2g} expected, {cell(p['value']) or 'nothing'} came{off}")
    return "\n".join(lines)


def _when(at: float | None) -> str:
    if not at:
        return ""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
