"""The kinds of variables that a search space is made of."""

# ruff: noqa: D102 - what an override does is documented once, on Variable.

import copy
import functools
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import orjson

from evo_moo.space.numbers import Integer as Integer
from evo_moo.space.numbers import Real as Real
from evo_moo.space.variable import Array as Array
from evo_moo.space.variable import Mask as Mask
from evo_moo.space.variable import Variable as Variable
from evo_moo.values import NONE, for_toml, is_number, json_key, plain, value_text, with_tuples


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
