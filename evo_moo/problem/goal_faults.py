"""What is wrong with declared objectives and limits, in words."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

from evo_moo.problem.metrics import Metric, is_finite_number
from evo_moo.values import plain

SMALLEST_EQUAL = 1e-3
"""Below, the tolerance of an equality would be more than a tenth of the bound."""


def find_faults(
    objectives: Mapping[str, Any], constraints: Mapping[str, Any], known: Mapping[str, Metric]
) -> list[str]:
    """List every fault of declared goals, each beginning with its key.

    Args:
        objectives: Metric name to ``"min"``, ``"max"`` or ``{"direction": "max", "goal": 0.99}``.
        constraints: Metric name to a mapping of ``at_most``, ``at_least`` or ``equals`` to a number.
        known: The metrics that the problem returns.
    """
    faults = [] if objectives else ['`objectives`: name at least one metric, as in accuracy = "max"']
    for name, spec in objectives.items():
        key = f"objectives.{name}"
        faults += _name_faults(key, name, known)
        table = objective_table(spec)
        if table.get("direction") not in ("min", "max"):
            faults.append(f"`{key}` must be 'min' or 'max', but is {table.get('direction', spec)!r}")
        if "goal" in table and not is_finite_number(table["goal"]):
            faults.append(f"`{key}.goal` must be a finite number, but is {table['goal']!r}")
        if unknown := table.keys() - {"direction", "goal"}:
            faults.append(f"`{key}` takes direction and goal, but has {', '.join(sorted(unknown))}")
    return faults + limit_faults("constraints", constraints, known)


def limit_faults(section: str, limits: Mapping[str, Any], known: Mapping[str, Metric]) -> list[str]:
    """List every fault of declared limits, each beginning with its key below a section; else as ``find_faults``."""
    faults: list[str] = []
    for name, bounds in limits.items():
        key, before = f"{section}.{name}", len(faults)
        faults += _name_faults(key, name, known)
        if not isinstance(bounds, Mapping) or not bounds:
            faults.append(f"`{key}` must be a limit such as {{at_most = 20}}, but is {bounds!r}")
            continue
        for relation, bound in bounds.items():
            if relation not in ("at_most", "at_least", "equals"):
                faults.append(f"`{key}.{relation}`: a limit is at_most, at_least or equals")
            elif not is_finite_number(bound):
                faults.append(f"`{key}.{relation}` must be a finite number, but is {bound!r}")
            elif relation == "equals" and 0 < abs(bound) < SMALLEST_EQUAL:
                faults.append(
                    f"`{key}.equals` must be 0 or at least {SMALLEST_EQUAL:g} in size, but is {bound:g}: what is 1e-4 "
                    "off still counts as equal; return the metric in a smaller unit"
                )
        low, high = bounds.get("at_least", 0), bounds.get("at_most", math.inf)
        if "at_least" in bounds and len(faults) == before and low > high:
            faults.append(f"`{key}`: at_least must not exceed at_most, but {low} exceeds {high}")
    return faults


def objective_table(spec: Any) -> dict[str, Any]:
    """Return a declared objective as a table: its short form, a direction alone, is written out."""
    return dict(plain(spec)) if isinstance(spec, Mapping) else {"direction": spec}


def _name_faults(key: str, name: str, known: Mapping[str, Metric]) -> list[str]:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return [f"`{key}`: the problem has no metric `{name}`; {hint}it has {', '.join(known)}"]
    if known[name].held_out:
        return [f"`{key}`: `{name}` is held out for the final report, a search must not see it"]
    return []
