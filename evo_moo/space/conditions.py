"""The conditions (``when``) of a space's variables: what is wrong with them, and which columns they let exist."""

import graphlib
import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from evo_moo.errors import SpaceError
from evo_moo.space.variable import Array, Mask, Variable
from evo_moo.values import is_number, value_text

Region = tuple[tuple[float, float], ...]
"""Codes that a condition accepts: closed intervals, ascending and apart from each other."""

Key = TypeVar("Key")
_Alternative = tuple[int, int]
"""A column, and which of its alternative conditions."""
MOST_BOXES = 16
"""Beyond so many ways for an ancestor to exist, they are looked at as one that has room for all."""
MAX_COUNTING_STATES = 100_000
"""Beyond this many kinds of partial configurations ``count`` gives an upper bound."""


class Conditions:
    """When the columns of a space exist.

    Attributes:
        alternatives: Column to its conditions, of which one must hold: each has the columns of parents, with the codes
            that these must have. Columns without conditions are left out.
        order: All columns, parents and those that bounds name before children, and each child soon after its parents.
        contradictions: Alternatives that never hold, to the columns of which they ask different codes.
        needed: Column to the codes that each of its ancestors must have for it to exist. With several alternatives it
            may still not exist where all have them.
        has_alternatives: Column to whether it, or what its conditions name, has several alternatives.
    """

    def __init__(self, variables: Mapping[str, Variable], may_contradict: bool = False) -> None:
        """Translate the conditions of variables for which ``condition_faults`` finds nothing.

        Raises:
            SpaceError: The conditions go in a circle, or contradict each other, unless they may.
        """
        names = list(variables)
        columns_of = {name: i for i, name in enumerate(names)}
        self.alternatives = {
            i: [
                {columns_of[parent]: region(variables[parent], wanted) for parent, wanted in each.items()}
                for each in kind.alternatives
            ]
            for i, kind in enumerate(variables.values())
            if kind.alternatives
        }
        try:
            self.order = self._parents_first(variables, columns_of)
        except graphlib.CycleError as error:
            circle = [names[i] for i in error.args[1]]
            way = " -> ".join(circle)
            rule = "conditions and bounds" if any(kind.named for kind in variables.values()) else "conditions"
            raise SpaceError(f"`{circle[0]}`: {rule} must not go in a circle, but {way} do; drop one") from None
        self.contradictions = self._contradictions(list(variables.values()))
        faults = [
            f"`{names[i]}`: its conditions and its parents' must fit together, "
            f"but they ask different values of `{names[ancestor]}`; loosen one"
            for (i, _), ancestors in self.contradictions.items()
            for ancestor in ancestors
        ]
        if faults and not may_contradict:
            raise SpaceError("\n".join(faults))

    def active(self, codes: Array) -> Mask:
        """Return the ``(n, n_var)`` mask of the columns that exist in each row of ``(n, n_var)`` codes."""
        active = np.ones(codes.shape, dtype=bool)
        for i in self.order:
            if i in self.alternatives:
                active[:, i] = self.exists(i, codes, active)
        return active

    def exists(self, column: int, codes: Array, active: Mask) -> Mask:
        """Return in which rows a column exists, ``(n,)``, by what is known of those before it in ``order``."""
        alternatives = self.alternatives.get(column, [{}])
        return np.asarray(np.any([_holds(each, codes, active) for each in alternatives], axis=0))

    def count(self, low: Array, high: Array) -> int:
        """Count the different configurations of columns that all are grids.

        The count is exact unless the conditions are so entangled that more than ``MAX_COUNTING_STATES``
        combinations of them would have to be followed: then it is the upper bound that all columns always exist.

        Args:
            low: ``(n_var,)`` smallest codes.
            high: ``(n_var,)`` largest codes.
        """
        children: list[dict[_Alternative, Region]] = [{} for _ in self.order]
        for child, alternatives in self.alternatives.items():
            for number, each in enumerate(alternatives):
                for parent, accepted in each.items():
                    children[parent][child, number] = accepted
        # Which alternatives are ruled out so far is all that matters for the columns still to come.
        states = Counter({frozenset[_Alternative](): 1})
        for i in self.order:
            values = _values_by_effect(int(low[i]), int(high[i]), children[i])
            own = {(i, number) for number in range(len(self.alternatives.get(i, ())))}
            following: Counter[frozenset[_Alternative]] = Counter()
            for absent, count in states.items():
                left = absent - own
                if own and own <= absent:
                    following[left.union(children[i])] += count
                    continue
                for ruled_out, n_values in values.items():
                    following[left | ruled_out] += count * n_values
            states = following
            if len(states) > MAX_COUNTING_STATES:
                return math.prod(int(n) for n in high - low + 1)
        return states.total()

    def _parents_first(self, variables: Mapping[str, Variable], places: Mapping[str, int]) -> list[int]:
        parents = dict[int, dict[int, None]]()
        for i, kind in enumerate(variables.values()):
            named = [places[other] for other in kind.named.values()]
            parents[i] = dict.fromkeys([*itertools.chain(*self.alternatives.get(i, ())), *named])
        graphlib.TopologicalSorter(parents).prepare()  # raises CycleError
        with_children = set(itertools.chain.from_iterable(parents.values()))
        order: dict[int, None] = {}
        for last in (i for i in range(len(variables)) if i not in with_children):
            path = [last]
            while path:
                missing = next((parent for parent in parents.get(path[-1], {}) if parent not in order), None)
                if missing is None:
                    order[path.pop()] = None
                else:
                    path.append(missing)
        return list(order)

    def _contradictions(self, kinds: Sequence[Variable]) -> dict[_Alternative, list[int]]:
        """Return the alternatives that never hold, to the ancestors of which they ask different codes."""
        contradictions = dict[_Alternative, list[int]]()
        self.needed: dict[int, dict[int, Region]] = {}
        self.has_alternatives: dict[int, bool] = {}
        boxes: dict[int, list[dict[int, Region]]] = {}
        for i in self.order:
            boxes[i] = []
            for number, each in enumerate(self.alternatives.get(i, ())):
                both, empty = met([[each], *(boxes[parent] for parent in each if boxes[parent])])
                boxes[i] += both
                if not both:
                    contradictions[i, number] = empty
            self.needed[i] = {
                ancestor: joined(kinds[ancestor], itertools.chain(*(box[ancestor] for box in boxes[i])))
                for ancestor in (boxes[i] or [{}])[0]
                if all(ancestor in box for box in boxes[i])
            }
            parents = itertools.chain(*self.alternatives.get(i, ()))
            is_split = len(self.alternatives.get(i, ())) > 1
            self.has_alternatives[i] = is_split or any(self.has_alternatives[parent] for parent in parents)
            if len(boxes[i]) > MOST_BOXES:
                boxes[i] = [self.needed[i]]
        return contradictions


