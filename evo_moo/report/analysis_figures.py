"""Figures of what is made of a run: confirmations, sweeps of weights, importances, dependences."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evo_moo.analysis.evaluated_front import EvaluatedFront
from evo_moo.analysis.figures import (
    FRONT,
    OTHERS,
    axis_label,
    columns,
    draw_parallel,
    is_logarithmic,
    literal,
    make_logarithmic,
    new_figure,
    new_panels,
)
from evo_moo.analysis.weight_sweep import Reach
from evo_moo.scalarisation import normalised
from evo_moo.text import shown_option

MAX_BARS = 20
CURVES_PER_ROW = 5
LEAST_SHOWN = -0.2


def confirmation_figure(report: Mapping[str, Any]) -> Figure:
    """Draw what the search showed against what was confirmed, see ``Confirmation.to_json``.

    Two objectives make one panel; else there is one for each objective, over the members. With contexts each has its
    own.
    """
    drawn = _panels_of(report)
    n_columns = len(report["objectives"]) if "contexts" not in report else 3
    figure, panels = new_panels(len(drawn), *((7, 5) if drawn[0][1][0] else (5, 4)), n_columns=n_columns)
    for axes, (context, (x, y), members) in zip(panels, drawn, strict=True):
        columns = [_confirmed(members, name) for name in (x, y)]
        axes.set_title(literal(context))
        (x_search, x_mean, x_error), (y_search, y_mean, y_error) = columns
        axes.plot([x_search, x_mean], [y_search, y_mean], color=OTHERS, lw=0.8, alpha=0.7)
        axes.plot(x_search, y_search, "o", color=OTHERS, ms=5, label="as the search saw it")
        bars: dict[str, Any] = {"fmt": "o", "color": FRONT, "ecolor": FRONT, "elinewidth": 1, "ms": 5, "capsize": 2}
        label = f"confirmed by {len(report['seeds'])} trainings, {report['level']:.0%}"
        axes.errorbar(x_mean, y_mean, xerr=x_error if x else None, yerr=y_error, label=label, **bars)
        x_label, y_label = (report["test_metrics"].get(name, name) for name in (x, y))
        axes.set(xlabel=x_label or "member", ylabel=y_label)
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize=8)
    return figure


def _panels_of(report: Mapping[str, Any]) -> list[tuple[str, tuple[str, str], list[dict[str, Any]]]]:
    """Return for each panel the context, what is on both axes, and the members."""
    panels = []
    for context, names in report.get("contexts", {"": list(report["objectives"])}).items():
        of_all = report["members"]
        members = [each for each in of_all if not context or not each["contexts"] or context in each["contexts"]]
        pairs = [(names[0], names[1])] if len(names) == 2 else [("", name) for name in names]
        panels += [(context, pair, members) for pair in pairs if members]
    return panels


def _confirmed(members: list[dict[str, Any]], name: str) -> tuple[list[float], list[float], list[float]]:
    """Return a metric's values in the search, confirmed means and half widths, NaN where unknown; or the members."""
    if not name:
        order = [float(i) for i in range(len(members))]
        return order, order, [math.nan] * len(order)
    rows = [member["metrics"][name] for member in members]
    search, mean = ([math.nan if row[key] is None else row[key] for row in rows] for key in ("search", "mean"))
    return search, mean, [0.0 if row["low"] is None else (row["high"] - row["low"]) / 2 for row in rows]


