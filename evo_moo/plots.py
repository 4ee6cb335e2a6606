"""Figures of a run, drawn without a display."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evo_moo.errors import printable
from evo_moo.evaluation_row import Evaluation
from evo_moo.pareto import hypervolume_history
from evo_moo.scalarisation import normalised

if TYPE_CHECKING:
    from evo_moo.result import Result

_FRONT, _OTHERS = "#c0392b", "#9aa5b1"
MAX_BARS = 20
CURVES_PER_ROW = 5
LEAST_SHOWN = -0.2


def result_figure(result: "Result") -> Figure:
    """Draw the front among all evaluations, and the hypervolume over the evaluations, side by side."""
    figure = _figure(2, 1, (5.5, 4.5))
    n_obj = len(result.goals.objectives)
    front_axes: Any = figure.add_subplot(1, 2, 1, projection="3d" if n_obj == 3 else None)
    if n_obj <= 3:
        _draw_front(front_axes, result, n_obj)
    else:
        _draw_parallel(front_axes, result)
    _draw_hypervolume(figure.add_subplot(1, 2, 2), result)
    return figure


def surrogate_figure(view: Mapping[str, Any]) -> Figure:
    """Draw what was predicted against what was measured, one panel per metric, as ``surrogate_view`` gives them."""
    panels = {name: its for name, its in view["metrics"].items() if its["pairs"]}
    n_columns = min(len(panels), 3) or 1
    n_rows = -(-len(panels) // n_columns) or 1
    figure = _figure(n_columns, n_rows, (4.5, 4.2))
    if not panels:
        figure.suptitle("No evaluation that a model predicted has ended")
    for i, (name, its) in enumerate(panels.items(), 1):
        _draw_predictions(figure.add_subplot(n_rows, n_columns, i), name, its)
    return figure


def confirmation_figure(report: Mapping[str, Any]) -> Figure:
    """Draw what the search showed against what was confirmed, as ``Confirmation.to_json`` gives it.

    Two objectives make one panel; else there is one for each objective, over the members.
    """
    names, members = list(report["objectives"]), report["members"]
    figure = Figure(figsize=(7, 5) if len(names) == 2 else (5 * len(names), 4), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    panels = [tuple(names)] if len(names) == 2 else [("", name) for name in names]
    for i, (x, y) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), i)
        columns = [_confirmed(members, name) for name in (x, y)]
        (x_search, x_mean, x_error), (y_search, y_mean, y_error) = columns
        axes.plot([x_search, x_mean], [y_search, y_mean], color=_OTHERS, lw=0.8, alpha=0.7)
        axes.plot(x_search, y_search, "o", color=_OTHERS, ms=5, label="as the search saw it")
        bars: dict[str, Any] = {"fmt": "o", "color": _FRONT, "ecolor": _FRONT, "elinewidth": 1, "ms": 5, "capsize": 2}
        label = f"confirmed by {len(report['seeds'])} trainings, {report['level']:.0%}"
        axes.errorbar(x_mean, y_mean, xerr=x_error if x else None, yerr=y_error, label=label, **bars)
        x_label, y_label = (report["test_metrics"].get(name, name) for name in (x, y))
        axes.set(xlabel=x_label or "member", ylabel=y_label)
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize=8)
    return figure


def _confirmed(members: list[dict[str, Any]], name: str) -> tuple[list[float], list[float], list[float]]:
    """Give a metric's values in the search, confirmed means and half widths, NaN where unknown; or the members."""
    if not name:
        order = [float(i) for i in range(len(members))]
        return order, order, [math.nan] * len(order)
    rows = [member["metrics"][name] for member in members]
    search, mean = ([math.nan if row[key] is None else row[key] for row in rows] for key in ("search", "mean"))
    return search, mean, [0.0 if row["low"] is None else (row["high"] - row["low"]) / 2 for row in rows]


