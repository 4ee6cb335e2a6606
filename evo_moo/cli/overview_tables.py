"""Prints what there is: runs, groups of a batch, parts of a run folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evo_moo.cli.console import cell, new_table, open_console, safe
from evo_moo.errors import EvoMooError
from evo_moo.problem.goals import Goals
from evo_moo.storage.facts import RunFacts, run_state
from evo_moo.storage.folder_lock import holder_of
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import reading
from evo_moo.storage.run_folder import run_dirs

if TYPE_CHECKING:
    from evo_moo.analysis.batch_summary import GroupRow, RunRow
    from evo_moo.run.doctor import Finding


def print_runs(root: Path) -> None:
    """Print one row per run below ``root``: state, progress, best value of each objective."""
    from evo_moo.analysis.run_front import RunFront

    table = new_table(("run", "problem", "state", "evaluations", "hypervolume", "best"))
    for path in run_dirs(root):
        try:
            with reading(path) as ledger:
                facts, ended = ledger.facts(), ledger.cost_of_ended()
                has_begun = facts.has_begun or ended > 0  # an evaluation without what it began with is damage
                front = RunFront.of_ledger(ledger) if has_begun else None
                words = front.hypervolume_in_words().partition(" ")[0] if front else ""
                best = _best(ledger, facts.goals) if has_begun else ""
                table.add_row(*map(safe, _run_row(path, facts, ended, words, best)))
        except EvoMooError as error:
            table.add_row(safe(path.name), "", "damaged", "", "", safe(str(error)))
    console = open_console()
    console.print(table if table.row_count else f"No runs in {safe(str(root))}.")
    if table.row_count:
        console.print("Hypervolume: as a share of the run's own box, which evo-moo show names.")


def print_findings(findings: "list[Finding]") -> None:
    """Print one row per part of a run folder: whether it is intact, and what was seen."""
    table = new_table(("part", "", "seen"))
    for finding in findings:
        table.add_row(finding.what, "sound" if finding.sound else "damaged", safe(finding.detail))
    open_console().print(table)


def print_batch(groups: "Sequence[GroupRow]", rows: "Sequence[RunRow]") -> None:
    """Print a batch's groups with their means, and then why runs are not finished."""
    console = open_console()
    headings = ("group", "runs", "n_evals", "hypervolume", "front", "failed evaluations", "time (s)")
    table = new_table(headings, left=["group"])
    for group in groups:
        spread = "" if group.hypervolume_sd is None else f" ± {group.hypervolume_sd:.4f}"
        volume = "" if group.hypervolume is None else f"{group.hypervolume:.4f}{spread}"
        count = str(group.runs) if group.finished == group.runs else f"{group.finished} of {group.runs}"
        means = [cell(mean) for mean in (group.n_front, group.n_failed, group.time_s)]
        table.add_row(safe(group.group), count, cell(group.n_evals), volume, *means)
    console.print(table)
    console.print(
        "Means over the finished runs; hypervolume ± standard deviation, as a share of one box per problem, around the "
        "first generations of all its runs."
    )
    for row in rows:
        if row.state != "finished" or row.reason:
            console.print(safe(f"{row.name}: {row.state}{f': {row.reason}' if row.reason else ''}"))


def _best(ledger: Ledger, goals: Goals) -> str:
    """Return the best value of each objective; empty where nothing keeps the limits."""
    best: dict[str, float] = {}
    for e in ledger.feasible():
        best = goals.best_kept([e.metrics], best)
    return ", ".join(f"{name} {value:.4g}" for name, value in best.items())


def _run_row(path: Path, facts: RunFacts, done: float, volume: str, best: str) -> list[str]:
    state = run_state(facts.state, holder_of(path) is not None)
    total = facts.job.get("budget", {}).get("n_evals")
    return [path.name, facts.problem, state, f"{done:g}/{total}" if total else f"{done:g}", volume, best]
