"""A run's evaluations as columns, each number once: what every figure of a report is drawn from."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.analysis.run_record import RunRecord
from evo_moo.analysis.statistics.significance import per_seed
from evo_moo.problem.metrics import Metric, with_unit
from evo_moo.storage.evaluation_row import STATUSES, Evaluation

ROLES = ("front", "dominated", "over a limit", "short", "repetition", "no result")
MOST_ROWS = 10_000
_DIGITS, _MOST_PLACES = 6, 22


def columns(record: RunRecord) -> dict[str, Any]:
    """Return the evaluations as columns of equal length, in the order of asking.

    Of more than ``MOST_ROWS`` all of the front is kept, and of the others an even share over the run.

    Args:
        record: The run.

    Returns:
        ``id``, ``generation``, ``status`` (index in ``STATUSES``), ``role`` (index in ``ROLES``); ``variables`` and
        ``metrics``, lists of columns with ``name``, ``title``, ``log`` and ``values``, NaN where a variable is not
        active or a metric not known; a column of texts has ``levels``, which its values index. ``sd``: metric to
        row to standard deviation. ``n_left_out``: number of evaluations that have no row.
    """
    rows = _thinned(record)
    configurations = [e.configuration for e in rows]
    metrics = [record.result.means.get(e.id, e.metrics) for e in rows]
    declared = record.metrics
    return {
        "id": np.array([e.id for e in rows], dtype=np.int64),
        "generation": np.array([e.generation for e in rows], dtype=np.int64),
        "status": np.array([STATUSES.index(e.status) for e in rows], dtype=np.int64),
        "role": np.array([ROLES.index(_role(e, record)) for e in rows], dtype=np.int64),
        "variables": [
            _variable(name, record.space.get(name, {}), [c.get(name) for c in configurations])
            for name in record.variable_names()
        ],
        "metrics": [
            {
                "name": name,
                "title": with_unit(name, declared.get(name, Metric()).unit),
                "log": _is_log(declared.get(name, Metric()), [m.get(name) for m in metrics]),
                "values": significant([m.get(name) for m in metrics]),
            }
            for name in record.metric_names()
        ],
        "sd": _spreads(rows, record),
        "n_left_out": len(record.evaluations) - len(rows),
    }


def significant(values: Sequence[Any] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round ``(n,)`` numbers to six significant digits, None to NaN."""
    found = np.array([math.nan if v is None else v for v in values], dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = _DIGITS - 1 - np.floor(np.log10(np.abs(found)))
    # Powers of ten are exact up to here; what is smaller still stays as it is.
    can = np.isfinite(found) & (places <= _MOST_PLACES)
    power = 10.0 ** np.where(can, np.maximum(places, 0), 0)
    return np.where(can, np.round(np.where(can, found, 0.0) * power) / power, found)


def _thinned(record: RunRecord) -> list[Evaluation]:
    others = [e for e in record.evaluations if e.id not in record.front_ids]
    room = max(MOST_ROWS - len(record.front_ids), 0)
    if len(others) <= room:
        return record.evaluations
    kept = {others[i].id for i in np.linspace(0, len(others) - 1, room).astype(int)} | record.front_ids
    return [e for e in record.evaluations if e.id in kept]


def _role(e: Evaluation, record: RunRecord) -> str:
    if e.id in record.front_ids:
        return "front"
    if e.replicate:
        return "repetition"
    if not all(objective.metric in e.metrics for objective in record.goals.objectives):
        return "no result"
    if e.status in ("ok", "partial"):
        return "over a limit" if e.violation else "dominated" if e.status == "ok" else "short"
    return "over a limit" if e.status == "infeasible" else "no result"


def _variable(name: str, definition: Mapping[str, Any], values: list[Any]) -> dict[str, Any]:
    numeric = all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values)
    column = {"name": name, "title": name, "log": bool(definition.get("log")), "when": "when" in definition}
    if numeric and definition.get("kind") not in ("choice", "boolean"):
        return {**column, "values": significant(values)}
    declared = definition.get("options") or ([False, True] if definition.get("kind") == "boolean" else [])
    levels = list(dict.fromkeys(str(v) for v in (*declared, *values) if v is not None))
    place = {level: i for i, level in enumerate(levels)}
    codes = [math.nan if v is None else place[str(v)] for v in values]
    return {**column, "log": False, "levels": levels, "values": np.array(codes, dtype=float)}


def _is_log(metric: Metric, values: Sequence[float | None]) -> bool:
    return metric.log and all(v is None or v > 0 for v in values)


def _spreads(rows: Sequence[Evaluation], record: RunRecord) -> dict[str, dict[str, float]]:
    """Return standard deviations over repetitions, or over seeds that a problem told of, by metric and row."""
    found: dict[str, dict[str, float]] = {}
    for i, e in enumerate(rows):
        known = dict(record.result.spread.get(e.id, {}))
        for objective in record.goals.objectives:
            values = list(per_seed(e, objective.metric).values())
            if len(values) > 1:
                known.setdefault(objective.metric, float(np.std(values, ddof=1)))
        for name, value in known.items():
            found.setdefault(name, {})[str(i)] = float(f"{value:.3g}")
    return found
