"""The figures of a report for papers: PNG and SVG by matplotlib, and the numbers beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evo_moo.analysis.figures import FRONT, OTHERS, draw_front, literal, plain_ticks, surrogate_figure
from evo_moo.analysis.result import Result
from evo_moo.files import guarded_writes, save_figure, write_whole
from evo_moo.report.content import Array, report_data, role_rows, values_of
from evo_moo.storage.reading import csv_text, guarded_reads

Rows = list[dict[str, Any]]
SECOND = "#0072b2"
MOST_AXES, MOST_LINES, MOST_BARS = 12, 1000, 20
_LINES = ("-", "--", ":", "-.")


def write_figures(run_dir: str | Path, folder: str | Path) -> list[Path]:
    """Write the figures of a run, which may still go on: ``NAME.png``, ``NAME.svg``, and ``NAME.csv`` with its numbers.

    ``report.json`` holds all that the report shows, as ``report_data`` gives it.

    Args:
        run_dir: The run folder; it is only read.
        folder: Where to write; it is made, and files of these names are replaced.

    Returns:
        The files.

    Raises:
        RunFolderError: It is no run folder, holds no run that has begun, or a file cannot be written.
    """
    run_dir, folder = Path(run_dir), Path(folder)
    data = report_data(run_dir)
    with guarded_reads(run_dir):
        drawn = _drawn(data, Result.read(run_dir))
    written = [folder / "report.json"]
    with guarded_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
        options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2
        write_whole(written[0], orjson.dumps(data, option=options))
        for name, (figure, rows) in drawn.items():
            for suffix in (".png", ".svg"):
                written.append(folder / (name + suffix))
                save_figure(figure, written[-1], dpi=200)
            if rows:
                written.append(folder / f"{name}.csv")
                write_whole(written[-1], csv_text(rows))
    return written


def _drawn(data: Mapping[str, Any], result: Result) -> dict[str, tuple[Figure, Rows]]:
    """Draw what the run has: name to figure and numbers."""
    drawn: dict[str, tuple[Figure, Rows]] = {}
    if result.front:
        n_obj = len(data["objectives"])
        drawn["front"] = (_front(result) if n_obj <= 3 else _scatter_matrix(data)), result.rows()
        if n_obj == 3:
            drawn["pairs"] = _scatter_matrix(data), []
        drawn["parallel"] = _parallel(data), []
    if len(data["history"]["n"]):
        drawn["progress"] = _progress(data)
    if data["failures"]:
        drawn["failures"] = _bars([f"{f['status']}: {f['reason']}" for f in data["failures"]], data["failures"], "n")
    models = data["surrogate"]["metrics"]
    if any(its["pairs"] for its in models.values()):
        names = ("id", "predicted", "sd", "measured")
        rows = [{"metric": m} | dict(zip(names, p, strict=True)) for m, its in models.items() for p in its["pairs"]]
        drawn["predicted"] = surrogate_figure(data["surrogate"]), rows
    if any(its["history"] for its in models.values()):
        drawn["choices"] = _choices({name: its for name, its in models.items() if its["history"]})
    if data["rungs"] and data["rungs"]["climbs"]:
        drawn["climbs"] = _climbs(data)
    for i, (name, shares) in enumerate(data["importances"]["shares"].items(), 1):
        rows = [{"metric": name, "variable": variable, "share": share} for variable, share in shares.items()]
        drawn[f"importances-{i}"] = _bars(
            [str(row["variable"]) for row in rows], rows, "share", f"importance for {name}"
        )
    if data["timeline"]["entries"]:
        drawn["decisions"] = _decisions(data)
    return drawn


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _front(result: Result) -> Figure:
    n_obj = len(result.goals.objectives)
    figure = _figure(6, 4.5)
    draw_front(figure.add_subplot(projection="3d" if n_obj == 3 else None), result, n_obj)
    return figure


def _scatter_matrix(data: Mapping[str, Any]) -> Figure:
    objectives, table = data["objectives"], data["columns"]
    n = len(objectives) - 1
    figure = _figure(2.3 * n + 1, 2.1 * n + 0.6)
    for row in range(1, n + 1):
        for column in range(row):
            axes: Any = figure.add_subplot(n, n, (row - 1) * n + column + 1)
            x, y = objectives[column], objectives[row]
            for role, color, size in (("dominated", OTHERS, 6), ("front", FRONT, 12)):
                rows = role_rows(table, role)
                axes.scatter(values_of(table, x["name"])[rows], values_of(table, y["name"])[rows], s=size, color=color)
            for its, set_scale, axis in ((x, axes.set_xscale, axes.xaxis), (y, axes.set_yscale, axes.yaxis)):
                if its["log"]:
                    set_scale("log")
                    plain_ticks(axis)
            axes.set_xlabel(literal(x["words"]) if row == n else "")
            axes.set_ylabel(literal(y["words"]) if column == 0 else "")
    return figure


def _parallel(data: Mapping[str, Any]) -> Figure:
    """Draw the first variables and all objectives, each axis with its ends; what is not there lies under the axis."""
    table = data["columns"]
    goals = {its["name"]: its for its in data["objectives"]}
    ends = [its for its in table["metrics"] if its["name"] in goals]
    chosen = [*table["variables"][: max(4, MOST_AXES - len(ends))], *ends]
    columns, marks = zip(*(_axis(its) for its in chosen), strict=True)
    matrix, figure = np.column_stack(columns), _figure(1.1 * len(chosen) + 1, 4.2)
    axes: Any = figure.add_subplot()
    for role, color, width in (("dominated", OTHERS, 0.4), ("front", FRONT, 1.2)):
        rows = role_rows(table, role)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_LINES)).astype(int)] if len(rows) else rows
        axes.plot(range(len(chosen)), matrix[rows].T, color=color, lw=width, alpha=0.6 if role == "dominated" else 1)
    for i, its_marks in enumerate(marks):
        axes.axvline(i, color="black", lw=0.8)
        for height, text in its_marks:
            axes.annotate(
                literal(text), (i, height), xytext=(3, 0), textcoords="offset points", fontsize=7, va="center"
            )
    names = [
        literal(its["title"])
        + (" " + ("↑" if goals[its["name"]]["direction"] == "max" else "↓") if its in ends else "")
        for its in chosen
    ]
    axes.set_xticks(range(len(chosen)), names, rotation=20, ha="right")
    axes.set(yticks=[], xlim=(-0.2, len(chosen) - 0.4))
    axes.spines[:].set_visible(False)
    return figure


def _axis(its: Mapping[str, Any]) -> tuple[Array, list[tuple[float, str]]]:
    """Return a column scaled to 0 to 1, -0.15 where it is not there, and its marks."""
    values = np.asarray(its["values"], dtype=float)
    known = ~np.isnan(values)
    if not known.any():
        return np.full(len(values), -0.15), [(-0.15, "not there")]
    seen = values[known]
    absent = [] if known.all() else [(-0.15, "not there")]
    if "levels" in its:
        span = max(len(its["levels"]) - 1, 1)
        marks = [(i / span, str(level)[:16]) for i, level in enumerate(its["levels"])]
        return np.where(known, values / span, -0.15), marks + absent
    is_log = its["log"] and seen.min() > 0
    scaled = np.log(np.where(known, values, 1.0)) if is_log else values
    low, high = scaled[known].min(), scaled[known].max()
    marks = [(0.0, f"{seen.min():.3g}"), (1.0, f"{seen.max():.3g}")] if high > low else [(0.5, f"{seen[0]:.3g}")]
    return np.where(known, (scaled - low) / (high - low) if high > low else 0.5, -0.15), marks + absent


def _progress(data: Mapping[str, Any]) -> tuple[Figure, Rows]:
    history, figure = data["history"], _figure(6, 4.2)
    if "best" in history:
        axes: Any = figure.add_subplot()
        axes.plot(history["n"], history["best"], color=FRONT, drawstyle="steps-post")
        axes.set(xlabel="evaluation", ylabel=literal(f"best {data['objectives'][0]['words']}"))
        return figure, _rows(evaluation=history["n"], best=history["best"])
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    top.plot(history["n"], history["volume"], color=FRONT, drawstyle="steps-post")
    if history["true"] is not None:
        top.axhline(history["true"], color="#009e73", lw=1, ls="--", label="true front")
        top.legend(fontsize=8)
    bottom.plot(history["n"], history["size"], color=SECOND, drawstyle="steps-post")
    top.set(ylabel="hypervolume")
    bottom.set(xlabel="evaluation", ylabel="size of the front")
    return figure, _rows(evaluation=history["n"], hypervolume=history["volume"], front_size=history["size"])


def _rows(**columns: Any) -> Rows:
    return [
        dict(zip(columns, values, strict=True))
        for values in zip(*(np.asarray(c).tolist() for c in columns.values()), strict=True)
    ]


def _bars(labels: list[str], rows: Rows, key: str, title: str = "number of evaluations") -> tuple[Figure, Rows]:
    shown = list(zip(labels, rows, strict=True))[:MOST_BARS][::-1]
    figure = _figure(7, 0.32 * len(shown) + 0.9)
    axes: Any = figure.add_subplot()
    names = [literal(" ".join(label.split())[:60]) for label, _ in shown]
    axes.barh(range(len(shown)), [row[key] for _, row in shown], color=SECOND)
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.set(xlabel=literal(title))
    return figure, rows


def _panels(n: int) -> tuple[Figure, list[Any]]:
    columns = min(n, 3)
    figure = _figure(3.6 * columns + 0.6, 3 * -(-n // columns))
    return figure, [figure.add_subplot(-(-n // columns), columns, i + 1) for i in range(n)]


def _choices(models: Mapping[str, Any]) -> tuple[Figure, Rows]:
    rows: Rows = []
    figure, panels = _panels(len(models))
    for axes, (name, its) in zip(panels, models.items(), strict=True):
        families = dict.fromkeys(family for look in its["history"] for family in look["scores"])
        for k, family in enumerate(families):
            known = [
                look for look in its["history"] if look["scores"].get(family, {}).get("rank_correlation") is not None
            ]
            values = [look["scores"][family]["rank_correlation"] for look in known]
            axes.plot([look["n"] for look in known], values, marker="o", ms=3, ls=_LINES[k % 4], label=literal(family))
            rows += [
                {
                    "metric": name,
                    "model": family,
                    "n": look["n"],
                    "rank_correlation": value,
                    "chosen": look["chosen"] == family,
                }
                for look, value in zip(known, values, strict=True)
            ]
        axes.set(title=literal(name), xlabel="evaluations learnt from", ylabel="Kendall's τ in cross-validation")
        axes.legend(fontsize=8)
    return figure, rows


def _climbs(data: Mapping[str, Any]) -> tuple[Figure, Rows]:
    figure, panels = _panels(len(data["objectives"]))
    for axes, objective in zip(panels, data["objectives"], strict=True):
        for climb in data["rungs"]["climbs"]:
            steps = [(s["fidelity"], v) for s in climb if (v := s["objectives"].get(objective["name"])) is not None]
            axes.plot(*zip(*steps, strict=True), marker="o", ms=3)
        axes.set(xlabel="fidelity", ylabel=literal(objective["words"]))
        if objective["log"]:
            axes.set_yscale("log")
            plain_ticks(axes.yaxis)
    rows = [
        {"member": climb[-1]["id"], "id": step["id"], "fidelity": step["fidelity"], **step["objectives"]}
        for climb in data["rungs"]["climbs"]
        for step in climb
    ]
    return figure, rows


def _decisions(data: Mapping[str, Any]) -> tuple[Figure, Rows]:
    entries = data["timeline"]["entries"]
    lanes = list(dict.fromkeys(entry["lane"] for entry in entries))[::-1]
    figure = _figure(6.5, 0.4 * len(lanes) + 1)
    axes: Any = figure.add_subplot()
    axes.scatter(
        [entry["n"] for entry in entries], [lanes.index(entry["lane"]) for entry in entries], s=22, color=SECOND
    )
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set(xlabel="evaluations asked by then", ylim=(-0.5, len(lanes) - 0.5))
    axes.grid(axis="x", alpha=0.3)
    return figure, [{"after_evaluation": e["n"], "lane": e["lane"], "what": e["text"]} for e in entries]
