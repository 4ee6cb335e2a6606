"""What an optimizer asks for, and the checks of what it is told."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from evo_moo.errors import MetricError, StateError
from evo_moo.optimizer.algorithms import Array
from evo_moo.problem.contexts import NO_CONTEXTS, ByContext
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics, checked_metrics
from evo_moo.problem.points import Offered, Point, read_points
from evo_moo.problem.search_problem import Configuration
from evo_moo.space.search_space import SearchSpace
from evo_moo.values import plain

TOLD = "told"
"""Origin of a candidate that was measured elsewhere, and told with its metrics."""


class Candidate(NamedTuple):
    """A configuration to evaluate.

    Attributes:
        id: Number of the evaluation, counted from 1 in the order of asking.
        generation: The generation that it belongs to, counted from 1.
        configuration: Names to values, active variables only.
        x: ``(n_var,)`` array, the encoded configuration.
        origin: How it came about: ``"start"``, ``"sample"`` or ``"mating"``, ``"informed"`` by the problem's own
            mutation; with models also ``"infill"``, with refinement ``"promotion"``, and with either ``"replicate"``;
            ``"told"`` where it was measured elsewhere.
        parents: Ids of the evaluations that it was bred from.
        prediction: What a surrogate expects: metric names to ``[mean, std]``; of a point these are ``metrics``, beside
            the ``choices``.
        fidelity: How thoroughly to evaluate it; None in a search without refinement.
        is_partial: Whether that is less than the full fidelity.
        replicate: Number of the replicate, which is the same configuration with another seed; 0 for the first training.
        continues: Of a promotion, the id of the evaluation that it was promoted from; of a replicate, the id of the
            first training, of which it is a replicate; else None.
        cost: In full evaluations.
        seed: The seed of its evaluation, where that is given; else it follows from the run's.
    """

    id: int
    generation: int
    configuration: Configuration
    x: Array
    origin: str = ""
    parents: tuple[int, ...] = ()
    prediction: Mapping[str, Any] | None = None
    fidelity: int | None = None
    is_partial: bool = False
    replicate: int = 0
    continues: int | None = None
    cost: float = 1.0
    seed: int | None = None


def awaited_id(candidate: Any, is_awaited: Callable[[int], bool]) -> int:
    """Return the id of a candidate, which must be awaited.

    Raises:
        StateError: It is not.
    """
    key = candidate.id if isinstance(candidate, Candidate) else plain(candidate)
    if not is_awaited(key):
        raise StateError(f"a told candidate must be awaited, but {key} is not")
    return key


def check_kind(state: Mapping[str, Any], kind: list[Any]) -> None:
    """Check that a dumped state is of this kind.

    Raises:
        StateError: It is not.
    """
    if state.get("kind") != kind:
        raise StateError(f"a state must be of the kind {kind}, but is of {state.get('kind')}")


Outcome = Mapping[str, float] | list[Point] | tuple[Point, ...] | None
"""What an optimizer is told of a candidate: metrics, or points with metrics; None of a failure."""


class OutcomeCheck(NamedTuple):
    """Checks what an optimizer is told.

    Attributes:
        goals: Objectives and limits.
        point_space: The space of points; None where trainings have no points.
        by_context: Which metrics may have a value for each context.
    """

    goals: Goals
    point_space: SearchSpace | None = None
    by_context: ByContext = NO_CONTEXTS

    def __call__(self, outcome: Outcome, configuration: Configuration) -> Offered | None:
        """Return None of a failure; else all objectives, or a broken limit that explains why not.

        Raises:
            MetricError: A metric is no finite number, or an objective is missing; or points are told of a problem
                without post-training variables, metrics of one with some, or points with wrong choices.
        """
        if outcome is None:
            return None
        if not isinstance(outcome, list | tuple):
            metrics = self._checked(outcome)
            if self.point_space is not None and self.goals.has_objectives(metrics):
                raise MetricError(f"an outcome must be a list of points, with their choices, but is {metrics}")
            return {0: Point({}, metrics)}
        if self.point_space is None:
            raise MetricError(f"an outcome must be a dict of metrics, as nothing is chosen later, but is {outcome!r}")
        read_points(outcome, configuration, self.point_space, self.by_context)
        return {
            number: point if point.fault else point._replace(metrics=self._checked(point.metrics))
            for number, point in enumerate(outcome, 1)
        }

    def _checked(self, given: Mapping[str, float]) -> Metrics:
        metrics = checked_metrics(given, by_context=self.by_context)
        missing = ", ".join(o.metric for o in self.goals.objectives if o.metric not in metrics)
        if missing and not self.goals.broken_limits(metrics):
            raise MetricError(f"metrics must hold every objective, but lack {missing}; tell None of a failure")
        return metrics
