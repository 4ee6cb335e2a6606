"""An encoded problem as pymoo's algorithms and terminations need it: its size and its bounds."""

from pymoo.core.problem import Problem

from evo_moo.problem.goals import Goals
from evo_moo.space.search_space import SearchSpace


def encoded_problem(space: SearchSpace, goals: Goals) -> Problem:
    """Return a pymoo ``Problem`` with the size and the bounds of an encoded one; it evaluates nothing."""
    n_ieq, n_eq = len(goals.inequalities), len(goals.equalities)
    return Problem(space.n_var, len(goals.objectives), n_ieq, n_eq, xl=space.xl, xu=space.xu)
