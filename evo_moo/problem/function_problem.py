"""A bare function as a problem."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from evo_moo.problem.declarations import parameters_of
from evo_moo.problem.goals import Limits
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.space.variables import Variable


class FunctionProblem(SearchProblem):
    """A bare function as a problem.

    Args:
        function: Takes a configuration, or each variable by its name, ``def f(lr, width)``; beside that any of the
            keyword arguments that ``evaluate`` may name. It gives metrics. An inactive variable is left out, so that
            its argument needs a default.
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
        self.takes_names = _takes_names(function, variables)

    def evaluate(self, config: Configuration, **keywords: Any) -> Any:
        """Call the function."""
        return self.function(**config, **keywords) if self.takes_names else self.function(config, **keywords)

    def name(self) -> str:
        """Return the function's name."""
        return getattr(self.function, "__name__", "function")

    @property
    def evaluated_function(self) -> Callable[..., Any]:
        """The function, as one of a configuration."""
        return _of_configuration(self.function, self.variables) if self.takes_names else self.function


def _takes_names(function: Any, variables: Any) -> bool:
    """Return whether a function takes each variable by its name, all of them, and not a configuration."""
    if not callable(function) or not isinstance(variables, Mapping):
        return False  # which has faults of its own
    kinds = {name: parameter.kind for name, parameter in parameters_of(function).items()}
    named = {name for name, kind in kinds.items() if kind in (_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)}
    takes_all = inspect.Parameter.VAR_KEYWORD in kinds.values() and not named - variables.keys()
    return bool(variables) and (variables.keys() <= named or takes_all)


_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD


def _of_configuration(function: Callable[..., Any], variables: Mapping[str, Variable]) -> Callable[..., Any]:
    """Return a function of a configuration, which asks for the same beside that; an inactive variable needs a default.

    That is said by the argument that stays: no problem gives any by the name of a variable.
    """

    @functools.wraps(function)
    def of_configuration(config: Configuration, **keywords: Any) -> Any:
        return function(**config, **keywords)

    def stays(parameter: inspect.Parameter) -> bool:
        variable = variables.get(parameter.name)
        is_missed = variable is not None and variable.when is not None and parameter.default is parameter.empty
        return variable is None or is_missed

    beside = [parameter for parameter in parameters_of(function).values() if stays(parameter)]
    keywords = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in beside if p.kind in (_POSITIONAL, p.KEYWORD_ONLY)
    ]
    config = inspect.Parameter("config", inspect.Parameter.POSITIONAL_ONLY)
    of_configuration.__signature__ = inspect.Signature([config, *keywords])  # type: ignore[attr-defined]
    return of_configuration
