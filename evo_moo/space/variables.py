"""The kinds of variables that a search space is made of.

A variable's *code* is the number that stands for a value: the value itself for ``Real`` and ``Integer``,
the option's index for ``Choice``, 0 or 1 for ``Boolean``. The search space's columns are codes, or their
natural logarithm where a range is searched in log scale.
"""

# ruff: noqa: D102 - what an override does is documented once, on Variable.

import copy
import functools
import json
import math
import sys
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import orjson

from evo_moo.space.rounding import DIGITS, LARGEST_EXPONENT
from evo_moo.values import (
    NONE,
    for_toml,
    from_tuples,
    is_integer,
    is_number,
    json_key,
    plain,
    value_text,
    with_tuples,
)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LARGEST_INTEGER = 10**DIGITS
SMALLEST_LOG_RATIO = 1.001
"""Of high to low, in log scale: much less would leave few values of 12 digits between them."""
FEWEST_STEPS = 2**24
"""Floating-point steps from low to high; among fewer, the smallest mutation could round to no change."""


@dataclass(frozen=True)
class Variable:
    """What all kinds of variables share.

    Attributes:
        when: Name of a parent to the values for which this variable exists: one value, a list of values, or
            ``{"at_least": a, "at_most": b}``. Several parents must all match, and exist themselves.
    """

    when: Mapping[str, Any] | None = field(default=None, kw_only=True)

    grid: ClassVar[bool] = True
    """Whether codes are whole numbers."""
    has_options: ClassVar[bool] = False
    """Whether values are one of a few options, and codes number these."""

    @property
    def kind(self) -> str:
        """Name of the kind, for tables."""
        return type(self).__name__.lower()

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest code."""
        raise NotImplementedError

    def faults(self) -> list[str]:
        """List what is wrong with the definition, ``when`` aside."""
        return []

    def code(self, value: Any) -> float:
        """Return the code of a value; raises ``ValueError`` with the rule if it is none of this variable's."""
        raise NotImplementedError

    def values(self, codes: Array) -> list[Any]:
        """Return the plain Python values of ``(n,)`` codes."""
        raise NotImplementedError

    def between(self, low: float, high: float) -> list[tuple[float, float]]:
        """Return the intervals of codes whose values lie in ``[low, high]``; ``ValueError`` if not numeric."""
        raise ValueError(f"at_least and at_most need numbers to compare, but it is a {self.kind}; list the values")

    def text(self) -> str:
        """Write the range or the options in one line."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the definition as plain data: ``kind``, and each attribute that is not at its default."""
        declared = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        plain: dict[str, Any] = json.loads(json.dumps({"kind": self.kind, **declared}, default=_for_json))
        return plain


@dataclass(frozen=True)
class _Number(Variable):
    low: float
    high: float
    log: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", plain(self.low))
        object.__setattr__(self, "high", plain(self.high))

    @property
    def span(self) -> tuple[float, float]:
        return float(self.low), float(self.high)

    def faults(self) -> list[str]:
        for end, bound in (("low", self.low), ("high", self.high)):
            if fault := self._bound_fault(bound):
                return [f"{end} must be {fault}, but is {bound!r}"]
        if self.low == self.high:
            return [f"low and high are both {self.low!r}; use a Choice with one option or leave it out"]
        if self.low > self.high:
            return [f"low must be below high, but low is {self.low!r} and high is {self.high!r}; swap them"]
        if self.log and self.low <= 0:
            return [f"a log range must begin above 0, but low is {self.low!r}; raise low or drop log=True"]
        return []

    def _bound_fault(self, bound: Any) -> str | None:
        raise NotImplementedError

    def code(self, value: Any) -> float:
        value = plain(value)
        if not (is_integer if self.grid else is_number)(value):
            raise ValueError(f"must be a {'whole number (an int)' if self.grid else 'number'}, but is {value!r}")
        if not self.low <= value <= self.high:
            raise ValueError(f"must lie between {self.low!r} and {self.high!r}, but is {value!r}")
        return float(value)

    def text(self) -> str:
        return f"{self.low} .. {self.high}"


@dataclass(frozen=True)
class Real(_Number):
    """A real number in ``[low, high]``.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Search the logarithm; values then have 12 significant digits.
    """

    grid: ClassVar[bool] = False

    def _bound_fault(self, bound: Any) -> str | None:
        return None if is_number(bound) and abs(bound) <= sys.float_info.max else "a finite number"

    def faults(self) -> list[str]:
        if found := super().faults():
            return found
        low, high = self.span
        if not math.isfinite(high - low):
            return [f"high - low must be finite, but the range is {self.text()}; narrow it"]
        limit = 10.0**LARGEST_EXPONENT
        if self.log and (self.low < 1 / limit or self.high > limit):
            return [f"a log range must lie within {1 / limit} .. {limit}, but is {self.text()}; narrow it"]
        if self.log and self.high / self.low < SMALLEST_LOG_RATIO:
            return [f"a log range must be wider, but is {self.text()}; drop log=True"]
        least = FEWEST_STEPS * math.ulp(max(abs(low), abs(high)))
        if high - low < least:
            way = f"widen it, or search the distance from {self.low!r}"
            return [f"high - low must be at least {least!r} for numbers this large, but is {high - low!r}; {way}"]
        return []

    def values(self, codes: Array) -> list[Any]:
        return list(codes.tolist())

    def between(self, low: float, high: float) -> list[tuple[float, float]]:
        low, high = max(low, self.low), min(high, self.high)
        return [(low, high)] if low <= high else []


