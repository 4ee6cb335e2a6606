"""What a user of the search asks for, read and checked before anything is fitted."""

import contextlib
import difflib
import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import joblib
import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import get_tags

from evo_moo.analysis.choice import pick
from evo_moo.analysis.choice_rules import Rule
from evo_moo.errors import ProblemError, UsageError
from evo_moo.problem.goal_faults import limit_faults
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.run.api import search
from evo_moo.sklearn.costs import named_costs
from evo_moo.sklearn.cross_validation import N_SAMPLES, TIMES, CrossValidation, Data
from evo_moo.sklearn.space import EstimatorSpace

Scorers = dict[str, Callable[..., float]]
_ITS_OWN = {"problem", "termination", "seed", "workers", "run_dir", "verbose", "objectives", "constraints", "variables"}
_ITS_OWN |= {"post_training", "contexts", "options"}
OPTIONS = [name for name in inspect.signature(search).parameters if name not in _ITS_OWN]
"""What ``search_options`` may hold: arguments of ``evo_moo.search``."""
RULE = [name for name in inspect.signature(pick).parameters if name not in ("result", "context")]
"""What a rule of ``refit`` may hold: arguments of ``evo_moo.pick``."""


def read_scoring(estimator: Any, scoring: Any) -> tuple[Scorers, list[str]]:
    """Read ``scoring`` as users of scikit-learn write it.

    Args:
        estimator: The estimator; None as scoring is the estimator's own ``score``.
        scoring: A name, a scorer, a list of names, or a dict of names to either.

    Returns:
        The scorers by name, also where one is wrong, and the faults.
    """
    named: Any = scoring
    if scoring is None or callable(scoring):
        named = {"score": scoring}
    elif isinstance(scoring, str):
        named = {scoring: scoring}
    elif isinstance(scoring, list | tuple | set):
        named = {name: name for name in scoring} if all(isinstance(name, str) for name in scoring) else {}
    if not isinstance(named, Mapping) or not named or not all(isinstance(name, str) for name in named):
        rule = "must be a scorer, a list of names of scorers, or a dict of names to scorers"
        return {"score": None}, [f"`scoring` {rule}, but is {scoring!r}"]  # type: ignore[dict-item]
    scorers, faults = dict[str, Any](), list[str]()
    for name, scorer in named.items():
        try:
            is_one = scorer is None or isinstance(scorer, str) or callable(scorer)
            scorers[name] = check_scoring(estimator, scoring=scorer) if is_one else None
            if not is_one:
                faults.append(f"`scoring.{name}` must be a scorer or the name of one, but is {scorer!r}")
        except (ValueError, TypeError) as error:
            scorers[name] = None
            faults.append(f"`scoring.{name}` must be a scorer or the name of one: {error}")
    return scorers, faults


def estimator_faults(estimator: Any) -> list[str]:
    """Say why an estimator is none."""
    needed = [name for name in ("fit", "get_params", "set_params") if not hasattr(estimator, name)]
    is_class = isinstance(estimator, type)
    if not needed and not is_class:
        return []
    why = "is a class; make an object of it" if is_class else f"{estimator!r} has no {', '.join(needed)}"
    return [f"`estimator` must be an estimator of scikit-learn's kind, but {why}"]


def fidelity_faults(fidelity: Any, space: EstimatorSpace) -> list[str]:
    """Say why a fidelity is no parameter of the estimator; the search says what else is wrong with it."""
    name = getattr(fidelity, "name", None)
    if fidelity is None or name == N_SAMPLES:
        return []
    if name in {place.parameter for place in space.places.values()}:
        return [f"`fidelity` must name what is not searched, but {name!r} is in `space`; drop it there"]
    if isinstance(name, str) and space.takes(name):
        return []
    rule = f"must be a Fidelity of {N_SAMPLES!r} or of a parameter of the estimator"
    return [f"`fidelity` {rule}, such as Fidelity('n_estimators', 10, 160), but is {fidelity!r}"]


