"""When a define-by-run objective asks for what: the conditions that its evaluations agree with."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evo_moo.problem.trials.suggestion import Trace
from evo_moo.space.conditions import region
from evo_moo.space.variables import Variable

FEW = 8
"""Most values of a whole number that a condition lists, and most branches of which one leads to a variable."""


class Condition(NamedTuple):
    """What a parent must be, in the words of ``when``; the earliest parents come first, and real ones last.

    Attributes:
        parent: The parent's name.
        wanted: What it must be.
        rank: The higher, the better.
        is_limiting: Whether it says more than that the parent exists.
    """

    parent: str
    wanted: Any
    rank: tuple[bool, int]
    is_limiting: bool

    def excludes(self, trace: Trace, kinds: Mapping[str, Variable]) -> bool:
        """Return whether a trace lacks the parent, or has another value of it."""
        if self.parent not in trace:
            return True
        kind = kinds[self.parent]
        code = kind.code(trace[self.parent].value)
        return not any(low <= code <= high for low, high in region(kind, self.wanted))


def learnt_conditions(
    traces: Sequence[Trace], kinds: Mapping[str, Variable]
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Return the conditions of each variable, of which one must hold, and in words what they leave open."""
    conditions, doubts = dict[str, list[dict[str, Any]]](), list[str]()
    for name in kinds:
        there = [trace for trace in traces if name in trace]
        absent = [trace for trace in traces if name not in trace]
        condition, left = _condition(name, there, absent, kinds)
        branches = min(_by_branches(name, there, absent, kinds), key=len, default=None) if left else None
        conditions[name] = branches or [condition]
        if left and branches is None:
            doubts.append(
                f"`{name}` was not asked for in {len(left)} evaluations, and no values before it tell when: it is "
                "searched there too"
            )
    return conditions, doubts


def _condition(
    name: str, there: Sequence[Trace], absent: Sequence[Trace], kinds: Mapping[str, Variable]
) -> tuple[dict[str, Any], Sequence[Trace]]:
    """Return the weakest condition that all traces with a variable meet, and those without it that meet it, too."""
    left, chosen = absent, dict[str, Any]()
    options = candidates(name, there, left, kinds) if left else []
    while left and options:
        best = max(options, key=lambda each: (sum(each.excludes(t, kinds) for t in left), each.rank))
        rest = [trace for trace in left if not best.excludes(trace, kinds)]
        if len(rest) == len(left):
            break
        chosen[best.parent], left = best.wanted, rest
    return chosen, left


def _by_branches(
    name: str, there: Sequence[Trace], absent: Sequence[Trace], kinds: Mapping[str, Variable]
) -> Iterator[list[dict[str, Any]]]:
    """Yield conditions of which one holds in each trace with a variable and none in another.

    Each has some values of one parent, or none of it, and the weakest condition in those traces.
    """
    for parent, kind in kinds.items():
        if parent == name:
            break
        groups = dict[float, list[Trace]]()
        for trace in there:
            groups.setdefault(kind.code(trace[parent].value) if parent in trace else math.inf, []).append(trace)
        if not kind.grid or not 1 < len(groups) <= FEW:
            continue
        ways = [_condition(name, group, absent, kinds) for _, group in sorted(groups.items())]
        if not any(left for _, left in ways):
            yield _merged(parent, [condition for condition, _ in ways])


def _merged(parent: str, conditions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return conditions of which one holds, made one where they differ in the listed values of a parent only."""
    merged: list[dict[str, Any]] = []
    for each in conditions:
        rest = {name: wanted for name, wanted in each.items() if name != parent}
        for i, other in enumerate(merged):
            listed = isinstance(each.get(parent), list) and isinstance(other.get(parent), list)
            if listed and {name: wanted for name, wanted in other.items() if name != parent} == rest:
                merged[i] = {**other, parent: [*other[parent], *each[parent]]}
                break
        else:
            if each not in merged:
                merged.append(each)
    return merged


def candidates(
    name: str, there: Sequence[Trace], absent: Sequence[Trace], kinds: Mapping[str, Variable]
) -> list[Condition]:
    """Return the conditions on single parents that all traces with a variable meet."""
    before = [list(trace)[: list(trace).index(name)] for trace in there]
    found = []
    for place, parent in enumerate(before[0]):
        if parent not in kinds or not all(parent in names for names in before):
            continue
        kind = kinds[parent]
        codes = [kind.code(trace[parent].value) for trace in there]
        others = [kind.code(trace[parent].value) for trace in absent if parent in trace]
        wanted = _wanted(kind, codes, others)
        if wanted is not None:
            found.append(Condition(parent, wanted, (kind.grid, -place), bool(others)))
    return found


def _wanted(kind: Variable, codes: Sequence[float], others: Sequence[float]) -> Any:
    """Return the weakest words of ``when`` for codes, and not for the others; None where there are none."""
    low, high = kind.span
    above, below = max(others, default=-math.inf), min(others, default=math.inf)
    if kind.has_options and not getattr(kind, "ordered", False):
        return _options(kind, sorted(set(codes)))
    if not kind.grid:
        if above < min(codes):
            return {"at_least": above if others else low}
        return {"at_most": below} if below > max(codes) else None
    if above < min(codes):
        ends = (above + 1 if others else low), high
    elif below > max(codes):
        ends = low, below - 1
    elif not set(codes) & set(others) and len(set(codes)) <= FEW:
        return _options(kind, sorted(set(codes)))
    else:
        return None
    if kind.has_options:
        return _options(kind, [float(code) for code in range(int(ends[0]), int(ends[1]) + 1)])
    first, last = kind.values(np.array(ends))
    return {"at_least": first} if ends[1] == high else {"at_most": last}


def _options(kind: Variable, codes: Sequence[float]) -> list[Any]:
    return kind.values(np.array(codes))
