"""All kinds of variables by name, and variables from their definitions as plain data."""

from collections.abc import Mapping
from typing import Any

from evo_moo.space.kinds.compound import Compound
from evo_moo.space.kinds.ordering import Ordering
from evo_moo.space.kinds.simplex import Simplex
from evo_moo.space.kinds.subset import Subset
from evo_moo.space.variables import Boolean, Choice, Integer, Real, Variable
from evo_moo.values import from_tuples

KINDS: dict[str, type[Variable]] = {
    "real": Real,
    "integer": Integer,
    "choice": Choice,
    "boolean": Boolean,
    "subset": Subset,
    "ordering": Ordering,
    "simplex": Simplex,
}


def variable_of(definition: Mapping[str, Any]) -> Variable:
    """Return the variable of a definition that ``Variable.to_json`` returned."""
    declared = {name: value for name, value in definition.items() if name not in ("kind", "declared")}
    if "declared" in definition:
        declared["options"] = from_tuples(definition["declared"])
    return KINDS[definition["kind"]](**declared)


def compound_of(definition: Mapping[str, Any]) -> Compound | None:
    """Return the variable of a definition if it has several columns; else, or if its kind is not known, None."""
    if not issubclass(KINDS.get(definition.get("kind", ""), Variable), Compound):
        return None
    kind = variable_of(definition)
    return kind if isinstance(kind, Compound) else None