def refit_faults(refit: Any, goals: Goals, known: Mapping[str, Metric]) -> list[str]:
    """Say why ``refit`` is no rule that chooses a member of the front."""
    names = [objective.metric for objective in goals.objectives]
    if isinstance(refit, Mapping) and refit:
        unknown = [f"`refit` must hold {', '.join(RULE)}, but holds {key!r}" for key in refit if key not in RULE]
        rule = {key: value for key, value in refit.items() if key in RULE}
        try:
            faults = limit_faults("refit.limits", rule.pop("limits", None) or {}, known)
            return [*unknown, *faults, *(f"`refit`: {fault}" for fault in Rule(**rule).faults(goals))]
        except (TypeError, AttributeError, ValueError) as error:
            return [*unknown, f"`refit` must be a rule as evo_moo.pick takes it, but is {refit!r}: {error}"]
    if isinstance(refit, bool | np.bool_) or refit in names or callable(refit):
        return []
    words = f"must be True, False, one of {', '.join(names)}, a rule of evo_moo.pick such as {{'weights': {{…}}}}, or a"
    return [f"`refit` {words} function of cv_results_, but is {refit!r}"]


def other_faults(options: Any, error_score: Any, random_state: Any, run_dir: Any) -> list[str]:
    """Say what is wrong with the remaining parameters."""
    faults = []
    if options is not None and not isinstance(options, Mapping):
        faults.append(f"`search_options` must be a dict of arguments of evo_moo.search, but is {options!r}")
    for name in options if isinstance(options, Mapping) else ():
        if name not in OPTIONS:
            near = difflib.get_close_matches(str(name), OPTIONS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            faults.append(f"`search_options` must hold some of {', '.join(OPTIONS)}, but holds {name!r}{hint}")
    if error_score != "raise" and not isinstance(error_score, numbers.Real):
        faults.append(f"`error_score` must be 'raise' or a number, NaN as well, but is {error_score!r}")
    is_int = isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool)
    if run_dir is not None and not is_int:
        faults.append(f"`random_state` must be a whole number with `run_dir`, to be resumed, but is {random_state!r}")
    elif not is_int and random_state is not None and not isinstance(random_state, np.random.RandomState):
        faults.append(f"`random_state` must be None, a whole number or a RandomState, but is {random_state!r}")
    return faults


def problem_of(asked: Any, X: Any, y: Any, passed: Any) -> CrossValidation:
    """Return the cross-validation that a search asks for; it knows what is wrong with it, and ``check`` says so.

    Args:
        asked: The search, with the parameters of ``MultiObjectiveSearchCV``.
        X: Rows.
        y: Targets.
        passed: What goes to the folds (``split``) and to the cross-validation (``params``).

    Raises:
        UsageError: The estimator is none, so that nothing else can be looked at.
        ValueError: The data do not fit the folds.
    """
    if faults := estimator_faults(asked.estimator):
        raise UsageError(*faults)
    space = EstimatorSpace(asked.estimator, asked.space)
    scorers, of_scoring = read_scoring(asked.estimator, asked.scoring)
    costs, of_costs = named_costs(asked.costs)
    faults = [*space.faults, *of_scoring, *of_costs, *fidelity_faults(asked.fidelity, space)]
    faults += other_faults(asked.search_options, asked.error_score, asked.random_state, asked.run_dir)
    if twice := [name for name in {*TIMES, *costs} if name in scorers]:
        faults.append(f"`scoring` must have other names than times and `costs`, but both have {', '.join(twice)}")
    if y is None and get_tags(asked.estimator).target_tags.required:
        name = type(asked.estimator).__name__
        faults.append(f"`y` must be there, since {name} requires y to be passed, but the target y is None")
    splits = []
    try:
        splits = list(check_cv(asked.cv, y, classifier=is_classifier(asked.estimator)).split(X, y, **passed.split))
    except (ValueError, TypeError) as error:
        if not faults:
            raise
        faults.append(f"`cv`: {error}")
    data = Data(X, y, passed.params, splits)
    is_number = isinstance(asked.error_score, numbers.Real)
    problem = CrossValidation(
        space,
        data,
        scorers,
        costs,
        constraints=asked.constraints or {},
        fidelity=asked.fidelity,
        error_score=float(asked.error_score) if is_number else float("nan"),
        return_train_score=bool(asked.return_train_score),
        digests=_digests(data, asked) if asked.run_dir is not None else {},
    )
    with contextlib.suppress(ProblemError):  # which `check` says
        faults += refit_faults(asked.refit, problem.goals, problem.known_metrics)
    problem.faults = tuple(faults)
    return problem


def _digests(data: Data, asked: Any) -> dict[str, str]:
    """Return what a run folder knows the data and the estimator by."""
    parts = {**data._asdict(), "estimator": asked.estimator, "space": asked.space, "scoring": asked.scoring}
    digests = {}
    for name, part in parts.items():
        with contextlib.suppress(Exception):  # what cannot be pickled, such as a function of a notebook
            digests[name] = joblib.hash(part)
    return digests
