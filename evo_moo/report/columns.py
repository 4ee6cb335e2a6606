"""A run's evaluations, or points, as columns, each number once: what every figure of a report is drawn from."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.analysis.fronts.view_front import seen_by
from evo_moo.analysis.run_record import RunRecord
from evo_moo.analysis.statistics.significance import per_seed
from evo_moo.pareto import Array, thinned
from evo_moo.problem.measurements import Interval
from evo_moo.problem.metrics import Metric, with_unit
from evo_moo.problem.points import Key
from evo_moo.storage.evaluation_row import STATUSES, Evaluation
from evo_moo.values import METRIC, OPTION, is_number, names_in_both, value_text

ROLES = ("front", "dominated", "over a limit", "short", "repetition", "no result")
MOST_ROWS, MOST_CELLS = 10_000, 2_000_000
"""Evaluations, and numbers of them, that a page has; the front is there in any case."""
_DIGITS, _MOST_PLACES = 6, 22


@dataclass(frozen=True)
class Column:
    """A variable or a metric of the evaluations.

    Attributes:
        name: Its name.
        title: The name with the unit, and what tells a variable and a metric of one name apart.
        log: Whether its axis is logarithmic.
        values: ``(n,)``, NaN where a variable is not active or a metric not known.
        levels: The texts that the values index; None where the values are numbers.
    """

    name: str
    title: str
    log: bool
    values: Array
    levels: list[str] | None = None


@dataclass(frozen=True)
class Table:
    """Evaluations, or the points that they offer, as columns of equal length, in the order of asking.

    Attributes:
        id: Ids, n of them.
        generation: Generations, ``(n,)``.
        status: Indices in ``STATUSES``, ``(n,)``.
        role: Indices in ``ROLES``, ``(n,)``.
        variables: The variables, of one that has several columns its parts.
        listed: The variables, each in one column.
        metrics: The metrics, those of the goals first.
        sd: Metric to row to the standard deviation over replicates.
        doubts: Metric to row to the 95 % confidence interval of a measured time that is in doubt.
        n_left_out: Number of evaluations, or points, that have no row.
    """

    id: list[Key]
    generation: npt.NDArray[np.int64]
    status: npt.NDArray[np.int64]
    role: npt.NDArray[np.int64]
    variables: list[Column]
    listed: list[Column]
    metrics: list[Column]
    sd: dict[str, dict[str, float]]
    doubts: dict[str, dict[str, Interval]]
    n_left_out: int

    def metric(self, name: str) -> Column:
        """Return a metric's column."""
        return next(column for column in self.metrics if column.name == name)

    def rows(self, role: str) -> npt.NDArray[np.int64]:
        """Return the rows that have a role."""
        return np.flatnonzero(self.role == ROLES.index(role))


def shown_rows(record: RunRecord) -> list[Evaluation]:
    """Return a run's evaluations: of many the front, and an even share of the others."""
    return _thinned(record, len(record.variable_names) + len(record.metric_names))


def roles_of(record: RunRecord, rows: Sequence[Evaluation]) -> npt.NDArray[np.int64]:
    """Return the numbers of the roles that rows have for the front of a run, or of a run as it is in a context."""
    goals = record.goals
    seen = (seen_by(goals, e) for e in rows) if record.result.context else rows
    return np.array([ROLES.index(_role(e, record)) for e in seen], dtype=np.int64)


