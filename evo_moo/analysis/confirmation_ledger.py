"""Reads the confirmation of a run: the replicates of its members, from the run's ledger and from the confirmation's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evo_moo.analysis.confirmed_front import Confirmation, InContext, largest_p, p_nondominated, test_metric_of
from evo_moo.analysis.fronts.endings import why_no_front
from evo_moo.analysis.run_front import RunFront
from evo_moo.analysis.statistics.intervals import Array
from evo_moo.errors import RunFolderError, UsageError
from evo_moo.object_code import changed_parts
from evo_moo.problem.metrics import Metric, Metrics
from evo_moo.problem.points import Key
from evo_moo.seeding import seed_for
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import reading
from evo_moo.values import json_key

FOLDER = "confirmation"
FEW_SEEDS = 10
"""Of fewer, probabilities of being on the front are too low by more than one or two in a hundred."""
Replicates = dict[int, Evaluation]
"""The evaluations of one member, by their numbers from 1."""


def confirmation_seed(number: int) -> int:
    """Return the seed of a replicate, counted from 1: the same in all confirmations, so that any two can be paired."""
    return seed_for("confirmation", number)


def members_of_run(ledger: Ledger, result: RunFront, ids: Sequence[Key]) -> list[Evaluation]:
    """Return the evaluations with these ids, by default those of the front.

    The id of a training that offers points stands for all of them.

    Raises:
        UsageError: An id is that of no evaluation that ended well, or there is no front.
    """
    run = result.run_dir
    if not ids:
        if not result.front:
            raise UsageError(f"`{run}` must have a front to be confirmed, but {why_no_front(result.endings)}")
        return result.front
    on_front = {e.id: e for e in result.front}
    distinct = list(dict.fromkeys(ids))
    named = {e.id: e for e in ledger.of_ids(distinct)}
    statuses = {key: named[key].status if key in named else "none" for key in distinct}
    if wrong := {key: status for key, status in statuses.items() if status != "ok"}:
        rule, way_out = "an id must be that of a full evaluation that ended well", "`evo-moo show` lists the front"
        raise UsageError(*(f"{rule}, but {key} of {run} is {status}; {way_out}" for key, status in wrong.items()))
    members = {each.id: on_front.get(each.id, each) for e in named.values() for each in e.offers()}
    return list(members.values())


def read_confirmation(run_dir: str | Path, ids: Sequence[Key] = (), n_seeds: int | None = None) -> Confirmation:
    """Read the replicates of a run's members.

    Args:
        run_dir: The run folder.
        ids: Ids of the run's evaluations; by default those of its front.
        n_seeds: How many replicates of each to look at; by default all.

    Raises:
        UsageError: An id is that of no evaluation that ended well, or there is no front.
        RunFolderError: It is no run folder, or nothing of it was confirmed.
    """
    run_dir = Path(run_dir)
    with reading(run_dir) as ledger:
        front = RunFront.of_ledger(ledger, run_dir)
        members = members_of_run(ledger, front, ids)
        searched = ledger.facts()
    if not (run_dir / FOLDER / "run.sqlite").is_file():
        raise RunFolderError(f"`{run_dir}` must have been confirmed, but was not; `evo-moo confirm {run_dir}` does so")
    with reading(run_dir / FOLDER) as ledger:
        confirmed = ledger.facts()
        known = confirmed.metrics
        replicates = _replicates(ledger, members, n_seeds)
    n_seeds = max((number for by_number in replicates for number in by_number), default=0)
    required = {test_metric_of(known, name) or name for name in front.goals.metric_names}
    metrics = [
        {n: e.metrics for n, e in by_number.items() if e.status == "ok" and e.metrics.keys() >= required}
        for by_number in replicates
    ]
    values, again = _matrices(front.goals.metric_names, known, members, metrics, n_seeds)
    fronts = {name: front.within(name) for name in front.contexts}
    in_contexts = {
        name: InContext(frozenset(e.id for e in there.front if there.feasible), p_nondominated(there.goals, values))
        for name, there in fronts.items()
    }
    p = largest_p([each.p_nondominated for each in in_contexts.values()]) or p_nondominated(front.goals, values)
    confirmation = Confirmation(
        run_dir.absolute().name,
        front.goals,
        known,
        members,
        [confirmation_seed(number) for number in range(1, n_seeds + 1)],
        values,
        again,
        p,
        [],
        in_contexts,
    )
    return replace(confirmation, notes=_notes(confirmation, replicates, searched, confirmed, front))


def _replicates(ledger: Ledger, members: Sequence[Evaluation], n_seeds: int | None) -> list[Replicates]:
    """Return the first replicates of each member; of a point, those of its training by the point of equal choices."""
    of_training: dict[str, Replicates] = {}
    for e in ledger.evaluations():
        if n_seeds is None or e.replicate <= n_seeds:
            of_training.setdefault(_training(e), {})[e.replicate] = e
    found = [(member, of_training.get(_training(member), {})) for member in members]
    return [{n: _as_offered(e, member) for n, e in replicates.items()} for member, replicates in found]


def _training(e: Evaluation) -> str:
    """Return the same text for all evaluations, and points, of a training's configuration."""
    return json_key(e._replace(choices_json="{}").configuration)


