"""What the class of a problem must declare, checked before anything is evaluated; each fault is a ``ProblemError``."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evo_moo.errors import ProblemError
from evo_moo.problem.fidelity import Fidelity
from evo_moo.problem.metrics import Metric

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check_attributes(problem: Any) -> None:
    """Check that what a problem declares has the right types, and that its test metrics are tests of others."""
    for name in ("variables", "forbidden", "objectives", "constraints", "metrics"):
        if not isinstance(getattr(problem, name), Mapping):
            raise ProblemError(f"`{name}` of `{problem.name()}` must be a dict, but is {getattr(problem, name)!r}")
    for name, metric in problem.metrics.items():
        if not isinstance(metric, Metric):
            raise ProblemError(f"`metrics.{name}` of `{problem.name()}` must be a Metric(…), but is {metric!r}")
        if metric.test_of and (metric.test_of not in problem.known_metrics or not metric.held_out):
            raise ProblemError(
                f"`metrics.{name}` of `{problem.name()}` must be held out and the test of another metric, but has "
                f"held_out={metric.held_out} and test_of={metric.test_of!r}"
            )


def check_architecture(problem: Any) -> None:
    """Check that an architecture, where one is declared, is a list of variables."""
    names = problem.architecture
    if names is None:
        return
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ProblemError(f"`architecture` of `{problem.name()}` must be a list of variables, but is {names!r}")
    unknown = ", ".join(repr(name) for name in names if name not in problem.variables)
    if unknown:
        raise ProblemError(
            f"`architecture` of `{problem.name()}` must name variables, but names {unknown}; its variables: "
            f"{', '.join(problem.variables)}"
        )


def check_fidelity(problem: Any) -> None:
    """Check that a fidelity, where one is declared, is a range of whole numbers that ``evaluate`` asks for."""
    fidelity = problem.fidelity
    if fidelity is None:
        return
    whole = isinstance(fidelity, Fidelity) and all(type(end) is int for end in fidelity[1:])
    if not whole or not 1 <= fidelity.low <= fidelity.high:
        raise ProblemError(
            f"`fidelity` of `{problem.name()}` must be a Fidelity(name, low, high) of whole numbers, "
            f"1 <= low <= high, but is {fidelity!r}"
        )
    if "fidelity" not in inspect.signature(problem.evaluated_function).parameters:
        raise ProblemError(
            f"`evaluate` of `{problem.name()}` must name `fidelity`, since the problem declares {fidelity.name}, but "
            "does not"
        )


def check_arguments(problem: Any, role: str, method: Callable[..., Any], keywords: tuple[str, ...]) -> None:
    """Check that a method takes a configuration first, and else only what it may ask for by these names."""
    parameters = list(inspect.signature(method).parameters.values())
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise ProblemError(f"`{role}` of `{problem.name()}` must take a configuration first, but takes none")
    unknown = {p.name for p in parameters[1:] if p.default is p.empty and p.kind in _NAMED} - set(keywords)
    if unknown:
        raise ProblemError(
            f"`{role}` of `{problem.name()}` may ask for {', '.join(keywords) or 'nothing more'}, but it asks for "
            f"{', '.join(sorted(unknown))}; give those a default or drop them"
        )
