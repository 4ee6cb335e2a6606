"""A define-by-run objective as a problem."""

import contextlib
import inspect
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from evo_moo.errors import MetricError, ProblemError, SpaceError
from evo_moo.problem.fidelity import Fidelity
from evo_moo.problem.goals import Limits
from evo_moo.problem.learning_curve import Report
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.problem.trials.learning import LearntSpace, learn_space, untried, worth_trying
from evo_moo.problem.trials.suggestion import Asked, Suggestion
from evo_moo.problem.trials.trial import Trial, is_pruning
from evo_moo.space.variables import Integer

DIRECTION_WORDS = {"maximize": "max", "minimize": "min", "max": "max", "min": "min"}
_ASKED = "asked for "
_SEEN = "explored"


class Explored(NamedTuple):
    """What the evaluations that explored an objective showed.

    Attributes:
        space: The space.
        constraints: Names of the constraints, which hold up to 0.
        n_steps: The last step that an evaluation reported, counted from 1; 0 where none is reported.
    """

    space: LearntSpace
    constraints: tuple[str, ...] = ()
    n_steps: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"space": self.space.to_json(), "constraints": list(self.constraints), "n_steps": self.n_steps}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Explored":
        """Return what ``to_json`` wrote."""
        return cls(LearntSpace.from_json(data["space"]), tuple(data["constraints"]), data["n_steps"])


class TrialProblem(SearchProblem):
    """A define-by-run objective as a problem: a function that asks a trial for values, as Optuna has it.

    The space is not declared: it is learnt from evaluations, before the search. Until then an evaluation draws
    whatever the objective asks for and is not given.

    Args:
        objective: Takes a trial, and returns a number, or one for each direction.
        directions: ``"maximize"`` or ``"minimize"`` for each number; or names to them.
        constraints_func: Takes a trial after the evaluation, and returns numbers that are feasible up to 0; or the name
            of such a function beside the objective.
        constraints: Limits on what the objective notes as user attributes, as in ``SearchProblem``.
        explore: Number of evaluations that may explore; by default up to half of the budget.
        explored: What they showed.
    """

    def __init__(
        self,
        objective: Callable[[Any], Any],
        directions: Any,
        constraints_func: Any = None,
        constraints: Limits | None = None,
        explore: int | None = None,
        explored: dict[str, Any] | None = None,
    ) -> None:
        self.function, self.directions, self.explore, self.explored = objective, directions, explore, explored
        self.constraints_func, self.limits = constraints_func, constraints or {}
        self.constraints = self.limits
        named = directions if isinstance(directions, Mapping) else _named(directions)
        self.objectives = {name: DIRECTION_WORDS.get(word, word) for name, word in named.items()}
        self.seen = None if explored is None else Explored.from_json(explored)
        self.is_explored = self.seen is not None
        self.fidelity = Fidelity("steps", 1, 1)  # until it is known, so that a job may ask for early stopping
        if self.seen is None:
            self.variables = {"unexplored": Integer(0, 2**31)}
        else:
            self.variables = self.seen.space.variables
            self.constraints = {**self.limits, **{name: {"at_most": 0.0} for name in self.seen.constraints}}
            n_steps = self.seen.n_steps
            self.fidelity = Fidelity("steps", n_steps, n_steps) if n_steps else None

    def check(self) -> None:
        """Check the whole definition.

        Raises:
            ProblemError: It has faults.
        """
        words = [*self.directions.values()] if isinstance(self.directions, Mapping) else self.directions
        if not isinstance(words, list | tuple) or not words or any(word not in DIRECTION_WORDS for word in words):
            raise ProblemError(
                "`directions` must hold 'maximize' or 'minimize' for each value that the objective returns, "
                f"but is {self.directions!r}"
            )
        if self.explore is not None and self.explore < 1:
            raise ProblemError(f"`explore` must be at least 1, but is {self.explore}")
        _ = self._constraints_of
        super().check()

    def explored_as(self, explored: dict[str, Any]) -> "TrialProblem":
        """Return the problem with what was learnt."""
        made = self.function, self.directions, self.constraints_func, self.limits, self.explore
        return TrialProblem(*made, explored)

    def explored_by(self, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what evaluations taught, as plain data.

        Args:
            facts: What they returned beside numbers.

        Raises:
            SpaceError: They do not agree on a space.
        """
        traces = [trace for each in facts if (trace := _trace_of(each))]
        if not traces:
            raise SpaceError("an objective must ask its trial for values, but asked for none")
        space, seen = learn_space(traces), [each[_SEEN] for each in facts if _SEEN in each]
        names = dict.fromkeys(name for _, names in seen for name in names)
        space = replace(space, doubts=(*space.doubts, *untried(traces)))
        return Explored(space, tuple(names), max(n_steps for n_steps, _ in seen)).to_json()

    def worth_exploring(self, facts: Sequence[Mapping[str, Any]]) -> list[Configuration]:
        """Return values to be given to further evaluations, since they may show something new; as ``explored_by``."""
        traces = [trace for each in facts if (trace := _trace_of(each))]
        return worth_trying(traces)

    def shown_configuration(self, facts: Mapping[str, Any]) -> Configuration:
        """Return the configuration that an evaluation had, of the facts that it returned."""
        values = {name: asked.value for name, asked in _trace_of(facts).items()}
        return self.seen.space.configuration(values) if self.seen else values

    @property
    def doubts(self) -> Sequence[str]:
        """What could not be learnt, a sentence each."""
        return self.seen.space.doubts if self.seen else ()

    def name(self) -> str:
        """Return the objective's name."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def evaluate(
        self, config: Configuration, *, seed: int = 0, report: Report | None = None, fidelity: int | None = None
    ) -> dict[str, Any]:
        """Call the objective with a trial that has the values of a configuration; it counts the steps itself.

        Raises:
            MetricError: It returned something else than a number for each direction.
            TrainingStopped: The objective pruned the trial.
        """
        names = self.seen.space.names if self.seen else {}
        values = {names.get(name, name): value for name, value in config.items()}
        trial = Trial(values, seed, report, [*self.objectives])
        try:
            with seeded(seed):
                metrics = self._metrics(trial)
        except Exception as error:
            if self.seen is None:  # what was asked for teaches all the same
                return {**_noted(trial), "error": f"{type(error).__name__}: {error}"}
            if is_pruning(error):
                raise trial.pruned() from None
            raise
        if self.seen is None:
            return {**metrics, **_noted(trial)}
        return {**metrics, **({"unlearnt": trial.unlearnt} if trial.unlearnt else {})}

    def _metrics(self, trial: Trial) -> dict[str, Any]:
        returned = self.function(trial)
        values = list(returned) if isinstance(returned, Sequence) and not isinstance(returned, str) else [returned]
        if len(values) != len(self.objectives):
            rule = f"the objective must return {len(self.objectives)} value(s), one for each direction"
            raise MetricError(f"{rule}, but returned {returned!r}")
        if self._constraints_of is not None:
            for i, value in enumerate(self._constraints_of(trial)):
                trial.set_constraint(f"constraint_{i}", value)
        return {**trial.user_attrs, **trial.constraints, **dict(zip(self.objectives, values, strict=True))}

    @property
    def _constraints_of(self) -> Callable[[Any], Sequence[float]] | None:
        if not isinstance(name := self.constraints_func, str):
            return name  # type: ignore[no-any-return]
        module = sys.modules.get(getattr(self.function, "__module__", ""))
        beside = getattr(inspect.unwrap(self.function), "__globals__", vars(module) if module else {})
        if not callable(function := beside.get(name)):
            raise ProblemError(
                f"`constraints_func` must name a function beside the objective, but there is no `{name}`"
            )
        return function  # type: ignore[no-any-return]