def sweep_figure(result: "Result", members: Sequence[tuple[Evaluation, bool]]) -> Figure:
    """Draw a front, and which of its members a weighted sum reaches.

    Args:
        result: The run's result.
        members: Each member of the front, and whether any weights reach it.
    """
    figure = Figure(figsize=(6.5, 5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    names = [objective.metric for objective in result.goals.objectives]
    axes: Any = figure.add_subplot(projection="3d" if len(names) == 3 else None)
    parts = {reached: [e.metrics for e, its in members if its == reached] for reached in (True, False)}
    labels = {True: f"reached by a weighted sum: {len(parts[True])}", False: f"by none: {len(parts[False])}"}
    if len(names) not in (2, 3):
        _draw_sweep_parallel(axes, result, members, labels)
        return figure
    if len(names) == 2:
        axes.plot(*_columns(parts[True], names), color=_FRONT, lw=1, ls="--", alpha=0.6)
    for reached, color in ((True, _FRONT), (False, _OTHERS)):
        axes.scatter(*_columns(parts[reached], names), color=color, s=34, label=labels[reached])
    for name, axis in zip(names, "xyz", strict=False):
        getattr(axes, f"set_{axis}label")(_label(result, name))
        if len(names) == 2 and _logarithmic(result, name):
            getattr(axes, f"set_{axis}scale")("log")
    axes.set(title="Pareto front")
    axes.legend(loc="best", fontsize=8)
    return figure


def _draw_sweep_parallel(axes: Any, result: "Result", members: Sequence[tuple[Evaluation, bool]], labels: Any) -> None:
    rows = [result.goals.objective_values(e.metrics) for e, _ in members]
    for row, (_, reached) in zip(normalised(np.array(rows)), members, strict=True):
        axes.plot(row, ".-", color=_FRONT if reached else _OTHERS, alpha=0.6, lw=1, label=labels.pop(reached, None))
    axes.set_xticks(range(len(rows[0])), [o.metric for o in result.goals.objectives], rotation=20)
    axes.set(ylabel="best to worst on the front", title=f"Pareto front: {len(rows)}")
    axes.legend(loc="best", fontsize=8)


def importance_figure(told: Mapping[str, Any]) -> Figure:
    """Draw the importance of each variable, one panel per metric, as ``importance.importances`` tells them."""
    shown = {name: its["variables"] for name, its in told["metrics"].items() if its["variables"]}
    n_bars = min(max((len(rows) for rows in shown.values()), default=0), MAX_BARS)
    figure = _figure(max(len(shown), 1), 1, (5.5, 1.6 + 0.3 * n_bars))
    if not shown:
        figure.suptitle("No model predicts any of the metrics")
    for i, (name, rows) in enumerate(shown.items(), 1):
        axes = figure.add_subplot(1, len(shown), i)
        rows = [row for row in rows if row["importance"] is not None][:MAX_BARS][::-1]
        names = [row["variable"] for row in rows]
        bars: Any = {"color": _OTHERS, "ecolor": "black", "label": "importance ± standard error"}
        axes.barh(names, [row["importance"] for row in rows], xerr=[row["error"] for row in rows], **bars)
        if rows and rows[0]["main"] is not None:
            axes.plot([row["main"] for row in rows], names, "d", color=_FRONT, label="alone (fANOVA)")
        axes.set(xlabel="share of the variance", title=_plain(name))
        axes.set_xlim(left=max(axes.get_xlim()[0], LEAST_SHOWN))
        axes.grid(alpha=0.3, axis="x")
        axes.legend(loc="lower right", fontsize=8)
    return figure


def dependence_figure(told: Mapping[str, Any]) -> Figure:
    """Draw a curve for each variable and metric, as ``dependence.partial_dependence`` tells them."""
    shown = {name: its["curves"] for name, its in told.items() if its["curves"]}
    n_rows = sum(-(-len(curves) // CURVES_PER_ROW) for curves in shown.values())
    figure = _figure(CURVES_PER_ROW, max(n_rows, 1), (2.6, 2.3))
    if not shown:
        figure.suptitle("No model predicts any of the metrics")
    row = 0
    for metric, curves in shown.items():
        shared: Any = None
        for i, (variable, curve) in enumerate(curves.items()):
            axes = figure.add_subplot(n_rows, CURVES_PER_ROW, row * CURVES_PER_ROW + i + 1, sharey=shared)
            shared = shared or axes
            _draw_curve(axes, curve)
            axes.set_xlabel(_plain(variable), fontsize=8)
            axes.set_ylabel(_plain(metric) if i % CURVES_PER_ROW == 0 else "")
        row += -(-len(curves) // CURVES_PER_ROW)
    return figure


def _draw_curve(axes: Any, curve: Mapping[str, Any]) -> None:
    values = curve["value"]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        axes.fill_between(values, curve["low"], curve["high"], color=_OTHERS, alpha=0.4, lw=0)
        axes.plot(values, curve["mean"], color=_FRONT)
        if min(values) > 0 and values == sorted(values) and max(values) >= 10 * min(values):
            axes.set_xscale("log")
            axes.minorticks_off()
    else:
        ends = [[m - low for m, low in zip(curve["mean"], curve["low"], strict=True)]]
        ends += [[high - m for m, high in zip(curve["mean"], curve["high"], strict=True)]]
        axes.errorbar(range(len(values)), curve["mean"], yerr=ends, fmt="o", color=_FRONT, ecolor=_OTHERS)
        axes.set_xticks(range(len(values)), [_plain(str(value)) for value in values], rotation=30, fontsize=7)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)


def _figure(n_columns: int, n_rows: int, size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=(size[0] * n_columns, size[1] * n_rows), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure


def _plain(text: str) -> str:
    """Keep matplotlib from reading a name as a formula."""
    return printable(text)[:60].replace("$", r"\$")


def _draw_predictions(axes: Any, name: str, its: Mapping[str, Any]) -> None:
    _, means, stds, measured = zip(*its["pairs"], strict=True)
    if its["log"] and min(*means, *measured) > 0:
        axes.set_xscale("log")
        axes.set_yscale("log", nonpositive="clip")
    bars = {"fmt": ".", "color": _FRONT, "ecolor": _OTHERS, "elinewidth": 1}
    axes.errorbar(measured, means, yerr=[2 * std for std in stds], **bars)
    ends = min(*means, *measured), max(*means, *measured)
    axes.plot(ends, ends, color=_OTHERS, lw=1, ls="--")
    label = f"{name} ({its['unit']})" if its["unit"] and not name.endswith(f"_{its['unit']}") else name
    axes.set(xlabel="measured", ylabel="predicted, ± 2 standard deviations", title=label)
    axes.grid(alpha=0.3)


def _draw_front(axes: Any, result: "Result", n_obj: int) -> None:
    names = [objective.metric for objective in result.goals.objectives]
    evaluated = [e.metrics for e in result.evaluations if e.status == "ok"]
    if n_obj == 1:
        axes.plot([m[names[0]] for m in evaluated], ".", color=_OTHERS)
        axes.set(xlabel="evaluation", ylabel=_label(result, names[0]))
        return
    title = f"Pareto front: {len(result.front)}" if result.feasible else "nothing keeps the limits; the nearest"
    axes.scatter(*_columns(result.metrics, names), color=_FRONT, s=34, label=title, zorder=3)
    for axis, name in zip("xyz", names, strict=False):
        getattr(axes, f"set_{axis}label")(_label(result, name))
    if n_obj == 2:
        _frame_front(axes, result, names)
    outside = _n_outside(axes, evaluated, names) if n_obj == 2 else 0
    label = f"{len(evaluated)} evaluated" + (f", {outside} of them outside" if outside else "")
    axes.scatter(*_columns(evaluated, names), color=_OTHERS, s=18, alpha=0.6, label=label)
    axes.legend(loc="best", fontsize=8)


def _frame_front(axes: Any, result: "Result", names: list[str]) -> None:
    """Fit the axes to the front, with room for what it dominates, and join its points by the attained boundary."""
    limits = []
    for objective, name in zip(result.goals.objectives, names, strict=True):
        values = [row[name] for row in result.metrics]
        logarithmic = _logarithmic(result, name)
        low, high = (math.log(v) if logarithmic else v for v in (min(values), max(values)))
        span = high - low or abs(high) or 1.0
        better, worse = 0.1 * span, 0.6 * span
        ends = (low - worse, high + better) if objective.direction == "max" else (low - better, high + worse)
        limits.append(tuple(math.exp(v) for v in ends) if logarithmic else ends)
    axes.set(xlim=limits[0], ylim=limits[1])
    for name, axis, scale in zip(names, (axes.xaxis, axes.yaxis), (axes.set_xscale, axes.set_yscale), strict=True):
        if _logarithmic(result, name):
            scale("log")
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("{x:g}")
    for objective, line in zip(result.goals.objectives, (axes.axvline, axes.axhline), strict=True):
        if objective.goal is not None:
            line(objective.goal, color=_OTHERS, lw=1, ls="--")
    points = sorted(zip(*_columns(result.metrics, names), strict=True))
    step = "steps-pre" if result.goals.objectives[0].direction == "max" else "steps-post"
    axes.plot(*zip(*points, strict=True), color=_FRONT, lw=1, alpha=0.6, drawstyle=step)


def _n_outside(axes: Any, evaluated: list[dict[str, float]], names: list[str]) -> int:
    (x_low, x_high), (y_low, y_high) = axes.get_xlim(), axes.get_ylim()
    x, y = names
    return sum(not (x_low <= m[x] <= x_high and y_low <= m[y] <= y_high) for m in evaluated)


def _draw_parallel(axes: Any, result: "Result") -> None:
    names = [objective.metric for objective in result.goals.objectives]
    F = result.F
    axes.plot(range(len(names)), normalised(F).T, color=_FRONT, alpha=0.4, lw=1)
    axes.set_xticks(range(len(names)), names, rotation=20)
    axes.set(ylabel="best to worst on the front", title=f"Pareto front: {len(F)}")


def _draw_hypervolume(axes: Any, result: "Result") -> None:
    F = result.all_F
    axes.set(xlabel="feasible evaluations", ylabel="hypervolume")
    if len(F) and F.shape[1] > 1:
        axes.plot(*hypervolume_history(F), color=_FRONT, drawstyle="steps-post")
    axes.grid(alpha=0.3)


def _columns(metrics: list[dict[str, float]], names: list[str]) -> list[list[float]]:
    return [[row[name] for row in metrics] for name in names]


def _label(result: "Result", name: str) -> str:
    unit = result.known_metrics[name].unit
    return f"{name} ({unit})" if unit and not name.endswith(f"_{unit}") else name


def _logarithmic(result: "Result", name: str) -> bool:
    return result.known_metrics[name].log and all(row[name] > 0 for row in result.metrics)