def sweep_figure(result: EvaluatedFront, members: Sequence[Reach]) -> Figure:
    """Draw a front, and which of its members a weighted sum reaches."""
    figure = new_figure(6.5, 5)
    names = [objective.metric for objective in result.goals.objectives]
    axes: Any = figure.add_subplot(projection="3d" if len(names) == 3 else None)
    groups = [
        (FRONT, "reached by a weighted sum", [m.evaluation.metrics for m in members if m.weights is not None]),
        (OTHERS, "by none", [m.evaluation.metrics for m in members if m.weights is None]),
    ]
    axes.set(title=f"Pareto front: {len(members)}")
    if len(names) not in (2, 3):
        N = normalised(result.goals.F([row for _, _, rows in groups for row in rows]))
        colors = [color for color, _, rows in groups for _ in rows]
        draw_parallel(axes, result, N, colors)
        axes.legend(handles=[Line2D([], [], color=color, label=f"{what}: {len(rows)}") for color, what, rows in groups])
        return figure
    if len(names) == 2:
        axes.plot(*columns(groups[0][2], names), color=FRONT, lw=1, ls="--", alpha=0.6)
    for color, what, rows in groups:
        axes.scatter(*columns(rows, names), color=color, s=34, label=f"{what}: {len(rows)}")
    for name, axis in zip(names, "xyz", strict=False):
        getattr(axes, f"set_{axis}label")(axis_label(result, name))
        if len(names) == 2 and is_logarithmic(result, name):
            make_logarithmic(axes, axis)
    axes.legend(loc="best", fontsize=8)
    return figure


def importance_figure(data: Mapping[str, Any]) -> Figure:
    """Draw the importance of each variable, one panel per metric, see ``importances.importances``."""
    shown = {name: rows for name, metric in data["metrics"].items() if (rows := metric["variables"])}
    n_bars = min(max((len(rows) for rows in shown.values()), default=0), MAX_BARS)
    figure, panels = new_panels(len(shown), 5.5, 1.6 + 0.3 * n_bars, n_columns=len(shown))
    if not shown:
        figure.suptitle("No model predicts any of the metrics")
    for axes, (name, rows) in zip(panels, shown.items(), strict=True):
        rows = [row for row in rows if row["importance"] is not None][:MAX_BARS][::-1]
        names = [row["variable"] for row in rows]
        bars: Any = {"color": OTHERS, "ecolor": "black", "label": "importance ± standard error"}
        axes.barh(names, [row["importance"] for row in rows], xerr=[row["error"] for row in rows], **bars)
        if rows and rows[0]["main"] is not None:
            axes.plot([row["main"] for row in rows], names, "d", color=FRONT, label="alone (fANOVA)")
        axes.set(xlabel="share of the variance", title=literal(name))
        axes.set_xlim(left=max(axes.get_xlim()[0], LEAST_SHOWN))
        axes.grid(alpha=0.3, axis="x")
        axes.legend(loc="lower right", fontsize=8)
    return figure


def dependence_figure(data: Mapping[str, Any]) -> Figure:
    """Draw a curve for each variable and metric, see ``dependence.partial_dependence``."""
    shown = {name: curves for name, metric in data.items() if (curves := metric["curves"])}
    n_rows = sum(-(-len(curves) // CURVES_PER_ROW) for curves in shown.values())
    figure = new_figure(2.6 * CURVES_PER_ROW, 2.3 * max(n_rows, 1))
    if not shown:
        figure.suptitle("No model predicts any of the metrics")
    row = 0
    for metric, curves in shown.items():
        shared: Any = None
        for i, (variable, curve) in enumerate(curves.items()):
            axes = figure.add_subplot(n_rows, CURVES_PER_ROW, row * CURVES_PER_ROW + i + 1, sharey=shared)
            shared = shared or axes
            _draw_curve(axes, curve)
            axes.set_xlabel(literal(variable), fontsize=8)
            axes.set_ylabel(literal(metric) if i % CURVES_PER_ROW == 0 else "")
        row += -(-len(curves) // CURVES_PER_ROW)
    return figure


def _draw_curve(axes: Any, curve: Mapping[str, Any]) -> None:
    values = curve["value"]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        axes.fill_between(values, curve["low"], curve["high"], color=OTHERS, alpha=0.4, lw=0)
        axes.plot(values, curve["mean"], color=FRONT)
        if min(values) > 0 and values == sorted(values) and max(values) >= 10 * min(values):
            axes.set_xscale("log")
            axes.minorticks_off()
    else:
        mean, low, high = (np.array(curve[key]) for key in ("mean", "low", "high"))
        ends = [mean - low, high - mean]
        axes.errorbar(range(len(values)), curve["mean"], yerr=ends, fmt="o", color=FRONT, ecolor=OTHERS)
        axes.set_xticks(range(len(values)), [literal(shown_option(value)) for value in values], rotation=30, fontsize=7)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