def living(variables: Mapping[str, Variable]) -> dict[str, Variable]:
    """Return variables without those alternative conditions that contradict their parents', if others are left."""
    contradictions = Conditions(variables, may_contradict=True).contradictions
    kept = {}
    for i, (name, kind) in enumerate(variables.items()):
        left = [each for number, each in enumerate(kind.alternatives) if (i, number) not in contradictions]
        is_less = 0 < len(left) < len(kind.alternatives)
        kept[name] = replace(kind, when=left[0] if len(left) == 1 else left) if is_less else kind
    return kept


def condition_faults(name: str, variables: Mapping[str, Variable], sound: Collection[str]) -> list[str]:
    """List what is wrong with the ``when`` of one variable, taken by itself.

    Args:
        name: The variable's name.
        variables: All variables of the space.
        sound: Names of those without other faults; what is asked of the rest is not looked at.
    """
    when = getattr(variables[name], "when", None)
    alternatives = [when] if isinstance(when, Mapping) else [] if when is None else when
    is_sound = isinstance(alternatives, list | tuple) and all(isinstance(each, Mapping) for each in alternatives)
    if not is_sound:
        way_out = "write when={parent: value}, or a list of such of which one must hold"
        return [f"`when` must map parents to values, but is {when!r}; {way_out}"]
    if (when is not None and not alternatives) or (len(alternatives) > 1 and not all(alternatives)):
        return [f"`when` must have alternatives that each name a parent, but is {when!r}; drop those that are empty"]
    faults = []
    for parent, wanted in itertools.chain(*(each.items() for each in alternatives)):
        if parent == name:
            faults.append("`when` must name another variable, but names itself; drop it")
        elif parent not in variables:
            faults.append(f"`when` must name variables of the space, but names {parent!r}; declare or rename it")
        elif parent in sound:
            try:
                if variables[parent].asked(parent, wanted).keys() == {parent}:
                    region(variables[parent], wanted)
            except ValueError as fault:
                faults.append(f"`when` must name values that `{parent}` can have: {fault}")
    return faults


