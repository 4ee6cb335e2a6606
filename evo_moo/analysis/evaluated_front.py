"""What choices and pictures ask of a run's result."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from evo_moo.pareto import Array
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric, Metrics
from evo_moo.storage.evaluation_row import Evaluation


class EvaluatedFront(Protocol):
    """A Pareto front with the evaluations behind it; ``Result`` is one, and says what each attribute holds."""

    @property
    def goals(self) -> Goals: ...  # noqa: D102

    @property
    def known_metrics(self) -> Mapping[str, Metric]: ...  # noqa: D102

    @property
    def front(self) -> Sequence[Evaluation]: ...  # noqa: D102

    @property
    def metrics(self) -> Sequence[Metrics]: ...  # noqa: D102

    @property
    def feasible(self) -> bool: ...  # noqa: D102

    @property
    def spread(self) -> Mapping[int, Metrics]: ...  # noqa: D102

    @property
    def evaluations(self) -> Sequence[Evaluation]: ...  # noqa: D102

    @property
    def measured(self) -> Sequence[Evaluation]: ...  # noqa: D102

    @property
    def F(self) -> Array: ...  # noqa: D102

    @property
    def all_F(self) -> Array: ...  # noqa: D102
