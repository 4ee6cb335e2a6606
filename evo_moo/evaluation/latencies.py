"""One latency for each architecture of a run, whichever evaluations measured it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from evo_moo.evaluation.task import USABLE, Outcome
from evo_moo.problem.goals import Goals
from evo_moo.problem.measurements import Measurement, Pooled, lowest_nominal_ms, pooled
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Key, evaluation_of, key_of, place_of_key
from evo_moo.problem.search_problem import Configuration


class Revision(NamedTuple):
    """What the measurements of an architecture say now.

    Attributes:
        evaluations: Ids of its evaluations, or of points, that hold something else, to all their metrics now.
        pooled: What is said.
    """

    evaluations: dict[Key, Metrics]
    pooled: Pooled


class _Held(NamedTuple):
    metrics: Metrics
    pooled: Pooled | None


class Latencies:
    """Pools what a run measures, and says which of its evaluations hold an older value.

    Args:
        architecture_of: Returns the same text for all configurations that have the same profile.
    """

    def __init__(self, architecture_of: Callable[[Configuration], str]) -> None:
        self._architecture_of = architecture_of
        self._measured: dict[str, dict[float, Measurement]] = {}
        self._lowest_ms: dict[str, float] = {}
        self._held: dict[str, dict[Key, _Held]] = {}
        self._stale: set[str] = set()

    def completed(self, configuration: Configuration, outcome: Outcome) -> Outcome:
        """Return an outcome with the pooled values, and with those of its measurements that are new in this run."""
        outcome = self.measured(configuration, outcome)
        if outcome.status in USABLE and outcome.metrics:
            self._hold(outcome.id, configuration, outcome.metrics, outcome.pooled)
        of_points, points = {measured.number: measured for measured in outcome.of_points}, list(outcome.points)
        for number, point in enumerate(outcome.points, 1):
            if point.fault:
                continue
            chosen, own = {**configuration, **point.choices}, of_points.get(number)
            metrics, new, whole = self._taken(chosen, dict(point.metrics), own.measurements if own else ())
            self._hold(key_of(outcome.id, number), chosen, metrics, whole)
            points[number - 1] = point._replace(metrics=metrics)
            if own:
                of_points[number] = own._replace(measurements=new, pooled=whole)
        return outcome._replace(points=tuple(points), of_points=tuple(of_points.values()))

    def measured(self, configuration: Configuration, outcome: Outcome) -> Outcome:
        """Return the same where the outcome is of a profile alone, whose evaluation ended earlier."""
        metrics, new, whole = self._taken(configuration, outcome.metrics, outcome.measurements)
        return outcome._replace(metrics=metrics, measurements=new, pooled=whole)

    def _taken(
        self, configuration: Configuration, metrics: Metrics, measurements: Sequence[Measurement]
    ) -> tuple[Metrics, tuple[Measurement, ...], Pooled | None]:
        """Return metrics with the pooled values, the measurements that are new in this run, and what all say."""
        architecture = self._architecture_of(configuration)
        new = tuple(m for m in measurements if m.at not in self._measured.get(architecture, {}))
        self._note(architecture, measurements)
        whole = self._pooled(architecture)
        return _with(metrics, whole), new, whole

    def _hold(self, key: Key, configuration: Configuration, metrics: Metrics, whole: Pooled | None) -> None:
        self._held.setdefault(self._architecture_of(configuration), {})[key] = _Held(metrics, whole)

    def revisions(self) -> list[Revision]:
        """Return what has changed since evaluations ended, or since this was called last."""
        revisions = []
        for architecture in sorted(self._stale):
            whole, held = self._pooled(architecture), self._held.get(architecture, {})
            changed = {key: _with(e.metrics, whole) for key, e in held.items() if not _holds(e, whole)}
            if whole is not None and changed:
                held |= {key: _Held(metrics, whole) for key, metrics in changed.items()}
                revisions.append(Revision(changed, whole))
        self._stale.clear()
        return revisions

    def recall(
        self,
        evaluations: Iterable[tuple[Key, Configuration, Metrics]],
        measured: Iterable[tuple[Key, Sequence[Measurement]]],
        said: Mapping[Key, Pooled],
    ) -> None:
        """Learn again what a run measured.

        Args:
            evaluations: Its evaluations, or the points of them, that gave metrics: ids, configurations and metrics.
            measured: Ids, and what was measured.
            said: Ids to what was said of their values last.
        """
        for key, configuration, metrics in evaluations:
            self._hold(key, configuration, metrics, said.get(key, said.get(evaluation_of(key))))
        architectures = {key: architecture for architecture, held in self._held.items() for key in held}
        for key, architecture in list(architectures.items()):
            # What was measured before a training is of all its points, which then have one architecture.
            architectures.setdefault(evaluation_of(key), architecture)
        for key, measurements in measured:
            if key in architectures:
                self._note(architectures[key], measurements)
        self._stale = set(self._measured)

    def to_measure(self, evaluations: Mapping[Key, Metrics], goals: Goals) -> list[Key]:
        """Return the evaluations, or points, whose values are in doubt and decide the front, one for each architecture.

        Those are the members of the front where each value in doubt is at the better end of its interval.

        Args:
            evaluations: Ids of full evaluations, or of their points, to their metrics.
            goals: Objectives and limits.
        """
        signs = {objective.metric: objective.sign for objective in goals.objectives}
        of = {key: held.pooled for group in self._held.values() for key, held in group.items()}
        doubts = {key: whole for key, whole in of.items() if whole is not None and whole.in_doubt}
        rows = [doubts[key].at_best(m, signs) if key in doubts else m for key, m in evaluations.items()]
        if not rows or not doubts:
            return []
        front = set(goals.front_rows(rows).tolist())
        on_front = {key for i, key in enumerate(evaluations) if i in front} & doubts.keys()
        groups = (on_front & group.keys() for group in self._held.values())
        return sorted((min(group, key=place_of_key) for group in groups if group), key=place_of_key)

    def _note(self, architecture: str, measurements: Sequence[Measurement]) -> None:
        if not measurements:
            return
        self._measured.setdefault(architecture, {}).update({m.at: m for m in measurements})
        self._stale.add(architecture)
        for reference, nominal_ms in lowest_nominal_ms(measurements).items():
            if nominal_ms < self._lowest_ms.get(reference, float("inf")):
                self._lowest_ms[reference] = nominal_ms
                self._stale |= self._measured.keys()

    def _pooled(self, architecture: str) -> Pooled | None:
        measured = self._measured.get(architecture, {})
        return pooled([measured[at] for at in sorted(measured)], self._lowest_ms) if measured else None


def _with(metrics: Metrics, whole: Pooled | None) -> Metrics:
    """Return metrics with the pooled values of those that are among them."""
    return metrics | {name: value for name, value in (whole.metrics if whole else {}).items() if name in metrics}


def _holds(held: _Held, whole: Pooled | None) -> bool:
    """Return whether an evaluation holds just what is said now."""
    said = held.pooled
    if whole is None or _with(held.metrics, whole) != held.metrics:
        return whole is None
    return said is not None and (said.intervals, said.in_doubt) == (whole.intervals, whole.in_doubt)
