"""Spaces of the package ConfigSpace, said in evo-moo's own variables, conditions and rules."""

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evo_moo.errors import SpaceError, to_install
from evo_moo.space.conditions import Region, joined, living, met, neighbour
from evo_moo.space.dotted import is_name
from evo_moo.space.variables import Choice, Integer, Real, Variable

try:
    import ConfigSpace as ConfigSpace
    from ConfigSpace.conditions import ConditionLike, Conjunction
    from ConfigSpace.forbidden import ForbiddenConjunction, ForbiddenLike, ForbiddenRelation
    from ConfigSpace.hyperparameters import FloatHyperparameter, Hyperparameter, IntegerHyperparameter
except ModuleNotFoundError as error:
    raise ImportError(
        f"This needs ConfigSpace, but there is no module {error.name!r}: {to_install('configspace')}"
    ) from error

Rule = Callable[[dict[str, Any]], bool]
"""Whether a configuration is forbidden."""

LONGEST_LIST = 1000
"""Most whole numbers that a condition is written out as."""


def variables_of(cs: ConfigSpace.ConfigurationSpace) -> tuple[dict[str, Variable], dict[str, Rule]]:
    """Translate a ``ConfigurationSpace`` into ``variables`` and ``forbidden``, as a ``SearchSpace`` takes them.

    The variables stand in the order of ``cs``, so ``dict(zip(variables, cs))`` gives ConfigSpace's names back.
    They differ from those only where a variable may not have such a name: each run of characters other than letters,
    digits and ``_`` becomes one ``_`` (``model:lr`` is ``model_lr``), and a digit in front gets a ``_`` before it.

    A ``Constant`` becomes a ``Choice`` of one option. Defaults, weights, and the shapes of beta and normal
    priors are not kept: every option, and every value within the bounds, is equally likely.

    Refused are conditions that ask for one value of a float, or for another value of a parent that does not always
    exist.

    Raises:
        SpaceError: The space says something that evo-moo has no words for; the message says what instead.
    """
    names = _names(cs)
    plain = {name: _variable(hyperparameter) for name, hyperparameter in cs.items()}
    when = {
        condition.child.name: [
            {names[parent]: wanted for parent, wanted in each.items()} for each in _alternatives(condition, cs, plain)
        ]
        for condition in cs.conditions
    }
    variables = {names[name]: replace(variable, when=_when(when.get(name))) for name, variable in plain.items()}
    forbidden: dict[str, Rule] = {
        repr(clause).replace("Forbidden: ", ""): functools.partial(_forbids, clause, names)
        for clause in cs.forbidden_clauses
    }
    return living(variables), forbidden


def _names(cs: ConfigSpace.ConfigurationSpace) -> dict[str, str]:
    origins: dict[str, str] = {}
    for origin in cs:
        name = origin if is_name(origin) else re.sub("^(?=[0-9])", "_", re.sub("[^A-Za-z0-9_]+", "_", origin))
        if name in origins:
            raise SpaceError(
                f"`{origin}`: names must differ in their letters, digits and _, but this and "
                f"`{origins[name]}` both become `{name}`; rename one"
            )
        origins[name] = origin
    return {origin: name for name, origin in origins.items()}


def _variable(hyperparameter: Hyperparameter[Any, Any]) -> Variable:
    variable: Variable
    match hyperparameter:
        case FloatHyperparameter():
            variable = Real(hyperparameter.lower, hyperparameter.upper, log=hyperparameter.log)
        case IntegerHyperparameter():
            variable = Integer(hyperparameter.lower, hyperparameter.upper, log=hyperparameter.log)
        case ConfigSpace.CategoricalHyperparameter():
            variable = Choice(_options(hyperparameter.choices))
        case ConfigSpace.OrdinalHyperparameter():
            variable = Choice(_options(hyperparameter.sequence), ordered=True)
        case ConfigSpace.Constant():
            variable = Choice(_options([hyperparameter.value]))
        case _:
            raise SpaceError(
                f"`{hyperparameter.name}`: must be a float, an integer, categorical, ordinal or constant, "
                f"but is a {type(hyperparameter).__name__}; replace it by one of these"
            )
    if faults := variable.faults():
        raise SpaceError("\n".join(f"`{hyperparameter.name}`: {fault}" for fault in faults))
    return variable


def _options(values: Iterable[Any]) -> list[Any]:
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _when(alternatives: list[dict[str, Any]] | None) -> Any:
    return alternatives[0] if alternatives and len(alternatives) == 1 else alternatives


def _alternatives(
    condition: ConditionLike, cs: ConfigSpace.ConfigurationSpace, variables: Mapping[str, Variable]
) -> list[dict[str, Any]]:
    """Write a condition as entries of ``when``, of which one must hold, by ConfigSpace's names."""
    child, boxes = condition.child.name, _boxes(condition, cs, variables)
    if not boxes:
        raise SpaceError(
            f"`{child}`: its condition must hold for some values, but `{condition}` never does; drop `{child}`"
        )
    alternatives = []
    for box in boxes:
        wanted = {parent: list(_wanted(condition, parent, variables[parent], codes)) for parent, codes in box.items()}
        alternatives += [dict(zip(wanted, each, strict=True)) for each in itertools.product(*wanted.values())]
    return alternatives


