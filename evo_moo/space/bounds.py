"""Bounds that are the values of other variables: ``Integer(1, "n_layers")``.

Codes stay those of the widest range that there may be. A row is canonical only where each code lies within the bounds
of its own configuration; where the named variable does not exist, the end of that widest range holds.
"""

import graphlib
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from evo_moo.space.conditions import Conditions
from evo_moo.space.encoding import Encoding
from evo_moo.space.numbers import FEWEST_STEPS, SAME, SMALLEST_LOG_RATIO, Integer, Real
from evo_moo.space.rounding import round_significant
from evo_moo.space.variable import Array, Mask, Variable

Number = Real | Integer
_BEYOND = 1e-11
"""Relative: rounding to 12 digits moves a number by less than half of it."""


def resolved(variables: Mapping[str, Variable]) -> tuple[dict[str, Variable], dict[str, str]]:
    """Return variables that know the widest range of bounds that name others, and the faults of such bounds.

    A fault without words is that of a variable whose bounds another fault leaves unknown.
    """
    kinds = {name: kind for name, kind in variables.items() if isinstance(kind, Number) and kind.named}
    known = dict(variables)
    faults = {name: fault for name, kind in kinds.items() if (fault := _fault(name, kind, known))}
    try:
        order = [*graphlib.TopologicalSorter({n: kind.named.values() for n, kind in kinds.items()}).static_order()]
    except graphlib.CycleError as error:
        circle = f"bounds must not go in a circle, but {' -> '.join(error.args[1])} do; write a number"
        return known, {**dict.fromkeys(kinds, ""), error.args[1][0]: circle, **faults}
    for name in (name for name in order if name in kinds and name not in faults):
        kind = kinds[name]
        if any(other in faults or known[other].faults() for other in kind.named.values()):
            faults[name] = ""
            continue
        (lowest, most), (least, highest) = (_range_of(bound, known) for bound in (kind.low, kind.high))
        known[name] = kind.within(lowest, highest)
        if not known[name].faults() and most > least and not _is_ordered(kind, variables):
            words = f"low can be {most!r} while high is {least!r}"
            faults[name] = f"low must never be above high, but {words}; narrow the range of what is named"
    return known, faults


def _range_of(bound: float | str, known: Mapping[str, Variable]) -> tuple[float, float]:
    if not isinstance(bound, str):
        return bound, bound
    named = known[bound]
    return named.ends if isinstance(named, Number) else (math.nan, math.nan)


def _fault(name: str, kind: Number, variables: Mapping[str, Variable]) -> str | None:
    """Return what is wrong with the bounds of a variable that name others, by themselves."""
    for end, other in kind.named.items():
        if other == name or other not in variables:
            what = "names itself" if other == name else f"names {other!r}"
            return f"{end} must be a number or another variable of the space, but {what}; declare or rename it"
        named = variables[other]
        if not isinstance(named, Integer if kind.is_whole else Number):
            rule = f"{end} must name {'an Integer' if kind.is_whole else 'a Real or an Integer'}"
            return f"{rule}, but `{other}` is of the kind {getattr(named, 'kind', named)}; name another"
    if kind.zero:
        return "zero=True must stand beside bounds that are numbers, but they name variables; write numbers"
    if kind.step is not None and "low" in kind.named:
        return "a range with steps must begin at a number, but low names a variable; write a number"
    return None


def _is_ordered(kind: Number, variables: Mapping[str, Variable]) -> bool:
    """Return whether what is high has what is low as its own low, or that has this as its high."""
    low, high = variables.get(str(kind.low)), variables.get(str(kind.high))
    return getattr(high, "low", None) == kind.low or getattr(low, "high", None) == kind.high


class RowBounds(NamedTuple):
    """Bounds of the columns of rows, ``(n, n_var)`` each.

    Attributes:
        low: Smallest codes.
        high: Largest codes.
        wide_xl: Values of the columns for the smallest codes, half a step lower where a column is a grid.
        wide_xu: Values for the largest codes, half a step higher.
        movable: Whether there is another value for a mutation to find.
    """

    low: Array
    high: Array
    wide_xl: Array
    wide_xu: Array
    movable: Mask


