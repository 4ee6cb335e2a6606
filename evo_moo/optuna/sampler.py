"""The candidates of this engine in an Optuna study."""

import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evo_moo.errors import EvoMooError, SpaceError, to_install
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.problem.trials.learning import LearntSpace, learn_space
from evo_moo.problem.trials.suggestion import Asked, Kind, Suggestion
from evo_moo.space.completion import completed
from evo_moo.values import json_key

try:
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.samplers import BaseSampler, RandomSampler
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    raise ImportError(f"EvoMooSampler must have Optuna, which is not installed; {to_install('optuna')}") from error

CONSTRAINTS = "constraints"
"""The system attribute in which Optuna's own samplers store what ``constraints_func`` returned."""
FIXED = "fixed_params"
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class EvoMooSampler(BaseSampler):  # type: ignore[misc]
    """Proposes the parameters of an Optuna study's trials, for one objective or several.

    The first trials are random. From them the space is learnt, with the conditions under which parameters exist; then
    models propose the values of all parameters together, and learn what trials measured, also those of other samplers
    and of a study that is loaded. What a trial asks for beyond that is drawn at random.

    Args:
        seed: Seed of every random choice; by default a random one.
        n_startup_trials: Number of trials that are drawn at random.
        pop_size: Size of the population; by default that number, but at least 4.
        surrogate: As in ``evo_moo.search``; ``"none"`` is the algorithm alone.
        algorithm: ``"nsga2"`` or ``"nsga3"``.
        constraints_func: Takes a trial, and returns numbers that are feasible up to 0; newer versions of Optuna have
            ``trial.set_constraint`` for it.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        n_startup_trials: int = 10,
        pop_size: int | None = None,
        surrogate: str = "auto",
        algorithm: str = "nsga2",
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
    ) -> None:
        if n_startup_trials < 1:
            raise SpaceError(f"`n_startup_trials` must be at least 1, but is {n_startup_trials}")
        self._n_startup, self._pop_size = n_startup_trials, pop_size or max(4, n_startup_trials)
        self._surrogate, self._algorithm, self._constraints_func = surrogate, algorithm, constraints_func
        self._seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._random = RandomSampler(seed=self._seed)
        self._lock = threading.Lock()
        self._spaces: dict[int, LearntSpace] = {}
        self._proposed: dict[int, dict[str, Any]] = {}
        self._search: _Search | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the search is made anew from the study."""
        return {**self.__dict__, "_lock": None, "_search": None, "_spaces": {}, "_proposed": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def reseed_rng(self) -> None:
        """Take another seed."""
        self._random.reseed_rng()
        with self._lock:
            self._seed, self._search = int(np.random.SeedSequence().generate_state(1)[0]), None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return every parameter of the trials so far; none while there are few."""
        ended = [each for each in study.get_trials(deepcopy=False, states=_ENDED) if each.params]
        if sum(each.state == TrialState.COMPLETE for each in ended) < self._n_startup:
            return {}
        try:
            space = learn_space([_trace(each) for each in ended])
        except SpaceError:
            return {}
        with self._lock:
            self._spaces[trial.number] = space
        last = {name: kind for each in ended for name, kind in each.distributions.items()}
        return {name: last[name] for name in space.names.values()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the values that the search proposes for the parameters that then exist."""
        with self._lock:
            space = self._spaces.pop(trial.number, None)
            if space is None or FIXED in trial.system_attrs:  # of a trial that was enqueued, its values are given
                return {}
            ended = [each for each in study.get_trials(deepcopy=False, states=_ENDED) if each.params]
            names = dict.fromkeys(name for each in ended for name in _constraints(each))
            problem = _StudyProblem(space, study.directions, list(names))
            if self._search is None or not self._search.is_of(problem):
                self._search = _Search(problem, self._optimizer(problem), self._seed)
            self._search.learn(ended)
            self._proposed[trial.number] = values = self._search.propose(trial.number)
        return {name: _of_distribution(name, value, search_space[name]) for name, value in values.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a value; of a parameter whose bounds have changed, take the nearest to what was proposed."""
        proposed = self._proposed.get(trial.number, {})
        if param_name in proposed and not isinstance(param_distribution, CategoricalDistribution):
            return _suggestion(param_name, param_distribution).nearest(proposed[param_name])
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Prepare what is drawn at random."""
        self._random.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Store the constraints, as Optuna's own samplers do; the outcome is learnt before the next proposal."""
        if self._constraints_func is not None:
            held = None if state == TrialState.FAIL else [*map(float, self._constraints_func(trial))]
            study._storage.set_trial_system_attr(trial._trial_id, CONSTRAINTS, held)  # as there is no other way
        with self._lock:
            self._proposed.pop(trial.number, None)
        self._random.after_trial(study, trial, state, values)

    def _optimizer(self, problem: SearchProblem) -> Optimizer:
        options: dict[str, Any] = {"algorithm": self._algorithm, "pop_size": self._pop_size, "seed": self._seed}
        options["mode"] = "steady-state"
        if self._surrogate == "none":
            return Optimizer(problem, **options)
        return SurrogateOptimizer(problem, model=self._surrogate, **options)


class _StudyProblem(SearchProblem):
    """What a study searches."""

    def __init__(self, learnt: LearntSpace, directions: Sequence[StudyDirection], constraints: Sequence[str]) -> None:
        words = ["max" if direction == StudyDirection.MAXIMIZE else "min" for direction in directions]
        self.learnt, self.variables = learnt, learnt.variables
        self.objectives = {f"values_{i}": word for i, word in enumerate(words)}
        self.constraints = {name: {"at_most": 0.0} for name in constraints}

    def evaluate(self, config: dict[str, Any]) -> dict[str, float]:
        """Raise an error: the study evaluates."""
        raise NotImplementedError

    def configuration(self, trial: FrozenTrial, seed: int) -> dict[str, Any]:
        """Return the configuration of a trial; what it did not ask for is drawn."""
        held = {name: asked.value for name, asked in _trace(trial).items()}
        return completed(self.space, self.learnt.configuration(held), seed)

    def outcome(self, trial: FrozenTrial) -> dict[str, float] | None:
        """Return what a trial measured; None where a value or a constraint is missing."""
        if trial.state != TrialState.COMPLETE:
            return None
        metrics = dict(zip(self.objectives, trial.values, strict=True)) | _constraints(trial)
        return metrics if all(name in metrics for name in self.goals.metric_names) else None


class _Search:
    """An optimizer that follows a study."""

    def __init__(self, problem: _StudyProblem, optimizer: Optimizer, seed: int) -> None:
        self._problem, self._optimizer, self._seed = problem, optimizer, seed
        self._asked: dict[int, int] = {}  # numbers of trials to ids of candidates
        self._learnt: set[int] = set()

    def is_of(self, problem: _StudyProblem) -> bool:
        """Return whether a problem is the one that is searched."""
        one, other = ((each.learnt, each.objectives, each.constraints) for each in (self._problem, problem))
        return one == other

    def learn(self, trials: Sequence[FrozenTrial]) -> None:
        """Tell what ended since the last call."""
        for trial in trials:
            if trial.number in self._learnt:
                continue
            self._learnt.add(trial.number)
            metrics, candidate = self._problem.outcome(trial), self._asked.pop(trial.number, None)
            if candidate is not None:
                self._end(candidate, trial, metrics)
            elif metrics is not None:
                with contextlib.suppress(EvoMooError):  # the same configuration again, or none of this space
                    self._optimizer.tell(self._problem.configuration(trial, self._seed), metrics)

    def _end(self, candidate: int, trial: FrozenTrial, metrics: dict[str, float] | None) -> None:
        last = trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else math.nan
        (name, *more) = self._problem.goals.metric_names
        if trial.state == TrialState.PRUNED and not more and math.isfinite(last):
            self._optimizer.stop(candidate, {name: last}, 1.0)
        else:
            self._optimizer.tell(candidate, metrics)

    def propose(self, number: int) -> dict[str, Any]:
        """Return the values of the next candidate by the names of the study; none where nothing new is left."""
        for candidate in self._optimizer.ask(1):
            self._asked[number] = candidate.id
            return {self._problem.learnt.names[name]: value for name, value in candidate.configuration.items()}
        return {}


def _trace(trial: FrozenTrial) -> dict[str, Asked]:
    """Return what a trial asked for, and the values as a configuration holds them."""
    trace = {}
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        asked = _suggestion(name, distribution)
        is_choice = isinstance(distribution, CategoricalDistribution)
        trace[name] = Asked(asked, asked.choices[int(distribution.to_internal_repr(value))] if is_choice else value)
    return trace


def _suggestion(name: str, distribution: BaseDistribution) -> Suggestion:
    if isinstance(distribution, CategoricalDistribution):
        return Suggestion.choice(name, distribution.choices)
    kind: Kind = "float" if isinstance(distribution, FloatDistribution) else "int"
    return Suggestion.number(kind, name, distribution.low, distribution.high, distribution.log, distribution.step)


def _of_distribution(name: str, value: Any, distribution: BaseDistribution) -> Any:
    """Return a value of a configuration as the study has it."""
    if not isinstance(distribution, CategoricalDistribution):
        return value
    held = [json_key(choice) for choice in _suggestion(name, distribution).choices]
    return distribution.choices[held.index(json_key(value))]


def _constraints(trial: FrozenTrial) -> dict[str, float]:
    """Return the constraints of a trial, as the versions of Optuna store them."""
    stored = getattr(trial, "constraints", None)
    if stored is None:
        stored = {str(i): value for i, value in enumerate(trial.system_attrs.get("constraints") or ())}
    return {f"constraint {name}": float(value) for name, value in stored.items()}
