"""What a job file declares of a command's problem, read into variables, metrics and a fidelity, with all faults."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from evo_moo.problem.fidelity import Fidelity
from evo_moo.problem.metrics import Metric
from evo_moo.space.declared import declared_flat, declared_variable
from evo_moo.space.variables import Variable
from evo_moo.values import is_integer

_METRIC: dict[str, type] = {field.name: type(field.default) for field in dataclasses.fields(Metric)}
"""What may be said of a metric, and of which type."""


def read_variables(declared: Any) -> tuple[dict[str, Variable], tuple[str, ...], list[str]]:
    """Return the variables of a table, the names of all that it declares, and the faults of those that are none."""
    if not isinstance(declared, Mapping) or not declared:
        return {}, (), [f"`variables` must be a table of names to variables, but is {declared!r}"]
    variables, faults = {}, []
    try:
        declared = declared_flat(declared)
    except ValueError as fault:
        return {}, tuple(declared), [str(fault)]
    for name, each in declared.items():
        try:
            variables[name] = declared_variable(each)
        except ValueError as fault:
            faults.append(f"`variables.{name}` {fault}")
    return variables, tuple(declared), faults


def read_metrics(declared: Any) -> tuple[dict[str, Metric], list[str]]:
    """Return the metrics that a table describes, and all faults."""
    if not isinstance(declared, Mapping):
        return {}, [f"`metrics` must be a table of names to what is known of each, but is {declared!r}"]
    metrics, faults = {}, []
    for name, each in declared.items():
        if isinstance(each, Metric):
            metrics[name] = each
            continue
        if not isinstance(each, Mapping):
            faults.append(f'`metrics.{name}` must be a table such as {{ unit = "ms" }}, but is {each!r}')
            continue
        for key in [key for key in each if key not in _METRIC]:
            near = difflib.get_close_matches(key, _METRIC, n=1)
            hint = f"did you mean `{near[0]}`? " if near else ""
            faults.append(f"`metrics.{name}` takes no `{key}`; {hint}known: {', '.join(_METRIC)}")
        for key in [key for key in each if key in _METRIC and type(each[key]) is not _METRIC[key]]:
            rule = "true or false" if _METRIC[key] is bool else "a text"
            faults.append(f"`metrics.{name}.{key}` must be {rule}, but is {each[key]!r}")
        sound: dict[str, Any] = {key: value for key, value in each.items() if type(value) is _METRIC.get(key)}
        metrics[name] = Metric(**sound)
    return metrics, faults


def read_fidelity(declared: Any) -> tuple[Fidelity | None, list[str]]:
    """Return the fidelity of ``{ epochs = [1, 18] }``, and the fault of anything else; None is none."""
    if declared is None or isinstance(declared, Fidelity):
        return declared, []
    ends = next(iter(declared.values())) if isinstance(declared, Mapping) and len(declared) == 1 else None
    if isinstance(ends, list | tuple) and len(ends) == 2 and all(map(is_integer, ends)) and 1 <= ends[0] <= ends[1]:
        return Fidelity(next(iter(declared)), *ends), []
    rule = "`fidelity` must be a name with the least and the full length, as in { epochs = [1, 18] }"
    return None, [f"{rule}, but is {declared!r}"]
