"""The space of an estimator's parameters, as users of scikit-learn write it, as variables of a search.

A value of the space is a variable (``Real``, ``Integer``, ``Choice``, ``Boolean``), a list of values, a range, a frozen
distribution of scipy, or a dict of names to any objects, such as the steps that may stand at one place of a pipeline.
Of ``{"model": {"svm": SVC(), "forest": RandomForestClassifier()}}``, the parameter ``C`` of the first is
``model__svm__C``; it exists only where ``svm`` is chosen.
"""

import contextlib
import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sklearn.base import clone
from sklearn.utils import check_random_state

from evo_moo.problem.search_problem import Configuration
from evo_moo.space.declared import declared_variable
from evo_moo.space.variables import Choice, Integer, Real, Variable
from evo_moo.values import json_key

THREADS = ("n_jobs", "thread_count", "nthread", "num_threads")
"""Parameters of estimators that say how many threads they compute with."""
VALUES = "a variable, a list of values, a range, a dict of names to objects, or a uniform distribution of scipy"


class Place(NamedTuple):
    """Where a value of the space goes.

    Attributes:
        parameter: The estimator's parameter.
        when: Names of the space to the option that must be chosen there.
    """

    parameter: str
    when: dict[str, str]


class EstimatorSpace:
    """The variables of a space, and the estimator of each configuration.

    Args:
        estimator: The estimator; it is never changed.
        space: Names to values, as the module says.

    Attributes:
        variables: Names to variables; those of one option only have it as their ``when``.
        objects: Names to the objects that are chosen from, by their names.
        places: Names to where the values go.
        faults: All that is wrong with the space.
    """

    def __init__(self, estimator: Any, space: Any) -> None:
        self.estimator = estimator
        self.objects: dict[str, dict[str, Any]] = {}
        self.variables: dict[str, Variable] = {}
        self.faults: list[str] = []
        if not isinstance(space, Mapping) or not space:
            way_out = "; of a list of dicts make one, with names such as model__svm__C for what only one model has"
            rule = f"`space` must be a dict of parameters to values, but is {space!r}"
            self.faults.append(rule + way_out * isinstance(space, list | tuple))
            space = {}
        for name, value in space.items():
            try:
                self.variables[name] = self._variable(name, value)
            except ValueError as fault:
                self.faults.append(f"`space.{name}` {fault}")
        self.places = {name: self._place(name) for name in self.variables}
        for name, variable in self.variables.items():
            if when := self.places[name].when:
                self.variables[name] = variable.only_when(when)
        self.faults += [*self._unknown(), *self._set_twice()]

    def _variable(self, name: str, value: Any) -> Variable:
        """Return the variable of a value, and keep the objects that it chooses from; ``ValueError`` with the rule."""
        if hasattr(value, "dist") and hasattr(value, "support"):
            return _of_distribution(value)
        if isinstance(value, range) and len(value) > 1:
            return Integer(min(value), max(value), step=abs(value.step))
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, list | tuple):
            if all(map(_is_json, value)):
                return Choice(value)
            value = _named(value)
        if not isinstance(value, Mapping):
            with contextlib.suppress(ValueError):
                return declared_variable(value)
        if not isinstance(value, Mapping) or not value or not all(isinstance(option, str) for option in value):
            raise ValueError(f"must be {VALUES}, but is {value!r}")
        self.objects[name] = dict(value)
        return Choice(list(value))

    def _place(self, name: str) -> Place:
        for step in sorted(self.objects, key=len, reverse=True):
            for option in sorted(self.objects[step], key=len, reverse=True):
                if name.startswith(prefix := f"{step}__{option}__"):
                    above = self._place(step)
                    return Place(f"{above.parameter}__{name.removeprefix(prefix)}", {**above.when, step: option})
        return Place(name, {})

    def _unknown(self) -> Iterator[str]:
        """Say which names are no parameters of the estimator."""
        for name, (parameter, when) in self.places.items():
            owners = list(self._estimators_with(name))
            if not any(_takes(each, parameter) for each in owners):
                known = dict.fromkeys(known for each in owners for known in each.get_params())
                near = difflib.get_close_matches(parameter, known, n=1)
                where = "".join(f" where {step} is {option}" for step, option in when.items())
                hint = f"; did you mean {near[0]!r}?" if near else ""
                of = f"{type(self.estimator).__name__}{where}"
                yield f"`space.{name}` must be a parameter of {of}, but {parameter!r} is none{hint}"

    def _set_twice(self) -> Iterator[str]:
        seen = dict[str, list[str]]()
        for name, (parameter, when) in self.places.items():
            for other in seen.setdefault(parameter, []):
                if all(when.get(step, option) == option for step, option in self.places[other].when.items()):
                    yield f"`space.{name}` must not set what `space.{other}` sets, {parameter!r}; drop one"
            seen[parameter].append(name)

    def _estimators_with(self, name: str) -> Iterator[Any]:
        """Yield the estimators that a parameter may belong to: those with each object that its conditions allow."""
        parameter, when = self.places[name]
        chosen = {self.places[step].parameter: self.objects[step][option] for step, option in when.items()}
        above = [s for s in self.objects if s not in when and parameter.startswith(f"{self.places[s].parameter}__")]
        for step in above:
            wanted = [each.get(step, list(self.objects[step])) for each in self.variables[name].alternatives or ({},)]
            for option, each in self.objects[step].items():
                if any(option in (some if isinstance(some, list | tuple) else [some]) for some in wanted):
                    yield from _set(self.estimator, {**chosen, self.places[step].parameter: each})
        if not above:
            yield from _set(self.estimator, chosen)

    def parameters(self, config: Configuration) -> dict[str, Any]:
        """Return the parameters of a configuration, as ``set_params`` takes them; their objects are unfitted copies."""
        return {
            self.places[name].parameter: clone(self.objects[name][value], safe=False) if name in self.objects else value
            for name, value in config.items()
        }

    def estimator_of(self, config: Configuration, seed: int, **more: Any) -> Any:
        """Return the unfitted estimator of a configuration.

        Args:
            config: The configuration.
            seed: Decides every ``random_state`` that is None.
            more: Further parameters.
        """
        estimator = clone(self.estimator).set_params(**self.parameters(config), **more)
        random = check_random_state(seed)
        free = (name for name, value in estimator.get_params().items() if value is None)
        seeded = sorted(name for name in free if name.rpartition("__")[2] == "random_state")
        return estimator.set_params(**{name: int(random.randint(2**31 - 1)) for name in seeded})

    def parts(self) -> list[Any]:
        """Return the estimator, what is in it, and the objects that it may get, one of each class."""
        there = [self.estimator, *(each for options in self.objects.values() for each in options.values())]
        return list({type(part): part for each in there for part in _estimators_in(each)}.values())

    def takes(self, parameter: str) -> bool:
        """Return whether a parameter belongs to the estimator, with one of the objects of the space at least."""
        choices = ({self.places[step].parameter: each} for step in self.objects for each in self.objects[step].values())
        with_each = (each for chosen in ({}, *choices) for each in _set(self.estimator, chosen))
        return any(_takes(each, parameter) for each in with_each)


