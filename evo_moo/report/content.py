"""Everything that a report shows: the page and the figures for papers are drawn from it alone."""

import datetime
import itertools
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from evo_moo.analysis.fronts.endings import Failure
from evo_moo.analysis.importance.importances import importances, learnt_in_words
from evo_moo.analysis.result import Result
from evo_moo.analysis.run_record import RunRecord
from evo_moo.analysis.run_table import RunTable
from evo_moo.analysis.rung_summary import rung_report
from evo_moo.analysis.statistics.choice_effects import ChoiceEffect, choice_effects
from evo_moo.analysis.surrogate_quality import SurrogateQuality, surrogate_quality
from evo_moo.analysis.timeline import Timeline, timeline
from evo_moo.errors import MetricError, RunFolderError
from evo_moo.pareto import MOST_OBJECTIVES, Array, frame, hypervolume_history, share_of_front, thinned
from evo_moo.problem.goals import Goals
from evo_moo.problem.objectives import Objective
from evo_moo.problem.points import Key, evaluation_of
from evo_moo.report.columns import ROLES, Table, significant, table_of
from evo_moo.storage.facts import run_state
from evo_moo.storage.reading import reading
from evo_moo.text import printable

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
class Importances:
    """Which variables matter: ``note`` in words, ``shares`` metric to variable to importance, greatest first."""

    note: str = ""
    shares: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All that a report of a run shows.

    Attributes:
        result: The front and the evaluations, for figures; no part of the JSON.
        name: Name of the run.
        written_at: When it was read, UTC.
        state: The run's state now.
        facts: Headings to words, in order.
        objectives: The objectives.
        limits: The limits in words.
        feasible: Whether the front keeps the limits.
        members: What rows are: ``evaluations``, or the ``points`` that these offer.
        columns: The evaluations, or the points.
        roles: Names of the roles that the columns index.
        frame: Metric to the range that shows the front.
        outside: For every two objectives, in order, how many evaluations lie outside of both ranges' frame.
        true_front: ``(m, n_obj)`` in the metrics' own direction, or None.
        history: Progress over the evaluations.
        choices: What the choices after a training gained and cost; empty without any.
        failures: What did not end well.
        surrogate: The quality of the models.
        rungs: See ``rung_report``; None without refinement.
        timeline: Decisions and incidents.
        importances: Which variables matter.
        environment: Versions and machine.
    """

    result: Result
    name: str
    written_at: str
    state: str
    facts: dict[str, str]
    objectives: list[ObjectiveSummary]
    limits: list[str]
    feasible: bool
    members: str
    columns: Table
    roles: tuple[str, ...]
    frame: dict[str, tuple[float, float]]
    outside: list[int]
    true_front: Array | None
    history: History
    choices: list[ChoiceEffect]
    failures: list[Failure]
    surrogate: SurrogateQuality
    rungs: dict[str, Any] | None
    timeline: Timeline
    importances: Importances
    environment: dict[str, Any]

    def to_json(self, options: int = 0) -> str:
        """Return it as JSON, with further options of ``orjson.dumps``."""
        parts = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "result"}
        return orjson.dumps(parts, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | options).decode()


def read_report(run_dir: str | Path, *, with_importances: bool = True) -> Report:
    """Read all that a report of a run shows; the run may still go on.

    Args:
        run_dir: The run folder.
        with_importances: Whether models are fitted for the importance of the variables; with 1,000 evaluations of 20
            variables or more this takes some 8 s for each objective.

    Raises:
        RunFolderError: It is no run folder, is damaged, or holds no run that has begun.
    """
    path = Path(run_dir)
    with reading(path) as ledger:
        record = RunRecord.of_open(ledger, path)
        cost = ledger.cost_of_ended()
        goals, table, history = record.goals, table_of(record), _history(record)
        ranges = _frame(table, goals)
        refined = ledger.n_refined() > 0
        return Report(
            result=record.result,
            name=record.name,
            written_at=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            state=run_state(record.state, record.is_going_on),
            facts=_facts(record, history, cost),
            objectives=[_objective(o, table, record) for o in goals.objectives],
            limits=_limits(goals),
            feasible=record.result.feasible,
            members=record.result.members,
            columns=table,
            roles=ROLES,
            frame=ranges,
            outside=_outside(table, ranges),
            true_front=_true_front(record.result),
            history=history,
            choices=choice_effects(ledger.evaluations(), record.front_ids) if ledger.has_points() else [],
            failures=record.result.failures(),
            surrogate=surrogate_quality(ledger),
            rungs=rung_report(ledger) if refined else None,
            timeline=timeline(ledger.events(), ledger.evaluations(), record.result.members),
            importances=_importances(record) if with_importances else Importances(),
            environment=record.environment(),
        )


def _importances(record: RunRecord) -> Importances:
    try:
        data = importances(RunTable.of_record(record))
    except (RunFolderError, MetricError) as error:  # nothing that was evaluated
        return Importances(printable(str(error)))
    metrics = data["metrics"].items()
    notes = [f"Permutation importance on configurations that the model did not learn, over {data['over']}."]
    notes += [f"{name}: {words}." for name, known in metrics if (words := known["nothing"] or learnt_in_words(known))]
    shares = {
        name: {row["variable"]: max(row["importance"], 0.0) for row in rows if row["importance"] is not None}
        for name, known in metrics
        if (rows := known["variables"])
    }
    return Importances(" ".join(notes), shares)


def _facts(record: RunRecord, history: History, cost: float) -> dict[str, str]:
    result = record.result
    job = record.job
    search, budget = job.get("search", {}), job.get("budget", {})
    counts: dict[str, int] = {}
    for (status, _), n in result.endings.items():
        counts[status] = counts.get(status, 0) + n
    population = f", population of {search['pop_size']}" if search.get("pop_size") else ""
    settings = job.get("surrogate") or {}
    told = f"; {result.n_told:,} more were told with their metrics" if result.n_told else ""
    n_ended = sum(counts.values()) - counts.get("asked", 0)
    share = result.share_of_true_hypervolume()
    nearest = "" if result.feasible else ", none of which keeps the limits"
    facts = {
        "Problem": record.problem,
        "Code": "; ".join(f"changed {change}" for change in result.code_changes),
        "Options": ", ".join(f"{key} = {value}" for key, value in job.get("problem", {}).get("options", {}).items()),
        "Algorithm": f"{search.get('algorithm', 'unknown')}{population}, {search.get('mode', 'generational')}",
        "Models": f"{settings['model']} ({settings.get('infill', 'search')})" if settings.get("model") else "none",
        "Budget": ", ".join(f"{key} = {value}" for key, value in budget.items() if value is not None),
        "Seed": str(search.get("seed", "unknown")),
        "State": f"{run_state(record.state, record.is_going_on)}, {record.elapsed_s:.4g} s of searching",
        "Evaluations": f"{n_ended:,}: " + ", ".join(f"{n:,} {status}" for status, n in counts.items()) + told,
        "Cost": f"{cost:.4g} full evaluations" if abs(cost - n_ended) > 1e-6 else "",
        "Front": f"{len(result.front):,} {result.members}{nearest}",
        "In doubt": result.doubts_in_words(),
        "Hypervolume": "" if history.volume is None else f"{history.volume[-1]:.4g} of {history.box_of}",
        "True front": "" if share is None else f"{share:.2%} of the true front's",
        "Limits": ", ".join(_limits(record.goals)),
    }
    return {what: words for what, words in facts.items() if words}


def _limits(goals: Goals) -> list[str]:
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
