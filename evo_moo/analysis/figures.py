"""Figures of a run, drawn without a display."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from evo_moo.analysis.evaluated_front import EvaluatedFront
from evo_moo.analysis.surrogate_quality import ModelQuality, SurrogateQuality
from evo_moo.pareto import Array, drawn_in, frame, hypervolume_history, thinned
from evo_moo.problem.metrics import with_unit
from evo_moo.scalarisation import normalised
from evo_moo.text import printable

FRONT, OTHERS = "#d55e00", "#8794a3"
MOST_DRAWN = 10_000
"""Evaluations beside the front that are drawn; of more, so many at even distances."""


def result_figure(result: EvaluatedFront) -> Figure:
    """Draw the front among all evaluations, and the hypervolume over the evaluations, side by side.

    With contexts there is a row of both for each.
    """
    fronts = [result.within(name) for name in result.contexts] or [result]
    figure = new_figure(11, 4.5 * len(fronts))
    for row, front in enumerate(fronts):
        _draw_row(figure, front, len(fronts), 2 * row + 1)
    return figure


def _draw_row(figure: Figure, result: EvaluatedFront, n_rows: int, first: int) -> None:
    n_obj = len(result.goals.objectives)
    front_axes: Any = figure.add_subplot(n_rows, 2, first, projection="3d" if n_obj == 3 else None)
    if n_obj <= 3:
        draw_front(front_axes, result, n_obj)
    else:
        draw_parallel(front_axes, result, normalised(result.F), [FRONT] * len(result.front))
    _draw_hypervolume(figure.add_subplot(n_rows, 2, first + 1), result)
    if result.context:
        front_axes.set_title(literal(result.context), loc="left")


def surrogate_figure(quality: SurrogateQuality) -> Figure:
    """Draw predicted against measured values, one panel per metric."""
    shown = {name: model for name, model in quality.metrics.items() if model.pairs}
    figure, panels = new_panels(len(shown), 4.5, 4.2)
    if not shown:
        figure.suptitle("No evaluation that a model predicted has ended")
    for axes, (name, model) in zip(panels, shown.items(), strict=True):
        _draw_predictions(axes, name, model)
    return figure


class Picture(Figure):
    """A figure that a notebook shows as a picture, whether or not matplotlib was told of the notebook."""

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches."""
    figure = Picture(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure


def new_panels(n: int, width: float, height: float, n_columns: int = 3) -> tuple[Figure, list[Any]]:
    """Make a figure of so many panels of a size in inches, row by row; without any it is as large as one."""
    n_columns = min(n, n_columns) or 1
    n_rows = -(-n // n_columns) or 1
    figure = new_figure(width * n_columns, height * n_rows)
    return figure, [figure.add_subplot(n_rows, n_columns, i + 1) for i in range(n)]


def literal(text: str) -> str:
    """Keep a text from being taken for a formula."""
    return printable(text).replace("$", r"\$")


class _Plain(LogFormatter):
    """Numbers without powers, where matplotlib would put one."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:.3g}" if super().__call__(x, pos) else ""


def make_logarithmic(axes: Any, which: str, **options: Any) -> None:
    """Make the axis ``"x"`` or ``"y"`` logarithmic, with numbers without powers."""
    getattr(axes, f"set_{which}scale")("log", **options)
    axis = getattr(axes, f"{which}axis")
    axis.set_major_formatter(_Plain())
    axis.set_minor_formatter(_Plain(minor_thresholds=(1.5, 0.5)))


def _draw_predictions(axes: Any, name: str, model: ModelQuality) -> None:
    _, *columns_of_pairs = zip(*model.pairs, strict=True)
    means, stds, measured = (drawn_in(np.array(column, dtype=float)) for column in columns_of_pairs)
    if model.log and min(*means, *measured) > 0:
        make_logarithmic(axes, "x")
        make_logarithmic(axes, "y", nonpositive="clip")
    bars = {"fmt": ".", "color": FRONT, "ecolor": OTHERS, "elinewidth": 1}
    axes.errorbar(measured, means, yerr=[2 * std for std in stds], **bars)
    ends = min(*means, *measured), max(*means, *measured)
    axes.plot(ends, ends, color=OTHERS, lw=1, ls="--")
    axes.set(xlabel="measured", ylabel="predicted, ± 2 standard deviations", title=literal(with_unit(name, model.unit)))
    if len(measured) < model.predicted.n:
        axes.set_title(f"{len(measured):,} of {model.predicted.n:,} drawn", loc="right", fontsize=8)
    axes.grid(alpha=0.3)


def draw_front(axes: Any, result: EvaluatedFront, n_obj: int) -> None:
    """Draw the front among all evaluations, or an even share of many: one to three objectives."""
    names = [objective.metric for objective in result.goals.objectives]
    evaluated = result.objectives_of_each.F * result.goals.signs
    drawn = thinned(len(evaluated), MOST_DRAWN)
    if n_obj == 1:
        axes.plot(drawn, evaluated[drawn, 0], ".", color=OTHERS)
        words = f", {len(drawn):,} of {len(evaluated):,} drawn" if len(drawn) < len(evaluated) else ""
        axes.set(xlabel=f"{result.members[:-1]}{words}", ylabel=axis_label(result, names[0]))
        return
    axes.scatter(*columns(result.metrics, names), color=FRONT, s=34, label=_front_in_words(result), zorder=3)
    for axis, name in zip("xyz", names, strict=False):
        getattr(axes, f"set_{axis}label")(axis_label(result, name))
    if n_obj == 2:
        _frame_front(axes, result, names)
    outside = _n_outside(axes, evaluated) if n_obj == 2 else 0
    label = f"{len(evaluated)} {'points' if result.has_points else 'evaluated'}" + (
        f", {outside} of them outside" if outside else ""
    )
    label += f"; {len(drawn)} drawn" if len(drawn) < len(evaluated) else ""
    axes.scatter(*evaluated[drawn].T, color=OTHERS, s=18, alpha=0.6, label=label)
    axes.legend(loc="best", fontsize=8)


def _front_in_words(result: EvaluatedFront) -> str:
    """Say how many are on the front, and at how many points where some are equal."""
    if not result.feasible:
        return "nothing keeps the limits; the nearest"
    n, n_points = len(result.front), len(np.unique(result.F, axis=0))
    return f"Pareto front: {n}" + (f" at {n_points} points" if n_points < n else "")


def _frame_front(axes: Any, result: EvaluatedFront, names: list[str]) -> None:
    """Fit the axes to the front, with room for what it dominates, and join its points by the attained boundary."""
    ids, F, violation = result.objectives_of_each
    off = F[(violation == 0) & ~np.isin(ids, [e.id for e in result.front])] * result.goals.signs
    for i, (o, which, line) in enumerate(zip(result.goals.objectives, "xy", (axes.axvline, axes.axhline), strict=True)):
        values, others = np.array(columns(result.metrics, [o.metric])[0]), off[:, i]
        is_log = is_logarithmic(result, o.metric)
        axes.set(**{f"{which}lim": frame(values, others, is_max=o.direction == "max", is_log=is_log)})
        if is_log:
            make_logarithmic(axes, which)
        if o.goal is not None:
            line(o.goal, color=OTHERS, lw=1, ls="--")
    points = sorted(zip(*columns(result.metrics, names), strict=True))
    step = "steps-pre" if result.goals.objectives[0].direction == "max" else "steps-post"
    axes.plot(*zip(*points, strict=True), color=FRONT, lw=1, alpha=0.6, drawstyle=step)


def _n_outside(axes: Any, points: Array) -> int:
    (x_low, x_high), (y_low, y_high) = axes.get_xlim(), axes.get_ylim()
    low, high = (x_low, y_low), (x_high, y_high)
    return int((~((low <= points) & (points <= high)).all(axis=1)).sum())


def draw_parallel(axes: Any, result: EvaluatedFront, N: Array, colors: Sequence[str]) -> None:
    """Draw a line over the objectives for each row of ``(n, n_obj)`` values, 0 the best and 1 the worst."""
    names = [objective.metric for objective in result.goals.objectives]
    lines = np.stack([np.broadcast_to(np.arange(N.shape[1]), N.shape), N], axis=2)
    axes.add_collection(LineCollection(list(lines), colors=colors, alpha=0.4, linewidths=1))
    axes.autoscale()
    axes.set_xticks(range(len(names)), [literal(name) for name in names], rotation=20)
    axes.set(ylabel="best to worst on the front", title=f"Pareto front: {len(N)}")


def _draw_hypervolume(axes: Any, result: EvaluatedFront) -> None:
    F = result.all_F
    axes.set(xlabel=f"feasible {result.members}", ylabel="hypervolume")
    if result.box and F.shape[1] > 1:
        axes.plot(*hypervolume_history(F, result.box)[:2], color=FRONT, drawstyle="steps-post")
        axes.set_ylabel(f"hypervolume, share of {result.box_of}")
    axes.grid(alpha=0.3)


def columns(metrics: Sequence[Mapping[str, float]], names: list[str]) -> list[list[float]]:
    """Return the values of each named metric, those drawn in that no axis could hold."""
    return [drawn_in(np.array([row[name] for row in metrics], dtype=float)).tolist() for name in names]


def axis_label(result: EvaluatedFront, name: str) -> str:
    """Name an objective for an axis, with its unit and direction."""
    (objective,) = (o for o in result.goals.objectives if o.metric == name)
    return literal(objective.in_words(result.known_metrics[name].unit))


def is_logarithmic(result: EvaluatedFront, name: str) -> bool:
    """Return whether an objective's axis is logarithmic."""
    return result.known_metrics[name].log and all(row[name] > 0 for row in result.metrics)
