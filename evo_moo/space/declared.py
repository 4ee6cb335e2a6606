"""Variables as a job file declares them: ``{ real = [1e-4, 1e-1], log = true }``."""

import difflib
from collections.abc import Mapping
from typing import Any

from evo_moo.space.dotted import flat
from evo_moo.space.kinds.known import KINDS
from evo_moo.space.variables import Variable

_OF_NUMBERS = {"log", "step", "when", "zero"}
_MORE = {"real": _OF_NUMBERS, "integer": _OF_NUMBERS, "choice": {"ordered", "when"}, "boolean": {"when"}}
_MORE |= {"subset": {"at_least", "at_most", "when"}, "ordering": {"tour", "when"}, "simplex": {"at_least", "when"}}
"""Kinds to the keys that may stand beside them."""
FORMS = (
    '{ real = [0.1, 1] }, { integer = [1, 4] }, { choice = ["a", "b"] }, "boolean", { subset = ["a", "b"] }, '
    '{ ordering = ["a", "b"] } or { simplex = ["a", "b"] }'
)


def declared_flat(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return declared variables by dotted names: ``optimizer = { lr = { real = [0, 1] } }`` as ``optimizer.lr``.

    Their conditions are given such names, too.

    Raises:
        ValueError: A name is there twice.
    """
    variables = dict[str, Any]()
    for name, each in declared.items():
        below = {f"{name}.{key}": one for key, one in declared_flat(each).items()} if _has_variables(each) else {}
        for key in below or [name]:
            if key in variables:
                raise ValueError(f"`variables.{key}` must be declared once, but is there twice")
            variables[key] = below.get(key, each)
    for name, each in variables.items():
        when = each.get("when") if isinstance(each, Mapping) else None
        if isinstance(when, Mapping):
            variables[name] = {**each, "when": flat(when, variables)}
        elif isinstance(when, list):
            flattened = [flat(one, variables) if isinstance(one, Mapping) else one for one in when]
            variables[name] = {**each, "when": flattened}
    return variables


def _has_variables(table: Any) -> bool:
    """Return whether a table holds variables, and is none."""
    holds = isinstance(table, Mapping) and bool(table) and not any(kind in table for kind in KINDS)
    return holds and all(each == "boolean" or isinstance(each, Variable | Mapping) for each in table.values())


def declared_variable(declared: Any) -> Variable:
    """Return the variable of a table with one kind, and beside it what else a variable of that kind may have.

    Args:
        declared: The table; ``"boolean"`` alone; or a variable, which is returned as it is.

    Raises:
        ValueError: It is none of these, with the rule.
    """
    if isinstance(declared, Variable):
        return declared
    table = {declared: True} if declared == "boolean" else declared
    kinds = [kind for kind in KINDS if kind in table] if isinstance(table, Mapping) else []
    if len(kinds) != 1:
        raise ValueError(f"must be {FORMS}, but is {declared!r}")
    (kind,) = kinds
    made: Any = KINDS[kind]
    value, more = table[kind], {key: value for key, value in table.items() if key != kind}
    if unknown := [key for key in more if key not in _MORE[kind]]:
        near = difflib.get_close_matches(unknown[0], _MORE[kind], n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise ValueError(f"takes {', '.join(sorted(_MORE[kind]))} beside {kind}, but has {unknown[0]!r}; {hint}drop it")
    wrong = [key for key in ("log", "ordered", "tour", "zero") if not isinstance(more.get(key, False), bool)]
    if wrong:
        raise ValueError(f"must have true or false as `{wrong[0]}`, but has {more[wrong[0]]!r}")
    when = more.get("when", {})
    if not all(isinstance(each, Mapping) for each in (when if isinstance(when, list | tuple) else [when])):
        rule = "must have a table such as { layers = [2, 3] } as `when`, or a list of such of which one must hold"
        raise ValueError(f"{rule}, but has {when!r}")
    if kind == "boolean":
        if value is not True:
            raise ValueError(f"must be boolean = true, but is boolean = {value!r}")
        return made(**more)  # type: ignore[no-any-return]
    if kind not in ("real", "integer"):
        return made(value, **more)  # type: ignore[no-any-return]
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"must be {kind} = [low, high], but is {kind} = {value!r}")
    return made(*value, **more)  # type: ignore[no-any-return]
