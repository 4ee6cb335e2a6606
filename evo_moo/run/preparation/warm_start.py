"""Start a search where earlier runs ended.

The first population takes up to half of its members from earlier runs, of the same problem or of one whose space
overlaps; the other half is drawn, so that the search still explores. The rules:

- Only evaluations that ended ``ok`` are taken, best first: by non-dominated rank, feasible ones before others, and
  within a rank by crowding distance (Deb et al. 2002, section III-B). So the fronts come first. Runs of the same
  version of the problem are ranked together; any other alone, as its values may be of other data or another device.
  A run that lacks a metric of the new goals is ranked by its own goals.
- A configuration is translated into the new space: unknown variables are dropped, numbers out of range are put on the
  nearest bound, and missing variables, and options that are there no more, are drawn from the seed and the
  configuration. What a rule forbids, and what is there already, is passed over.
- An outcome is reused, not evaluated again, if the problem is the same version (``problem_version``), the translation
  changed nothing, and it has every metric of the new goals. It keeps the seed it was evaluated with: under the new
  run's seed it would be another draw of the same noise, and one is as valid as the other. Metrics that are measured
  times count only on the same machine (platform, processor, cores and memory as in ``environment.json``) and where they
  are not in doubt: else they are dropped, and if a goal is among them, the configuration is evaluated anew. They are
  rescaled where the reference of the measurements was seen to be faster since.

Reused outcomes are ordinary members of the first population that take no time; they count as evaluations of the budget.

Of trainings that offer points, the best points decide which trainings come first. What is taken over, or evaluated
anew, is the training with all its points. A search without any of these choices takes the first point of each.

Models learn from earlier runs, too (``evo_moo.surrogate.transfer``): metric by metric of the goals, from every outcome
for whose configuration the new space has the values of all variables that both have.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evo_moo.errors import JobError
from evo_moo.evaluation.problem_version import problem_version
from evo_moo.job.start import asked_first, is_told
from evo_moo.optimizer.arguments import default_pop_size
from evo_moo.pareto import rank_and_crowding, thinned
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import Point, made, to_state
from evo_moo.run.preparation.earlier_runs import EarlierRun, Observation, read_earlier_runs
from evo_moo.run.preparation.prepared import PreparedJob
from evo_moo.space.search_space import Configuration, SearchSpace
from evo_moo.surrogate.transfer import EarlierOutcomes
from evo_moo.values import json_key

MOST_LEARNT, FEWEST_LEARNT = 500, 50
"""Number of outcomes that models learn at most of all earlier runs together, and of each in any case."""


@dataclass(frozen=True)
class WarmStart:
    """What a search begins with.

    Attributes:
        start: Configurations, those that the job gave first.
        known: Of those whose outcome is known: ``configuration``, ``metrics``, ``seed`` and ``reason``.
        earlier: What models learn from.
    """

    start: list[Configuration]
    known: list[dict[str, Any]]
    earlier: Sequence[EarlierOutcomes] = ()


def warm_start_of(prepared: PreparedJob) -> WarmStart | None:
    """Return what a new search takes from earlier runs; None where the job names none, or the run has begun."""
    job, problem, search = prepared.job, prepared.problem, prepared.job.search
    if not search.from_runs or prepared.recorded.facts is not None:
        return None
    version = problem_version(problem, prepared.source)
    described = problem.space, problem.known_metrics, version, search.seed, problem.point_space
    runs = read_earlier_runs(search.from_runs, *described)
    own_size = getattr(search.given, "pop_size", None) or search.pop_size
    pop_size = own_size or default_pop_size(job.is_searched_as_by_pymoo(problem))
    warm = warm_start(runs, problem.space, prepared.goals, pop_size, asked_first(search.start, problem.space))
    known = [entry for entry in search.start if is_told(entry, problem.space)]
    earlier = outcomes_to_learn(runs, problem.point_space, prepared.goals) if job.surrogate else ()
    return replace(warm, start=[*known, *warm.start], earlier=earlier)


def warm_start(
    runs: Sequence[EarlierRun],
    space: SearchSpace,
    goals: Goals,
    pop_size: int,
    given: Sequence[Configuration] = (),
) -> WarmStart:
    """Choose the configurations that a search begins with, and those outcomes that need no evaluation.

    Args:
        runs: The earlier runs.
        space: The space of the new search.
        goals: Its goals.
        pop_size: Size of the first population; up to half of it is taken.
        given: Configurations that the job itself begins with; they come first.

    Raises:
        JobError: Nothing of the earlier runs can be used.
    """
    ordered = _best_first(runs, goals)
    if not ordered:
        n_evals = sum(run.n_evals for run in runs)
        raise JobError(
            "`search.from` must name runs with evaluations that ended well and that the space allows, but of "
            f"{n_evals} evaluations none is one; drop `from` or name other runs"
        )
    start = {json_key(c): c for c in space.decode(space.encode(given))} if given else {}
    most = len(start) + max(min(pop_size // 2, pop_size - len(start)), 0)
    trainings = [{k: v for k, v in o.configuration.items() if k in space.variables} for o in ordered]
    for training in trainings:
        if len(start) < most:
            start.setdefault(json_key(training), training)
    known: dict[str, dict[str, Any]] = {}
    for o, training in zip(ordered, trainings, strict=True):
        key, offered = json_key(training), o.offered or {0: Point({}, o.reusable)}
        if key in start and all(metrics.keys() >= set(goals.metric_names) for metrics in made(offered)):
            outcome = {"configuration": training, "metrics": to_state(offered), "seed": o.seed}
            known.setdefault(key, outcome | {"reason": f"taken from {o.source}"})
    return WarmStart(list(start.values()), list(known.values()))


def outcomes_to_learn(runs: Sequence[EarlierRun], space: SearchSpace, goals: Goals) -> list[EarlierOutcomes]:
    """Return what the models of a search learn from earlier runs, of long ones so many outcomes at even distances.

    Args:
        runs: The earlier runs.
        space: The space of the new search.
        goals: Its goals.
    """
    most, earlier = max(MOST_LEARNT // len(runs), FEWEST_LEARNT), []
    for run in runs:
        kept = [o for o in run.observations if o.is_kept]
        learnt = [kept[i] for i in thinned(len(kept), most)]
        X = space.encode([o.configuration for o in learnt]) if learnt else np.empty((0, space.n_var))
        metrics = [{name: o.metrics[name] for name in goals.metric_names if name in o.metrics} for o in learnt]
        earlier.append(EarlierOutcomes.of(run.name, run.variables, space.names, X, metrics, run.n_ok - len(kept)))
    return earlier


def _best_first(runs: Sequence[EarlierRun], goals: Goals) -> list[Observation]:
    """Order all observations by rank, those of each rank by crowding distance."""
    together: list[Observation] = []
    ranked = []
    for run in runs:
        has_all = all(name in o.metrics for o in run.observations for name in goals.metric_names)
        if has_all and run.same_version:
            together += run.observations
        else:
            ranked += _ranked(goals if has_all else run.goals, run.observations)
    ranked = [*_ranked(goals, together), *ranked]
    return [observation for _, observation in sorted(ranked, key=lambda pair: pair[0])]


def _ranked(goals: Goals, observations: Sequence[Observation]) -> list[tuple[tuple[int, float], Observation]]:
    """Return observations with the keys that sort them; with contexts each by the one in which it is best."""
    metrics = [o.metrics for o in observations]
    keys = [
        rank_and_crowding(view.F(metrics), np.array([view.violation(each) for each in metrics])) for view in goals.views
    ]
    return list(zip(map(min, zip(*keys, strict=True)), observations, strict=True))
