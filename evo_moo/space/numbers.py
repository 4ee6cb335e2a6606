"""Variables that are numbers of a range: ``Real`` and ``Integer``."""

# ruff: noqa: D102 - what an override does is documented once, on Variable.

import math
import sys
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, ClassVar, Self, cast

import numpy as np

from evo_moo.space.rounding import DIGITS, LARGEST_EXPONENT
from evo_moo.space.variable import Array, Variable
from evo_moo.values import is_integer, is_number, plain

LARGEST_INTEGER = 10**DIGITS
SMALLEST_LOG_RATIO = 1.001
"""Of high to low, in log scale: much less would leave few values of 12 digits between them."""
FEWEST_STEPS = 2**24
"""Floating-point steps from low to high; among fewer, the smallest mutation could round to no change."""
SAME = 1e-9
"""Of a step: a value so near to one of the grid is that one, as 0.1 + 0.2 is 0.3."""


@dataclass(frozen=True)
class _Number(Variable):
    low: float | str
    high: float | str
    log: bool = field(default=False, kw_only=True)
    step: float | None = field(default=None, kw_only=True)
    zero: bool = field(default=False, kw_only=True)
    outer: tuple[float, float] | None = field(default=None, init=False, repr=False, compare=False)
    """Numbers for low and high where these name variables, as the space knows them: all values lie between them."""

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            object.__setattr__(self, name, plain(getattr(self, name)))

    def within(self, low: float, high: float) -> Self:
        """Return the variable with numbers for bounds that name other variables, between which these bounds may lie."""
        resolved = replace(self)
        object.__setattr__(resolved, "outer", (low, high if self.step is None else last_step(low, high, self.step)))
        return resolved

    @property
    def lowest(self) -> float:
        """The smallest number of the range that there may be, a 0 beside it not counted."""
        return self.outer[0] if self.outer else cast(float, self.low)

    @property
    def highest(self) -> float:
        """The largest number that there may be."""
        return self.outer[1] if self.outer else cast(float, self.high)

    @property
    def named(self) -> dict[str, str]:
        return {end: name for end in ("low", "high") if isinstance(name := getattr(self, end), str)}

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return 0 if self.zero else self.lowest, self.highest

    @property
    def grid(self) -> bool:
        return self.is_whole or self.step is not None

    @property
    def span(self) -> tuple[float, float]:
        if self.step is not None:
            return 0.0, float(round(self._place(self.highest)))
        if not self.zero:
            return float(self.lowest), float(self.highest)
        # On a grid 0 is the code next to low, so that codes have no gap.
        return float(self.lowest - 1 if self.grid else 0), float(self.highest)

    def faults(self) -> list[str]:
        for end, bound in (("low", self.lowest), ("high", self.highest)):
            if fault := self._bound_fault(bound):
                return [f"{end} must be {fault}, but is {bound!r}"]
        if self.lowest == self.highest:
            return [f"low and high are both {self.lowest!r}; use a Choice with one option or leave it out"]
        if self.lowest > self.highest:
            return [f"low must be below high, but low is {self.lowest!r} and high is {self.highest!r}; swap them"]
        if self.log and self.lowest <= 0:
            way_out = "say zero=True beside a low above 0" if self.lowest == 0 else "raise low"
            return [f"a log range must begin above 0, but low is {self.lowest!r}; {way_out} or drop log=True"]
        if not isinstance(self.zero, bool):
            return [f"zero must be True or False, but is {self.zero!r}"]
        if self.zero and not self.log:
            return ["zero=True must stand beside log=True, but does not; a plain range may have 0 as its low"]
        return [] if self.step is None else self._step_faults()

    def _step_faults(self) -> list[str]:
        if self.log:
            return [f"a log range must have no steps, but step is {self.step!r}; drop one of the two"]
        if self._bound_fault(self.step) or not (self.step or 0) > 0:
            return [f"step must be a {'whole number' if self.is_whole else 'number'} above 0, but is {self.step!r}"]
        n_steps = (self.highest - self.lowest) / (self.step or 1)
        if n_steps > LARGEST_INTEGER or (self.step or 1) < 4 * math.ulp(max(abs(self.lowest), abs(self.highest))):
            return [f"step must leave at most {LARGEST_INTEGER} values that differ, but is {self.step!r}; drop it"]
        place = self._place(self.highest)
        if place == round(place):
            return []
        below, above = (self._at(math.floor(place) + i) for i in (0, 1))
        ends = f"{below!r} or {above!r}" if below > self.lowest else f"{above!r}"
        return [f"high must be some steps of {self.step!r} above {self.lowest!r}, but is {self.highest!r}; take {ends}"]

    def _bound_fault(self, bound: Any) -> str | None:
        raise NotImplementedError

    def _place(self, value: Any) -> Decimal:
        """Return at which step from low a number lies, exactly; between two steps it is no whole number."""
        return (_decimal(value) - _decimal(self.lowest)) / _decimal(self.step)

    def _at(self, place: int) -> Any:
        """Return the value at a step, as its decimal digits say: the third of 0.1 is 0.3."""
        value = _decimal(self.lowest) + place * _decimal(self.step)
        return int(value) if self.is_whole else float(value)

    def code(self, value: Any) -> float:
        value = plain(value)
        if not (is_integer if self.is_whole else is_number)(value):
            raise ValueError(f"must be a {'whole number (an int)' if self.is_whole else 'number'}, but is {value!r}")
        if self.zero and value == 0:
            return self.span[0]
        if not self.lowest <= value <= self.highest:
            zero = "be 0 or " if self.zero else ""
            raise ValueError(f"must {zero}lie between {self.lowest!r} and {self.highest!r}, but is {value!r}")
        if self.step is None:
            return float(value)
        place = self._place(value)
        if abs(place - round(place)) > SAME:
            near = " or ".join(repr(self._at(math.floor(place) + i)) for i in (0, 1))
            raise ValueError(
                f"must be some steps of {self.step!r} above {self.lowest!r}, but is {value!r}; take {near}"
            )
        return float(round(place))

    def nearest_code(self, value: Any) -> float | None:
        if not is_number(value) or math.isnan(value):
            return super().nearest_code(value)
        if self.zero and 2 * value < self.lowest:
            return self.span[0]
        value = min(max(value, self.lowest), self.highest)
        if self.step is not None:
            return float(round(self._place(value)))
        return float(round(value) if self.is_whole else value)

    def spread(self, n: int) -> Array:
        if not self.log:
            return np.linspace(*self.span, n) if not self.grid else super().spread(n)
        codes = np.geomspace(self.lowest, self.highest, n - self.zero)
        zeros = [self.span[0]] * self.zero
        return np.unique(np.append(zeros, np.rint(codes) if self.grid else codes))

    def between(self, low: float, high: float) -> list[tuple[float, float]]:
        zeros = [(self.span[0], self.span[0])] if self.zero and low <= 0 <= high else []
        low, high = max(low, self.lowest), min(high, self.highest)
        if low <= high and self.step is not None:
            low, high = math.ceil(self._place(low)), math.floor(self._place(high))
        elif low <= high and self.is_whole:
            low, high = math.ceil(low), math.floor(high)
        return [*zeros, (low, high)] if low <= high else zeros

    def text(self) -> str:
        step = "" if self.step is None else f" step {self.step}"
        return f"{'0 or ' if self.zero else ''}{self.low} .. {self.high}{step}"


