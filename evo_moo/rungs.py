"""How candidates rose: what a run with refinement did on each rung, and the way of each member of the front."""

from typing import Any

import numpy as np

from evo_moo.errors import JobError
from evo_moo.evaluation_row import Evaluation
from evo_moo.goals import Goals
from evo_moo.ladder import MIN_PAIRS, TRUSTED_TAU, rank_correlations
from evo_moo.ledger import Ledger
from evo_moo.result import Result
from evo_moo.tables import cell, open_console, safe

BAR = 40


def rung_report(ledger: Ledger) -> dict[str, Any]:
    """Tell what happened on the ladder, as plain data.

    Returns:
        ``rungs``: for each, the lowest first, ``fidelity``, the numbers ``asked``, ``ended`` (well), ``stopped`` (by
        their learning curves), ``rose``, and ``repeated`` (with other seeds), the ``cost`` in full evaluations, ``time_s``, and ``tau``: Kendall's rank
        correlation of each objective with the next rung, where enough is known. ``climbs``: for each member of the
        front, its evaluations from the lowest rung up. ``cost`` and ``time_s`` of all.

    Raises:
        JobError: The run had no refinement.
    """
    rows = list(ledger.evaluations())
    if not any(e.fidelity is not None for e in rows):
        raise JobError(["`--rungs` must go with a run that had refinement, but this one had not"])
    result = Result.of_ledger(ledger, ledger.path and ledger.path.parent, whole=False)
    by_id = {e.id: e for e in rows}
    fidelities = sorted({e.fidelity for e in rows if e.fidelity is not None})
    risen = {e.continues for e in rows if e.continues is not None and not e.replicate}
    return {
        "rungs": [_rung(fidelity, rows, by_id, risen, result.goals) for fidelity in fidelities],
        "climbs": [_climb(member, by_id, result.goals) for member in result.front],
        "cost": sum(e.cost for e in rows),
        "time_s": sum(e.duration_s or 0.0 for e in rows),
    }


def print_rungs(report: dict[str, Any]) -> None:
    """Print the report: a bar for each rung, its cost and what it is worth, and the climbs."""
    from rich.table import Table

    console, most = open_console(), max(rung["asked"] for rung in report["rungs"])
    table = Table()
    for heading in ("fidelity", "evaluations", "", "ended well", "rose", "cost", "time (s)", "tau with the next"):
        table.add_column(heading, justify="left" if heading in ("", "tau with the next") else "right", overflow="fold")
    for rung in report["rungs"]:
        bar = "#" * max(1, round(BAR * rung["asked"] / most))
        tau = ", ".join(f"{name} {value:.2f}" for name, value in rung["tau"].items())
        weak = min(rung["tau"].values(), default=1.0) < TRUSTED_TAU
        words = safe(tau) + (": more rise than usual" if weak else "")
        counts = (str(rung["ended"]), str(rung["rose"]))
        table.add_row(
            str(rung["fidelity"]), str(rung["asked"]), bar, *counts, cell(rung["cost"]), cell(rung["time_s"]), words
        )
    console.print(table)
    console.print(
        f"In all at the cost of {report['cost']:.4g} full evaluations, {report['time_s']:.4g} s of evaluating."
    )
    for climb in report["climbs"]:
        console.print(safe(" -> ".join(_words(step) for step in climb)))


def _rung(
    fidelity: int, rows: list[Evaluation], by_id: dict[int, Evaluation], risen: set[int], goals: Goals
) -> dict[str, Any]:
    here = [e for e in rows if e.fidelity == fidelity]
    return {
        "fidelity": fidelity,
        "asked": len(here),
        "ended": sum(e.status in ("ok", "partial") for e in here),
        "stopped": sum(e.status == "stopped" for e in here),
        "rose": sum(e.id in risen for e in here),
        "repeated": sum(e.replicate > 0 for e in here),
        "cost": sum(e.cost for e in here),
        "time_s": sum(e.duration_s or 0.0 for e in here),
        "tau": _correlations(fidelity, rows, by_id, goals),
    }


def _correlations(
    fidelity: int, rows: list[Evaluation], by_id: dict[int, Evaluation], goals: Goals
) -> dict[str, float]:
    pairs = [(by_id[e.continues], e) for e in rows if e.continues in by_id and not e.replicate]
    pairs = [(low, high) for low, high in pairs if low.fidelity == fidelity and high.status in ("ok", "partial")]
    if len(pairs) < MIN_PAIRS:
        return {}
    low, high = (np.array([goals.objective_values(pair[i].metrics) for pair in pairs]) for i in (0, 1))
    names = [objective.metric for objective in goals.objectives]
    return dict(zip(names, rank_correlations(low, high).tolist(), strict=True))


def _climb(member: Evaluation, by_id: dict[int, Evaluation], goals: Goals) -> list[dict[str, Any]]:
    names = [objective.metric for objective in goals.objectives]
    steps: list[dict[str, Any]] = []
    e: Evaluation | None = by_id[member.id]
    while e is not None:
        steps.insert(0, {"id": e.id, "fidelity": e.fidelity, "objectives": {n: e.metrics.get(n) for n in names}})
        e = by_id.get(e.continues) if e.continues is not None and e.continues < e.id else None
    return steps


def _words(step: dict[str, Any]) -> str:
    values = ", ".join(f"{name} {cell(value)}" for name, value in step["objectives"].items())
    return f"{step['id']} at {step['fidelity']}: {values}"
