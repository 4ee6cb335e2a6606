"""What evaluations of a define-by-run objective teach of the search space.

Each evaluation is a trace: what was asked for, in this order, and which values that had. A variable that some traces
lack gets the weakest condition on few earlier variables that all traces agree with, or one for each value of an earlier
variable where several branches lead to it. So a learnt space has, wherever it was looked at, every variable that the
objective asks for; now and then it has one that it does not ask for. A bound that always was the value of an earlier
number has its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evo_moo.errors import SpaceError
from evo_moo.problem.trials.branches import candidates, learnt_conditions
from evo_moo.problem.trials.suggestion import Suggestion, Trace
from evo_moo.space.bounds import resolved
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
    conditions, of_conditions = learnt_conditions(traces, kinds)
    short = {asked: name for name, asked in names.items()}
    variables, doubts = dict[str, Variable](), list[str]()
    for name, kind in kinds.items():
        when = [{short[parent]: wanted for parent, wanted in each.items()} for each in conditions[name]]
        variables[short[name]] = replace(kind, when=when if len(when) > 1 else when[0] or None)
    for name in (name for name in kinds if name in moving):
        bounds: dict[str, Any] = {
            end: short[other] for end, other in _named_bounds(name, traces, joined, kinds).items()
        }
        named: Any = replace(variables[short[name]], **bounds)
        if bounds and not resolved({**variables, short[name]: named})[1]:
            variables[short[name]] = named
            continue
        where = f"it is searched in {kinds[name].text()}, and a value outside is moved inside"
        doubts.append(f"`{name}` has bounds that change: {where}")
    renamed = [f"`{asked}` is named `{name}` here" for name, asked in names.items() if name != asked]
    return LearntSpace(variables, names, (*doubts, *of_conditions, *renamed))


def _named_bounds(
    name: str, traces: Sequence[Trace], joined: Mapping[str, Suggestion], kinds: Mapping[str, Variable]
) -> dict[str, str]:
    """Return the bounds that change to the earlier variables whose values they always are; none where one is not."""
    there, named = [trace for trace in traces if name in trace], dict[str, str]()
    before = [list(trace)[: list(trace).index(name)] for trace in there]
    able = [other for other in before[0] if other in kinds and joined[other].kind in (joined[name].kind, "int")]
    able = [other for other in able if all(other in names for names in before) and joined[name].step is None]
    for end in ("low", "high"):
        bounds = [getattr(trace[name].suggestion, end) for trace in there]
        if len(set(bounds)) > 1:
            same = [other for other in able if [trace[other].value for trace in there] == bounds]
            if not same:
                return {}
            named[end] = same[0]
    return named


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
        parents = candidates(name, there, absent, kinds) if absent else []
        full = [c for c in parents if c.is_limiting and all(c.excludes(t, kinds) for t in absent)]
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