def _as_offered(repetition: Evaluation, member: Evaluation) -> Evaluation:
    """Return what a repetition of a member's training offers with the same choices; a failure where it does not."""
    if not repetition.points:
        return repetition
    choices = json_key(member.choices)
    offered = {json_key(point.choices): point for point in repetition.points}
    if choices not in offered or offered[choices].fault:
        why = offered[choices].fault if choices in offered else "no point of its choices"
        return repetition._replace(status="failed", reason=why, points=())
    return next(each for each in repetition.offers() if json_key(each.choices) == choices)


def _matrices(
    required: Sequence[str],
    known: Mapping[str, Metric],
    members: Sequence[Evaluation],
    metrics: Sequence[Mapping[int, Metrics]],
    n_seeds: int,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the confirmed values of each metric, and of those with test data the ones on validation data."""
    values, again = {}, {}
    for name in dict.fromkeys([*required, *(name for member in members for name in member.metrics)]):
        if name not in required and name in known and known[name].held_out:
            continue
        test = test_metric_of(known, name)
        matrix = _matrix(metrics, test or name, n_seeds)
        if name in required or not np.isnan(matrix).all():
            values[name] = matrix
            if test:
                again[name] = _matrix(metrics, name, n_seeds)
    return values, again


def _matrix(metrics: Sequence[Mapping[int, Metrics]], name: str, n_seeds: int) -> Array:
    """Return a metric of each member and seed, ``(n_members, n_seeds)``, NaN where it is not known."""
    numbers = range(1, n_seeds + 1)
    rows = [[by_number.get(number, {}).get(name, np.nan) for number in numbers] for by_number in metrics]
    return np.array(rows, dtype=float).reshape(len(metrics), n_seeds)


def _notes(
    confirmation: Confirmation,
    replicates: Sequence[Replicates],
    searched: RunFacts,
    confirmed: RunFacts,
    front: RunFront,
) -> list[str]:
    notes = []
    names, known = confirmation.goals.metric_names, confirmation.known_metrics
    trained = [name for name in names if name in known and not known[name].cheap]
    if without := [name for name in trained if name not in confirmation.again]:
        notes.append(
            f"no test split for {', '.join(without)}: only the luck of the seed is taken out, not the selection on the "
            "data that the search judged by"
        )
    if tested := ", ".join(f"{n} by {confirmation.test_metric(n)}" for n in names if n in confirmation.again):
        notes.append(f"on test data: {tested}; the intervals hold for these very data, trained anew")
    if len(confirmation.seeds) < 2:
        n_seeds = len(confirmation.seeds)
        notes.append(f"{n_seeds} seed shows no spread: no intervals and no probabilities; try --seeds 5")
    elif constant := [name for name in trained if (confirmation.summary(name)["sd"] == 0).any()]:
        why = "" if confirmed.is_seeded else "; `evaluate` takes neither `seed` nor `replicate`"
        notes.append(f"{', '.join(constant)} did not vary at all for some members, so their intervals are points{why}")
    if 2 <= len(confirmation.seeds) < FEW_SEEDS and len(confirmation.members) > 1:
        notes.append(
            f"of {len(confirmation.seeds)} seeds, probabilities of being on the front are rather too low (of 3, 0.73 "
            "on average where 0.78 was true); they suppose that noise is alike for all members"
        )
    rows = [e for by_number in replicates for e in by_number.values()]
    if bad := Counter(f"{e.status}: {e.reason}" for e in rows if e.status not in ("ok", "asked")):
        counted = "; ".join(f"{n} {words}" for words, n in bad.most_common(3))
        notes.append(f"{sum(bad.values())} of {len(rows)} repetitions did not end well, and are left out: {counted}")
    if missing := len(replicates) * len(confirmation.seeds) - sum(e.status != "asked" for e in rows):
        notes.append(f"{missing} repetitions have not ended yet; `evo-moo confirm` goes on")
    versions = [confirmed.problem_version, searched.problem_version]
    changed = changed_parts(searched.parts, confirmed.parts)
    if changed or versions[0] != versions[1]:
        may = "has" if changed or None not in versions else "may have"
        why = f" ({'; '.join(changed)})" if changed else ""
        notes.append(f"the problem {may} changed since the search{why}, so that the shift is not that of luck alone")
    if searched.state != "finished":
        notes.append(f"the run is not finished, but {searched.state}: its front may change")
    if not front.feasible:
        notes.append("nothing of the run keeps the limits: these are the nearest")
    return notes