def on_one_thread(estimator: Any) -> Any:
    """Let an estimator, and those in it, compute with one thread unless they name a number of threads."""
    for each in _estimators_in(estimator):
        given, known = each.get_params(deep=False), inspect.signature(type(each).__init__).parameters
        default = 1 if type(each).__module__.startswith("sklearn.") else 0  # None is one there, elsewhere mostly all
        names = [name for name in THREADS if name in given or name in known]
        each.set_params(**{name: 1 for name in names if (given.get(name) or default) < 1})
    return estimator


def _estimators_in(thing: Any) -> Iterator[Any]:
    """Yield an estimator and all estimators among its parameters; nothing of what is none."""
    if hasattr(thing, "get_params") and not isinstance(thing, type):
        yield thing
        yield from (each for each in thing.get_params().values() if hasattr(each, "get_params"))


def _set(estimator: Any, parameters: Mapping[str, Any]) -> Iterator[Any]:
    """Yield a copy of an estimator with these parameters; nothing where it does not take them."""
    try:
        yield clone(estimator).set_params(**clone(dict(parameters), safe=False))
    except (TypeError, ValueError, AttributeError):  # said where the parameter itself is looked at
        return


def _takes(estimator: Any, parameter: str) -> bool:
    known = estimator.get_params()
    owner, _, name = parameter.rpartition("__")
    holder = known.get(owner) if owner else estimator
    if parameter in known or not hasattr(holder, "get_params"):
        return parameter in known
    of_init = inspect.signature(type(holder).__init__).parameters  # CatBoost lists only what is set
    return name in of_init or any(p.kind is p.VAR_KEYWORD for p in of_init.values())


def _is_json(value: Any) -> bool:
    try:
        json_key(value)
    except (TypeError, ValueError):
        return False
    return True


def _named(values: Sequence[Any]) -> dict[str, Any]:
    """Return objects by names that say what they are; ``ValueError`` with the rule where two have the same."""
    named = dict[str, Any]()
    for value in values:
        plain = value if isinstance(value, str) else json_key(value) if _is_json(value) else ""
        name = plain or getattr(value, "__name__", type(value).__name__)
        if name in named:
            raise ValueError(f"must be a dict that names its objects, since two would be {name!r}, but is {values!r}")
        named[name] = value
    return named


def _of_distribution(distribution: Any) -> Variable:
    """Return the variable of a frozen distribution of scipy; ``ValueError`` with the rule."""
    low, high = (end.item() if hasattr(end, "item") else end for end in distribution.support())
    match distribution.dist.name:
        case "randint":
            return Integer(int(low), int(high))
        case "uniform":
            return Real(low, high)
        case "loguniform" | "reciprocal":
            return Real(low, high, log=True)
    raise ValueError(f"must be {VALUES} (uniform, loguniform, randint), but is {distribution.dist.name!r}")