@dataclass(frozen=True)
class Real(_Number):
    """A real number in ``[low, high]``.

    Attributes:
        low: Smallest value, or the name of the variable whose value it is.
        high: Largest value, likewise.
        log: Search the logarithm; values then have 12 significant digits.
        step: Distance of the values, counted from low; high is one of them.
        zero: Whether it may also be 0, beside a range in log scale.
    """

    is_whole: ClassVar[bool] = False

    def _bound_fault(self, bound: Any) -> str | None:
        return None if is_number(bound) and abs(bound) <= sys.float_info.max else "a finite number"

    def faults(self) -> list[str]:
        if found := super().faults():
            return found
        low, high = float(self.lowest), float(self.highest)
        if not math.isfinite(high - low):
            return [f"high - low must be finite, but the range is {self.text()}; narrow it"]
        limit = 10.0**LARGEST_EXPONENT
        if self.log and (self.lowest < 1 / limit or self.highest > limit):
            return [f"a log range must lie within {1 / limit} .. {limit}, but is {self.text()}; narrow it"]
        if self.log and self.highest / self.lowest < SMALLEST_LOG_RATIO:
            return [f"a log range must be wider, but is {self.text()}; drop log=True"]
        least = FEWEST_STEPS * math.ulp(max(abs(low), abs(high)))
        if self.step is None and high - low < least:
            way = f"widen it, or search the distance from {self.lowest!r}"
            return [f"high - low must be at least {least!r} for numbers this large, but is {high - low!r}; {way}"]
        return []

    def values(self, codes: Array) -> list[Any]:
        return list(codes.tolist()) if self.step is None else [self._at(int(code)) for code in codes.tolist()]


@dataclass(frozen=True)
class Integer(_Number):
    """A whole number in ``[low, high]``, both included.

    Attributes:
        low: Smallest value, or the name of the variable whose value it is.
        high: Largest value, likewise.
        log: Search the logarithm.
        step: Distance of the values, counted from low; high is one of them.
        zero: Whether it may also be 0, beside a range in log scale.
    """

    is_whole: ClassVar[bool] = True

    def _bound_fault(self, bound: Any) -> str | None:
        if not is_integer(bound):
            return "a whole number (an int)"
        return None if abs(bound) <= LARGEST_INTEGER else f"within +-{LARGEST_INTEGER}"

    def values(self, codes: Array) -> list[Any]:
        whole = codes.astype(np.int64)
        if self.step is not None:
            whole = int(self.lowest) + int(self.step) * whole
        elif self.zero:
            whole = np.where(whole < self.lowest, 0, whole)
        return list(whole.tolist())


def last_step(low: float, high: float, step: float) -> Any:
    """Return the largest value up to ``high`` that steps from ``low`` reach."""
    first, distance = _decimal(low), _decimal(step)
    last = first + (_decimal(high) - first) // distance * distance
    return int(last) if all(isinstance(each, int) for each in (low, step)) else float(last)


def _decimal(number: Any) -> Decimal:
    return Decimal(repr(number if type(number) is int else float(number)))
