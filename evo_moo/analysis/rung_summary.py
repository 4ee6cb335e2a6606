"""What a run with refinement did on each rung, and the evaluations of each member of the front."""

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import UsageError
from evo_moo.optimizer.refinement.rungs import MIN_PAIRS, rank_correlations
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import made
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.ledger import Ledger


class _Step(NamedTuple):
    """What counts here of an evaluation; of the metrics the objectives, each the best of the points that it offers."""

    id: int
    status: str
    metrics: dict[str, float]
    fidelity: int | None
    continues: int | None
    replicate: int
    cost: float
    duration_s: float | None

    @classmethod
    def of(cls, e: Evaluation, goals: Goals) -> Self:
        metrics, status = goals.best(made(e.offered)), sys.intern(e.status)
        return cls(e.training_id, status, metrics, e.fidelity, e.continues, e.replicate, e.cost, e.duration_s)


def rung_report(ledger: Ledger) -> dict[str, Any]:
    """Summarise a run with refinement, as plain data.

    Returns:
        ``rungs``: for each rung, the lowest first, ``fidelity``, the numbers of evaluations ``asked``, ``ended``
        (well), ``stopped`` (by their learning curves), ``rose`` (promoted) and ``repeated`` (replicates), the ``cost``
        in full evaluations, ``time_s``, and ``tau``: Kendall's rank correlation of each objective with the next rung,
        where enough is known, and ``tau_full``, with the full evaluation. ``climbs``: for each member of the front,
        the evaluations from the lowest rung up. ``spared``: of the trainings that ran to their end though their curves
        would have stopped them, the number ``n``, and how many are ``on_front``. ``cost`` and ``time_s`` of all.

    Raises:
        UsageError: The run had no refinement.
    """
    if not ledger.n_refined():
        raise UsageError("`--rungs` must go with a run that had refinement, but this one had not")
    result = RunFront.of_ledger(ledger, ledger.path and ledger.path.parent)
    rows = [_Step.of(e, result.goals) for e in ledger.evaluations()]
    by_id = {e.id: e for e in rows}
    fidelities = sorted({e.fidelity for e in rows if e.fidelity is not None})
    members = dict.fromkeys(member.training_id for member in result.front)
    promoted = {e.continues for e in rows if e.continues is not None and not e.replicate}
    return {
        "rungs": [_rung(fidelity, rows, by_id, promoted, result.goals) for fidelity in fidelities],
        "spared": _spared(ledger, by_id, members),
        "climbs": [[_shown(e, result.goals) for e in _climb(by_id[key], by_id)] for key in members],
        "cost": sum(e.cost for e in rows),
        "time_s": sum(e.duration_s or 0.0 for e in rows),
    }


def _rung(
    fidelity: int, rows: list[_Step], by_id: dict[int, _Step], promoted: set[int], goals: Goals
) -> dict[str, Any]:
    here = [e for e in rows if e.fidelity == fidelity]
    return {
        "fidelity": fidelity,
        "asked": len(here),
        "ended": sum(e.status in ("ok", "partial") for e in here),
        "stopped": sum(e.status == "stopped" for e in here),
        "rose": sum(e.id in promoted for e in here),
        "repeated": sum(e.replicate > 0 for e in here),
        "cost": sum(e.cost for e in here),
        "time_s": sum(e.duration_s or 0.0 for e in here),
        "tau": _correlations(fidelity, rows, by_id, goals),
        "tau_full": _correlations(fidelity, rows, by_id, goals, to_full=True),
    }


def _spared(ledger: Ledger, by_id: dict[int, _Step], front: Iterable[int]) -> dict[str, int]:
    """Count the trainings that ran to their end although they would have been stopped, and those on the front."""
    curves = ledger.curves()
    spared = {key for key, curve in curves.items() if curve.would_stop is not None and not curve.judged}

    of_spared, of_front = ({_climb(by_id[key], by_id)[0].id for key in by_id.keys() & keys} for keys in (spared, front))
    return {"n": len(of_spared), "on_front": len(of_spared & of_front)}


def _correlations(
    fidelity: int, rows: list[_Step], by_id: dict[int, _Step], goals: Goals, *, to_full: bool = False
) -> dict[str, float]:
    ended = [e for e in rows if e.status in (("ok",) if to_full else ("ok", "partial")) and not e.replicate]
    pairs = [
        (low, e) for e in ended for low in _climb(e, by_id)[None if to_full else -2 : -1] if low.fidelity == fidelity
    ]
    if len(pairs) < MIN_PAIRS:
        return {}
    low, high = (goals.F([pair[i].metrics for pair in pairs]) for i in (0, 1))
    names = [objective.metric for objective in goals.objectives]
    return dict(zip(names, rank_correlations(low, high).tolist(), strict=True))


def _climb(e: _Step, by_id: dict[int, _Step]) -> list[_Step]:
    """Return the evaluations that an evaluation was promoted from, the lowest first, and itself."""
    climb = [e]
    while e.continues in by_id and e.continues < e.id:
        e = by_id[e.continues]
        climb.insert(0, e)
    return climb


def _shown(e: _Step, goals: Goals) -> dict[str, Any]:
    objectives = {objective.metric: e.metrics.get(objective.metric) for objective in goals.objectives}
    return {"id": e.id, "fidelity": e.fidelity, "objectives": objectives}
