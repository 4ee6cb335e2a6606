"""What is wrong with the definition of a search space."""

from collections.abc import Mapping
from typing import Any

from evo_moo.space.conditions import condition_faults
from evo_moo.space.dotted import NAMES, is_name
from evo_moo.space.variables import Variable

KNOWN = "a Real, Integer, Choice, Boolean, Subset, Ordering or Simplex"


def space_faults(variables: Mapping[str, Any], forbidden: Mapping[str, Any], of_bounds: Mapping[str, str]) -> list[str]:
    """List all faults of the definition of a space, how conditions fit together aside.

    Args:
        variables: Names to variables, which know the widest range of their bounds.
        forbidden: Names of rules to predicates.
        of_bounds: Names of variables to what is wrong with bounds that name others.
    """
    if not variables:
        return ["a space must have at least one variable, but has none; add one"]
    faults, sound = [], set()
    for name, kind in variables.items():
        found = []
        if not is_name(name):
            found.append(f"a name must be {NAMES}, but is {name!r}; rename it")
        if not isinstance(kind, Variable):
            found.append(f"must be {KNOWN}, but is {kind!r}")
        elif name in of_bounds:
            found += [of_bounds[name]] if of_bounds[name] else []
        elif not (found := found + kind.faults()):
            sound.add(name)
        faults += [f"`{name}`: {fault}" for fault in found]
    for rule, predicate in forbidden.items():
        if not callable(predicate):
            faults.append(f"`{rule}`: a forbidden rule must be a function, but is {predicate!r}")
    for name in variables:
        faults += [f"`{name}`: {fault}" for fault in condition_faults(name, variables, sound)]
    return faults
