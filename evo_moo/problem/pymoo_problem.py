"""A plain pymoo ``Problem`` under evo-moo's names."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.core import variable as pymoo_variable
from pymoo.core.problem import Problem
from pymoo.util.remote import Remote

from evo_moo.errors import ProblemError
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.space.variables import Boolean, Choice, Integer, Real, Variable

NO_SERVER = "file:///dev/null/"


class PymooProblem(SearchProblem):
    """A plain pymoo ``Problem``: metrics ``f1…``, ``g1…``, ``h1…``, and variables ``x1…`` or those of ``vars``.

    Args:
        problem: Any pymoo problem with bounds: continuous, of an integer or boolean ``vtype``, or with ``vars``.

    Attributes:
        plain: The problem itself.

    Raises:
        ProblemError: The problem has no bounds, or variables of an unknown kind.
    """

    is_deterministic = True

    def __init__(self, problem: Problem) -> None:
        self.plain, self.is_vectorised = problem, not problem.elementwise
        if getattr(problem, "vars", None):
            self.variables = {name: _translated(name, variable) for name, variable in problem.vars.items()}
        elif not problem.has_bounds():
            raise ProblemError(f"`{problem.name()}` must have bounds xl and xu, but has none")
        else:
            kind = Real if problem.vtype is None else _KINDS.get(problem.vtype)
            if kind is None:
                raise ProblemError(f"`{problem.name()}` must have vtype float, int or bool, but has {problem.vtype!r}")
            self.is_plain = kind is Real
            bounds = zip(problem.xl.tolist(), problem.xu.tolist(), strict=True)
            self.variables = {f"x{i}": _bounded(kind, *ends) for i, ends in enumerate(bounds, 1)}
        self.objectives = {f"f{i + 1}": "min" for i in range(problem.n_obj)}
        self.constraints = {f"g{i + 1}": {"at_most": 0.0} for i in range(problem.n_ieq_constr)}
        self.constraints |= {f"h{i + 1}": {"equals": 0.0} for i in range(problem.n_eq_constr)}

    def evaluate(self, config: Configuration) -> Metrics:
        """Evaluate one configuration."""
        (outcome,) = self.evaluate_batch([config])
        return outcome

    def evaluate_batch(self, configurations: Sequence[Mapping[str, Any]]) -> list[Metrics]:
        """Evaluate all configurations in one call of the problem."""
        if getattr(self.plain, "vars", None):
            X: Any = np.array([dict(config) for config in configurations], dtype=object)
        else:
            X = np.array([list(config.values()) for config in configurations], dtype=self.plain.vtype or float)
        out = self.plain.evaluate(X, return_values_of=["F", "G", "H"], return_as_dictionary=True)
        table = np.hstack([out["F"], out["G"], out["H"]])
        names = list(self.known_metrics)
        return [dict(zip(names, row, strict=True)) for row in table.tolist()]

    def _calc_pareto_front(self, **options: Any) -> Any:
        """Return the front that pymoo knows, without a download; None where it knows none."""
        remote = Remote.get_instance()
        server = remote.server
        try:
            remote.server = NO_SERVER
            return self.plain.pareto_front(**options)
        except Exception:  # pymoo's methods fail in many ways where a front is not known
            return None
        finally:
            remote.server = server

    def name(self) -> str:
        """Return the plain problem's name."""
        return str(self.plain.name())


def as_search_problem(problem: Any, *, check: bool = True) -> SearchProblem:
    """Return a ``SearchProblem``, which is checked unless it is said otherwise; a plain pymoo ``Problem`` is adapted.

    Raises:
        ProblemError: It is neither, or its definition is wrong.
        SpaceError: Its variables are wrong.
    """
    if isinstance(problem, type) and issubclass(problem, Problem):
        raise ProblemError(f"a problem must be an object, but is a class; hand over {problem.__name__}()")
    if not isinstance(problem, Problem):
        raise ProblemError(
            f"a problem must be a SearchProblem or a pymoo Problem, but is a {type(problem).__name__}; "
            "hand a bare function to evo_moo.search(function, variables=…, objectives=…), or one that takes a trial "
            "with directions=…"
        )
    adapted: SearchProblem = problem if isinstance(problem, SearchProblem) else PymooProblem(problem)
    if check:
        adapted.check()
    return adapted


_KINDS: dict[Any, type[Variable]] = {float: Real, int: Integer, bool: Boolean}


def _bounded(kind: type[Variable], low: float, high: float) -> Variable:
    if kind is Integer:
        return Integer(int(low), int(high))
    return Boolean() if kind is Boolean else Real(low, high)


def _translated(name: str, variable: Any) -> Variable:
    match variable:
        case pymoo_variable.Binary():
            return Boolean()
        case pymoo_variable.Choice():
            return Choice(variable.options)
        case pymoo_variable.Integer():
            return Integer(*map(int, variable.bounds))
        case pymoo_variable.Real():
            return Real(*map(float, variable.bounds))
    raise ProblemError(f"`{name}` must be a Real, Integer, Choice or Binary of pymoo, but is {variable!r}")
