"""What the records say: shares of the true hypervolume, evaluations to reach them, ranks and cost."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.search.methods import METHODS

Record = Mapping[str, Any]
BUDGETS = (50, 100, 200)
LEVELS = (0.90, 0.95, 0.99)
TIE = 0.005
"""Medians as near as this to the best of their group share a rank."""
N_DRAWN = 200
"""Draws of seeds behind an interval of ranks."""


def curve(record: Record, n: int) -> np.ndarray:
    """Give the ``(n,)`` shares after each evaluation; where a run ended early, what it had stays."""
    shares = record["shares"][:n]
    return np.array(shares + [shares[-1] if shares else 0.0] * (n - len(shares)))


def median_share(runs: Sequence[Record], n: int) -> float:
    """Give the median share after ``n`` evaluations."""
    return float(np.median([curve(run, n)[-1] for run in runs]))


def evaluations_to(record: Record, level: float) -> float:
    """Count the evaluations until a share is reached; infinite if it never is."""
    reached = np.flatnonzero(np.array(record["shares"]) >= level)
    return float(reached[0] + 1) if len(reached) else np.inf


def ranks(medians: Mapping[str, float]) -> dict[str, float]:
    """Rank methods by their median, 1 the best; those within ``TIE`` of the best of a group share the mean rank."""
    order = sorted(medians, key=lambda method: -medians[method])
    found: dict[str, float] = {}
    while order:
        tied = [method for method in order if medians[order[0]] - medians[method] <= TIE + 1e-12]
        found |= dict.fromkeys(tied, len(found) + (len(tied) + 1) / 2)
        order = order[len(tied) :]
    return found


def budgets_of(runs: Sequence[Record]) -> list[int]:
    """Give the numbers of evaluations to report: the usual ones that all runs were asked for, or the largest."""
    longest = min(run["n_evals"] for run in runs)
    return [n for n in BUDGETS if n <= longest] or [longest]


def average_ranks(problems: Mapping[str, Mapping[str, Sequence[Record]]], n: int) -> tuple[dict[str, float], list[str]]:
    """Average the ranks at ``n`` evaluations over the problems that every method has a record of.

    Returns:
        Method to rank, and the problems that count.
    """
    methods = {method for runs_of in problems.values() for method in runs_of}
    complete = [name for name, runs_of in problems.items() if set(runs_of) == methods]
    each = [ranks({method: median_share(runs, n) for method, runs in problems[name].items()}) for name in complete]
    return {method: float(np.mean([rank[method] for rank in each])) for method in methods if each}, complete


def rank_intervals(problems: Mapping[str, Mapping[str, Sequence[Record]]], n: int) -> dict[str, tuple[float, float]]:
    """Give 95 % intervals of the average ranks, by drawing the seeds of each search anew (Efron 1979)."""
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = defaultdict(list)
    for _ in range(N_DRAWN):
        again = {
            name: {method: [runs[i] for i in rng.integers(len(runs), size=len(runs))] for method, runs in each.items()}
            for name, each in problems.items()
        }
        for method, rank in average_ranks(again, n)[0].items():
            drawn[method].append(rank)
    ends = {method: np.quantile(values, [0.025, 0.975]).tolist() for method, values in drawn.items()}
    return {method: (low, high) for method, (low, high) in ends.items()}


def grouped(records: Sequence[Record]) -> dict[int, dict[str, dict[str, list[Record]]]]:
    """Sort records by batch, problem and method, in the order of ``METHODS``."""
    groups: dict[int, dict[str, dict[str, list[Record]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for record in sorted(records, key=lambda record: (record["batch"], list(METHODS).index(record["method"]))):
        groups[record["batch"]][record["problem"]][record["method"]].append(record)
    return groups


def text(records: Sequence[Record]) -> str:
    """Write the tables."""
    if not records:
        return "no records"
    lines = [
        "share of the true hypervolume (reference 1.1 where the true front spans 0 to 1): median [quartiles] of seeds",
        "initial design of the methods with models: 2 (d + 1), at most 20; CPU s: the optimiser's, per evaluation",
        f"ranks: of medians, those within {TIE} of the best of their group share theirs",
    ]
    for batch, problems in grouped(records).items():
        for name, runs_of in problems.items():
            lines += ["", f"{name}, batch {batch}", *_table(runs_of)]
        lines += _rank_table(problems, batch)
    notes = {record["method"]: METHODS[record["method"]].note for record in records}
    lines += ["", *(f"{method}: {note}" for method, note in notes.items() if note)]
    return "\n".join(lines)


def _table(runs_of: Mapping[str, Sequence[Record]]) -> list[str]:
    budgets = budgets_of([run for runs in runs_of.values() for run in runs])
    heads = [*(f"at {n}" for n in budgets), *(f"to {level:.0%}" for level in LEVELS), "CPU s"]
    widths = [17] * len(budgets) + [7] * (len(LEVELS) + 1)
    lines = [_row("", ["seeds", *heads], [5, *widths])]
    for method, runs in runs_of.items():
        cells = [str(len(runs))]
        for n in budgets:
            low, middle, high = np.quantile([curve(run, n)[-1] for run in runs], [0.25, 0.5, 0.75])
            cells.append(f"{middle:.3f} [{low:.3f} {high:.3f}]")
        for level in LEVELS:
            # No interpolation: it would make nothing of infinity.
            n_needed = np.quantile([evaluations_to(run, level) for run in runs], 0.5, method="higher")
            cells.append(f"{n_needed:.0f}" if np.isfinite(n_needed) else "-")
        n_done = sum(run["n"] for run in runs)
        cells.append(f"{sum(run['cpu_s'] for run in runs) / n_done:.4f}" if n_done else "-")
        lines.append(_row(method, cells, [5, *widths]) + _remarks(runs))
    return lines


def _remarks(runs: Sequence[Record]) -> str:
    """Name every run that did not end well."""
    bad = [f"seed {run['seed']} {run['status']}: {run.get('reason', '')}" for run in runs if run["status"] != "ok"]
    return f"  ! {'; '.join(bad)}" if bad else ""


def _row(head: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"  {head:18}" + " ".join(f"{cell:>{width + 2}}" for cell, width in zip(cells, widths, strict=True))


def _rank_table(problems: Mapping[str, Mapping[str, Sequence[Record]]], batch: int) -> list[str]:
    budgets = budgets_of([run for runs_of in problems.values() for runs in runs_of.values() for run in runs])
    columns = [average_ranks(problems, n) for n in budgets]
    intervals = [rank_intervals(problems, n) for n in budgets]
    complete = columns[-1][1]
    if not complete:
        return ["", f"no average ranks, batch {batch}: no problem has records of every method"]
    lines = ["", f"average rank over {len(complete)} problems, batch {batch}"]
    if left := [name for name in problems if name not in complete]:
        lines.append(f"  left out, since some method has no record: {', '.join(left)}")
    lines.append(_row("", [f"at {n} [95 %]" for n in budgets], [17] * len(budgets)))
    last = columns[-1][0]
    best_first = sorted(last, key=lambda method: last[method])
    for method in best_first:
        cells = [
            "{:.2f} [{:.2f} {:.2f}]".format(found[method], *interval[method])
            for (found, _), interval in zip(columns, intervals, strict=True)
        ]
        lines.append(_row(method, cells, [17] * len(budgets)))
    return lines


def plot(records: Sequence[Record], path: Path) -> None:
    """Draw the median share with its quartiles over the evaluations: a row for each batch, a panel for each problem."""
    from matplotlib.figure import Figure

    groups = grouped(records)
    panels = [(batch, name, runs_of) for batch, problems in groups.items() for name, runs_of in problems.items()]
    n_columns = min(4, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = Figure(figsize=(4 * n_columns, 3 * n_rows + 1), layout="constrained")
    axes = np.ravel(figure.subplots(n_rows, n_columns, squeeze=False))
    for axis, (batch, name, runs_of) in zip(axes, panels, strict=False):
        for method, runs in runs_of.items():
            n = max(run["n_evals"] for run in runs)
            low, middle, high = np.quantile([curve(run, n) for run in runs], [0.25, 0.5, 0.75], axis=0)
            evaluations, color = np.arange(1, n + 1), f"C{list(METHODS).index(method)}"
            axis.plot(evaluations, middle, color=color, label=method, linewidth=1.2)
            axis.fill_between(evaluations, low, high, color=color, alpha=0.12, linewidth=0)
        axis.set_title(f"{name}, batch {batch}", fontsize=10)
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("evaluations", fontsize=9)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    lines = {line.get_label(): line for axis in axes for line in axis.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=5, fontsize=9)
    figure.supylabel("share of the true hypervolume", fontsize=10)
    figure.savefig(path, dpi=110)