def region(parent: Variable, wanted: Any) -> Region:
    """Translate one entry of ``when`` into the codes of the parent that it accepts.

    Args:
        parent: The variable that is asked about, without faults.
        wanted: A value, a list of values, or ``{"at_least": a, "at_most": b}``.

    Raises:
        ValueError: The parent can never have such a value; the message states the rule.
    """
    if _is_limits(wanted):
        limits = wanted.get("at_least", -math.inf), wanted.get("at_most", math.inf)
        if not all(is_number(limit) for limit in limits):
            raise ValueError(f"at_least and at_most must be numbers, but the condition is {dict(wanted)!r}")
        cells = parent.between(*limits)
        if not cells:
            raise ValueError(f"its values are {parent.text()}, none of which is {_wanted_text(wanted)}")
    elif not (parent.grid or (_is_zero(wanted) and getattr(parent, "zero", False))):
        raise ValueError(f"a Real needs at_least or at_most, since it is hardly ever exactly {wanted!r}")
    else:
        allowed = wanted if _is_list(wanted) else [wanted]
        if not allowed:
            raise ValueError("it needs at least one value, but the list is empty")
        cells = [(code, code) for code in sorted({parent.code(value) for value in allowed})]
    return joined(parent, cells)


def joined(variable: Variable, intervals: Iterable[tuple[float, float]]) -> Region:
    """Return intervals of a variable's codes as a region: without the empty ones, and neighbours as one."""
    region: list[tuple[float, float]] = []
    for low, high in sorted(interval for interval in intervals if interval[0] <= interval[1]):
        if region and low <= neighbour(variable, region[-1][1], 1):
            region[-1] = region[-1][0], max(high, region[-1][1])
        else:
            region.append((low, high))
    return tuple(region)


def neighbour(variable: Variable, code: float, direction: int) -> float:
    """Return the code next to another one, above it in direction 1 and below it in direction -1."""
    return code + direction if variable.grid else math.nextafter(code, direction * math.inf)


def overlap(a: Region, b: Region) -> Region:
    """Return the codes that two regions share."""
    pairs = [(max(a_low, b_low), min(a_high, b_high)) for a_low, a_high in a for b_low, b_high in b]
    return tuple((low, high) for low, high in pairs if low <= high)


def met(choices: Sequence[Sequence[Mapping[Key, Region]]]) -> tuple[list[dict[Key, Region]], list[Key]]:
    """Return what holds where one of each of several lists of conditions does, and the columns that forbid others."""
    boxes: list[dict[Key, Region]] = [{}]
    empty: list[Key] = []
    for each in choices:
        both = [
            box | {column: overlap(codes, box.get(column, codes)) for column, codes in condition.items()}
            for box in boxes
            for condition in each
        ]
        boxes = [box for box in both if all(box.values())]
        empty += [column for box in both for column, codes in box.items() if not codes]
    return boxes, list(dict.fromkeys(empty))


def when_text(variable: Variable) -> str:
    """Write all conditions of a variable in one line."""
    alternatives = ([f"{name} {_wanted_text(each[name])}" for name in each] for each in variable.alternatives)
    return " or ".join(map(" and ".join, alternatives))


def _wanted_text(wanted: Any) -> str:
    if _is_limits(wanted) or (isinstance(wanted, Mapping) and set(wanted) == {"contains"}):
        return " and ".join(f"{word.replace('_', ' ')} {limit}" for word, limit in wanted.items())
    return f"in [{', '.join(map(value_text, wanted))}]" if _is_list(wanted) else f"= {value_text(wanted)}"


def _is_limits(wanted: Any) -> bool:
    # Any other mapping is an option of a Choice.
    return isinstance(wanted, Mapping) and bool(wanted) and set(wanted) <= {"at_least", "at_most"}


def _is_zero(wanted: Any) -> bool:
    return all(is_number(each) and each == 0 for each in (wanted if _is_list(wanted) else [wanted]))


def _is_list(wanted: Any) -> bool:
    return isinstance(wanted, list | tuple | set | frozenset)


def _holds(condition: Mapping[int, Region], codes: Array, active: Mask) -> Mask:
    """Return in which rows all parents of a condition exist and have the codes that it asks for, ``(n,)``."""
    holds = np.ones(len(codes), dtype=bool)
    for parent, accepted in condition.items():
        inside = np.zeros(len(codes), dtype=bool)
        for low, high in accepted:
            inside |= (low <= codes[:, parent]) & (codes[:, parent] <= high)
        holds &= active[:, parent] & inside
    return holds


def _values_by_effect(
    first: int, last: int, children: Mapping[_Alternative, Region]
) -> Counter[frozenset[_Alternative]]:
    """Count the codes ``first .. last`` of a column by the set of alternatives that they rule out."""
    cuts = {first, last + 1}
    for accepted in children.values():
        cuts |= {int(low) for low, _ in accepted} | {int(high) + 1 for _, high in accepted}
    values: Counter[frozenset[_Alternative]] = Counter()
    for start, stop in itertools.pairwise(sorted(cuts)):
        ruled_out = frozenset(
            child for child, accepted in children.items() if not any(low <= start <= high for low, high in accepted)
        )
        values[ruled_out] += stop - start
    return values
