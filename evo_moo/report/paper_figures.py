"""The figures of a report for papers: PNG and SVG by matplotlib, and the numbers beside them."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from matplotlib.figure import Figure

from evo_moo.analysis.figures import (
    FRONT,
    OTHERS,
    draw_front,
    literal,
    make_logarithmic,
    new_figure,
    new_panels,
    surrogate_figure,
)
from evo_moo.analysis.surrogate_quality import ModelQuality
from evo_moo.files import guarded_writes, save_figure, write_whole
from evo_moo.pareto import Array, drawn_in, thinned
from evo_moo.report.columns import Column
from evo_moo.report.content import Report, read_report
from evo_moo.storage.reading import csv_text, guarded_reads
from evo_moo.text import distinct_names
from evo_moo.values import METRIC

Rows = list[dict[str, Any]]
SECOND = "#0072b2"
MOST_AXES, MOST_LINES, MOST_BARS = 12, 1000, 20
_LINES = ("-", "--", ":", "-.")


def write_figures(run_dir: str | Path, folder: str | Path) -> list[Path]:
    """Write the figures of a run, which may still go on: ``NAME.png``, ``NAME.svg``, and ``NAME.csv`` with its numbers.

    ``report.json`` holds all that the report shows, see ``content.Report``.

    Args:
        run_dir: The run folder; it is only read.
        folder: Where to write; it is made, and files of these names are replaced.

    Returns:
        The files.

    Raises:
        RunFolderError: It is no run folder, holds no run that has begun, or a file cannot be written.
    """
    return draw_report(read_report(run_dir), run_dir, folder)


def draw_report(report: Report, run_dir: str | Path, folder: str | Path) -> list[Path]:
    """Write the figures of a report that is read; arguments and errors as for ``write_figures``."""
    folder = Path(folder)
    with guarded_reads(Path(run_dir)):
        drawn = _drawn(report)
    written = [folder / "report.json"]
    with guarded_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(written[0], report.to_json(orjson.OPT_INDENT_2))
        for name, (figure, rows) in drawn.items():
            for suffix in (".png", ".svg"):
                written.append(folder / (name + suffix))
                save_figure(figure, written[-1], dpi=200)
            if rows:
                written.append(folder / f"{name}.csv")
                write_whole(written[-1], csv_text(rows))
    return written


def _drawn(report: Report) -> dict[str, tuple[Figure, Rows]]:
    """Return the figures of what the run has: name to figure and numbers."""
    drawn = {} if report.contexts else _of_front(report)
    for name, in_file in distinct_names(report.contexts, r"[^\w.-]").items():
        drawn |= {f"{what}-{in_file}": figure for what, figure in _of_front(report.within(name)).items()}
    if report.failures:
        labels = [f"{failure.status}: {failure.reason}" for failure in report.failures]
        drawn["failures"] = _bars(labels, [asdict(failure) for failure in report.failures], "n")
    models = report.surrogate.metrics
    if any(model.pairs for model in models.values()):
        names = ("id", "predicted", "sd", "measured")
        pairs = [(metric, pair) for metric, model in models.items() for pair in model.pairs]
        rows = [{"metric": metric} | dict(zip(names, pair, strict=True)) for metric, pair in pairs]
        drawn["predicted"] = surrogate_figure(report.surrogate), rows
    if chosen := {name: model for name, model in models.items() if model.history}:
        drawn["choices"] = _choices(chosen, report.surrogate.learnt)
    if report.rungs and report.rungs["climbs"]:
        drawn["climbs"] = _climbs(report)
    for i, (name, shares) in enumerate(report.importances.shares.items(), 1):
        rows = [{"metric": name, "variable": variable, "share": share} for variable, share in shares.items()]
        drawn[f"importances-{i}"] = _bars(list(shares), rows, "share", f"importance for {name}")
    if report.timeline.entries:
        drawn["decisions"] = _decisions(report)
    return drawn


def _of_front(report: Report) -> dict[str, tuple[Figure, Rows]]:
    """Return the figures of a front, and of its history; those of one context name it."""
    drawn: dict[str, tuple[Figure, Rows]] = {}
    if report.result.front:
        n_obj = len(report.objectives)
        drawn["front"] = (_front(report) if n_obj <= 3 else _scatter_matrix(report)), report.result.rows()
        if n_obj == 3:
            drawn["pairs"] = _scatter_matrix(report), []
        drawn["parallel"] = _parallel(report), []
    if len(report.history.n):
        drawn["progress"] = _progress(report)
    for figure, _ in drawn.values():
        if report.result.context:
            figure.suptitle(literal(report.result.context), fontsize=10)
    return drawn


def _front(report: Report) -> Figure:
    n_obj = len(report.objectives)
    figure = new_figure(6, 4.5)
    draw_front(figure.add_subplot(projection="3d" if n_obj == 3 else None), report.result, n_obj)
    return figure


def _scatter_matrix(report: Report) -> Figure:
    objectives, table = report.objectives, report.columns
    n = len(objectives) - 1
    figure = new_figure(2.3 * n + 1, 2.1 * n + 0.6)
    for row in range(1, n + 1):
        for column in range(row):
            axes: Any = figure.add_subplot(n, n, (row - 1) * n + column + 1)
            x, y = objectives[column], objectives[row]
            for role, color, size in (("dominated", OTHERS, 6), ("front", FRONT, 12)):
                rows = table.rows(role)
                axes.scatter(*(drawn_in(table.metric(each.name).values[rows]) for each in (x, y)), s=size, color=color)
            for objective, which in ((x, "x"), (y, "y")):
                if objective.log:
                    make_logarithmic(axes, which)
            axes.set_xlabel(literal(x.words) if row == n else "")
            axes.set_ylabel(literal(y.words) if column == 0 else "")
    return figure


def _parallel(report: Report) -> Figure:
    """Draw the first variables and all objectives, each axis with its ends; what is not there lies under the axis."""
    table = report.columns
    arrows = {objective.name: " ↑" if objective.direction == "max" else " ↓" for objective in report.objectives}
    metrics = [column for column in table.metrics if column.name in arrows]
    variables = table.variables[: max(4, MOST_AXES - len(metrics))]
    chosen = [*variables, *metrics]
    columns, marks = zip(*(_axis(column) for column in chosen), strict=True)
    matrix, figure = np.column_stack(columns), new_figure(1.1 * len(chosen) + 1, 4.2)
    axes: Any = figure.add_subplot()
    for role, color, width in (("dominated", OTHERS, 0.4), ("front", FRONT, 1.2)):
        rows = table.rows(role)
        rows = rows[thinned(len(rows), MOST_LINES)]
        axes.plot(range(len(chosen)), matrix[rows].T, color=color, lw=width, alpha=0.6 if role == "dominated" else 1)
    for i, marks_of_axis in enumerate(marks):
        axes.axvline(i, color="black", lw=0.8)
        for height, text in marks_of_axis:
            where: Any = {"xytext": (3, 0), "textcoords": "offset points"}
            axes.annotate(literal(text), (i, height), fontsize=7, va="center", **where)
    names = [literal(column.title) for column in variables]
    names += [literal(column.title) + arrows[column.name] for column in metrics]
    axes.set_xticks(range(len(chosen)), names, rotation=20, ha="right")
    axes.set(yticks=[], xlim=(-0.2, len(chosen) - 0.4))
    axes.spines[:].set_visible(False)
    return figure


def _axis(column: Column) -> tuple[Array, list[tuple[float, str]]]:
    """Return a column scaled to 0 to 1, -0.15 where it is not there, and its marks."""
    values = column.values
    known = ~np.isnan(values)
    if not known.any():
        return np.full(len(values), -0.15), [(-0.15, "not there")]
    seen = values[known]
    absent = [] if known.all() else [(-0.15, "not there")]
    if column.levels is not None:
        span = max(len(column.levels) - 1, 1)
        marks = [(i / span, level[:16]) for i, level in enumerate(column.levels)]
        return np.where(known, values / span, -0.15), marks + absent
    is_log = column.log and seen.min() > 0
    scaled = np.log(np.where(known, values, 1.0)) if is_log else drawn_in(values)
    low, high = scaled[known].min(), scaled[known].max()
    marks = [(0.0, f"{seen.min():.3g}"), (1.0, f"{seen.max():.3g}")] if high > low else [(0.5, f"{seen[0]:.3g}")]
    return np.where(known, (scaled - low) / (high - low) if high > low else 0.5, -0.15), marks + absent


def _progress(report: Report) -> tuple[Figure, Rows]:
    history, figure = report.history, new_figure(6, 4.2)
    if history.best is not None:
        axes: Any = figure.add_subplot()
        axes.plot(history.n, history.best, color=FRONT, drawstyle="steps-post")
        axes.set(xlabel="evaluation", ylabel=literal(f"best {report.objectives[0].words}"))
        return figure, _rows(evaluation=history.n, best=history.best)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    top.plot(history.n, history.volume, color=FRONT, drawstyle="steps-post")
    if history.true is not None:
        top.axhline(history.true, color="#009e73", lw=1, ls="--", label="true front")
        top.legend(fontsize=8)
    bottom.plot(history.n, history.size, color=SECOND, drawstyle="steps-post")
    top.set(ylabel="hypervolume")
    bottom.set(xlabel="evaluation", ylabel="size of the front")
    return figure, _rows(evaluation=history.n, hypervolume=history.volume, front_size=history.size)


def _rows(**columns: Any) -> Rows:
    lists = (np.asarray(column).tolist() for column in columns.values())
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]


def _bars(labels: list[str], rows: Rows, key: str, title: str = "number of evaluations") -> tuple[Figure, Rows]:
    shown = list(zip(labels, rows, strict=True))[:MOST_BARS][::-1]
    figure = new_figure(7, 0.32 * len(shown) + 0.9)
    axes: Any = figure.add_subplot()
    names = [literal(" ".join(label.split())[:60]) for label, _ in shown]
    axes.barh(range(len(shown)), [row[key] for _, row in shown], color=SECOND)
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.set(xlabel=literal(title))
    return figure, rows


def _choices(models: Mapping[str, ModelQuality], learnt: str) -> tuple[Figure, Rows]:
    rows: Rows = []
    figure, panels = new_panels(len(models), 3.8, 3)
    for axes, (name, model) in zip(panels, models.items(), strict=True):
        history = model.history
        for k, family in enumerate(dict.fromkeys(family for look in history for family in look.scores)):
            taus = [(look, look.scores.get(family, {}).get("rank_correlation")) for look in history]
            known = [(look, tau) for look, tau in taus if tau is not None]
            n, values = [look.n for look, _ in known], [tau for _, tau in known]
            axes.plot(n, values, marker="o", ms=3, ls=_LINES[k % 4], label=literal(family))
            facts = {"metric": name, "model": family}
            rows += [
                facts | {"n": look.n, "rank_correlation": tau, "chosen": look.chosen == family} for look, tau in known
            ]
        axes.set(title=literal(name), xlabel=f"{learnt} learnt from", ylabel="Kendall's τ in cross-validation")
        axes.legend(fontsize=8)
    return figure, rows


def _climbs(report: Report) -> tuple[Figure, Rows]:
    climbs = (report.rungs or {})["climbs"]
    figure, panels = new_panels(len(report.objectives), 3.8, 3)
    for axes, objective in zip(panels, report.objectives, strict=True):
        for climb in climbs:
            steps = [(s["fidelity"], v) for s in climb if (v := s["objectives"].get(objective.name)) is not None]
            axes.plot(*zip(*steps, strict=True), marker="o", ms=3)
        axes.set(xlabel="fidelity", ylabel=literal(objective.words))
        if objective.log:
            make_logarithmic(axes, "y")
    rows = [
        {"member": climb[-1]["id"], "id": step["id"], "fidelity": step["fidelity"]}
        | {METRIC + name: value for name, value in step["objectives"].items()}
        for climb in climbs
        for step in climb
    ]
    return figure, rows


def _decisions(report: Report) -> tuple[Figure, Rows]:
    entries = report.timeline.entries
    lanes = list(dict.fromkeys(entry.lane for entry in entries))[::-1]
    figure = new_figure(6.5, 0.4 * len(lanes) + 1)
    axes: Any = figure.add_subplot()
    axes.scatter([entry.n for entry in entries], [lanes.index(entry.lane) for entry in entries], s=22, color=SECOND)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set(xlabel="evaluations asked by then", ylim=(-0.5, len(lanes) - 0.5))
    axes.grid(axis="x", alpha=0.3)
    return figure, [{"after_evaluation": e.n, "lane": e.lane, "what": e.text} for e in entries]
