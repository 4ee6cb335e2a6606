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

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evo_moo.analysis.run_record import RunRecord
from evo_moo.errors import EvoMooError, JobError
from evo_moo.evaluation.machine import nominal_ms_of
from evo_moo.pareto import rank_and_crowding, thinned
from evo_moo.problem.goals import Goals
from evo_moo.problem.measurements import lowest_nominal_ms
from evo_moo.problem.metrics import Metric, Metrics, checked_metrics
from evo_moo.problem.points import Offered, Point, made, place_of_key, to_state
from evo_moo.space.search_space import Configuration, SearchSpace
from evo_moo.space.translation import translated
from evo_moo.space.variables import Array
from evo_moo.storage.environment import environment
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.reading import reading
from evo_moo.surrogate.transfer import EarlierOutcomes
from evo_moo.values import json_key

MOST_LEARNT, FEWEST_LEARNT = 500, 50
"""Number of outcomes that models learn at most of all earlier runs together, and of each in any case."""
MACHINE = ("platform", "processor", "cores", "memory_gb")


class Observation(NamedTuple):
    """What an earlier run measured.

    Attributes:
        source: The run and the evaluation, in words.
        configuration: The configuration in the new space, of a point with the choices.
        metrics: Its metrics.
        reusable: Those of its metrics that the new search would measure alike.
        seed: The seed that it was evaluated with.
        is_kept: Whether the variables that both spaces have kept their values.
        offered: Of a point all that its training offers, with the reusable metrics.
    """

    source: str
    configuration: Configuration
    metrics: Metrics
    reusable: Metrics
    seed: int
    is_kept: bool = True
    offered: Offered = {}


@dataclass(frozen=True)
class EarlierRun:
    """The observations of an earlier run.

    Attributes:
        goals: What it searched for.
        observations: Its evaluations that ended well and that the new space allows, in the order of asking.
        n_evals: How many evaluations it holds, whatever became of them.
        n_ok: How many of them ended well.
        name: Its name.
        variables: Names of its variables.
        same_version: Whether its values are those of the new search's problem.
    """

    goals: Goals
    observations: list[Observation]
    n_evals: int
    n_ok: int = 0
    name: str = ""
    variables: Sequence[str] = ()
    same_version: bool = False


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


def read_earlier_runs(
    run_dirs: Sequence[str | Path],
    space: SearchSpace,
    metrics: Mapping[str, Metric],
    version: str | None,
    seed: int,
    point_space: SearchSpace | None = None,
) -> list[EarlierRun]:
    """Read what earlier runs observed, as far as it can be said in a space.

    Args:
        run_dirs: The run folders; they are only read, and no code of theirs is run.
        space: The space of the new search's trainings.
        metrics: Name of each metric that the problem of the new search declares to its declaration.
        version: Version of that problem; None agrees with no other.
        seed: Decides what is drawn for values that the earlier runs did not have.
        point_space: The space of the points that these offer; by default they offer none.

    Raises:
        JobError: A folder holds no run, or a damaged one, or one that shares no variable with the space.
    """
    here, runs, spaces = environment(seed), [], (space, space if point_space is None else point_space)
    for run_dir in run_dirs:
        try:
            with reading(Path(run_dir)) as ledger:
                record = RunRecord.of_open(ledger, Path(run_dir))
                ended = [e for e in ledger.evaluations() if e.status == "ok"]
            _refuse_unrelated(record, spaces[1])
            there = record.environment()
            same_machine = all(there.get(fact, "") == here[fact] for fact in MACHINE)
            same_version = version is not None and record.problem_version == version
            anew = {name for name, m in metrics.items() if not same_version or (m.timed and not same_machine)}
            timed = {name for name, m in metrics.items() if m.timed}
            observations = _observations(record, ended, spaces, seed, anew, timed, _scales(run_dir))
        except EvoMooError as error:
            raise JobError(f"`search.from`: {error}") from error
        n, n_ok = (
            record.result.n_evaluations + record.result.n_told,
            sum(len(_offers(record, e, spaces[1])) for e in ended),
        )
        runs.append(EarlierRun(record.goals, observations, n, n_ok, record.name, record.variable_names, same_version))
    return runs


