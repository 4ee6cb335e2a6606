"""The member that is built: how it was chosen, and what its card says of the search."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.analysis.choice import SIGNS, Decision, pick
from evo_moo.analysis.confirmation_ledger import FOLDER, read_confirmation
from evo_moo.analysis.result import Result
from evo_moo.deployment.card import Member, Search, rounded
from evo_moo.errors import EvoMooError, NoChoiceError, UsageError
from evo_moo.job.job import Job
from evo_moo.problem.points import Key
from evo_moo.storage.evaluation_row import Evaluation


@dataclass(frozen=True)
class Chosen:
    """A member, and the decision that chose it; None where its id was named."""

    evaluation: Evaluation
    decision: Decision | None


def choose(result: Result, member: Key | None, rules: dict[str, Any]) -> Chosen:
    """Choose a member by its id, or by the arguments of ``choice.pick``.

    Raises:
        UsageError: Both are given, or a rule is wrong.
        NoChoiceError: Nothing keeps the limits, or there is no such member.
    """
    if member is None:
        decision = pick(result, **rules)
        return Chosen(decision.chosen, decision)
    if rules:
        raise UsageError(f"a member must be named by its id or by rules, but `member` is {member} beside rules")
    named = [e for e in result.evaluations if str(e.id) == str(member) and e.status == "ok"]
    if not named:
        raise NoChoiceError(
            f"`member` must be a full evaluation that ended well, but is {member}; `evo-moo show` lists the front"
        )
    return Chosen(named[0], None)


def searched(result: Result, chosen: Chosen, job: Job) -> Search:
    """Return what a card says of the search and of the choice."""
    e, decision, goals = chosen.evaluation, chosen.decision, result.goals
    front = [
        Member(
            id=str(each.id),
            values=rounded({o.metric: each.metrics[o.metric] for o in goals.objectives}),
            is_chosen=each.id == e.id,
        )
        for each in result.front
    ]
    confirmed, n_confirmed = _confirmed(result.run_dir, e)
    best = {o.metric: o.best(m.metrics[o.metric] for m in result.front) for o in goals.objectives}
    return Search(
        run=Path(result.run_dir or "").absolute().name,
        problem=job.problem.use,
        options=dict(job.problem.options),
        version=_version_of(result),
        n_evaluations=result.n_evaluations,
        objectives={o.metric: o.direction for o in goals.objectives},
        policies=dict(job.policies or {}),
        limits=[f"{limit.metric} {SIGNS[limit.relation]} {limit.bound:g}" for limit in goals.limits],
        front=front,
        rule=decision.rule if decision else "named by its id",
        why=decision.why if decision else "",
        given_up=rounded({name: abs(e.metrics[name] - value) for name, value in best.items()}),
        recorded=rounded(e.metrics),
        confirmed=confirmed,
        n_confirmed=n_confirmed,
    )


def _confirmed(run_dir: Path | None, e: Evaluation) -> tuple[dict[str, tuple[float, float]], int]:
    """Return means and standard deviations over new seeds, of a run that was confirmed, and the number of seeds."""
    if run_dir is None or not (run_dir / FOLDER).is_dir():
        return {}, 0
    with contextlib.suppress(EvoMooError):
        found = read_confirmation(run_dir, [e.id])
        table = {name: values[0][np.isfinite(values[0])] for name, values in found.values.items()}
        n = max((len(values) for values in table.values()), default=0)
        return {k: (float(v.mean()), float(v.std(ddof=1))) for k, v in table.items() if len(v) > 1}, n
    return {}, 0


def _version_of(result: Result) -> str | None:
    from evo_moo.storage.reading import reading

    with reading(Path(result.run_dir or "")) as ledger:
        return ledger.facts().problem_version
