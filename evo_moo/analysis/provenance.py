"""The provenance of one evaluation: why it was asked, how it ended, and which others descend from it."""

from collections.abc import Collection
from typing import Any

from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import UsageError
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import Key, evaluation_of, key_of, made
from evo_moo.storage.evaluation_row import Evaluation, PointRow
from evo_moo.storage.ledger import Ledger

_WHY = {
    "start": "the job names it among the configurations to start with",
    "sample": "drawn to fill the population",
    "mating": "bred from its parents",
    "informed": "bred from its parents, by the mutation of the problem",
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
    (training,) = ledger.of_ids([evaluation_of(key)])
    result = RunFront.of_ledger(ledger, ledger.path and ledger.path.parent)
    on_front = {member.id for member in result.front}
    e, fault, points = training, "", training.points
    if key != training.id:
        e, fault, points = _as_evaluation(training, key)
    events = [[at, kind, detail] for at, kind, detail in ledger.events() if detail.get("evaluation") == training.id]
    return {name: getattr(e, name) for name in _RECORDED} | {
        "fault": fault,
        "points": [_point(p, on_front) for p in points],
        "why": _WHY.get(e.origin, e.origin),
        "parents": [_relative(p, result.goals) for p in ledger.of_ids(e.parents)],
        "prediction": _prediction(training, key),
        "predicted_choices": training.predicted_choices,
        "on_front": key in on_front,
        **_in_contexts(e, result),
        "survived": ledger.memberships(key),
        "children": [_relative(c, result.goals) for c in ledger.of_ids(ledger.children(training.training_id))],
        "events": events,
    }


def _in_contexts(e: Evaluation, result: RunFront) -> dict[str, Any]:
    """Return the contexts on whose fronts an evaluation is, and those whose limits it keeps."""
    if not result.contexts:
        return {}
    views = zip(result.contexts, result.goals.views, strict=True)
    kept = [name for name, view in views if e.feasible and not view.violation(e.metrics)]
    return {"contexts": result.serves.get(e.id, ()), "kept_in": kept}


def _as_evaluation(training: Evaluation, key: Key) -> tuple[Evaluation, str, tuple[PointRow, ...]]:
    """Return a point as an evaluation, also one that could not be made, with why; a point has no points."""
    of_key = {key_of(p.evaluation, p.point): p for p in training.points}
    if key not in of_key:
        offered = f"has the points {', '.join(map(str, of_key))}" if of_key else "has no points"
        raise UsageError(f"`--id` must be a point of evaluation {training.id}, which {offered}, but is {key}")
    p = of_key[key]
    e = training._replace(id=key, metrics=p.metrics, violation=p.violation, choices_json=p.choices_json)
    return e, p.fault, ()


def _point(point: PointRow, on_front: Collection[Key]) -> dict[str, Any]:
    key = key_of(point.evaluation, point.point)
    known = {name: getattr(point, name) for name in ("choices", "metrics", "violation", "fault")}
    return {"id": key, **known, "on_front": key in on_front}


def _relative(e: Evaluation, goals: Goals) -> dict[str, Any]:
    """Return an evaluation in brief; of one with points each objective is the best of them."""
    objectives = goals.best(made(e.offered))
    return {"id": e.id, "status": e.status, "objectives": objectives, "configuration": e.configuration}


def _prediction(e: Evaluation, key: Key) -> dict[str, dict[str, float | None]] | None:
    """Return the prediction of each metric, the measured value, and the error in standard deviations.

    It is about one point of those that an evaluation offers, and no other of them has any.
    """
    seen = e.as_predicted()
    if e.prediction is None or (key != e.id and (seen is None or seen.id != key)):
        return None
    table: dict[str, dict[str, float | None]] = {}
    for name, (mean, std) in e.prediction.items():
        value = None if seen is None else seen.metrics.get(name)
        off = None if value is None or not std else (value - mean) / std
        table[name] = {"mean": mean, "std": std, "value": value, "off_by_std": off}
    return table