def _scales(run_dir: str | Path) -> dict[str, float]:
    """Return the factors that bring a run's measured times to the nominal times that this machine knows now."""
    with reading(Path(run_dir)) as ledger:
        measurements = [m for _, measured in ledger.measured() for m in measured]
    known = {
        reference: (ms, nominal_ms_of(reference) or ms) for reference, ms in lowest_nominal_ms(measurements).items()
    }
    timings = {name: t for m in measurements for name, t in m.timings.items() if t.reference}
    return {name: (known[t.reference][1] / known[t.reference][0]) ** t.power for name, t in timings.items()}


def _offers(record: RunRecord, e: Evaluation, space: SearchSpace) -> list[Evaluation]:
    """Return what an evaluation offers to a space; to one without any of the choices its first point alone."""
    offers = e.offers()
    return offers if set(record.choice_names) & set(space.names) else offers[:1]


def _observations(
    record: RunRecord,
    ended: Sequence[Evaluation],
    spaces: tuple[SearchSpace, SearchSpace],
    seed: int,
    anew: Collection[str],
    timed: Collection[str],
    scales: Mapping[str, float],
) -> list[Observation]:
    """Return what a run observed where the spaces, of trainings and of points, allow it, in the order of asking.

    The metrics ``anew`` are to be measured again, and of an evaluation in doubt those that are ``timed``; ``scales``
    are factors of the others.
    """
    space, point_space = spaces
    shared, observations = set(record.variable_names) & set(point_space.names), []
    X, allowed = translated(space, [e.configuration for e in ended], seed)
    ended = list(itertools.compress(ended, allowed))
    offers = [_offers(record, e, point_space) for e in ended]
    rest = iter(_joint(spaces, X[allowed], [[each.configuration for each in of_one] for of_one in offers], seed))
    for e, of_one in zip(ended, offers, strict=True):
        of_training, offered = list[Observation](), dict(e.offered)
        for each, configuration in zip(of_one, rest, strict=False):
            metrics = checked_metrics(each.metrics)
            metrics |= {k: metrics[k] * factor for k, factor in scales.items() if k in metrics and factor != 1}
            is_exact = json_key(configuration) == json_key(each.configuration)
            dropped = {*anew, *(timed if each.id in record.result.doubts else ())}
            reusable = {name: value for name, value in metrics.items() if name not in dropped} if is_exact else {}
            source = f"{record.name}, evaluation {e.id}"
            is_kept = _of(shared, configuration) == _of(shared, each.configuration)
            of_training.append(Observation(source, configuration, metrics, reusable, e.seed, is_kept))
            if point := place_of_key(each.id)[1]:
                offered[point] = offered[point]._replace(metrics=reusable)
        observations += [o._replace(offered=offered) for o in of_training] if e.points else of_training
    return observations


def _joint(
    spaces: tuple[SearchSpace, SearchSpace], X: Array, configurations: Sequence[Sequence[Configuration]], seed: int
) -> list[Configuration]:
    """Return the configurations of points, one training after the other, whose rows are ``(n, n_var)``."""
    space, point_space = spaces
    if point_space is space:
        return space.decode(X)
    P, _ = translated(point_space, [each for of_one in configurations for each in of_one], seed)
    trained = np.repeat(X, list(map(len, configurations)), axis=0)
    return point_space.decode(point_space.canonical(np.hstack([trained, P[:, space.n_var :]])))


def _of(names: Collection[str], configuration: Configuration) -> str:
    return json_key({name: value for name, value in configuration.items() if name in names})


def _refuse_unrelated(record: RunRecord, space: SearchSpace) -> None:
    names = record.variable_names
    if names and not set(names) & set(space.names):
        raise JobError(
            f"an earlier run must share a variable with the problem, {', '.join(space.names)}, but those of "
            f"{record.path} are {', '.join(names)}; name another"
        )


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
