"""Try a problem out before a search: build it, evaluate a few configurations in workers, and repeat one of them."""

import contextlib
import math
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evo_moo.errors import EvoMooError
from evo_moo.evaluation.loky_pool import LokyPool
from evo_moo.evaluation.task import Outcome, PoolOptions, Task
from evo_moo.plugins import ProblemSource
from evo_moo.problem.metrics import Metric
from evo_moo.problem.points import Point, in_pairs, made
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.seeding import evaluation_seed
from evo_moo.values import json_key


@dataclass
class Check:
    """The result of trying a problem out.

    Attributes:
        problem: The problem, if it could be built.
        faults: What must be mended, each with the way out.
        notes: What is worth knowing.
        outcomes: The evaluations, those of different configurations first.
    """

    problem: SearchProblem | None = None
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def evaluation_s(self) -> float:
        """Median seconds of one evaluation; NaN if none ended well."""
        times = [o.duration_s for o in self.outcomes if o.status == "ok"]
        return statistics.median(times) if times else math.nan

    def observed(self, metric: str) -> list[float]:
        """Values of a metric over the evaluations, or over the points that they offer."""
        rows = (metrics for outcome in self.outcomes for metrics in made(outcome.offered))
        return [metrics[metric] for metrics in rows if metric in metrics]

    @property
    def points(self) -> list[Point]:
        """What the evaluations offer, also what could not be made."""
        return [point for outcome in self.outcomes for point in outcome.points]


def try_problem(source: ProblemSource, n_evals: int = 4, seed: int = 1, timeout_s: float | None = None) -> Check:
    """Build a problem, evaluate some configurations in two worker processes, and repeat one of them.

    Args:
        source: How the problem is built.
        n_evals: Number of different configurations.
        seed: Decides the configurations and the evaluations.
        timeout_s: Time limit of one evaluation.
    """
    check = Check()
    try:
        check.problem = problem = source.build()
        configurations = problem.space.decode(problem.space.sample(n_evals, np.random.default_rng(seed)))
    except EvoMooError as error:
        check.faults += str(error).splitlines()
        return check
    seeds = [evaluation_seed(seed, configuration) for configuration in configurations]
    plan = [*zip(configurations, seeds, strict=True), (configurations[0], seeds[0]), (configurations[0], seeds[0] ^ 1)]
    check.outcomes = _evaluated(problem, source, plan, timeout_s)
    *different, again, reseeded = check.outcomes
    _judge_outcomes(check, different)
    if different[0].status == again.status == reseeded.status == "ok":
        _judge_repeats(check, problem, different[0], again, reseeded)
    _judge_metrics(check, problem)
    return check


def _evaluated(
    problem: SearchProblem, source: ProblemSource, plan: list[tuple[Configuration, int]], timeout_s: float | None
) -> list[Outcome]:
    """Evaluate in order; the repeats go to another worker than the first, as far as that is possible."""
    tasks = [Task(i, configuration, seed) for i, (configuration, seed) in enumerate(plan)]
    outcomes: list[Outcome] = []
    with contextlib.closing(LokyPool(source, problem.goals, 2, PoolOptions(timeout_s, retries=0))) as pool:
        while tasks or pool.running:
            while tasks and pool.free:
                pool.submit(tasks.pop(0))
            outcomes += pool.next_finished(1.0)
    return sorted(outcomes, key=lambda outcome: outcome.id)


def _judge_outcomes(check: Check, outcomes: list[Outcome]) -> None:
    counts = Counter(f"{o.status}: {o.reason}" for o in outcomes if o.status not in ("ok", "infeasible"))
    for reason, count in counts.items():
        check.faults.append(f"every evaluation should end well, but {count} of {len(outcomes)} {reason}")
    notes = Counter(o.reason for o in outcomes if o.status == "ok" and o.reason)
    check.notes += [f"{count} of {len(outcomes)} evaluations have {reason}" for reason, count in notes.items()]
    not_made = Counter(point.fault for outcome in outcomes for point in outcome.points if point.fault)
    check.notes += [f"points could not be made, {count} by {fault!r}" for fault, count in not_made.items()]


def _judge_repeats(check: Check, problem: SearchProblem, first: Outcome, again: Outcome, reseeded: Outcome) -> None:
    """Compare an evaluation with itself: metric by metric, of points with those of equal choices."""
    if _chosen(again) != (chosen := _chosen(first)):
        check.faults.append("the same configuration and seed must offer points of the same choices, but offers others")
    elif _chosen(reseeded) != chosen:
        check.notes.append("which points there are depends on the seed; repetitions are compared by equal choices")
    same, others = in_pairs(first.offered, again.offered), in_pairs(first.offered, reseeded.offered)
    for name in dict.fromkeys(name for metrics, _ in same for name in metrics):
        metric = problem.known_metrics.get(name, Metric())
        differ = [
            (one[name], two.get(name, math.nan)) for one, two in same if name in one and one[name] != two.get(name)
        ]
        if differ and not metric.timed:
            value, then = differ[0]
            check.faults.append(
                f"`{name}` must be the same for the same configuration and seed, but is {value:.6g} and then "
                f"{then:.6g}; derive every random choice from `seed`, or declare it Metric(timed=True)"
            )
        elif any(one.get(name) != two.get(name) for one, two in others) and not metric.timed and not metric.noisy:
            check.notes.append(f"`{name}` depends on the seed; Metric(noisy=True) says so")


def _chosen(outcome: Outcome) -> list[str]:
    return sorted(json_key(point.choices) for point in outcome.points)


def _judge_metrics(check: Check, problem: SearchProblem) -> None:
    ended = [o for o in check.outcomes if o.status == "ok"]
    if not ended:
        return
    returned = {name for outcome in ended for metrics in made(outcome.offered) for name in metrics}
    for name in sorted(problem.known_metrics.keys() - returned):
        check.faults.append(f"`{name}` is declared, but no evaluation returned a number for it; return one or drop it")
    for name in sorted(returned - problem.known_metrics.keys()):
        check.notes.append(f"`{name}` is returned but not declared; `metrics` may describe it, for use as objective")
    for objective in problem.goals.objectives:
        values = check.observed(objective.metric)
        if len(set(values)) == 1 and len(values) > 3:
            what = "points" if check.points else "evaluations"
            check.notes.append(f"`{objective.metric}` is {values[0]:.6g} in all {len(values)} {what}")


def check_problem(problem: Any, options: Mapping[str, Any] | None = None, n_evals: int = 4) -> Check:
    """Try a problem named by a reference, or given as an object.

    Args:
        problem: A reference, a ``SearchProblem`` or a pymoo ``Problem``.
        options: Keyword arguments of the class behind a reference.
        n_evals: Number of different configurations to evaluate.
    """
    try:
        named = isinstance(problem, str)
        source = ProblemSource(problem, options or {}) if named else ProblemSource.of_object(problem)
    except EvoMooError as error:
        return Check(faults=[str(error)])
    return try_problem(source, n_evals)
