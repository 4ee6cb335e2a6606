"""The trial that a define-by-run objective gets, with the names that Optuna has, and without Optuna."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from evo_moo.errors import MetricError, SpaceError
from evo_moo.problem.learning_curve import Report, TrainingStopped
from evo_moo.problem.metrics import is_finite_number
from evo_moo.problem.trials.suggestion import Suggestion
from evo_moo.seeding import seed_for
from evo_moo.values import json_key

_OF_STUDIES = ("study", "distributions", "relative_params", "system_attrs", "set_system_attr", "datetime_start")


class TrialPruned(Exception):  # noqa: N818 - Optuna's name
    """Raised by an objective to end a trial that ``should_prune``; Optuna's own serves as well."""


def is_pruning(error: BaseException) -> bool:
    """Return whether an error ends a trial early on purpose: ours, or Optuna's of the same name."""
    return any(cls.__name__ == TrialPruned.__name__ for cls in type(error).__mro__)


class Trial:
    """Hands an objective the values of one configuration.

    What the objective asks for and the configuration does not have is drawn, by the seed and the name.

    Args:
        values: Names, as the objective has them, to values.
        seed: Decides what is drawn.
        report: Takes the learning curve.
        objectives: Names of the values that the objective returns.

    Attributes:
        number: A number of the evaluation alone, by which files can be named: the seed.
        params: Names to values, in the order in which they were asked for.
        user_attrs: What the objective noted: numbers become metrics, the rest is kept as facts.
        constraints: Names to numbers that are feasible up to 0.
        suggestions: Names to what was asked for.
        n_steps: The last reported step, counted from 1; 0 where nothing was reported.
    """

    def __init__(
        self, values: Mapping[str, Any], seed: int, report: Report | None = None, objectives: Sequence[str] = ("value",)
    ) -> None:
        self._values, self._report, self._objectives = values, report or Report(), list(objectives)
        self.number, self.n_steps = seed, 0
        self.params: dict[str, Any] = {}
        self.user_attrs: dict[str, Any] = {}
        self.constraints: dict[str, float] = {}
        self.suggestions: dict[str, Suggestion] = {}
        self._held: dict[str, Any] = {}
        self._stop: TrainingStopped | None = None
        self._has_nan = False

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a real number in ``[low, high]``."""
        return float(self._suggest(name, Suggestion.number("float", name, low, high, log, step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number in ``[low, high]``."""
        return int(self._suggest(name, Suggestion.number("int", name, low, high, log, step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""
        suggestion = Suggestion.choice(name, choices)
        value = json_key(self._suggest(name, suggestion))
        chosen = choices[[json_key(choice) for choice in suggestion.choices].index(value)]
        self.params[name] = chosen
        return chosen

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Return a real number, as ``suggest_float``."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Return a real number, as ``suggest_float`` with ``log``."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Return a real number, as ``suggest_float`` with ``step``."""
        return self.suggest_float(name, low, high, step=q)

    def report(self, value: float | Sequence[float], step: int) -> None:
        """Note the value after a step; with several objectives one for each. Only steps that grow are noted."""
        values = list(map(float, value if isinstance(value, Sequence) else [value]))
        if len(values) != len(self._objectives):
            names = ", ".join(self._objectives)
            raise MetricError(f"a report must have a value for each of {names}, but has {len(values)}")
        if any(map(math.isnan, values)):
            self._has_nan = True
            return
        if self._stop is None and int(step) + 1 > self.n_steps:
            self.n_steps = int(step) + 1
            try:
                self._report(self.n_steps, dict(zip(self._objectives, values, strict=True)))
            except TrainingStopped as stop:
                self._stop = stop

    def should_prune(self) -> bool:
        """Return whether the training cannot reach the front any more; the objective then raises ``TrialPruned``."""
        return self._stop is not None or self._has_nan

    def set_user_attr(self, key: str, value: Any) -> None:
        """Note a fact of the evaluation; a number becomes a metric."""
        self.user_attrs[key] = value

    def set_constraint(self, key: str, value: float) -> None:
        """Note a constraint, which holds up to 0."""
        if not is_finite_number(value):
            raise MetricError(f"a constraint must be a finite number, but `{key}` is {value!r}")
        self.constraints[key] = float(value)

    def __getattr__(self, name: str) -> NoReturn:
        if name in _OF_STUDIES:
            raise AttributeError(
                f"`trial.{name}` is Optuna's alone: here a trial has the values of one evaluation only"
            )
        raise AttributeError(f"a trial must be asked for what Optuna's has, but has no `{name}`")

    @property
    def unlearnt(self) -> dict[str, Any]:
        """Names to the values that were drawn, since the configuration had none, or that had to be others."""
        given = {name: self._values.get(name) for name in self._held}
        return {
            name: value
            for name, value in self._held.items()
            if json_key(given[name]) != json_key(value) and not self.suggestions[name].is_constant
        }

    @property
    def held(self) -> dict[str, Any]:
        """Names to values as a configuration holds them, in the order in which they were asked for."""
        return dict(self._held)

    def pruned(self) -> BaseException:
        """Return what ends the evaluation after the objective raised ``TrialPruned``."""
        if self._stop is not None:
            return self._stop
        if self.n_steps:
            return TrainingStopped(f"the objective pruned it after step {self.n_steps}")
        return MetricError("an objective that prunes must report a value before, but reported none")

    def _suggest(self, name: str, asked: Suggestion) -> Any:
        if name in self.suggestions:  # the first call of a name decides, as in Optuna
            self.suggestions[name] = self.suggestions[name].joined(name, asked)
            return self._held[name]
        try:
            value = asked.nearest(self._values[name]) if name in self._values else self._drawn(name, asked)
        except SpaceError as error:
            raise SpaceError(f"`{name}`: {error}") from None
        self.suggestions[name], self._held[name], self.params[name] = asked, value, value
        return value

    def _drawn(self, name: str, asked: Suggestion) -> Any:
        return asked.draw(np.random.default_rng(seed_for(name, self.number)))
