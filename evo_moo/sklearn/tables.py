"""What a search measured, as ``cv_results_`` has it."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from evo_moo.sklearn.cross_validation import FAULTS, FOLDS
from evo_moo.sklearn.space import EstimatorSpace
from evo_moo.storage.evaluation_row import Evaluation


class FrontMember(NamedTuple):
    """A member of the Pareto front.

    Attributes:
        row: Number of the row of ``cv_results_``.
        params: Parameters, as ``set_params`` takes them.
        metrics: Means over the folds, by name: scores, costs, times.
    """

    row: int
    params: dict[str, Any]
    metrics: dict[str, float]


def results_table(
    evaluations: Sequence[Evaluation], front: Iterable[Any], space: EstimatorSpace, scores: Iterable[str], n_splits: int
) -> dict[str, Any]:
    """Return the evaluations as columns, named as ``GridSearchCV`` names them.

    Beside them stand ``id``, ``status``, ``reason`` (why it is not ok), ``fidelity`` and ``on_front``.
    ``params`` are what ``set_params`` takes; ``param_*`` are named as in the space, and masked where they do not exist.

    Args:
        evaluations: All that ended.
        front: The ids of the front.
        space: The space.
        scores: Names of the scorers.
        n_splits: Number of folds.
    """
    table: dict[str, Any] = {}
    facts = [e.facts for e in evaluations]
    names = dict.fromkeys(name for row in facts for name in row if name.startswith(FOLDS))
    for fact in names:
        rows = [row.get(fact) or [None] * n_splits for row in facts]
        values, name = np.array(rows, dtype=float), fact.removeprefix(FOLDS)
        table[f"mean_{name}"], table[f"std_{name}"] = _over_folds(values)
        if name not in ("fit_time", "score_time"):
            table |= {f"split{k}_{name}": values[:, k] for k in range(n_splits)}
    full = np.array([e.status == "ok" for e in evaluations], dtype=bool)
    for name in scores:
        means = np.where(full, table.get(f"mean_test_{name}", np.nan), np.nan)
        table[f"rank_test_{name}"] = rankdata(-np.nan_to_num(means, nan=-np.inf), method="min").astype(np.int32)
    configurations = [e.configuration for e in evaluations]
    for name in space.variables:
        table[f"param_{name}"] = _column([each.get(name, np.ma.masked) for each in configurations])
    on_front = set(front)
    return table | {
        "id": np.array([e.id for e in evaluations], dtype=object),
        "params": [space.parameters(each) for each in configurations],
        "status": np.array([e.status for e in evaluations], dtype=object),
        "reason": np.array(
            [e.reason or row.get(FAULTS, "") for e, row in zip(evaluations, facts, strict=True)], object
        ),
        "fidelity": _column([np.ma.masked if e.fidelity is None else e.fidelity for e in evaluations]),
        "on_front": np.array([e.id in on_front for e in evaluations], dtype=bool),
    }


def _over_folds(values: Any) -> tuple[Any, Any]:
    """Return means and standard deviations of ``(n, n_splits)`` values, NaN where there is none."""
    held = np.ma.masked_invalid(values)
    return held.mean(axis=1).filled(np.nan), held.std(axis=1).filled(np.nan)


def _column(values: Sequence[Any]) -> Any:
    """Return a masked ``(n,)`` array: of numbers or truth values where all are of one such type, else of objects."""
    there = [value for value in values if value is not np.ma.masked]
    kinds = {type(value) for value in there}
    dtype = kinds.pop() if len(kinds) == 1 and kinds <= {int, float, bool} else object
    column = np.ma.MaskedArray(np.empty(len(values), dtype=dtype), mask=True)
    for i, value in enumerate(values):
        if value is not np.ma.masked:
            column[i] = value
    return column
