"""How each metric goes with each variable, over the configurations that were evaluated."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.analysis.importance.cells import codes_of, column_of
from evo_moo.analysis.run_table import RunTable, columns_of
from evo_moo.analysis.validated_models import FEWEST, Validated, validated
from evo_moo.errors import JobError
from evo_moo.seeding import seed_for
from evo_moo.space.search_space import SearchSpace
from evo_moo.surrogate.protocol import Array
from evo_moo.threads import one_blas_thread
from evo_moo.values import value_text

N_POINTS = 15
"""Values of a number at which a curve is drawn."""
MOST_CURVES = 200
"""Configurations whose curves are averaged; of more, so many are drawn."""
BAND = (0.05, 0.95)
"""Quantiles that bound a prediction or a curve."""
WIDE = 0.1
"""Share of a range from which on a part without evaluations is worth a word."""


def partial_dependence(
    run: str | Path | RunTable, metrics: Sequence[str] | None = None, variables: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return how each metric goes with each variable, everything else as in the evaluated configurations.

    Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of Statistics 29 (2001), section
    8.2, on the validated models. Only values between those that were tried are looked at. A conditional variable's
    curve is over the configurations in which it exists.

    Args:
        run: A run folder, or its table.
        metrics: Names of metrics, by default the objectives.
        variables: Names of variables, by default all.

    Returns:
        Metric to ``nothing`` (why there are no curves) and ``curves``: variable, or each part of one that has several,
        to ``value``, a list; ``mean``, the
        average prediction at each; ``low`` and ``high``, between which 90 % of the configurations are predicted to be;
        ``n_near``, the evaluations that are nearest to each value, 0 where models only bridge a gap; ``n``, the
        evaluations in which the variable exists; and ``untried`` in words, what of its range no evaluation had.

    Raises:
        RunFolderError: The folder cannot be read.
        MetricError: A metric is not known.
        JobError: A variable is not known.
    """
    table = RunTable.of(run)
    names = list(table.space.names) if variables is None else list(variables)
    for name in names:
        if name not in table.space.names:
            raise JobError(f"a variable must be one of {', '.join(table.space.names)}, but is {name}")
    result = {}
    for metric in table.checked_metrics(metrics):
        known = validated(table, metric)
        parts = [(i, part) for i, part in enumerate(table.space.layout.parts) if table.space.layout.owners[i] in names]
        curves = {part: curve for i, part in parts if (curve := _curve(known, table, i)) is not None}
        result[metric] = {"nothing": known.nothing, "curves": curves}
    return result


def dependence_columns(result: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the result of ``partial_dependence`` as columns of one table, a row for each point of each curve."""
    names = ("metric", "variable", "value", "mean", "low", "high", "n_near")
    rows = [
        dict(zip(names, (metric, variable, *point), strict=True))
        for metric, facts in result.items()
        for variable, curve in facts["curves"].items()
        for point in zip(*(curve[name] for name in names[2:]), strict=True)
    ]
    return columns_of(rows, *names)


def _curve(known: Validated, table: RunTable, column: int) -> dict[str, Any] | None:
    """Return a column's curve; None where too few evaluations have it."""
    space, name = table.space, list(table.space.layout.parts)[column]
    X = known.X[space.active(known.X)[:, column]]
    if len(X) < FEWEST or known.model is None:
        return None
    points = _points(space, column, X[:, column])
    rng = np.random.default_rng(seed_for(f"curves of {name}", table.seed))
    rows = X[np.sort(rng.permutation(len(X))[:MOST_CURVES])]
    changed = np.repeat(usual_filled(table, rows), len(points), axis=0)
    changed = space.layout.with_column(changed, column, np.tile(points, len(rows)))
    with one_blas_thread():
        targets = known.model.predict(known.features.matrix(changed))[0]
    values = known.model.medians(targets).reshape(len(rows), -1)
    low, high = np.quantile(values, BAND, axis=0)
    nearest = np.abs(X[:, [column]] - points).argmin(axis=1)
    return {
        "value": decoded(space, column, points),
        "mean": values.mean(axis=0).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "n_near": np.bincount(nearest, minlength=len(points)).tolist(),
        "n": len(X),
        "untried": _untried(space, column, X[:, column]),
    }


def _points(space: SearchSpace, column: int, tried: Array) -> Array:
    """Return the values of a column at which a curve is drawn, ascending: those tried, or even steps between them."""
    values = np.unique(tried)
    if space.category[column] or len(values) <= N_POINTS:
        return values
    codes = codes_of(space, column, np.linspace(values[0], values[-1], N_POINTS))
    return np.unique(column_of(space, column, codes))


def _untried(space: SearchSpace, column: int, tried: Array) -> str:
    """Say what of a variable's range no evaluation had: options, or an end of more than a tenth of it."""
    low, high = space.xl[column], space.xu[column]
    if list(space.layout.parts.values())[column].has_options:
        missing = np.setdiff1d(np.arange(low, high + 1), tried)
        return ", ".join(map(value_text, decoded(space, column, missing)))
    first, last = decoded(space, column, np.array([tried.min(), tried.max()]))
    ends = [f"below {first:.4g}"] if tried.min() - low > WIDE * (high - low) else []
    ends += [f"above {last:.4g}"] if high - tried.max() > WIDE * (high - low) else []
    return ", ".join(ends)


def usual_filled(table: RunTable, rows: Array) -> Array:
    """Return rows with a usual value, the median or the commonest option, for what does not exist in them."""
    space, filled = table.space, rows.copy()
    active, known = space.active(rows), space.active(table.X)
    for column in range(space.n_var):
        tried = table.X[known[:, column], column]
        if tried.size:
            values, counts = np.unique(tried, return_counts=True)
            usual = values[counts.argmax()] if space.category[column] else np.sort(tried)[len(tried) // 2]
            filled[~active[:, column], column] = usual
    return filled


def decoded(space: SearchSpace, column: int, values: Array) -> list[Any]:
    """Return the plain values of ``(n,)`` numbers of a column."""
    return list(space.layout.parts.values())[column].values(codes_of(space, column, values))