def table_of(record: RunRecord, rows: list[Evaluation] | None = None) -> Table:
    """Return a run's evaluations as columns; by default those of ``shown_rows``."""
    choices = record.choice_names  # these first, so that they are among the axes of figures
    names = [*choices, *(name for name in record.variable_names if name not in choices)], record.metric_names
    evaluations = shown_rows(record) if rows is None else rows
    configurations = [e.configuration for e in evaluations]
    shared = names_in_both(*names)
    metrics = [record.result.means.get(e.id, e.metrics) for e in evaluations]
    prefixes = {name: OPTION * (name in shared) for name in names[0]}
    listed = {
        name: _variable(name, prefix + name, record.space.get(name, {}), configurations)
        for name, prefix in prefixes.items()
    }
    flat = [record.variable_parts.flat(configuration) for configuration in configurations]
    apart = {name: own for name, own in record.variable_parts.definitions.items() if name not in own}
    variables = [
        [_variable(part, prefix + part, definition, flat) for part, definition in apart[name].items()]
        if name in apart
        else [listed[name]]
        for name, prefix in prefixes.items()
    ]
    return Table(
        [e.id for e in evaluations],
        np.array([e.generation for e in evaluations], dtype=np.int64),
        np.array([STATUSES.index(e.status) for e in evaluations], dtype=np.int64),
        roles_of(record, evaluations),
        list(itertools.chain.from_iterable(variables)),
        list(listed.values()),
        [
            _metric(name, METRIC * (name in shared), record.metrics.get(name, Metric()), [m.get(name) for m in metrics])
            for name in names[1]
        ],
        _spreads(evaluations, record),
        _doubts(evaluations, record),
        len(record.evaluations) - len(evaluations),
    )


def significant(values: Sequence[Any] | Array) -> Array:
    """Round ``(n,)`` numbers to six significant digits, None to NaN."""
    numbers = np.array([math.nan if v is None else v for v in values], dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = _DIGITS - 1 - np.floor(np.log10(np.abs(numbers)))
    # Powers of ten are exact up to here; what is smaller still stays as it is.
    can = np.isfinite(numbers) & (places <= _MOST_PLACES)
    power = 10.0 ** np.where(can, np.maximum(places, 0), 0)
    return np.where(can, np.round(np.where(can, numbers, 0.0) * power) / power, numbers)


def _thinned(record: RunRecord, n_columns: int) -> list[Evaluation]:
    members = record.front_ids | record.result.serves.keys()
    n_others = len(record.evaluations) - len(members)
    room = max(min(MOST_ROWS, MOST_CELLS // max(n_columns, 1)) - len(members), 0)
    places, place = set(thinned(n_others, room).tolist()), itertools.count()
    return [e for e in record.evaluations if e.id in members or next(place) in places]


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


def _variable(
    name: str, title: str, definition: Mapping[str, Any], configurations: Sequence[Mapping[str, Any]]
) -> Column:
    values = [c[name] for c in configurations if name in c]
    if definition.get("kind") not in ("choice", "boolean") and all(map(is_number, values)):
        is_log = bool(definition.get("log")) and all(value > 0 for value in values)
        return Column(name, title, is_log, significant([c.get(name) for c in configurations]))
    declared = definition.get("options") or ([False, True] if definition.get("kind") == "boolean" else [])
    levels = list(dict.fromkeys(map(value_text, (*declared, *values))))
    place = {level: i for i, level in enumerate(levels)}
    codes = [place[value_text(c[name])] if name in c else math.nan for c in configurations]
    return Column(name, title, False, np.array(codes, dtype=float), levels)


def _metric(name: str, prefix: str, declared: Metric, values: list[float | None]) -> Column:
    is_log = declared.log and all(value is None or value > 0 for value in values)
    return Column(name, prefix + with_unit(name, declared.unit), is_log, significant(values))


def _doubts(rows: Sequence[Evaluation], record: RunRecord) -> dict[str, dict[str, Interval]]:
    """Return the intervals of the measured times that are in doubt, by metric and row."""
    doubts: dict[str, dict[str, Interval]] = {}
    for i, e in enumerate(rows):
        for name, interval in record.result.doubts.get(e.id, {}).items():
            doubts.setdefault(name, {})[str(i)] = interval
    return doubts


def _spreads(rows: Sequence[Evaluation], record: RunRecord) -> dict[str, dict[str, float]]:
    """Return standard deviations over replicates, or over seeds that a problem recorded, by metric and row."""
    spreads: dict[str, dict[str, float]] = {}
    for i, e in enumerate(rows):
        known = dict(record.result.spread.get(e.id, {}))
        for objective in record.goals.objectives:
            values = list(per_seed(e, objective.metric).values())
            if len(values) > 1:
                known.setdefault(objective.metric, float(np.std(values, ddof=1)))
        for name, value in known.items():
            spreads.setdefault(name, {})[str(i)] = float(f"{value:.3g}")
    return spreads
