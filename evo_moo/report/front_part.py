"""What a report shows of a front: of the run's, or of that in one context."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from evo_moo.analysis.result import Result
from evo_moo.analysis.run_record import RunRecord
from evo_moo.pareto import MOST_OBJECTIVES, Array, frame, hypervolume_history, share_of_front, thinned
from evo_moo.problem.goals import Goals
from evo_moo.problem.objectives import Objective
from evo_moo.problem.points import Key, evaluation_of
from evo_moo.report.columns import Table, roles_of, significant
from evo_moo.storage.evaluation_row import Evaluation

MOST_TRUE_POINTS = 1000


@dataclass(frozen=True)
class ObjectiveSummary:
    """An objective, and the best value on the front.

    Attributes:
        name: Name of the metric.
        title: The name with the unit.
        direction: ``"min"`` or ``"max"``.
        goal: What is good enough; None without one.
        log: Whether its axis is logarithmic.
        words: The objective in words.
        best: The best value; None without a front.
        best_id: Id of the evaluation, or of the point, that has it.
    """

    name: str
    title: str
    direction: str
    goal: float | None
    log: bool
    words: str
    best: float | None
    best_id: Key | None


@dataclass(frozen=True)
class History:
    """How far the search had come after each number of evaluations; what does not apply is None.

    Attributes:
        n: Numbers of evaluations, ``(n,)``.
        best: Of a single objective the best value, ``(n,)``.
        volume: The hypervolume as a share of the run's box, ``(n,)``.
        size: The size of the front, ``(n,)``.
        box: That box: objectives to the best value and the reference value.
        box_of: The box in words.
        true: The hypervolume of the true front, where it is known.
    """

    n: npt.NDArray[np.int64]
    best: Array | None = None
    volume: Array | None = None
    size: npt.NDArray[np.int64] | None = None
    box: dict[str, tuple[float, float]] | None = None
    box_of: str = ""
    true: float | None = None


@dataclass(frozen=True)
class FrontPart:
    """What a report shows of a front.

    Attributes:
        objectives: The objectives.
        limits: The limits in words.
        feasible: Whether the front keeps the limits.
        role: Numbers of the roles of the report's rows, ``(n,)``.
        frame: Metric to the range that shows the front.
        outside: For every two objectives, in order, how many evaluations lie outside of both ranges' frame.
        true_front: ``(m, n_obj)`` in the metrics' own direction, or None.
        history: Progress over the evaluations.
    """

    objectives: list[ObjectiveSummary]
    limits: list[str]
    feasible: bool
    role: npt.NDArray[np.int64]
    frame: dict[str, tuple[float, float]]
    outside: list[int]
    true_front: Array | None
    history: History

    @classmethod
    def of(cls, record: RunRecord, table: Table) -> "FrontPart":
        """Return what a report shows of the front of a run without contexts, or as it is in one.

        Args:
            record: The run.
            table: The report's rows, with the roles that they have for this front.
        """
        goals, ranges = record.goals, _frame(table, record.goals)
        return cls(
            objectives=[_objective(o, table, record) for o in goals.objectives],
            limits=limits_in_words(goals),
            feasible=record.result.feasible,
            role=table.role,
            frame=ranges,
            outside=_outside(table, ranges),
            true_front=_true_front(record.result),
            history=_history(record),
        )

    @classmethod
    def each(cls, record: RunRecord, table: Table, rows: list[Evaluation]) -> dict[str, "FrontPart"]:
        """Return what a report shows of the front in each context; empty without contexts.

        Args:
            record: The run.
            table: The report's rows.
            rows: The evaluations that they are of.
        """
        within = {name: record.within(name) for name in record.result.contexts}
        return {name: cls.of(there, replace(table, role=roles_of(there, rows))) for name, there in within.items()}

    @classmethod
    def of_all(cls, record: RunRecord, table: Table, parts: "dict[str, FrontPart]") -> "FrontPart":
        """Return what a report shows of the fronts of all contexts together, by the part of each."""
        seen = [objective for part in parts.values() if part.feasible for objective in part.objectives]
        objectives = []
        for o in record.goals.objectives:
            own = [each for each in seen if each.name == o.metric and each.best is not None]
            none = replace(_objective(o, table, record), best=None, best_id=None)
            objectives.append(min(own, key=lambda each: o.sign * (each.best or 0.0), default=none))
        longest = max((part.history.n for part in parts.values()), key=len)
        return cls(
            objectives,
            limits_in_words(record.goals),
            record.result.feasible,
            table.role,
            {},
            [],
            None,
            History(longest, box_of=record.result.box_of),
        )


def limits_in_words(goals: Goals) -> list[str]:
    """Return each limit in words."""
    return [f"{limit.metric} {limit.relation.replace('_', ' ')} {limit.bound:g}" for limit in goals.limits]


def _objective(objective: Objective, table: Table, record: RunRecord) -> ObjectiveSummary:
    column, front = table.metric(objective.metric), table.rows("front")
    unit = record.metrics[objective.metric].unit if objective.metric in record.metrics else ""
    best = int(front[(objective.sign * column.values[front]).argmin()]) if len(front) else None
    return ObjectiveSummary(
        objective.metric,
        column.title,
        objective.direction,
        objective.goal,
        column.log,
        objective.in_words(unit),
        None if best is None else float(column.values[best]),
        None if best is None else table.id[best],
    )


def _history(record: RunRecord) -> History:
    goals, result = record.goals, record.result
    keys, F, violation = result.objectives
    n = np.array([evaluation_of(key) for key in keys[violation == 0]], dtype=np.int64)
    F, box = F[violation == 0], result.box
    if box is None:
        return History(n)
    ends = np.flatnonzero(np.diff(n, append=0)) + 1  # of the rows that an evaluation has
    if len(goals.objectives) == 1:
        best = np.minimum.accumulate(F[:, 0])[ends - 1]
        return History(n[ends - 1], best=significant(goals.signs[0] * best))
    seen, true = hypervolume_history(F, box, ends=ends), result.true_front
    known = true is not None and share_of_front(F, true) is not None and F.shape[1] <= MOST_OBJECTIVES
    return History(
        n[seen.counts - 1],
        volume=significant(seen.volumes),
        size=seen.sizes,
        box=result.hypervolume_box,
        box_of=result.box_of,
        true=box.share(true) if true is not None and known else None,
    )


def _frame(table: Table, goals: Goals) -> dict[str, tuple[float, float]]:
    front, others = table.rows("front"), table.rows("dominated")
    ranges = {}
    for objective in goals.objectives if len(front) else ():
        column, is_max = table.metric(objective.metric), objective.direction == "max"
        ranges[column.name] = frame(column.values[front], column.values[others], is_max=is_max, is_log=column.log)
    return ranges


def _outside(table: Table, ranges: dict[str, tuple[float, float]]) -> list[int]:
    rows = np.concatenate([table.rows(role) for role in ("front", "dominated", "over a limit")])
    inside = {}
    for name, (low, high) in ranges.items():
        values = table.metric(name).values[rows]
        inside[name] = (low <= values) & (values <= high)
    return [int((~(inside[x] & inside[y])).sum()) for x, y in itertools.combinations(ranges, 2)]


def _true_front(result: Result) -> Array | None:
    if result.true_front is None:
        return None
    points = np.asarray(result.true_front) * result.goals.signs
    chosen = thinned(len(points), MOST_TRUE_POINTS)
    return np.column_stack([significant(points[chosen, i]) for i in range(points.shape[1])])
