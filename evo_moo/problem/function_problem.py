"""A bare function as a problem."""

from collections.abc import Callable, Mapping
from typing import Any

from evo_moo.problem.goals import Limits
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.space.variables import Variable


class FunctionProblem(SearchProblem):
    """A bare function as a problem.

    Args:
        function: Takes a configuration, and any of the keyword arguments that ``evaluate`` may name, and gives
            metrics.
        variables: As in ``SearchProblem``.
        objectives: As in ``SearchProblem``.
        constraints: As in ``SearchProblem``.
        post_training: As in ``SearchProblem``; the function then gives a list of points.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        variables: Mapping[str, Variable],
        objectives: Mapping[str, Any],
        constraints: Limits | None = None,
        post_training: Mapping[str, Variable] | None = None,
    ) -> None:
        self.function, self.variables, self.objectives = function, variables, objectives
        self.constraints, self.post_training = constraints or {}, post_training or {}

    def evaluate(self, config: Configuration, **keywords: Any) -> Any:
        """Call the function."""
        return self.function(config, **keywords)

    def name(self) -> str:
        """Return the function's name."""
        return getattr(self.function, "__name__", "function")

    @property
    def evaluated_function(self) -> Callable[..., Any]:
        """The function."""
        return self.function
