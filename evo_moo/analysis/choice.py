"""One model of a run, chosen by a rule that can be stated: hard limits first, then one rule.

Candidates are the Pareto front of all full evaluations that keep the run's own limits and those given. Objectives are
scaled to 0 at the best and 1 at the worst of these candidates, so a loss is a share of what there is to choose from.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from evo_moo.analysis.choice_rules import Method, Ranking, Rule
from evo_moo.analysis.evaluated_front import EvaluatedFront
from evo_moo.analysis.fronts.endings import why_no_front
from evo_moo.errors import NoChoiceError, UsageError
from evo_moo.problem.goal_faults import limit_faults
from evo_moo.problem.goals import Goals, Limits, Objectives
from evo_moo.problem.metrics import Metric
from evo_moo.problem.objectives import Limit, total_violation
from evo_moo.problem.points import key_in_words, place_of_key
from evo_moo.storage.evaluation_row import Evaluation

SIGNS = {"at_most": "<=", "at_least": ">=", "equals": "=="}
TIE = 1e-12
"""Scores that are so near are equal."""


class Trade(NamedTuple):
    """What a choice means for one objective.

    Attributes:
        metric: Name of the objective.
        direction: ``"min"`` or ``"max"``.
        value: Value of the choice.
        best: Best value of the run, whatever the limits given.
        given_up: Distance from the best, at least 0, in the metric's unit.
        share: The same as a share of the range of the run's front; None where that is a single value.
        runner_up: Value of the runner-up; None without one.
    """

    metric: str
    direction: str
    value: float
    best: float
    given_up: float
    share: float | None
    runner_up: float | None


@dataclass(frozen=True)
class Decision:
    """A chosen evaluation, and how it was chosen.

    Attributes:
        chosen: The evaluation; means of its metrics where it was repeated.
        runner_up: The next by the same rule; None where there is but one candidate.
        rule: The limits and the rule in words.
        why: How the choice follows from it.
        trades: What was given up, by objective.
        ranking: All candidates, the best first, as (score, evaluation): less is better. By ``order`` and ``knee`` there
            is no score, and it is None.
        spread: Standard deviation of each metric over the repetitions of the choice; empty without any.
        context: The context whose front was chosen from; empty without contexts.
    """

    chosen: Evaluation
    runner_up: Evaluation | None
    rule: str
    why: str
    trades: list[Trade]
    ranking: list[tuple[float | None, Evaluation]]
    spread: dict[str, float]
    context: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return ({"context": self.context} if self.context else {}) | {
            "id": self.chosen.id,
            "configuration": self.chosen.configuration,
            "metrics": self.chosen.metrics,
            "spread": self.spread,
            "rule": self.rule,
            "why": self.why,
            "objectives": {trade.metric: trade._asdict() for trade in self.trades},
            "runner_up": self.runner_up.id if self.runner_up else None,
            "ranking": [{"id": e.id, "score": score} for score, e in self.ranking],
        }


def pick(
    result: EvaluatedFront,
    *,
    limits: Limits | None = None,
    weights: Mapping[str, float] | None = None,
    method: Method | None = None,
    aim: Mapping[str, float] | None = None,
    order: Sequence[str] = (),
    tolerances: Mapping[str, float] | None = None,
    knee: bool = False,
    context: str | None = None,
) -> Decision:
    """Choose an evaluation of a run by hard limits and one rule.

    Without a rule, every objective that has no limit among those given counts alike: the largest loss is to be least
    (``"tchebycheff"``). Ties go to the less sum of losses, then to the earlier evaluation.

    Args:
        result: A run's result.
        limits: Metric names to limits such as ``{"at_most": 20}``, as constraints of a job; on any recorded metric.
        weights: Names of objectives to weights of at least 0, not all 0; an objective without one counts nothing.
        method: What is done with the weights: ``"tchebycheff"``, the default, ``"weighted-sum"``, ``"asf"`` or
            ``"pseudo-weights"``: the member whose own share of each objective's gains is nearest to the weights.
        aim: Names of objectives to values to be reached, a reference point: the achievement scalarising function of
            Wierzbicki (1980), which goes on from an aim that is reached. Weights may say which miss counts more.
        order: Names of objectives, the most important first: lexicographic order.
        tolerances: Names of objectives of ``order`` to how far off the best is as good as the best.
        knee: Whether to take a knee: a high trade-off point, which no neighbour improves on without a larger loss.
        context: Which of the contexts the model is for, where the run has some. Names may then be those of the
            problem's declaration, ``latency_ms`` for ``latency_ms@phone``.

    Raises:
        UsageError: Some argument is wrong, or there is more than one rule; all faults are listed.
        MetricError: There is no such context.
        NoChoiceError: Nothing keeps the limits, or there is no knee. It says what is nearest.
    """
    result = result.in_one(context)
    limits = result.names.of_table(limits or {})
    order = [result.names.recorded(name) for name in ([order] if isinstance(order, str) else order)]
    named = [None if table is None else result.names.of_table(table) for table in (weights, aim, tolerances)]
    rule = Rule(named[0], method, named[1], order, named[2], knee)
    kept = sorted(candidates(result, limits, rule.faults(result.goals)), key=lambda e: place_of_key(e.id))
    words, rank = rule.ranker(result.goals, limits)
    ranking = rank(result.goals.F([e.metrics for e in kept]))
    ordered = [kept[i] for i in ranking.rows]
    scores: Sequence[float | None] = ranking.scores or [None] * len(kept)
    runner_up = ordered[1] if len(ordered) > 1 else None
    return Decision(
        ordered[0],
        runner_up,
        "; ".join([*(_words(limit) for limit in _given(limits)), words]),
        _why(result.goals, ranking, ordered),
        _trades(result, ordered[0], runner_up),
        list(zip(scores, ordered, strict=True)),
        dict(result.spread.get(ordered[0].id, {})),
        result.context,
    )


def candidates(result: EvaluatedFront, limits: Limits, faults: Sequence[str] = ()) -> list[Evaluation]:
    """Return the front of the evaluations that keep a run's own limits and further ones, sorted by the first objective.

    Args:
        result: A run's result.
        limits: Further limits.
        faults: What else is wrong, to be listed with the faults of the limits.

    Raises:
        UsageError: A limit is wrong; all faults are listed.
        NoChoiceError: Nothing keeps them all.
    """
    if not len(result.objectives.keys):
        raise NoChoiceError(f"a model can be picked once there is a front, but {why_no_front(result.endings)}")
    names = dict.fromkeys(name for e in result.measured for name in e.metrics) if limits else ()
    known = {name: result.known_metrics.get(name, Metric()) for name in names}
    if wrong := [*faults, *limit_faults("limits", limits, known)]:
        raise UsageError(*wrong)
    wanted = Goals((), (*result.goals.limits, *_given(limits)))
    needed, objectives = set(wanted.metric_names), result.objectives
    if limits:
        kept = (e for e in result.measured if needed <= e.metrics.keys() and not wanted.violation(e.metrics))
        objectives = Objectives.of(((e.id, e.metrics) for e in kept), result.goals)
    front = objectives.front()
    if not len(front.keys):
        raise _nothing_kept(result, wanted.limits)
    members, ids = set(front.keys.tolist()), front.keys.tolist()
    by_id = {e.id: e for e in result.measured if e.id in members}
    return [by_id[key] for key in ids]


def parse_limits(texts: Sequence[str]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Read limits such as ``"latency_ms <= 20"``; of two on one metric the tighter counts.

    Returns:
        The limits as ``pick`` takes them, and the faults.
    """
    relations = {sign: relation for relation, sign in SIGNS.items()}
    limits: dict[str, dict[str, float]] = {}
    faults = []
    for text in texts:
        sign = next((sign for sign in relations if sign in text), "")
        name, _, number = text.partition(sign or "\0")
        try:
            bound = float(number)
        except ValueError:
            faults.append(f"`--limit` must be NAME <= NUMBER, or with >= or ==, but is {text!r}")
            continue
        bounds = limits.setdefault(name.strip(), {})
        tighter = max if sign == ">=" else min
        bounds[relations[sign]] = tighter(bound, bounds.get(relations[sign], bound))
    return limits, faults


