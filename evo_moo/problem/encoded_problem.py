"""An encoded problem as pymoo's algorithms and terminations need it."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from pymoo.core.problem import Problem

from evo_moo.problem.goals import Goals
from evo_moo.space.search_space import SearchSpace

PYMOO_ATTRIBUTES = frozenset(vars(Problem()))
"""Names that pymoo gives its problems."""


def encoded_problem(space: SearchSpace, goals: Goals) -> Problem:
    """Return a pymoo ``Problem`` with the size and the bounds of an encoded one; it evaluates nothing."""
    n_ieq, n_eq = len(goals.inequalities), len(goals.equalities)
    return Problem(space.n_var, len(goals.objectives), n_ieq, n_eq, xl=space.xl, xu=space.xu)


def for_both_callers(own: Callable[..., Any]) -> Callable[..., Any]:
    """Return an ``evaluate`` for both callers: of ours with a configuration, of pymoo's with a matrix."""

    @functools.wraps(own)
    def evaluate(self: Problem, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], np.ndarray):
            return Problem.evaluate(self, *args, **kwargs)
        return own(self, *args, **kwargs)

    return evaluate
