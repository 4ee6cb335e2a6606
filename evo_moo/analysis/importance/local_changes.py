"""What single changes of one evaluated configuration would do, as the validated models predict it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.analysis.importance.dependence import BAND, usual_filled
from evo_moo.analysis.run_table import RunTable, columns_of
from evo_moo.analysis.validated_models import validated
from evo_moo.errors import JobError
from evo_moo.problem.points import Key, evaluation_of
from evo_moo.seeding import seed_for
from evo_moo.space.search_space import Configuration, SearchSpace
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.posterior import MetricModel
from evo_moo.surrogate.protocol import Array
from evo_moo.threads import one_blas_thread
from evo_moo.values import json_key

N_SAMPLES = 400
STEP = 0.1
"""Of a range that is not searched in log scale: how far it is changed."""


def changes_around(
    run: str | Path | RunTable, evaluation_id: Key, metrics: Sequence[str] | None = None
) -> dict[str, Any]:
    """Predict what single changes of one evaluated configuration would do to each metric.

    Numbers in log scale are doubled and halved, other numbers go a tenth of their range up and down, whole ones at
    least by one; ordered options go to their neighbours, others to every other option. A subset gains or loses an
    option, an ordering exchanges two neighbours, and of shares one grows or shrinks by a tenth. A variable that comes
    into being by a change takes its most usual value among the evaluations.

    Args:
        run: A run folder, or its table.
        evaluation_id: Id of the evaluation, or of the point.
        metrics: Names of metrics, by default the objectives.

    Returns:
        ``id``; ``configuration``; ``nothing``: metric to why nothing can be said of it; ``metrics``: metric to the
        ``measured`` value (None where there is none) and the ``predicted`` one with its ``sd`` (in the metric's unit);
        ``changes``: each with ``variable``, ``value`` and ``becomes``, ``gone`` and ``new`` (variables that vanish or
        come with it, the latter with their values), ``tried`` (whether evaluations had the value, or values beyond
        it), and ``effects``: metric to the ``predicted`` value, the ``change`` from the prediction as it is, ``low``
        and ``high``, between which the change lies with 90 %, and ``p_more``, the probability that the metric grows.

    Raises:
        RunFolderError: The folder cannot be read.
        MetricError: A metric is not known.
        JobError: There is no such evaluation.
    """
    table = RunTable.of(run)
    if evaluation_id not in table.ids:
        n = max(map(evaluation_of, table.ids), default=0)
        points = [str(key) for key in table.ids if evaluation_of(key) == evaluation_of(evaluation_id)]
        rule = f"a point of evaluation {evaluation_of(evaluation_id)} ({', '.join(points)})"
        rule = rule if points else f"an evaluation of the run, from 1 to {n}"
        raise JobError(f"`--around` must be {rule}, but is {evaluation_id}")
    row = table.ids[evaluation_id]
    x = table.X[row]
    (configuration,) = table.space.decode(x[None])
    changes, changed = _changes(table, x, configuration)
    known = {metric: validated(table, metric) for metric in table.checked_metrics(metrics)}
    result = {}
    for metric, validated_metric in known.items():
        if validated_metric.model is not None:
            rows = np.concatenate([x[None], changed])
            here, *effects = _effects(validated_metric.model, validated_metric.features, rows, table.seed)
            value = float(table.values[metric][row])
            measured = value if np.isfinite(value) else None
            result[metric] = {"measured": measured, "predicted": here["predicted"], "sd": here["sd"]}
            for change, effect in zip(changes, effects, strict=True):
                change["effects"][metric] = {name: effect[name] for name in effect if name != "sd"}
    return {
        "id": evaluation_id,
        "configuration": configuration,
        "nothing": {metric: unknown.nothing for metric, unknown in known.items() if unknown.nothing},
        "metrics": result,
        "changes": changes,
    }


def change_columns(result: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the result of ``changes_around`` as columns of one table, a row for each change and metric."""
    rows = [
        {**change, "metric": metric, **effect}
        for change in result["changes"]
        for metric, effect in change["effects"].items()
    ]
    names = ("variable", "value", "becomes", "tried", "metric", "predicted", "change", "low", "high", "p_more")
    return columns_of(rows, *names)


def _changes(table: RunTable, x: Array, configuration: Configuration) -> tuple[list[dict[str, Any]], Array]:
    """Return the changes of a configuration, and the ``(n, n_var)`` rows that they lead to."""
    space, filled = table.space, usual_filled(table, x[None])[0]
    active, changes, rows = space.active(table.X), [], []
    for name, value in configuration.items():
        place = space.layout.places[name]
        tried = table.X[active[:, place.start], place]
        for codes in _others(space, name, x[place]):
            row = filled[None].copy()
            row[:, place] = codes
            row = space.canonical(row)
            (now,) = space.decode(row)
            if json_key(now) == json_key(configuration) or not space.allowed(row)[0]:
                continue
            is_option = space.category[place]
            inside = (tried.min(axis=0) <= codes) & (codes <= tried.max(axis=0))
            was_tried = np.where(is_option, (tried == codes).any(axis=0), inside).all()
            changes.append(
                {
                    "variable": name,
                    "value": value,
                    "becomes": now[name],
                    "gone": [other for other in configuration if other not in now],
                    "new": {other: now[other] for other in now if other not in configuration},
                    "tried": bool(was_tried),
                    "effects": {},
                }
            )
            rows.append(row[0])
    return changes, np.array(rows).reshape(-1, space.n_var)


def _others(space: SearchSpace, name: str, at: Array) -> Array:
    """Return the numbers, ``(n, n_columns)``, that a variable's columns may change to."""
    if kind := space.layout.compounds.get(name):
        return kind.neighbours(at)
    column = space.layout.places[name].start
    return np.array(_other_numbers(space, column, float(at[0])), dtype=float)[:, None]


def _other_numbers(space: SearchSpace, column: int, at: float) -> list[float]:
    variable, low, high = list(space.layout.parts.values())[column], space.xl[column], space.xu[column]
    if space.category[column]:
        return [code for code in np.arange(low, high + 1).tolist() if code != at]
    step = STEP * (high - low)
    if at < (zero_edge := space.zero_edge[column]):
        return [float(zero_edge)]
    if space.log[column]:
        step = np.log(2.0)
    elif variable.has_options:
        step = 1.0
    elif space.grid[column]:
        step = max(1.0, np.rint(step))
    return [value for value in dict.fromkeys(np.clip([at - step, at + step], low, high).tolist()) if value != at]


def _effects(model: MetricModel, features: Features, X: Array, seed: int) -> list[dict[str, float]]:
    """Predict rows, and how each differs from the first, from joint samples of the model."""
    Z, seed = features.matrix(X), seed_for("around", seed)
    with one_blas_thread():
        mean, std = model.predict(Z)
        sample = model.model.sample  # type: ignore[union-attr]
        drawn = np.stack([sample(Z[[0, i]], N_SAMPLES, np.random.default_rng(seed)) for i in range(len(Z))])
    values = model.medians(drawn)
    gaps = values[:, :, 1] - values[:, :, 0]
    low, high = np.quantile(gaps, BAND, axis=1)
    predicted = model.medians(mean)
    sd = np.abs(model.medians(mean + std) - model.medians(mean - std)) / 2
    names = ("predicted", "sd", "change", "low", "high", "p_more")
    columns = (predicted, sd, predicted - predicted[0], low, high, (gaps > 0).mean(axis=1))
    return [dict(zip(names, row, strict=True)) for row in np.stack(columns, axis=1).tolist()]
