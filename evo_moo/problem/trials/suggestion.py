"""What a define-by-run objective asks a trial for: one value, and the values that it may have."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import orjson

from evo_moo.errors import SpaceError
from evo_moo.space.numbers import last_step
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Choice, Integer, Real, Variable
from evo_moo.values import json_key, plain

Kind = Literal["float", "int", "categorical"]


class Suggestion(NamedTuple):
    """A value that an objective asks for.

    Attributes:
        kind: Which of ``suggest_float``, ``suggest_int`` and ``suggest_categorical`` asks for it.
        low: Smallest value.
        high: Largest value.
        log: Whether the logarithm is searched.
        step: Distance of the values; None where there is none.
        choices: The options, as a configuration holds them.
    """

    kind: Kind
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()

    @classmethod
    def number(cls, kind: Kind, name: str, low: Any, high: Any, log: bool, step: Any) -> Self:
        """Return the suggestion of a number; the highest value is lowered to one that the steps reach.

        Raises:
            SpaceError: The range is none.
        """
        low, high, step = plain(low), plain(high), plain(step)
        if kind == "int":
            low, high = int(low), int(high)
            step = None if step in (None, 1) else int(step)
        else:
            low, high = float(low), float(high)
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise SpaceError(f"`{name}`: low must be a finite number up to high, but low is {low} and high is {high}")
        if log and (low <= 0 or step is not None):
            raise SpaceError(
                f"`{name}`: a log range must begin above 0 and have no step, but low is {low}, step {step}"
            )
        if step is not None and not step > 0:
            raise SpaceError(f"`{name}`: a step must be above 0, but is {step}")
        suggestion = cls(kind, low, high, bool(log), step)
        return suggestion if step is None else suggestion._replace(high=last_step(low, high, step))

    @classmethod
    def choice(cls, name: str, choices: Sequence[Any]) -> Self:
        """Return the suggestion of one of several options; objects that are no JSON are held by their names.

        Raises:
            SpaceError: There are none, or two cannot be told apart.
        """
        shown = tuple(map(_shown, choices))
        if unnamed := [choice for choice in shown if isinstance(choice, str) and " at 0x" in choice]:
            raise SpaceError(f"`{name}`: choices must have names, but one is {unnamed[0]}; choose among names of them")
        if not shown or len({json_key(choice) for choice in shown}) < len(shown):
            raise SpaceError(f"`{name}`: choices must be at least one and all different, but are {list(shown)}")
        return cls("categorical", choices=shown)

    @property
    def is_constant(self) -> bool:
        """Whether there is one value only."""
        return len(self.choices) == 1 or (not self.choices and self.low == self.high)

    def variable(self) -> Variable:
        """Return the variable of these values, which must be more than one."""
        if self.choices:
            return Choice(self.choices)
        kind = Integer if self.kind == "int" else Real
        return kind(self.low, self.high, log=self.log, step=self.step)

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw a value, each equally likely, in log scale equally long stretches of it."""
        if self.is_constant:
            return self.choices[0] if self.choices else self.low
        space = SearchSpace({"x": self.variable()})
        return self.nearest(space.decode(space.sample(1, rng))[0]["x"])

    def nearest(self, value: Any) -> Any:
        """Return the value itself, of a number the nearest one that may be.

        Raises:
            SpaceError: It is none of the choices.
        """
        if self.choices:
            if json_key(value) not in map(json_key, self.choices):
                raise SpaceError(f"a value must be one of {list(self.choices)}, but is {value!r}")
            return value
        kind = self.variable()
        code = kind.nearest_code(value)
        if code is None:
            raise SpaceError(f"a value must be a number, but is {value!r}")
        return kind.values(np.array([code]))[0]

    def joined(self, name: str, other: Self) -> Self:
        """Return the suggestion of all values of this one and another one for the same name.

        Raises:
            SpaceError: They are of different kinds, as Optuna has it, or have different choices.
        """
        if (self.kind, self.log) != (other.kind, other.log):
            words = [f"{'log ' * each.log}{each.kind}" for each in (self, other)]
            raise SpaceError(f"`{name}`: a name must stand for one kind of value, but is {words[0]} and {words[1]}")
        if list(map(json_key, self.choices)) != list(map(json_key, other.choices)):
            raise SpaceError(
                f"`{name}`: choices must be the same in each call, but are {list(self.choices)} and "
                f"{list(other.choices)}; give the second another name"
            )
        step = self.step if (self.step, self.low) == (other.step, other.low) else None
        return self._replace(low=min(self.low, other.low), high=max(self.high, other.high), step=step)

    def to_record(self) -> list[Any]:
        """Return the arguments that make the suggestion again, as plain data."""
        return [*self]

    @classmethod
    def of_record(cls, record: Sequence[Any]) -> Self:
        """Return the suggestion that ``to_record`` wrote."""
        kind, low, high, log, step, choices = record
        return cls(kind, low, high, log, step, tuple(choices))


class Asked(NamedTuple):
    """What was asked for, and the value that it had."""

    suggestion: Suggestion
    value: Any


Trace = Mapping[str, Asked]
"""Names to what was asked for, in the order in which it was."""


def _shown(choice: Any) -> Any:
    """Return an option as a configuration holds it."""
    value = plain(choice)
    try:
        orjson.dumps(value)
    except (TypeError, ValueError):
        return getattr(choice, "__qualname__", None) or repr(choice)
    return value
