"""What earlier runs observed, in the words of a new search; ``warm_start`` says the rules."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evo_moo.analysis.run_record import RunRecord
from evo_moo.errors import EvoMooError, JobError
from evo_moo.evaluation.machine import nominal_ms_of
from evo_moo.problem.goals import Goals
from evo_moo.problem.measurements import lowest_nominal_ms
from evo_moo.problem.metrics import Metric, Metrics, checked_metrics
from evo_moo.problem.points import Offered, place_of_key
from evo_moo.space.search_space import Configuration, SearchSpace
from evo_moo.space.translation import translated
from evo_moo.space.variables import Array
from evo_moo.storage.environment import environment
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.reading import reading
from evo_moo.values import json_key

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
