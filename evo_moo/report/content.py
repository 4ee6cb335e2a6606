"""Everything that a report shows, as plain data: the page and the figures for papers are drawn from it alone."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.analysis.importance.importances import importances
from evo_moo.analysis.result import Result
from evo_moo.analysis.run_record import RunRecord
from evo_moo.analysis.run_table import RunTable
from evo_moo.analysis.rung_summary import rung_report
from evo_moo.analysis.surrogate_quality import surrogate_view
from evo_moo.analysis.timeline import timeline
from evo_moo.errors import MetricError, RunFolderError
from evo_moo.pareto import frame, hypervolume, hypervolume_history, share_of_front
from evo_moo.problem.goals import Goals, Objective
from evo_moo.report.columns import ROLES, columns, significant
from evo_moo.storage.reading import reading
from evo_moo.text import printable

Array = npt.NDArray[np.float64]
MOST_TRUE_POINTS = 1000


def report_data(run_dir: str | Path, *, with_importances: bool = True) -> dict[str, Any]:
    """Read all that a report of a run shows; the run may still go on.

    Args:
        run_dir: The run folder.
        with_importances: Whether models are fitted that tell which variables matter; with 1,000 evaluations of 20
            variables this takes some 8 s for each objective.

    Returns:
        ``name``, ``written_at`` (UTC), ``facts`` (what to what, in order), ``state``; ``objectives`` and ``limits``;
        ``feasible``: whether the front keeps the limits; ``columns``: the evaluations, see
        ``report_columns.columns``; ``roles``; ``frame``: metric to the range that shows the front; ``true_front``:
        ``(m, n_obj)`` in the metrics' own direction, or None; ``history``, ``failures``, ``surrogate``, ``rungs`` (None
        where there are none), ``timeline``, ``importances``, ``environment``.

    Raises:
        RunFolderError: It is no run folder, is damaged, or holds no run that has begun.
    """
    path = Path(run_dir)
    with reading(path) as ledger:
        record = RunRecord.of_open(ledger, path)
        result = record.result
        table = columns(record)
        history = _history(record, result)
        view = surrogate_view(ledger)
        refined = any(e.fidelity is not None for e in record.evaluations)
        return {
            "name": record.name,
            "written_at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "state": _state(record),
            "facts": _facts(record, result, history),
            "objectives": [_objective(o, table, record) for o in record.goals.objectives],
            "limits": [f"{li.metric} {li.relation.replace('_', ' ')} {li.bound:g}" for li in record.goals.limits],
            "feasible": result.feasible,
            "columns": table,
            "roles": ROLES,
            "frame": _frame(table, record.goals),
            "true_front": _true_front(result),
            "history": history,
            "failures": _failures(result),
            "surrogate": view,
            "rungs": rung_report(ledger) if refined else None,
            "timeline": timeline(ledger.events(), record.evaluations),
            "importances": _importances(record) if with_importances else {"note": "", "shares": {}},
            "environment": record.environment(),
        }


def _importances(record: RunRecord) -> dict[str, Any]:
    """Give ``note``, in words, and ``shares``: metric to variable to its importance, the greatest first."""
    try:
        told = importances(RunTable.of_record(record))
    except (RunFolderError, MetricError) as error:  # nothing was evaluated
        return {"note": printable(str(error)), "shares": {}}
    known = {name: its["variables"] for name, its in told["metrics"].items() if its["variables"]}
    silent = [f"{name}: {its['nothing']}." for name, its in told["metrics"].items() if its["nothing"]]
    note = f"Permutation importance on configurations that the model did not learn, over {told['over']}."
    return {
        "note": " ".join([note, *silent]),
        "shares": {
            name: {row["variable"]: max(row["importance"], 0.0) for row in rows if row["importance"] is not None}
            for name, rows in known.items()
        },
    }


def values_of(table: Mapping[str, Any], name: str) -> Array:
    """Return a metric's column, ``(n,)``."""
    return next(np.asarray(its["values"]) for its in table["metrics"] if its["name"] == name)


def role_rows(table: Mapping[str, Any], role: str) -> npt.NDArray[np.int64]:
    """Return the rows of a role."""
    return np.flatnonzero(np.asarray(table["role"]) == ROLES.index(role))


def _state(record: RunRecord) -> str:
    state = str(record.meta.get("state", "new"))
    if state in ("running", "new"):
        return "running" if record.is_going_on else "killed"
    return state


def _facts(record: RunRecord, result: Result, history: Mapping[str, Any]) -> dict[str, str]:
    job = record.meta.get("job", {})
    search, budget = job.get("search", {}), job.get("budget", {})
    counts: dict[str, int] = {}
    for (status, _), n in result.endings.items():
        counts[status] = counts.get(status, 0) + n
    population = f", population of {search['pop_size']}" if search.get("pop_size") else ""
    settings = job.get("surrogate") or {}
    cost = sum(e.cost for e in record.evaluations if e.status != "asked")
    n_ended = sum(counts.values()) - counts.get("asked", 0)
    share = result.share_of_true_hypervolume()
    facts = {
        "Problem": record.problem,
        "Options": ", ".join(f"{key} = {value}" for key, value in job.get("problem", {}).get("options", {}).items()),
        "Algorithm": f"{search.get('algorithm', 'unknown')}{population}, {search.get('mode', 'generational')}",
        "Models": f"{settings['model']} ({settings.get('infill', 'search')})" if settings.get("model") else "none",
        "Budget": ", ".join(f"{key} = {value}" for key, value in budget.items() if value is not None),
        "Seed": str(search.get("seed", "unknown")),
        "State": f"{_state(record)}, {record.meta.get('elapsed_s', 0.0):.4g} s of searching",
        "Evaluations": f"{n_ended:,}: " + ", ".join(f"{n:,} {status}" for status, n in counts.items()),
        "Cost": f"{cost:.4g} full evaluations" if abs(cost - n_ended) > 1e-6 else "",
        "Front": f"{len(result.front):,} evaluations" + ("" if result.feasible else ", none of which keeps the limits"),
        "Hypervolume": f"{history['volume'][-1]:.5g}" if history.get("volume") is not None else "",
        "True front": "" if share is None else f"{share:.2%} of the true front's",
        "Limits": ", ".join(f"{li.metric} {li.relation.replace('_', ' ')} {li.bound:g}" for li in record.goals.limits),
    }
    return {what: words for what, words in facts.items() if words}


