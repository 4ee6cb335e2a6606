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
        their learning curves), ``rose``,
        and ``repeated`` (with other seeds), the ``cost`` in full evaluations, ``time_s``, and ``tau``: Kendall's rank
        correlation of each objective with the next rung, where enough is known, and ``tau_full``, with the full
        evaluation. ``climbs``: for each member of the front, its evaluations from the lowest rung up. ``spared``: of
        the evaluations that were to run to their end though their curves would have stopped them, their number, and
        how many of them ended ``on_front``. ``cost`` and ``time_s`` of all.

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
        "spared": _spared(ledger, by_id, {member.id for member in result.front}),
        "climbs": [_climb(member, by_id, result.goals) for member in result.front],
        "cost": sum(e.cost for e in rows),
        "time_s": sum(e.duration_s or 0.0 for e in rows),
    }


def print_rungs(report: dict[str, Any]) -> None:
    """Print the report: a bar for each rung, its cost and what it is worth, and the climbs."""
    from rich.table import Table

    console, most = open_console(), max(rung["asked"] for rung in report["rungs"])
    table = Table()
    stopped, taus = any(rung["stopped"] for rung in report["rungs"]), ("tau with the next", "tau with the full one")
    counted = ("ended well", "stopped", "rose") if stopped else ("ended well", "rose")
    for heading in ("fidelity", "evaluations", "", *counted, "cost", "time (s)", *taus):
        table.add_column(heading, justify="left" if heading in ("", *taus) else "right", overflow="fold")
    for rung in report["rungs"]:
        bar = "#" * max(1, round(BAR * rung["asked"] / most))
        tau, tau_full = (
            safe(", ".join(f"{name} {value:.2f}" for name, value in rung[key].items())) for key in ("tau", "tau_full")
        )
        weak = min(rung["tau"].values(), default=1.0) < TRUSTED_TAU
        words = tau + (": more rise than usual" if weak else "")
        counts = [str(rung["ended"]), *([str(rung["stopped"])] if stopped else []), str(rung["rose"])]
        spent = cell(rung["cost"]), cell(rung["time_s"])
        table.add_row(str(rung["fidelity"]), str(rung["asked"]), bar, *counts, *spent, words, tau_full)
    console.print(table)
    console.print(
        f"In all at the cost of {report['cost']:.4g} full evaluations, {report['time_s']:.4g} s of evaluating."
    )
    if stopped:
        spared = report["spared"]
        console.print(
            f"To check the risk, {spared['n']} that would have been stopped ran to their end; {spared['on_front']} of "
            "them reached the front."
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
        "tau_full": _correlations(fidelity, rows, by_id, goals, to_full=True),
    }


def _spared(ledger: Ledger, by_id: dict[int, Evaluation], front: set[int]) -> dict[str, int]:
    """Count what was to run to its end although it would have been stopped, and what of it reached the front."""
    curves = ledger.curves()
    spared = {key for key, curve in curves.items() if curve["would_stop"] is not None and not curve["judged"]}

    def lowest(keys: set[int]) -> set[int]:
        return {[by_id[key], *_climbed(by_id[key], by_id)][-1].id for key in keys & by_id.keys()}

    return {"n": len(lowest(spared)), "on_front": len(lowest(spared) & lowest(front))}


def _correlations(
    fidelity: int, rows: list[Evaluation], by_id: dict[int, Evaluation], goals: Goals, *, to_full: bool = False
) -> dict[str, float]:
    ended = [e for e in rows if e.status in (("ok",) if to_full else ("ok", "partial")) and not e.replicate]
    pairs = [(below, e) for e in ended for below in _climbed(e, by_id)[: None if to_full else 1]]
    pairs = [(low, high) for low, high in pairs if low.fidelity == fidelity]
    if len(pairs) < MIN_PAIRS:
        return {}
    low, high = (np.array([goals.objective_values(pair[i].metrics) for pair in pairs]) for i in (0, 1))
    names = [objective.metric for objective in goals.objectives]
    return dict(zip(names, rank_correlations(low, high).tolist(), strict=True))


def _climbed(e: Evaluation, by_id: dict[int, Evaluation]) -> list[Evaluation]:
    """Give the evaluations that one rose from, the nearest first."""
    below: list[Evaluation] = []
    while e.continues in by_id and e.continues < e.id:
        e = by_id[e.continues]
        below.append(e)
    return below


def _climb(member: Evaluation, by_id: dict[int, Evaluation], goals: Goals) -> list[dict[str, Any]]:
    names = [objective.metric for objective in goals.objectives]
    climb = [by_id[member.id], *_climbed(by_id[member.id], by_id)][::-1]
    return [{"id": e.id, "fidelity": e.fidelity, "objectives": {n: e.metrics.get(n) for n in names}} for e in climb]


def _words(step: dict[str, Any]) -> str:
    values = ", ".join(f"{name} {cell(value)}" for name, value in step["objectives"].items())
    return f"{step['id']} at {step['fidelity']}: {values}"
