"""What a problem is: variables, named metrics, and which metrics are objectives and limits.

A user's problem is one class:

    class MyProblem(SearchProblem):
        variables = {"lr": Real(1e-4, 1e-1, log=True), "n_layers": Integer(1, 3)}
        objectives = {"accuracy": "max", "latency_ms": "min"}

        def evaluate(self, config): ...
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
from pymoo.core.problem import Problem

from evo_moo.errors import ProblemError
from evo_moo.problem.calling import Circumstances, called
from evo_moo.problem.contexts import ByContext, Context, names_of
from evo_moo.problem.declarations import check_definition, parameters_of
from evo_moo.problem.encoded_problem import PYMOO_ATTRIBUTES, encoded_problem, for_both_callers
from evo_moo.problem.fidelity import Fidelity
from evo_moo.problem.goal_faults import find_faults
from evo_moo.problem.goals import Goals, Limits
from evo_moo.problem.learning_curve import Report
from evo_moo.problem.metrics import Metric, Metrics, Returned, read_returned
from evo_moo.problem.optional_methods import Configuration, OptionalMethods
from evo_moo.problem.points import OfferedPoint, read_points
from evo_moo.problem.weights import Weights
from evo_moo.seeding import evaluation_seed
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Variable
from evo_moo.values import json_key

__all__ = ["Configuration", "Fidelity", "Goals", "Metric", "Report", "SearchProblem", "Weights"]

Array = npt.NDArray[np.float64]


_KEYWORDS = ("fidelity", "seed", "workspace", "weights", "report", "replicate")


class SearchProblem(OptionalMethods, Problem):  # type: ignore[misc]
    """A search space with named metrics; also a pymoo ``Problem`` over the encoded columns.

    A subclass sets ``variables`` and ``objectives`` and defines ``evaluate``. Keyword arguments of its
    ``__init__`` are the problem's options; declarations may be set there as well. It may define ``compute``,
    ``profile`` and ``network``.

    Attributes:
        variables: Name to ``Real``, ``Integer``, ``Choice`` or ``Boolean``.
        forbidden: Name of a rule to a predicate; a configuration for which it is true is never asked.
        post_training: What can be chosen after a training, as ``variables``; ``evaluate`` then returns a list of
            ``Point``, each with its choices and metrics.
        objectives: Name of a metric to ``"min"``, ``"max"`` or ``{"direction": "max", "goal": 0.99}``.
        constraints: Name of a metric to a limit: ``{"at_most": x}``, ``{"at_least": x}`` or both.
        metrics: Name of a metric to its ``Metric``; also lists what ``evaluate`` returns besides the goals.
        contexts: What decides where a trained model runs, to its values, as ``{"device": ["server", "phone"]}``.
            Metrics with ``by_context`` then have a value for each, returned as a mapping of them to numbers.
        architecture: Names of the variables that decide what ``compute`` and ``profile`` give; those of the training
            do not. By default all ``variables``. Profiles are kept and reused by them. If a post-training variable is
            named, both are called for each point, with the configuration and the choices in one.
        data_files: Files that decide what ``evaluate`` returns. The ledger keeps digests of their content, and a run
            whose data have changed is not continued as if nothing had happened.
        fidelity: What a short evaluation is short of, for a search with refinement; None: there are only full ones.
        is_plain: Whether it stands for a continuous pymoo problem, to be searched just as pymoo does.
        is_deterministic: Whether an evaluation is known to have the same outcome each time.
        is_vectorised: Whether one call evaluates many configurations.
        is_explored: Whether the space is known; else evaluations must show it before the search.
    """

    variables: Mapping[str, Variable] = {}
    forbidden: Mapping[str, Callable[[Configuration], bool]] = {}
    post_training: Mapping[str, Variable] = {}
    objectives: Mapping[str, Any] = {}
    constraints: Limits = {}
    metrics: Mapping[str, Metric] = {}
    contexts: Mapping[str, Sequence[str]] = {}
    architecture: Sequence[str] | None = None
    data_files: Sequence[str | Path] = ()
    fidelity: Fidelity | None = None
    is_plain: bool = False
    is_deterministic: bool = False
    is_vectorised: bool = False
    is_explored: bool = True

    def __init__(self) -> None:
        """Take no options; pymoo's attributes follow from the declarations when they are first read."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let ``evaluate`` serve both callers: ours with a configuration, pymoo's with a matrix."""
        super().__init_subclass__(**kwargs)
        if inspect.isfunction(cls.__dict__.get("evaluate")):
            setattr(cls, "evaluate", for_both_callers(cls.__dict__["evaluate"]))  # noqa: B010

    def __getattr__(self, name: str) -> Any:
        if name in PYMOO_ATTRIBUTES:
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
    def point_space(self) -> SearchSpace:
        """The space of what can be on a front: of ``variables``, and ``post_training`` after them.

        Raises:
            SpaceError: The declaration is wrong; all its faults are listed.
        """
        return (
            SearchSpace({**self.variables, **self.post_training}, self.forbidden) if self.post_training else self.space
        )

    @property
    def is_profiled_by_point(self) -> bool:
        """Whether what ``compute`` and ``profile`` give depends on post-training variables."""
        return not self.post_training.keys().isdisjoint(self.architecture or ())

    @functools.cached_property
    def goals(self) -> Goals:
        """The objectives and limits that the problem declares itself.

        Raises:
            ProblemError: The declaration is wrong; all its faults are listed.
        """
        faults = find_faults(self.objectives, self.constraints, self.declared_metrics)
        if faults:
            raise ProblemError("\n".join(f"{type(self).__name__}: {fault}" for fault in faults))
        return self.goals_of(self.objectives, self.constraints)

    def goals_of(
        self, objectives: Mapping[str, Any], constraints: Limits, weights: Mapping[str, float] | None = None
    ) -> Goals:
        """Return the goals of declared objectives and limits; ``weights`` name the contexts that count, else all do."""
        weights = dict.fromkeys(self.by_context.contexts, 1.0) if weights is None else weights
        contexts = [Context(*each) for each in weights.items()]
        return Goals.declared(objectives, constraints, contexts, self.by_context.metrics)

    @functools.cached_property
    def by_context(self) -> ByContext:
        """Which metrics differ between which contexts."""
        differ = (name for name, metric in self.metrics.items() if metric.by_context)
        return ByContext(tuple(names_of(self.contexts)), tuple(differ) if self.contexts else ())

    @property
    def declared_metrics(self) -> dict[str, Metric]:
        """Every metric that the problem declares, with its description."""
        names = dict.fromkeys([*self.objectives, *self.constraints, *self.metrics])
        return {name: self.metrics.get(name, Metric()) for name in names}

    @property
    def known_metrics(self) -> dict[str, Metric]:
        """Every metric as it is recorded, which with contexts may be one for each, with its description."""
        tests = {test: self.by_context.recorded(m.test_of) for test, m in self.metrics.items() if m.test_of}
        return {
            name: replace(metric, test_of=tests[declared][i % len(tests[declared])]) if metric.test_of else metric
            for declared, metric in self.declared_metrics.items()
            for i, name in enumerate(self.by_context.recorded(declared))
        }

    def check(self) -> None:
        """Check the whole definition.

        Raises:
            ProblemError: It has faults; all are listed, one a line.
            SpaceError: Only the variables have.
        """
        roles = {"evaluate": _KEYWORDS, "profile": (), "compute": (), **({"network": ()} if self.has_network else {})}
        check_definition(self, roles, evaluates=type(self).evaluate is not SearchProblem.evaluate)

    @property
    def _named_keywords(self) -> list[str]:
        return list(parameters_of(self.evaluated_function))[1:]

    @property
    def is_seeded(self) -> bool:
        """Whether it can be told to repeat an evaluation with other random choices."""
        return not {"seed", "replicate"}.isdisjoint(self._named_keywords)

    @property
    def continues(self) -> bool:
        """Whether a longer evaluation goes on from what a shorter one saved: it then names ``weights``."""
        return "weights" in self._named_keywords

    @property
    def reports(self) -> bool:
        """Whether an evaluation tells how it goes while it runs: it then names ``report``."""
        return "report" in self._named_keywords

    @property
    def evaluated_function(self) -> Callable[..., Any]:
        """What a configuration is handed to."""
        return self.evaluate

    def architecture_key(self, config: Configuration) -> str:
        """Return the values of the variables of ``architecture``, as text: equal for all that have the same profile."""
        names = self.variables if self.architecture is None else self.architecture
        return json_key({name: config[name] for name in names if name in config})

    def evaluate(self, config: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the metrics of a configuration: a mapping of names to numbers; or with ``post_training`` the points.

        Objectives and limits need finite numbers. Of the others, what is none is recorded as missing, with a note; a
        text, or a short list or table, is kept as a fact of the evaluation.

        A subclass defines it as ``evaluate(self, config)`` and may name any of these keyword arguments:
        ``fidelity`` (an int from what the attribute of that name declares, or None where it declares nothing),
        ``seed`` (an int that decides every random choice), ``workspace`` (a folder of this evaluation's own, a
        ``pathlib.Path``), ``weights`` (a ``Weights``, to go on from a shorter evaluation of the same
        configuration and seed, and to save for a longer one), ``report`` (a ``Report``, to be called after each
        epoch with its number and metrics; it may end the evaluation) and ``replicate`` (the number of the repetition,
        0 for the first: for problems that choose their seeds themselves).
        """
        return super().evaluate(config, *args, **kwargs)

    def evaluate_batch(self, configurations: Sequence[Configuration]) -> list[Metrics]:
        """Return what ``evaluate`` returns of many configurations, evaluated in one call, where ``is_vectorised``."""
        raise NotImplementedError

    def pareto_front(self, goals: Goals | None = None, **options: Any) -> Array | None:
        """Return the exact Pareto front, ``(n, n_obj)`` objectives minimised, or points all along it; None if unknown.

        Optional. Where it is known, ``evo-moo show`` says how much of its hypervolume a run has reached. A problem
        that knows the front of its own goals only may define pymoo's ``_calc_pareto_front(self)`` instead.

        Args:
            goals: Objectives and limits; by default the problem's own.
            options: Those of pymoo's method.
        """
        if goals is not None and not goals.seek_the_same_as(self.goals):
            return None
        front: Array | None = super().pareto_front(**options)
        return front

    def call_profile(self, config: Configuration) -> Returned:
        """Run ``compute`` and ``profile``, and read what they returned; errors as for ``call_compute``."""
        return self.call_compute(config).followed_by(read_returned(self.profile(dict(config)), self.by_context))

    def call_compute(self, config: Configuration) -> Returned:
        """Run ``compute`` and read what it returned.

        Raises:
            MetricError: It returned something else than values by name.
        """
        return read_returned(self.compute(dict(config)), self.by_context)

    def call_evaluate(self, config: Configuration, **circumstances: Unpack[Circumstances]) -> Returned:
        """Run ``evaluate`` with the keyword arguments that it names, and read what it returned.

        Raises:
            MetricError: It returned something else than values by name.
            TrainingStopped: ``report`` ended it.
        """
        return read_returned(called(self, config, circumstances), self.by_context)

    def call_training(self, config: Configuration, **circumstances: Unpack[Circumstances]) -> list[OfferedPoint]:
        """Run ``evaluate`` of a problem with post-training variables, and read the points that it returned.

        Raises:
            MetricError: It returned no list of points, or their choices are wrong; all faults are named.
            TrainingStopped: ``report`` ended it.
        """
        return read_points(called(self, config, circumstances), config, self.point_space, self.by_context)

    def _evaluate(self, X: Array, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Evaluate encoded rows for pymoo's own algorithms; ``X`` is an ``(n, n_var)`` array."""
        if self.post_training:
            raise ProblemError(f"`{self.name()}` must be searched by evo-moo, since a training of it has many points")
        rows = []
        for config in self.space.decode(self.space.canonical(X)):
            evaluated = self.call_evaluate(config, seed=evaluation_seed(0, config))
            rows.append(self.call_profile(config).followed_by(evaluated).checked(self.goals.metric_names))
        out["F"], out["G"], out["H"] = self.goals.matrices(rows)

    def _declare_to_pymoo(self) -> None:
        for name, value in vars(encoded_problem(self.space, self.goals)).items():
            if not hasattr(type(self), name):  # a problem may use such a name, `data` say, for what is its own
                self.__dict__.setdefault(name, value)
