"""Figures of a run, drawn without a display."""

from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evo_moo.pareto import hypervolume_history

if TYPE_CHECKING:
    from evo_moo.result import Result

_FRONT, _OTHERS = "#c0392b", "#9aa5b1"


def result_figure(result: "Result") -> Figure:
    """Draw the front among all evaluations, and the hypervolume over the evaluations, side by side."""
    figure = Figure(figsize=(11, 4.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    n_obj = len(result.goals.objectives)
    front_axes: Any = figure.add_subplot(1, 2, 1, projection="3d" if n_obj == 3 else None)
    if n_obj <= 3:
        _draw_front(front_axes, result, n_obj)
    else:
        _draw_parallel(front_axes, result)
    _draw_hypervolume(figure.add_subplot(1, 2, 2), result)
    return figure


def _draw_front(axes: Any, result: "Result", n_obj: int) -> None:
    names = [objective.metric for objective in result.goals.objectives]
    evaluated = [e.metrics for e in result.evaluations if e.status == "ok"]
    kwargs = {"alpha": 0.6} if n_obj == 3 else {"alpha": 0.6, "linewidths": 0}
    if n_obj == 1:
        axes.plot([m[names[0]] for m in evaluated], ".", color=_OTHERS)
        axes.set(xlabel="evaluation", ylabel=_label(result, names[0]))
        return
    axes.scatter(*_columns(evaluated, names), color=_OTHERS, s=18, label=f"{len(evaluated)} evaluated", **kwargs)
    title = f"Pareto front: {len(result.front)}" if result.feasible else "nothing keeps the limits; the nearest"
    axes.scatter(*_columns(result.metrics, names), color=_FRONT, s=34, label=title)
    for axis, name in zip("xyz", names, strict=False):
        getattr(axes, f"set_{axis}label")(_label(result, name))
        if _logarithmic(result, name) and n_obj == 2:
            getattr(axes, f"set_{axis}scale")("log")
    axes.legend(loc="best", fontsize=8)


def _draw_parallel(axes: Any, result: "Result") -> None:
    names = [objective.metric for objective in result.goals.objectives]
    F = result.F
    span = F.max(axis=0) - F.min(axis=0)
    scaled = (F - F.min(axis=0)) / (span + (span == 0))
    axes.plot(range(len(names)), scaled.T, color=_FRONT, alpha=0.4, lw=1)
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
