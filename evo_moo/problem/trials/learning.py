"""What evaluations of a define-by-run objective teach of the search space.

Each evaluation is a trace: what was asked for, in this order, and which values that had. A variable that some traces
lack gets the weakest condition on few earlier variables that all traces agree with. So a learnt space has, wherever it
was looked at, every variable that the objective asks for; now and then it has one that it does not ask for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from evo_moo.errors import SpaceError
from evo_moo.problem.trials.suggestion import Suggestion
from evo_moo.space.conditions import region
from evo_moo.space.dotted import is_name
from evo_moo.space.kinds.known import variable_of
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Variable
from evo_moo.values import is_number

FEW = 8
"""Of a whole number with at most so many values each is looked at."""
LONGEST_LOOP = 32
"""Of one with at most so many the largest is: it may count how often a loop asks for more."""
MOST_OPTIONS = 64
"""Of a choice without an order each of at most so many is looked at."""


class Asked(NamedTuple):
    """What was asked for, and the value that it had."""

    suggestion: Suggestion
    value: Any


Trace = Mapping[str, Asked]
"""Names to what was asked for, in the order in which it was."""


@dataclass(frozen=True)
class LearntSpace:
    """The space that traces show.

    Attributes:
        variables: Names of variables, as the space has them, to variables.
        names: The same names to those that the objective uses.
        doubts: What could not be learnt, a sentence each.
    """

    variables: Mapping[str, Variable]
    names: Mapping[str, str]
    doubts: tuple[str, ...] = ()

    def configuration(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values by the objective's names as a configuration; those that are no variables are left out."""
        by_objective = {asked: name for name, asked in self.names.items()}
        return {by_objective[name]: value for name, value in values.items() if name in by_objective}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        variables = {name: kind.to_json() for name, kind in self.variables.items()}
        return {"variables": variables, "names": dict(self.names), "doubts": list(self.doubts)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LearntSpace":
        """Return what ``to_json`` wrote."""
        variables = {name: variable_of(definition) for name, definition in data["variables"].items()}
        return cls(variables, dict(data["names"]), tuple(data["doubts"]))


def learn_space(traces: Sequence[Trace]) -> LearntSpace:
    """Learn the space of an objective.

    Args:
        traces: What evaluations asked for, at least one.

    Raises:
        SpaceError: A name stands for different kinds or choices, or nothing is asked for that can vary; all faults are
            listed.
    """
    joined, faults = dict[str, Suggestion](), list[str]()
    moving = dict[str, None]()
    for name, (suggestion, _) in (item for trace in traces for item in trace.items()):
        try:
            known = joined.setdefault(name, suggestion)
            joined[name] = known.joined(name, suggestion)
        except SpaceError as error:
            faults.append(str(error))
            continue
        if (known.low, known.high) != (suggestion.low, suggestion.high):
            moving[name] = None
    kinds = {name: suggestion.variable() for name, suggestion in joined.items() if not suggestion.is_constant}
    if not kinds and not faults:
        faults = ["an objective must ask its trial for values, but asked for none that can vary"]
    names = dict(zip(_valid_names(kinds), kinds, strict=True))
    if not faults:
        try:
            SearchSpace({name: kinds[asked] for name, asked in names.items()})
        except SpaceError as error:
            faults = str(error).splitlines()
    if faults:
        raise SpaceError("\n".join(dict.fromkeys(faults)))
    doubts = [
        f"`{name}` has bounds that change: it is searched in {kinds[name].text()}, and a value outside is moved inside"
        for name in moving
        if name in kinds
    ]
    conditions, of_conditions = _conditions(traces, kinds)
    short = {asked: name for name, asked in names.items()}
    variables = {
        short[name]: replace(kind, when={short[parent]: wanted for parent, wanted in conditions[name].items()} or None)
        for name, kind in kinds.items()
    }
    renamed = [f"`{asked}` is named `{name}` here" for name, asked in names.items() if name != asked]
    return LearntSpace(variables, names, (*doubts, *of_conditions, *renamed))


def worth_trying(traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """Return values to be given to further evaluations, since they may show something new.

    Choices come before numbers. Traces that do not agree on a space show no more.
    """
    try:
        return [*sorted(unseen(traces), key=lambda given: is_number([*given.values()][-1])), *ambiguous(traces)]
    except SpaceError:
        return []


def unseen(traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """Return values that were not looked at: each with those before it, which lead there.

    These are the options of choices, and of whole numbers each of a few, else the largest.
    """
    given, listed = [], set()
    for trace in traces:
        before: dict[str, Any] = {}
        for name, (suggestion, value) in trace.items():
            if name not in listed and not suggestion.is_constant:
                listed.add(name)
                tried = [other[name].value for other in traces if name in other]
                given += [{**before, name: each} for each in _worth_trying(suggestion) if each not in tried]
            before[name] = value
    return given


def ambiguous(traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """Return values that tell whether a variable depends on what it is taken to depend on, where others may be it too.

    They are those of an evaluation that has the variable, but for the parent in question.
    """
    kinds, given = _variables(traces), []
    for name in kinds:
        there, absent = [t for t in traces if name in t], [t for t in traces if name not in t]
        candidates = _candidates(name, there, absent, kinds) if absent else []
        full = [c for c in candidates if c.is_limiting and all(c.excludes(t, kinds) for t in absent)]
        if len(full) > 1:
            parent = max(full, key=lambda each: each.rank).parent
            others = [t[parent].value for t in absent if parent in t]
            names = list(there[0])
            given.append({n: there[0][n].value for n in names[: names.index(name)]} | {parent: others[0]})
    return given


def untried(traces: Sequence[Trace]) -> list[str]:
    """Return in words which values of choices and small ranges were not looked at."""
    missing: dict[str, list[Any]] = {}
    for given in unseen(traces):
        name = next(reversed(given))
        missing.setdefault(name, []).append(given[name])
    return [
        f"`{name}` was never {', '.join(map(repr, values))}: what that leads to is not known"
        for name, values in missing.items()
    ]


def _worth_trying(suggestion: Suggestion) -> list[Any]:
    if suggestion.choices:
        return list(suggestion.choices[:MOST_OPTIONS])
    if suggestion.kind == "float":
        return []
    values = range(int(suggestion.low), int(suggestion.high) + 1, int(suggestion.step or 1))
    if len(values) <= FEW:
        return list(values)
    return [values[-1]] if len(values) <= LONGEST_LOOP and not suggestion.log else []


def _valid_names(asked: Mapping[str, Any]) -> list[str]:
    """Return names that a space can have."""
    names: dict[str, None] = {}
    for name in asked:
        plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
        plain = name if is_name(name) else plain if plain[:1].isalpha() or plain[:1] == "_" else f"_{plain}"
        number, unique = 1, plain
        while unique in names or (unique != name and unique in asked):
            number += 1
            unique = f"{plain}_{number}"
        names[unique] = None
    return list(names)


def _variables(traces: Sequence[Trace]) -> dict[str, Variable]:
    """Return what can vary by the objective's names, of traces that agree on the kinds."""
    joined: dict[str, Suggestion] = {}
    for name, (suggestion, _) in (item for trace in traces for item in trace.items()):
        joined[name] = joined.get(name, suggestion).joined(name, suggestion)
    return {name: suggestion.variable() for name, suggestion in joined.items() if not suggestion.is_constant}


class _Condition(NamedTuple):
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
        if self.parent not in trace:
            return True
        kind = kinds[self.parent]
        code = kind.code(trace[self.parent].value)
        return not any(low <= code <= high for low, high in region(kind, self.wanted))


def _conditions(traces: Sequence[Trace], kinds: Mapping[str, Variable]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the conditions of each variable by its parents, and what they leave open."""
    conditions, doubts = dict[str, dict[str, Any]](), list[str]()
    for name in kinds:
        there = [trace for trace in traces if name in trace]
        left = [trace for trace in traces if name not in trace]
        candidates = _candidates(name, there, left, kinds) if left else []
        chosen: list[_Condition] = []
        while left and candidates:
            best = max(candidates, key=lambda each: (sum(each.excludes(t, kinds) for t in left), each.rank))
            rest = [trace for trace in left if not best.excludes(trace, kinds)]
            if len(rest) == len(left):
                break
            chosen, left = [*chosen, best], rest
        conditions[name] = {each.parent: each.wanted for each in chosen}
        if left:
            doubts.append(
                f"`{name}` was not asked for in {len(left)} evaluations, and no values before it tell when: it is "
                "searched there too"
            )
    return conditions, doubts


def _candidates(
    name: str, there: Sequence[Trace], absent: Sequence[Trace], kinds: Mapping[str, Variable]
) -> list[_Condition]:
    """Return the conditions on single parents that all traces with a variable meet."""
    before = [list(trace)[: list(trace).index(name)] for trace in there]
    candidates = []
    for place, parent in enumerate(before[0]):
        if parent not in kinds or not all(parent in names for names in before):
            continue
        kind = kinds[parent]
        codes = [kind.code(trace[parent].value) for trace in there]
        others = [kind.code(trace[parent].value) for trace in absent if parent in trace]
        wanted = _wanted(kind, codes, others)
        if wanted is not None:
            candidates.append(_Condition(parent, wanted, (kind.grid, -place), bool(others)))
    return candidates


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
