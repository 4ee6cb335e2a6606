"""What a problem is: variables, named metrics, and which metrics are objectives and limits.

A user's problem is one class:

    class MyProblem(SearchProblem):
        variables = {"lr": Real(1e-4, 1e-1, log=True), "n_layers": Integer(1, 3)}
        objectives = {"accuracy": "max", "latency_ms": "min"}

        def evaluate(self, config): ...
"""

import contextlib
import functools
import inspect
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pymoo.core.problem import Problem

from evo_moo.errors import MetricError, ProblemError
from evo_moo.goals import Goals, Limits, Metric, Metrics, checked_metrics, find_faults
from evo_moo.seeding import evaluation_seed
from evo_moo.space import Real, SearchSpace, Variable

__all__ = ["Configuration", "Metric", "PymooProblem", "SearchProblem", "as_search_problem"]

Array = npt.NDArray[np.float64]
Configuration = dict[str, Any]


_KEYWORDS = ("fidelity", "seed", "workspace")
_PYMOO_ATTRIBUTES = frozenset(vars(Problem()))


def _for_both_callers(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def evaluate(self: SearchProblem, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], np.ndarray):
            return Problem.evaluate(self, *args, **kwargs)
        return own(self, *args, **kwargs)

    return evaluate


class SearchProblem(Problem):  # type: ignore[misc]
    """A search space with named metrics; also a pymoo ``Problem`` over the encoded columns.

    A subclass sets ``variables`` and ``objectives`` and defines ``evaluate``. Keyword arguments of its
    ``__init__`` are the problem's options; declarations may be set there as well.

    Attributes:
        variables: Name to ``Real``, ``Integer``, ``Choice`` or ``Boolean``.
        forbidden: Name of a rule to a predicate; a configuration for which it is true is never asked.
        objectives: Name of a metric to ``"min"`` or ``"max"``.
        constraints: Name of a metric to a limit: ``{"at_most": x}``, ``{"at_least": x}`` or both.
        metrics: Name of a metric to its ``Metric``; also lists what ``evaluate`` returns besides the goals.
    """

    variables: Mapping[str, Variable] = {}
    forbidden: Mapping[str, Callable[[Configuration], bool]] = {}
    objectives: Mapping[str, str] = {}
    constraints: Limits = {}
    metrics: Mapping[str, Metric] = {}
    is_plain: ClassVar[bool] = False

    def __init__(self) -> None:
        """Take no options; pymoo's attributes follow from the declarations when they are first read."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let ``evaluate`` serve both callers: ours with a configuration, pymoo's with a matrix."""
        super().__init_subclass__(**kwargs)
        if "evaluate" in cls.__dict__:
            setattr(cls, "evaluate", _for_both_callers(cls.__dict__["evaluate"]))  # noqa: B010

    def __getattr__(self, name: str) -> Any:
        if name in _PYMOO_ATTRIBUTES:
            self._declare_to_pymoo()
            return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @functools.cached_property
    def space(self) -> SearchSpace:
        """The search space of ``variables`` and ``forbidden``.

        Raises:
            SpaceError: The declaration is wrong; all its faults are listed.
        """
        return SearchSpace(self.variables, self.forbidden)

    @functools.cached_property
    def goals(self) -> Goals:
        """The objectives and limits that the problem declares itself.

        Raises:
            ProblemError: The declaration is wrong; all its faults are listed.
        """
        faults = find_faults(self.objectives, self.constraints, self.known_metrics)
        if faults:
            raise ProblemError("\n".join(f"{type(self).__name__}: {fault}" for fault in faults))
        return Goals.declared(self.objectives, self.constraints)

    @property
    def known_metrics(self) -> dict[str, Metric]:
        """Every metric that the problem declares, with its description."""
        names = dict.fromkeys([*self.objectives, *self.constraints, *self.metrics])
        return {name: self.metrics.get(name, Metric()) for name in names}

    def check(self) -> None:
        """Check the whole definition.

        Raises:
            ProblemError: Goals or methods are wrong.
            SpaceError: The variables are wrong.
        """
        _ = self.space, self.goals
        for method in (self.profile, self.evaluate):
            unknown = _required_keywords(method) - set(_KEYWORDS)
            if unknown:
                raise ProblemError(
                    f"`{type(self).__name__}.{method.__name__}` may ask for {', '.join(_KEYWORDS)}, "
                    f"but it asks for {', '.join(sorted(unknown))}; give those a default or drop them"
                )
        if type(self).evaluate is SearchProblem.evaluate:
            raise ProblemError(f"`{type(self).__name__}` must define `evaluate(self, config)`, but does not")

    def profile(self, config: Configuration) -> Mapping[str, float]:
        """Give cheap metrics that need no training; limits on them spare the training."""
        return {}

    def evaluate(self, config: Any, *args: Any, **kwargs: Any) -> Any:
        """Give the metrics of a configuration: a mapping of names to numbers.

        A subclass defines it as ``evaluate(self, config)`` and may name any of these keyword arguments:
        ``fidelity`` (an int or None), ``seed`` (an int that decides every random choice) and ``workspace``
        (a folder of this evaluation's own, a ``pathlib.Path``).
        """
        return super().evaluate(config, *args, **kwargs)

    def call_profile(self, config: Configuration) -> Metrics:
        """Run ``profile`` and check what it returned.

        Raises:
            MetricError: It returned something else than finite numbers by name.
        """
        return checked_metrics(self.profile(dict(config)))

    def call_evaluate(self, config: Configuration, *, seed: int, workspace: str | None = None) -> Metrics:
        """Run ``evaluate`` with the keyword arguments that it names, and check what it returned.

        Args:
            config: Names to values.
            seed: Seed of every random choice.
            workspace: Folder for ``evaluate``, made if it names ``workspace``; by default a temporary one.

        Raises:
            MetricError: It returned something else than finite numbers by name.
        """
        offered: dict[str, Any] = {"fidelity": None, "seed": seed}
        with contextlib.ExitStack() as stack:
            wanted = _named_keywords(self.evaluate)
            if "workspace" in wanted:
                offered["workspace"] = Path(workspace or stack.enter_context(tempfile.TemporaryDirectory()))
                offered["workspace"].mkdir(parents=True, exist_ok=True)
            arguments = {name: offered[name] for name in wanted if name in offered}
            return checked_metrics(self.evaluate(dict(config), **arguments))

    def _evaluate(self, X: Array, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Evaluate encoded rows for pymoo's own algorithms; ``X`` is an ``(n, n_var)`` array."""
        rows = []
        for config in self.space.decode(self.space.canonical(X)):
            metrics = self.call_profile(config)
            metrics |= self.call_evaluate(config, seed=evaluation_seed(0, config))
            rows.append(checked_metrics(metrics, self.goals.metric_names))
        out["F"] = np.array([self.goals.objective_values(metrics) for metrics in rows])
        out["G"] = np.array([self.goals.inequality_values(metrics) for metrics in rows])
        out["H"] = np.array([self.goals.equality_values(metrics) for metrics in rows])

    def _declare_to_pymoo(self) -> None:
        Problem.__init__(
            self,
            n_var=self.space.n_var,
            n_obj=len(self.goals.objectives),
            n_ieq_constr=len(self.goals.inequalities),
            n_eq_constr=len(self.goals.equalities),
            xl=self.space.xl,
            xu=self.space.xu,
        )


class PymooProblem(SearchProblem):
    """A plain pymoo ``Problem`` under evo-moo's names: variables ``x1…``, metrics ``f1…``, ``g1…``, ``h1…``.

    Args:
        problem: A continuous pymoo problem with bounds.

    Raises:
        ProblemError: The problem has no bounds or no continuous variables.
    """

    is_plain = True

    def __init__(self, problem: Problem) -> None:
        self.plain = problem
        if getattr(problem, "vars", None) is not None or problem.vtype not in (None, float):
            raise ProblemError(f"`{problem.name()}` must have continuous variables only, but has others")
        if not problem.has_bounds():
            raise ProblemError(f"`{problem.name()}` must have bounds xl and xu, but has none")
        bounds = zip(problem.xl.tolist(), problem.xu.tolist(), strict=True)
        self.variables = {f"x{i}": Real(low, high) for i, (low, high) in enumerate(bounds, 1)}
        self.objectives = {f"f{i + 1}": "min" for i in range(problem.n_obj)}
        self.constraints = {f"g{i + 1}": {"at_most": 0.0} for i in range(problem.n_ieq_constr)}
        self.constraints |= {f"h{i + 1}": {"equals": 0.0} for i in range(problem.n_eq_constr)}

    def evaluate(self, config: Configuration) -> Metrics:
        """Evaluate one configuration.

        Raises:
            MetricError: A value is not finite.
        """
        (outcome,) = self.evaluate_batch(np.array([list(config.values())]))
        if isinstance(outcome, MetricError):
            raise outcome
        return outcome

    def evaluate_batch(self, X: Array) -> list[Metrics | MetricError]:
        """Evaluate all rows in one call of the problem; a row that is not finite gives its error.

        Args:
            X: ``(n, n_var)`` array.
        """
        out = self.plain.evaluate(X, return_values_of=["F", "G", "H"], return_as_dictionary=True)
        table = np.hstack([out["F"], out["G"], out["H"]])
        names = list(self.known_metrics)
        rows = [dict(zip(names, row, strict=True)) for row in table.tolist()]
        if np.isfinite(table).all():
            return list(rows)
        return [_metrics_or_error(row) for row in rows]

    def name(self) -> str:
        """Give the plain problem's name."""
        return str(self.plain.name())


def as_search_problem(problem: Any) -> SearchProblem:
    """Give a checked ``SearchProblem``; a plain pymoo ``Problem`` is adapted.

    Raises:
        ProblemError: It is neither, or its definition is wrong.
        SpaceError: Its variables are wrong.
    """
    if not isinstance(problem, Problem):
        raise ProblemError(f"a problem must be a SearchProblem or a pymoo Problem, but is a {type(problem).__name__}")
    if not isinstance(problem, SearchProblem):
        problem = PymooProblem(problem)
    adapted: SearchProblem = problem
    adapted.check()
    return adapted


def _named_keywords(method: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(method).parameters)[1:]


def _required_keywords(method: Callable[..., Any]) -> set[str]:
    parameters = list(inspect.signature(method).parameters.values())[1:]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name for p in parameters if p.default is inspect.Parameter.empty and p.kind in named}


def _metrics_or_error(row: Metrics) -> Metrics | MetricError:
    try:
        return checked_metrics(row)
    except MetricError as error:
        return error