class Bounds:
    """Bounds of columns, of which some depend on the values of other columns."""

    def __init__(self, variables: Mapping[str, Variable], conditions: Conditions, encoding: Encoding) -> None:
        """Find the columns of resolved variables whose bounds name others."""
        places = {name: i for i, name in enumerate(variables)}
        self._kinds = {i: kind for i, kind in enumerate(variables.values()) if isinstance(kind, Number)}
        named = {i: kind.named for i, kind in self._kinds.items() if kind.named}
        self._others = {i: {end: places[other] for end, other in ends.items()} for i, ends in named.items()}
        self._conditions, self._encoding = conditions, encoding

    @property
    def has_any(self) -> bool:
        """Whether a bound names a variable."""
        return bool(self._others)

    def outside(self, codes: Array) -> list[tuple[int, int]]:
        """Return the rows and columns of ``(n, n_var)`` codes that lie outside bounds which name variables."""
        far = np.zeros(codes.shape, dtype=bool)
        inside = self.inside(codes.copy())
        for i in self._others:
            far[:, i] = ~np.isclose(codes[:, i], inside[:, i], rtol=SAME, atol=0.0)
        return [(int(row), int(column)) for row, column in np.argwhere(far)]

    def inside(self, codes: Array) -> Array:
        """Return ``(n, n_var)`` codes with those whose bounds depend on others put inside them."""
        active = np.ones(codes.shape, dtype=bool)
        for i in self._conditions.order if self._others else ():
            if i in self._others:
                codes[:, i] = np.clip(codes[:, i], *self._of(i, codes, active))
            active[:, i] = self._conditions.exists(i, codes, active)
        return codes

    def spread(self, X: Array) -> Array:
        """Return ``(n, n_var)`` rows with columns that lie in their row's bounds where they lay in the widest ones."""
        e, active = self._encoding, np.ones(X.shape, dtype=bool)
        codes = e.codes(X) if self._others else X
        for i in self._conditions.order if self._others else ():
            if i in self._others:
                bounds = self._of(i, codes, active)
                low, high = e.wide(i, *bounds)
                X[:, i] = low + (X[:, i] - e.wide_xl[i]) / (e.wide_xu[i] - e.wide_xl[i]) * (high - low)
                codes[:, i] = np.clip(e.of_column(i, X[:, i]), *bounds)
            active[:, i] = self._conditions.exists(i, codes, active)
        return X

    def of_rows(self, codes: Array) -> RowBounds:
        """Return the bounds of the rows of ``(n, n_var)`` codes."""
        e = self._encoding
        same = [np.broadcast_to(b, codes.shape) for b in (e.low, e.high, e.wide_xl, e.wide_xu, e.xu > e.xl)]
        if not self._others:
            return RowBounds(*same)
        low, high, wide_xl, wide_xu, movable = map(np.array, same)
        active = self._conditions.active(codes)
        for i in self._others:
            low[:, i], high[:, i] = self._of(i, codes, active)
            wide_xl[:, i], wide_xu[:, i] = e.wide(i, low[:, i], high[:, i])
            movable[:, i] = self._can_move(i, low[:, i], high[:, i])
        return RowBounds(low, high, wide_xl, wide_xu, movable)

    def _of(self, column: int, codes: Array, active: Mask) -> tuple[Array, Array]:
        """Return the smallest and the largest code of a column, ``(n,)`` each, by the columns that exist."""
        kind, (lowest, highest) = self._kinds[column], self._kinds[column].span
        bounds = {"low": np.full(len(codes), lowest), "high": np.full(len(codes), highest)}
        for end, other in self._others[column].items():
            exists = active[:, other]
            values = np.array(self._kinds[other].values(codes[exists, other]), dtype=float)
            bounds[end][exists] = _codes_of(kind, values, end == "low")
        low, high = (np.clip(each, lowest, highest) for each in bounds.values())
        return low, np.maximum(low, high)

    def _can_move(self, column: int, low: Array, high: Array) -> Mask:
        """Return in which rows there are values enough between two codes for a mutation to find another, ``(n,)``."""
        kind = self._kinds[column]
        if kind.grid:
            return low < high
        if kind.log:
            return high >= SMALLEST_LOG_RATIO * low
        return np.asarray(high - low >= FEWEST_STEPS * np.spacing(np.maximum(np.abs(low), np.abs(high))))


def _codes_of(kind: Number, values: Array, is_low: bool) -> Array:
    """Return the codes of ``(n,)`` bounds, of values inside them where they are none."""
    if kind.step is not None:
        return np.asarray(np.floor((values - kind.lowest) / kind.step + SAME))
    if kind.grid or not kind.log:
        return values
    rounded, sign = round_significant(values), 1 if is_low else -1
    return np.where(sign * (rounded - values) < 0, round_significant(values * (1 + sign * _BEYOND)), rounded)
