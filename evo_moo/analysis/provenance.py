"""The provenance of one evaluation: why it was asked, how it ended, and which others descend from it."""

from collections.abc import Collection
from typing import Any

from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import UsageError
from evo_moo.problem.points import Key, evaluation_of
from evo_moo.storage.evaluation_row import Evaluation, PointRow
from evo_moo.storage.ledger import Ledger

_WHY = {
    "start": "the job names it among the configurations to start with",
    "sample": "drawn to fill the population",
    "mating": "bred from its parents",
    "infill": "proposed with the help of surrogates",
    "promotion": "among the best of its rung",
    "told": "told with its metrics: it was measured elsewhere",
    "replicate": "repeated with another seed, since it was on the front",
}
_RECORDED = (
    *("id", "generation", "configuration", "origin", "fidelity", "continues", "replicate", "cost", "seed", "worker"),
    *("attempts", "asked_at", "started_at", "duration_s", "status", "reason", "metrics", "facts", "violation"),
    *("feasible", "traceback", "output"),
)


def provenance(ledger: Ledger, key: Key) -> dict[str, Any]:
    """Return all that a run recorded of one evaluation, or of a point of one, as plain data.

    Args:
        ledger: The run's ledger.
        key: The id of the evaluation, ``12``, or of the point, ``"12.3"``.

    Raises:
        UsageError: There is no such evaluation, or it offers no such point.
    """
    n = sum(ledger.counts().values()) + ledger.n_told()
    if not 1 <= evaluation_of(key) <= n:
        raise UsageError(f"`--id` must be an evaluation of the run, from 1 to {n}, but is {key}")
    (e,) = ledger.of_ids([evaluation_of(key)])
    result = RunFront.of_ledger(ledger, ledger.path and ledger.path.parent)
    on_front = {member.id for member in result.front}
    points = [_point(p, on_front) for p in e.points]
    if not (found := ledger.of_ids([key])):
        offered = ", ".join(str(each.id) for each in e.offers() if each.id != e.id) or "none"
        raise UsageError(f"`--id` must be a point that evaluation {e.id} offers ({offered}), but is {key}")
    (e,) = found
    names = [objective.metric for objective in result.goals.objectives]
    events = [[at, kind, detail] for at, kind, detail in ledger.events() if detail.get("evaluation") == e.training_id]
    return {name: getattr(e, name) for name in _RECORDED} | {
        "points": points,
        "why": _WHY.get(e.origin, e.origin),
        "parents": [_relative(p, names) for p in ledger.of_ids(e.parents)],
        "prediction": _prediction(e),
        "on_front": e.id in on_front,
        "survived": ledger.memberships(e.training_id),
        "children": [_relative(c, names) for c in ledger.of_ids(ledger.children(e.training_id))],
        "events": events,
    }


def _point(point: PointRow, on_front: Collection[Key]) -> dict[str, Any]:
    key = f"{point.evaluation}.{point.point}"
    known = {name: getattr(point, name) for name in ("choices", "metrics", "violation", "fault")}
    return {"id": key, **known, "on_front": key in on_front}


def _relative(e: Evaluation, names: list[str]) -> dict[str, Any]:
    objectives = {name: e.metrics[name] for name in names if name in e.metrics}
    return {"id": e.id, "status": e.status, "objectives": objectives, "configuration": e.configuration}


def _prediction(e: Evaluation) -> dict[str, dict[str, float | None]] | None:
    """Return the prediction of each metric, the measured value, and the error in standard deviations."""
    if e.prediction is None:
        return None
    table: dict[str, dict[str, float | None]] = {}
    for name, (mean, std) in e.prediction.items():
        value = e.metrics.get(name)
        off = None if value is None or not std else (value - mean) / std
        table[name] = {"mean": mean, "std": std, "value": value, "off_by_std": off}
    return table
