"""A search space, said in the words of the package ConfigSpace."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from evo_moo.errors import SpaceError
from evo_moo.space.conditions import Region, met, neighbour, region
from evo_moo.space.configspace.reading import LONGEST_LIST, ConfigSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real, Variable
from evo_moo.values import json_key

if TYPE_CHECKING:
    from ConfigSpace.conditions import ConditionLike
    from ConfigSpace.hyperparameters import Hyperparameter

_Alternative = Mapping[str, Region]
FEW = 16
"""Whole numbers of a condition that are written one by one."""


def configuration_space(variables: Mapping[str, Variable]) -> "ConfigSpace.ConfigurationSpace":
    """Return a ``ConfigurationSpace`` of the same configurations, with the same names.

    Steps become the values of an ordinal. ``variables_of`` leads back to the same variables, but for these, for
    ``Boolean``, which is categorical there, and for conditions that it writes in other words.

    Raises:
        SpaceError: ConfigSpace has no words for a variable; the message lists all, one per line.
    """
    made, faults = {}, []
    for name, variable in variables.items():
        try:
            made[name] = _hyperparameter(name, variable)
        except ValueError as fault:
            faults.append(f"`{name}`: {fault}")
    if faults:
        raise SpaceError("\n".join(faults))
    cs = ConfigSpace.ConfigurationSpace()
    cs.add(list(made.values()))
    known: dict[str, list[_Alternative]] = {}
    for name in variables:
        if alternatives := _alternatives(name, variables, known):
            ways = [list(_conditions(each, name, made, variables)) for each in alternatives]
            holds = [_joined(ConfigSpace.AndConjunction, each) for each in ways]
            cs.add(_joined(ConfigSpace.OrConjunction, holds))
    return cs


def _hyperparameter(name: str, variable: Variable) -> "Hyperparameter[Any, Any]":
    """Return the hyperparameter of a variable; ``ValueError`` with the rule where there is none."""
    match variable:
        case Real() | Integer() if variable.named:
            raise ValueError(f"bounds must be numbers in ConfigSpace, but are {variable.text()}; write numbers")
        case Real() | Integer() if variable.zero:
            raise ValueError("a log range must have no 0 beside it in ConfigSpace, but has; drop zero=True")
        case Real() | Integer() if variable.step is not None:
            first, last = variable.span
            if last - first >= LONGEST_LIST:
                raise ValueError(f"steps must be at most {LONGEST_LIST} in ConfigSpace, but are {last + 1:.0f}")
            return ConfigSpace.OrdinalHyperparameter(name, variable.values(np.arange(first, last + 1)))
        case Real():
            return ConfigSpace.UniformFloatHyperparameter(name, *variable.span, log=variable.log)
        case Integer():
            low, high = map(int, variable.span)
            return ConfigSpace.UniformIntegerHyperparameter(name, low, high, log=variable.log)
        case Boolean():
            return ConfigSpace.CategoricalHyperparameter(name, [False, True])
        case Choice():
            return _of_options(name, variable)
    raise ValueError(f"must be a Real, Integer, Choice or Boolean in ConfigSpace, but is of the kind {variable.kind}")


def _of_options(name: str, variable: Choice) -> "Hyperparameter[Any, Any]":
    options = list(variable.options)
    for option in options:
        if isinstance(option, list | tuple | dict):
            raise ValueError(f"options must be single values in ConfigSpace, but one is {option!r}; use names")
        if same := [other for other in options if other == option and json_key(other) != json_key(option)]:
            raise ValueError(f"options must differ by == in ConfigSpace, but {option!r} and {same[0]!r} do not")
    if variable.ordered and len(options) > 1:
        return ConfigSpace.OrdinalHyperparameter(name, options)
    return ConfigSpace.CategoricalHyperparameter(name, options)


def _alternatives(
    name: str, variables: Mapping[str, Variable], known: dict[str, list[_Alternative]]
) -> list[_Alternative]:
    """Return the conditions of a variable; one that asks only that a parent exists has that parent's in its place."""
    if name not in known:
        known[name] = []
        for each in variables[name].alternatives:
            ways: list[list[_Alternative]] = []
            for parent, wanted in each.items():
                accepted = region(variables[parent], wanted)
                is_any = accepted == (variables[parent].span,) and not variables[parent].has_options
                ways.append((_alternatives(parent, variables, known) or [{}]) if is_any else [{parent: accepted}])
            both = met(ways)[0]
            if not all(both):  # it exists wherever another always does
                known[name] = []
                break
            known[name] += [box for box in both if box not in known[name]]
    return known[name]


def _conditions(
    alternative: _Alternative, child: str, made: Mapping[str, Any], variables: Mapping[str, Variable]
) -> Iterator["ConditionLike"]:
    """Yield conditions that all must hold for an alternative to do so."""
    for parent, accepted in alternative.items():
        variable, count = variables[parent], sum(high - low + 1 for low, high in accepted)
        if isinstance(made[parent], ConfigSpace.OrdinalHyperparameter) or (variable.grid and count <= FEW):
            codes = np.concatenate([np.arange(low, high + 1) for low, high in accepted])
            yield ConfigSpace.InCondition(made[child], made[parent], variable.values(codes))
            continue
        ranges = [_range(made[child], made[parent], variable, low, high) for low, high in accepted]
        yield _joined(ConfigSpace.OrConjunction, ranges)


def _range(child: Any, parent: Any, variable: Variable, low: float, high: float) -> "ConditionLike":
    """Return the condition that a parent lies in a range that is not all of its own."""
    first, last = variable.span
    parts: list[ConditionLike] = []
    if low > first:
        before = variable.values(np.array([neighbour(variable, low, -1)]))[0]
        parts.append(ConfigSpace.GreaterThanCondition(child, parent, before))
    if high < last:
        after = variable.values(np.array([neighbour(variable, high, 1)]))[0]
        parts.append(ConfigSpace.LessThanCondition(child, parent, after))
    return _joined(ConfigSpace.AndConjunction, parts)


def _joined(conjunction: Any, parts: "list[ConditionLike]") -> "ConditionLike":
    joined: ConditionLike = parts[0] if len(parts) == 1 else conjunction(*parts)
    return joined