def _given(limits: Limits) -> tuple[Limit, ...]:
    return Goals.declared({}, limits).limits


def _excess(e: Evaluation, limit: Limit) -> float:
    """Return by how much an evaluation misses a limit; 0 when it keeps it, infinity where the metric is missing."""
    if limit.metric not in e.metrics:
        return float("inf")
    return float(limit.excess(e.metrics[limit.metric]))


def _words(limit: Limit) -> str:
    return f"{limit.metric} {SIGNS[limit.relation]} {limit.bound:g}"


def _nothing_kept(result: EvaluatedFront, wanted: Sequence[Limit]) -> NoChoiceError:
    """Say which limits nothing keeps and how near one comes, or that only their combination is kept by nothing."""
    excess = np.array([[_excess(e, limit) for limit in wanted] for e in result.measured])
    finite = np.where(np.isfinite(excess), excess, np.nan)
    nearest = _at(result, np.argmin(total_violation(wanted, excess)))
    faults = []
    for k, limit in enumerate(wanted):
        others = (np.delete(excess, k, axis=1) == 0).all(axis=1)
        alone = (excess[:, k] > 0).all()
        among = finite[:, k] if alone else np.where(others, finite[:, k], np.nan)
        if np.isnan(among).all():
            continue
        best = _at(result, np.nanargmin(among))
        where = f"{best.metrics[limit.metric]:g} at best ({key_in_words(best.id)}), {_excess(best, limit):g} off"
        company = "" if alone else " with the other limits kept"
        faults.append((alone, f"`{_words(limit)}` is kept by none of {len(excess)}{company}: {where}"))
    # What is impossible alone explains everything; else it is the combination.
    said = [words for is_alone, words in faults if is_alone] or [
        "each limit can be kept, but not all of them together",
        *(words for _, words in faults),
    ]
    misses = [f"`{_words(limit)}` by {_excess(nearest, limit):g}" for limit in wanted if _excess(nearest, limit) > 0]
    said.append(f"the nearest is {key_in_words(nearest.id)}, which misses {' and '.join(misses)}")
    return NoChoiceError(f"limits must be kept by some {result.members[:-1]}: {'; '.join(said)}", nearest)