def _objective(objective: Objective, table: Mapping[str, Any], record: RunRecord) -> dict[str, Any]:
    column = next(its for its in table["metrics"] if its["name"] == objective.metric)
    front = role_rows(table, "front")
    unit = record.metrics[objective.metric].unit if objective.metric in record.metrics else ""
    best = None
    if len(front):
        values = column["values"][front]
        best = int(front[(objective.sign * values).argmin()])
    return {
        "name": objective.metric,
        "title": column["title"],
        "direction": objective.direction,
        "goal": objective.goal,
        "log": column["log"],
        "words": objective.in_words(unit),
        "best": None if best is None else float(column["values"][best]),
        "best_id": None if best is None else int(table["id"][best]),
    }


def _history(record: RunRecord, result: Result) -> dict[str, Any]:
    """Return the hypervolume and the size of the front, or the best value, over the numbers of evaluations."""
    goals = record.goals
    feasible = [e for e in record.evaluations if e.feasible and not e.replicate]
    n = np.array([e.id for e in feasible])
    F = goals.F([result.means.get(e.id, e.metrics) for e in feasible])
    if not feasible:
        return {"n": []}
    if len(goals.objectives) == 1:
        return {"n": n, "best": significant(goals.objectives[0].sign * np.minimum.accumulate(F[:, 0]))}
    seen = hypervolume_history(F)
    true = result.true_front
    known = true is not None and share_of_front(F, true) is not None and F.shape[1] <= 4
    return {
        "n": n[seen.counts - 1],
        "volume": significant(seen.volumes),
        "size": seen.sizes,
        "ref_point": dict(
            zip([o.metric for o in goals.objectives], (goals.signs * seen.ref_point).tolist(), strict=True)
        ),
        "true": hypervolume(true, seen.ref_point) if true is not None and known else None,
    }


def _frame(table: Mapping[str, Any], goals: Goals) -> dict[str, tuple[float, float]]:
    front, others = role_rows(table, "front"), role_rows(table, "dominated")
    ranges = {}
    for objective in goals.objectives if len(front) else ():
        column = next(its for its in table["metrics"] if its["name"] == objective.metric)
        values, is_max = column["values"], objective.direction == "max"
        ranges[objective.metric] = frame(values[front], values[others], is_max=is_max, is_log=column["log"])
    return ranges


def _true_front(result: Result) -> Array | None:
    if result.true_front is None:
        return None
    points = np.asarray(result.true_front) * result.goals.signs
    chosen = np.linspace(0, len(points) - 1, min(len(points), MOST_TRUE_POINTS)).astype(int)
    return np.column_stack([significant(points[chosen, i]) for i in range(points.shape[1])])


def _failures(result: Result) -> list[dict[str, Any]]:
    """Count what did not end well by status and rule, most frequent first."""
    counts: dict[tuple[str, str], int] = {}
    for (status, reason), n in result.endings.items():
        if status not in ("ok", "partial", "asked"):
            rule = reason.partition(", but is ")[0]
            counts[status, rule] = counts.get((status, rule), 0) + n
    ranked: Sequence[tuple[tuple[str, str], int]] = sorted(counts.items(), key=lambda item: -item[1])
    return [{"status": status, "reason": reason, "n": n} for (status, reason), n in ranked]


def front_table(data: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the front as headings and rows of words: id, metrics with the objectives first, configuration."""
    table, first = data["columns"], data["objectives"][0]
    shown = [*table["metrics"], *table["variables"]]
    front = role_rows(table, "front")
    values = values_of(table, first["name"])[front]
    order = np.argsort(-values if first["direction"] == "max" else values, kind="stable")
    rows = [[str(table["id"][i]), *(_cell(its, i, table) for its in shown)] for i in front[order]]
    return ["id", *(its["title"] for its in shown)], rows


def _cell(its: Mapping[str, Any], i: int, table: Mapping[str, Any]) -> str:
    value = float(its["values"][i])
    if np.isnan(value):
        return ""
    if "levels" in its:
        return str(its["levels"][int(value)])
    sd = table["sd"].get(its["name"], {}).get(str(i), 0.0) if its in table["metrics"] else 0.0
    return number(value) + (f" ± {sd:.2g}" if sd else "")


def number(value: float | None) -> str:
    """Write a number as people read it: four digits, without an exponent where that is short."""
    if value is None:
        return ""
    whole = float(value).is_integer() or abs(value) >= 1e4
    return f"{value:,.0f}" if whole and abs(value) < 1e7 else f"{value:.4g}"
