"""What the class of a problem must declare, checked before anything is evaluated; every fault is listed."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evo_moo.errors import ProblemError, SpaceError
from evo_moo.problem.contexts import context_faults
from evo_moo.problem.fidelity import Fidelity
from evo_moo.problem.metrics import Metric

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_TABLES = ("variables", "post_training", "forbidden", "objectives", "constraints", "metrics")


def check_definition(problem: Any, roles: Mapping[str, tuple[str, ...]], *, evaluates: bool) -> None:
    """Check the whole definition of a problem.

    Args:
        problem: A ``SearchProblem``.
        roles: Names of the methods that it defines, to the keyword arguments that each may ask for.
        evaluates: Whether it defines ``evaluate``.

    Raises:
        ProblemError: It has faults; all are listed, one a line.
        SpaceError: Only its variables have.
    """
    of_space: list[str] = []
    faults = _attribute_faults(problem)
    if not faults:
        try:
            _ = problem.space
            if not (twice := _names_twice(problem)):
                _ = problem.point_space
            faults += twice
        except SpaceError as error:
            of_space = str(error).splitlines()
        try:
            _ = problem.goals
        except ProblemError as error:
            faults += str(error).splitlines()
        faults += _architecture_faults(problem)
    faults += _method_faults(problem, roles) if evaluates else _missing_faults(problem)
    if faults or of_space:
        raise (ProblemError if faults else SpaceError)("\n".join([*of_space, *faults]))


def _attribute_faults(problem: Any) -> list[str]:
    """Say which tables have a wrong type, or hold what they must not."""
    name = problem.name()
    tables = {key: getattr(problem, key) for key in _TABLES}
    faults = [
        f"`{key}` of `{name}` must be a dict, but is {table!r}"
        for key, table in tables.items()
        if not isinstance(table, Mapping)
    ]
    if faults:
        return faults
    differ = [key for key, metric in problem.metrics.items() if getattr(metric, "by_context", False)]
    faults += context_faults(problem.contexts, differ, name)
    for key, metric in problem.metrics.items():
        if not isinstance(metric, Metric):
            faults.append(f"`metrics.{key}` of `{name}` must be a Metric(…), but is {metric!r}")
        elif metric.test_of and (metric.test_of not in problem.declared_metrics or not metric.held_out):
            faults.append(
                f"`metrics.{key}` of `{name}` must be held out and the test of another metric, but has "
                f"held_out={metric.held_out} and test_of={metric.test_of!r}"
            )
    return faults


def _architecture_faults(problem: Any) -> list[str]:
    """Say why an architecture, where one is declared, is no list of variables."""
    names = problem.architecture
    if names is None:
        return []
    if isinstance(names, str) or not isinstance(names, Sequence):
        return [f"`architecture` of `{problem.name()}` must be a list of variables, but is {names!r}"]
    known = [*problem.variables, *problem.post_training]
    unknown = ", ".join(repr(name) for name in names if name not in known)
    rule = f"`architecture` of `{problem.name()}` must name variables"
    return [f"{rule}, but names {unknown}; its variables: {', '.join(known)}"] if unknown else []


def _names_twice(problem: Any) -> list[str]:
    """Say which post-training variables have the name of another variable."""
    twice = ", ".join(f"`{name}`" for name in problem.post_training if name in problem.variables)
    rule = f"`post_training` of `{problem.name()}` must have names that `variables` has not"
    return [f"{rule}, but both have {twice}; rename one"] if twice else []


def _missing_faults(problem: Any) -> list[str]:
    return [f"`{problem.name()}` must define `evaluate(self, config)`, but does not"]


def _method_faults(problem: Any, roles: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Say which methods are none, or ask for what they do not get."""
    evaluate = problem.evaluated_function
    if not callable(evaluate):
        return [f"`evaluate` of `{problem.name()}` must be a function, but is {evaluate!r}"]
    faults = _fidelity_faults(problem)
    for role, keywords in roles.items():
        faults += _argument_faults(problem, role, evaluate if role == "evaluate" else getattr(problem, role), keywords)
    return faults


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function by name; one of C that has no signature takes a configuration alone."""
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return {"config": inspect.Parameter("config", inspect.Parameter.POSITIONAL_ONLY)}


def _fidelity_faults(problem: Any) -> list[str]:
    """Say why a fidelity, where one is declared, is no range of whole numbers that ``evaluate`` asks for."""
    fidelity = problem.fidelity
    if fidelity is None:
        return []
    whole = isinstance(fidelity, Fidelity) and all(type(end) is int for end in fidelity[1:])
    if not whole or not 1 <= fidelity.low <= fidelity.high:
        rule = "must be a Fidelity(name, low, high) of whole numbers, 1 <= low <= high"
        return [f"`fidelity` of `{problem.name()}` {rule}, but is {fidelity!r}"]
    if "fidelity" not in parameters_of(problem.evaluated_function):
        rule = f"must name `fidelity`, since the problem declares {fidelity.name}"
        return [f"`evaluate` of `{problem.name()}` {rule}, but does not"]
    return []


def _argument_faults(problem: Any, role: str, method: Callable[..., Any], keywords: tuple[str, ...]) -> list[str]:
    """Say why a method does not take a configuration first, and else only what it may ask for by these names."""
    if not callable(method):
        return [f"`{role}` of `{problem.name()}` must be a function, but is {method!r}"]
    parameters = list(parameters_of(method).values())
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        return [f"`{role}` of `{problem.name()}` must take a configuration first, but takes none"]
    unknown = {p.name for p in parameters[1:] if p.default is p.empty and p.kind in _NAMED} - set(keywords)
    if not unknown:
        return []
    rule = f"`{role}` of `{problem.name()}` may ask for {', '.join(keywords) or 'nothing more'}"
    way_out = "give those a default or drop them"
    if role == "evaluate" and not unknown.isdisjoint(problem.variables):
        names = ", ".join(problem.variables)
        way_out += f"; one that takes variables by name must take all, those with `when` with a default: {names}"
    return [f"{rule}, but it asks for {', '.join(sorted(unknown))}; {way_out}"]