def is_objective(thing: Any) -> bool:
    """Return whether an object can be a define-by-run objective: it can be called, and is no class."""
    return callable(thing) and not isinstance(thing, type)


def class_of(objective: Any) -> type[TrialProblem]:
    """Return the class of the problems of one objective, whose options are those of ``TrialProblem``."""

    class OfObjective(TrialProblem):
        def __init__(
            self,
            directions: Any,
            constraints_func: str | None = None,
            constraints: dict[str, Any] | None = None,
            explore: int | None = None,
            explored: dict[str, Any] | None = None,
        ) -> None:
            super().__init__(objective, directions, constraints_func, constraints, explore, explored)

    OfObjective.__name__ = getattr(objective, "__name__", type(objective).__name__)
    return OfObjective


def _trace_of(facts: Mapping[str, Any]) -> dict[str, Asked]:
    """Return what an evaluation that explored asked for, in this order, of the facts that it returned."""
    asked = {key.removeprefix(_ASKED): value for key, value in facts.items() if key.startswith(_ASKED)}
    return {name: Asked(Suggestion.of_record(record), value) for name, (record, value) in asked.items()}


def _noted(trial: Trial) -> dict[str, Any]:
    """Return what an evaluation showed of the objective, as facts."""
    held = trial.held
    asked = {f"{_ASKED}{name}": [each.to_record(), held[name]] for name, each in trial.suggestions.items()}
    return {**asked, _SEEN: [trial.n_steps, list(trial.constraints)]}


def _named(directions: Any) -> dict[str, Any]:
    """Name values as Optuna's tables do."""
    words = list(directions) if isinstance(directions, list | tuple) else []
    return {"value": words[0]} if len(words) == 1 else {f"values_{i}": word for i, word in enumerate(words)}


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the random numbers that an objective may draw without a seed: of Python, NumPy and, if loaded, PyTorch."""
    torch = sys.modules.get("torch")
    python, numpy, of_torch = random.getstate(), np.random.get_state(), torch and torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if torch:
            torch.set_rng_state(of_torch)