def _at(result: EvaluatedFront, place: np.integer[Any]) -> Evaluation:
    return next(itertools.islice(result.measured, int(place), None))


def _why(goals: Goals, ranking: Ranking, ordered: Sequence[Evaluation]) -> str:
    if len(ordered) == 1:
        return "it is the only candidate"
    words = ranking.why
    first, second = goals.F([e.metrics for e in ordered[:2]])
    if (first == second).all():
        return f"{words}; {key_in_words(ordered[1].id)} is its equal in every objective, and the earlier one is taken"
    if ranking.scores and abs(ranking.scores[1] - ranking.scores[0]) < TIE:
        return f"{words}; {key_in_words(ordered[1].id)} ties with it"
    return words


def _trades(result: EvaluatedFront, chosen: Evaluation, runner_up: Evaluation | None) -> list[Trade]:
    goals = result.goals
    F = result.objectives.front().F
    best, span = F.min(axis=0), np.ptp(F, axis=0)
    given_up = goals.F([chosen.metrics])[0] - best
    return [
        Trade(
            o.metric,
            o.direction,
            chosen.metrics[o.metric],
            float(o.sign * best[k]),
            float(given_up[k]),
            float(given_up[k] / span[k]) if span[k] > 0 else None,
            runner_up.metrics[o.metric] if runner_up else None,
        )
        for k, o in enumerate(goals.objectives)
    ]