def _boxes(
    condition: ConditionLike, cs: ConfigSpace.ConfigurationSpace, variables: Mapping[str, Variable]
) -> list[dict[str, Region]]:
    """Return codes of parents for which a condition holds, where all parents of one of the boxes have and exist."""
    if not isinstance(condition, Conjunction):
        parent = condition.parent.name
        if isinstance(condition, ConfigSpace.NotEqualsCondition) and cs.parent_conditions_of[parent]:
            raise SpaceError(
                f"`{condition.child.name}`: a NotEqualsCondition needs a parent that always exists, but in "
                f"`{condition}` it does not, and ConfigSpace then calls it fulfilled; list the other values in "
                "an InCondition, or use GreaterThanCondition or LessThanCondition"
            )
        codes = _region(condition, variables[parent])
        return [{parent: codes}] if codes else []
    parts = [_boxes(part, cs, variables) for part in condition.components]
    if isinstance(condition, ConfigSpace.AndConjunction):
        return met(parts)[0]
    boxes = list[dict[str, Region]]()
    for box in itertools.chain(*parts):
        boxes = _with(boxes, box, variables)
    return boxes


def _with(
    boxes: list[dict[str, Region]], box: dict[str, Region], variables: Mapping[str, Variable]
) -> list[dict[str, Region]]:
    """Return boxes and one more, made one with those that differ from it in one parent only."""
    for other in boxes:
        differing = [parent for parent in other if other[parent] != box.get(parent)]
        if other.keys() == box.keys() and len(differing) < 2:
            both = {parent: joined(variables[parent], other[parent] + box[parent]) for parent in differing}
            return _with([each for each in boxes if each is not other], other | both, variables)
    return [*boxes, box]


def _region(condition: Any, variable: Variable) -> Region:
    low, high = variable.span
    values = condition.values if isinstance(condition, ConfigSpace.InCondition) else [condition.value]
    codes = [_code(variable, value) for value in values]
    match condition:
        case ConfigSpace.EqualsCondition() | ConfigSpace.InCondition():
            region = [(code, code) for code in codes]
        case ConfigSpace.LessThanCondition():
            region = [(low, neighbour(variable, codes[0], -1))]
        case ConfigSpace.GreaterThanCondition():
            region = [(neighbour(variable, codes[0], 1), high)]
        case ConfigSpace.NotEqualsCondition():
            region = [(low, neighbour(variable, codes[0], -1)), (neighbour(variable, codes[0], 1), high)]
        case _:
            raise SpaceError(
                f"`{condition.child.name}`: a condition must be one of ConfigSpace's own, but `{condition}` is a "
                f"{type(condition).__name__}; replace it"
            )
    return joined(variable, region)


def _code(variable: Variable, value: Any) -> float:
    if isinstance(variable, Choice):
        # As ConfigSpace does, by ==: there 1.0 and True name the option 1.
        return float(list(variable.options).index(value))
    return float(round(value) if variable.grid else value)


def _wanted(condition: ConditionLike, parent: str, variable: Variable, region: Region) -> Iterator[Any]:
    """Yield the codes of one parent as words of ``when``, of which one must hold."""
    count = sum(high - low + 1 for low, high in region)
    if variable.has_options or (variable.grid and len(region) > 1 and count <= LONGEST_LIST):
        yield variable.values(np.concatenate([np.arange(low, high + 1) for low, high in region]))
        return
    for low, high in region:
        if low == high and not variable.grid:
            raise SpaceError(
                f"`{condition.child.name}`: a condition on the float `{parent}` must be about a range, but "
                f"`{condition}` is about one value of it; use GreaterThanCondition or LessThanCondition"
            )
        first, last = variable.values(np.array([low, high]))
        yield [first] if first == last else {"at_least": first, "at_most": last}


def _forbids(clause: ForbiddenLike, names: Mapping[str, str], configuration: Mapping[str, Any]) -> bool:
    return _matches(clause, {origin: configuration[name] for origin, name in names.items() if name in configuration})


def _matches(clause: ForbiddenLike, values: dict[str, Any]) -> bool:
    """Return whether values match a clause; a part of it that asks for an inactive one does not."""
    if isinstance(clause, ForbiddenConjunction):
        matches = (_matches(part, values) for part in clause.components)
        return all(matches) if isinstance(clause, ConfigSpace.ForbiddenAndConjunction) else any(matches)
    # ConfigSpace 1.2 itself takes some inactive ones for forbidden.
    asked = [clause.left, clause.right] if isinstance(clause, ForbiddenRelation) else [clause.hyperparameter]
    return all(one.name in values for one in asked) and bool(clause.is_forbidden_value(values))
