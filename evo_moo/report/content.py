"""Everything that a report shows: the page and the figures for papers are drawn from it alone."""

import datetime
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import orjson

from evo_moo.analysis.fronts.endings import Failure
from evo_moo.analysis.governance.audit import Audit
from evo_moo.analysis.importance.importances import importances, learnt_in_words
from evo_moo.analysis.result import Result
from evo_moo.analysis.run_record import RunRecord
from evo_moo.analysis.run_table import RunTable
from evo_moo.analysis.rung_summary import rung_report
from evo_moo.analysis.statistics.choice_effects import ChoiceEffect, choice_effects
from evo_moo.analysis.surrogate_quality import SurrogateQuality, surrogate_quality
from evo_moo.analysis.timeline import Timeline, timeline
from evo_moo.errors import MetricError, RunFolderError
from evo_moo.pareto import Array
from evo_moo.report.columns import ROLES, Table, shown_rows, table_of
from evo_moo.report.front_part import FrontPart, History, ObjectiveSummary, limits_in_words
from evo_moo.storage.facts import run_state
from evo_moo.storage.reading import reading
from evo_moo.text import printable


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
        audit: Who asked for what, and by which rules.
        importances: Which variables matter.
        environment: Versions and machine.
        contexts: With contexts, by name, what of this is that of the front in each.
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
    audit: Audit
    importances: Importances
    environment: dict[str, Any]
    contexts: dict[str, FrontPart] = field(default_factory=dict)

    def within(self, context: str) -> "Report":
        """Return the report of the front in one context."""
        part = self.contexts[context]
        shown = {each.name: getattr(part, each.name) for each in fields(part) if each.name != "role"}
        columns, result = replace(self.columns, role=part.role), self.result.within(context)
        return replace(self, **shown, columns=columns, result=result, contexts={})

    def to_json(self, options: int = 0) -> str:
        """Return it as JSON, with further options of ``orjson.dumps``."""
        left_out = {"result"} if self.contexts else {"result", "contexts"}
        parts = {part.name: getattr(self, part.name) for part in fields(self) if part.name not in left_out}
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
        rows = shown_rows(record)
        table = table_of(record, rows)
        parts = FrontPart.each(record, table, rows)
        part = FrontPart.of_all(record, table, parts) if parts else FrontPart.of(record, table)
        refined = ledger.n_refined() > 0
        return Report(
            result=record.result,
            name=record.name,
            written_at=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            state=run_state(record.state, record.is_going_on),
            facts=_facts(record, part.history, cost),
            objectives=part.objectives,
            limits=part.limits,
            feasible=part.feasible,
            members=record.result.members,
            columns=table,
            roles=ROLES,
            frame=part.frame,
            outside=part.outside,
            true_front=part.true_front,
            history=part.history,
            choices=choice_effects(ledger.evaluations(), record.front_ids) if ledger.has_points() else [],
            failures=record.result.failures(),
            surrogate=surrogate_quality(ledger),
            rungs=rung_report(ledger) if refined else None,
            audit=Audit.of(record),
            timeline=timeline(ledger.events(), ledger.evaluations(), record.result.members),
            importances=_importances(record) if with_importances else Importances(),
            environment=record.environment(),
            contexts=parts,
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
        "Contexts": _contexts(result),
        "In doubt": result.doubts_in_words(),
        "Hypervolume": _hypervolume(result, history),
        "True front": "" if share is None else f"{share:.2%} of the true front's",
        "Limits": ", ".join(limits_in_words(record.goals)),
    }
    return {what: words for what, words in facts.items() if words}


def _hypervolume(result: Result, history: History) -> str:
    if result.contexts:
        return result.hypervolume_in_words()
    return "" if history.volume is None else f"{history.volume[-1]:.4g} of {history.box_of}"


def _contexts(result: Result) -> str:
    """Say how many members the front of each context has, and how many serve several."""
    if not result.contexts:
        return ""
    each = {name: result.within(name) for name in result.contexts}
    sizes = ", ".join(
        f"{len(front.front)} in {name}" if front.feasible else f"none keeps the limits in {name}"
        for name, front in each.items()
    )
    return f"{sizes}; {sum(len(names) > 1 for names in result.serves.values())} serve several"
