"""The front as the models expect it: of many noisy evaluations the best one is mostly the luckiest one."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.analysis.run_table import RunTable
from evo_moo.analysis.validated_models import validated
from evo_moo.pareto import Array, pareto_rows

MOST_LEARNT = 2000
"""Evaluations that a model learns; it draws each back by its own noise, so that more of them count than elsewhere."""


def expected_front(run: str | Path | RunTable, context: str | None = None) -> dict[str, Any]:
    """Return the non-dominated configurations by what models expect of noisy objectives, as plain data.

    An evaluation that was better than all like it was probably lucky; the mean of a model that learnt them all draws
    it back by as much as the noise explains.

    Args:
        run: A run folder, whose run may still go on, or its table.
        context: The context whose front is asked for; by default with contexts the union of those of all.

    Returns:
        ``objectives``: name to how it is told: ``model``, its kind, or "" where the measured values count, and ``why``
        they do. ``front``: each with ``id``, ``configuration`` and ``metrics``: objective to ``expected``, ``sd`` of
        that (None where it was measured) and ``measured``; by the first objective, best first.

    Raises:
        RunFolderError: The folder cannot be read.
        MetricError: There is no such context.
    """
    table = RunTable.of(run)
    table = table if context is None else table.within(context)
    rows = np.flatnonzero(np.isfinite(table.rank))
    objectives, columns = {}, []
    for objective in table.goals.objectives:
        name = objective.metric
        measured = table.values[name][rows]
        model = validated(table, name, MOST_LEARNT)
        noiseless = "" if model.model is None or model.model.is_noisy else "it is not declared noisy"
        why = model.nothing if model.model is None else noiseless
        objectives[name] = {"model": "" if why else model.family, "why": why}
        mean, sd = measured, np.full(len(rows), math.nan)
        if model.model is not None and not why:
            mean, sd = model.model.metric(model.features.matrix(table.X[rows]))
        columns.append((name, measured, mean, sd))
    F = table.goals.F_of_columns({name: mean for name, _, mean, _ in columns})
    on_fronts = _fronts(table, rows, F)
    first_id = {row: key for key, row in reversed(table.ids.items())}
    configurations = table.space.decode(table.X[rows])
    values = [(name, measured.tolist(), mean.tolist(), sd.tolist()) for name, measured, mean, sd in columns]
    front = [
        {
            "id": first_id[int(rows[i])],
            **({"contexts": contexts} if table.goals.contexts else {}),
            "configuration": configurations[i],
            "metrics": {
                name: {"expected": mean[i], "sd": None if math.isnan(sd[i]) else sd[i], "measured": measured[i]}
                for name, measured, mean, sd in values
            },
        }
        for i, contexts in on_fronts.items()
    ]
    return {"objectives": objectives, "front": front}


def _fronts(table: RunTable, rows: npt.NDArray[np.intp], F: Array) -> dict[int, list[str]]:
    """Return which rows of expected objectives are on a front, by the first one, and of which contexts."""
    names = [context.name for context in table.goals.contexts] or [""]
    found: dict[int, list[str]] = {}
    for name, rank, columns in zip(names, table.ranks or [table.rank], table.goals.columns_of_views, strict=True):
        kept = np.flatnonzero(np.isfinite(rank[rows]))
        for i in kept[pareto_rows(F[kept][:, columns], np.zeros(len(kept)))].tolist():
            found.setdefault(i, []).append(name)
    if not table.goals.contexts:
        return found
    keys = list(found)
    return {keys[k]: found[keys[k]] for k in np.lexsort(F[keys].T[::-1]).tolist()}