@dataclass(frozen=True)
class Integer(_Number):
    """A whole number in ``[low, high]``, both included.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Search the logarithm.
    """

    def _bound_fault(self, bound: Any) -> str | None:
        if not is_integer(bound):
            return "a whole number (an int)"
        return None if abs(bound) <= LARGEST_INTEGER else f"within +-{LARGEST_INTEGER}"

    def values(self, codes: Array) -> list[Any]:
        return list(codes.astype(np.int64).tolist())

    def between(self, low: float, high: float) -> list[tuple[float, float]]:
        low, high = max(low, self.low), min(high, self.high)
        first, last = math.ceil(low), math.floor(high)
        return [(first, last)] if first <= last else []


@dataclass(frozen=True)
class Choice(Variable):
    """One of several options, each any JSON value.

    Attributes:
        options: The options, all different as JSON: ``1``, ``1.0`` and ``True`` are three, a tuple and a list of the
            same values are one. Configurations have them as they are declared; in TOML and in tables None is ``none``.
        ordered: Whether neighbours in the list are alike, as in ``[16, 32, 64]``; the search then takes
            small steps.
    """

    has_options: ClassVar[bool] = True

    options: Iterable[Any]
    ordered: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        # A set is refused below: its order, and so every code, would differ from process to process.
        if isinstance(self.options, Iterable) and not isinstance(self.options, str | bytes | Mapping | Set):
            object.__setattr__(self, "options", tuple(map(plain, self.options)))

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        exact = {json_key(option): code for code, option in enumerate(self.options)}
        return {json_key(for_toml(option)): code for code, option in enumerate(self.options)} | exact

    @property
    def span(self) -> tuple[float, float]:
        return 0.0, float(len(tuple(self.options)) - 1)

    def faults(self) -> list[str]:
        if not isinstance(self.options, tuple):
            return [f"options must be a list, but are {self.options!r}; put them in brackets"]
        if not self.options:
            return ["options must hold at least one value, but are empty; add one or leave the variable out"]
        faults, seen, in_files = [], set(), set()
        for option in self.options:
            try:
                orjson.dumps(option)  # refuses longer integers and other keys than texts, which files would change
                key, in_file = json_key(option), json_key(for_toml(option))
            except (TypeError, ValueError):
                faults.append(f"options must be JSON values, but one is {option!r}; use a name or a plain number")
                continue
            if key in seen:
                faults.append(f"options must all be different, but {key} is there twice; drop one")
            elif in_file in in_files:
                faults.append(f"options must differ where None is written as {NONE}, but {in_file} is both; rename it")
            seen.add(key)
            in_files.add(in_file)
        return faults

    def code(self, value: Any) -> float:
        try:
            return float(self._index[json_key(value)])
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"must be one of {list(self.options)!r}, but is {value!r}") from None

    def values(self, codes: Array) -> list[Any]:
        options = list(self.options)
        # Each gets its own list or dict: who changes one changes no other configuration and no option.
        picked = (options[code] for code in codes.astype(np.int64).tolist())
        return [copy.deepcopy(value) if isinstance(value, (list, tuple, dict)) else value for value in picked]

    def between(self, low: float, high: float) -> list[tuple[float, float]]:
        if not all(is_number(option) for option in self.options):
            return super().between(low, high)
        return [(code, code) for code, option in enumerate(self.options) if low <= option <= high]

    def text(self) -> str:
        return (" < " if self.ordered else " | ").join(map(value_text, self.options))

    def to_json(self) -> dict[str, Any]:
        """Return the definition as plain data; ``declared`` has the options where JSON does not keep their tuples."""
        definition, options = super().to_json(), list(self.options)
        return definition if definition["options"] == options else definition | {"declared": with_tuples(options)}


@dataclass(frozen=True)
class Boolean(Variable):
    """True or False."""

    has_options: ClassVar[bool] = True

    @property
    def span(self) -> tuple[float, float]:
        return 0.0, 1.0

    def code(self, value: Any) -> float:
        if not isinstance(value := plain(value), bool):
            raise ValueError(f"must be True or False, but is {value!r}")
        return float(value)

    def values(self, codes: Array) -> list[Any]:
        return list((codes > 0.5).tolist())

    def text(self) -> str:
        return "false | true"


KINDS: dict[str, type[Variable]] = {"real": Real, "integer": Integer, "choice": Choice, "boolean": Boolean}


def variable_of(definition: Mapping[str, Any]) -> Variable:
    """Return the variable of a definition that ``Variable.to_json`` returned."""
    declared = {name: value for name, value in definition.items() if name not in ("kind", "declared")}
    if "declared" in definition:
        declared["options"] = from_tuples(definition["declared"])
    return KINDS[definition["kind"]](**declared)


def _for_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value, key=json_key) if isinstance(value, Set) else plain(value)
