"""A variable of several columns, such as one for each option of a subset."""

# ruff: noqa: D102 - what an override does is documented once, on Compound.

import functools
import itertools
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from evo_moo.space.variables import Array, Choice, Variable


@dataclass(frozen=True)
class Compound(Variable):
    """What variables of several columns share.

    Each column holds a *part*, which is a variable of one column, such as whether an option is in. Not every
    combination of parts is a value: ``repaired`` says which one is meant by any numbers.
    """

    def asked(self, name: str, wanted: Any) -> dict[str, Any]:
        raise ValueError(
            f"no condition can ask for the parts of a value, as this {self.kind} has; name another variable"
        )

    def nearest_codes(self, value: Any) -> list[float] | None:
        try:
            return self.codes(value)
        except ValueError:
            return None

    @abstractmethod
    def parts(self) -> dict[str, Variable]:
        """Return the name of each column within the variable, and what it holds."""

    @property
    @abstractmethod
    def n_values(self) -> int | float:
        """Number of values; infinite where they fill a range."""

    @abstractmethod
    def values(self, codes: Array) -> list[Any]:
        """Return the plain Python values of ``(n, n_columns)`` codes."""

    @abstractmethod
    def repaired(self, codes: Array) -> Array:
        """Return the codes of values nearest to any ``(n, n_columns)`` numbers within the bounds of the parts.

        The codes of a value come back unchanged.
        """

    @property
    def n_units(self) -> int:
        """Number of coordinates of a unit cube that ``drawn`` makes a value of."""
        return len(self.parts())

    @abstractmethod
    def drawn(self, unit: Array) -> Array:
        """Return the codes of values that ``(n, n_units)`` points, even in the unit cube, stand for."""

    @abstractmethod
    def crossed(self, codes: Array, rng: np.random.Generator, eta: float) -> Array:
        """Return the codes of two children of each pair of parents, both ``(2, n_pairs, n_columns)``.

        Args:
            codes: Codes of the parents.
            rng: Source of all randomness.
            eta: Distribution index: the higher, the nearer children of numbers stay to their parents.
        """

    @abstractmethod
    def mutated(self, codes: Array, rng: np.random.Generator, eta: float) -> Array:
        """Return the codes of other values near those of ``(n, n_columns)`` codes.

        Args:
            codes: Codes of values.
            rng: Source of all randomness.
            eta: Distribution index: the higher, the smaller the steps.
        """

    @abstractmethod
    def features(self) -> dict[str, bool]:
        """Return what models see of a value: names, and whether the feature is 0 or 1 and nothing between."""

    @abstractmethod
    def featured(self, codes: Array) -> Array:
        """Return the features, from 0 to 1, of ``(n, n_columns)`` codes: ``(n, n_features)``."""

    @abstractmethod
    def unfeatured(self, Z: Array) -> Array:
        """Return the codes, ``(n, n_columns)``, of features: the inverse of ``featured``."""

    @abstractmethod
    def neighbours(self, codes: Array) -> Array:
        """Return the codes of the values next to one, of ``(n_columns,)`` codes: ``(n, n_columns)``."""

    @abstractmethod
    def with_part(self, codes: Array, part: int, to: Array) -> Array:
        """Return the codes of values with one part changed, and of the others as little as that takes.

        Args:
            codes: ``(n, n_columns)`` codes of values.
            part: Number of the part.
            to: ``(n,)`` its new codes.
        """

    def lattice_size(self, n_points: int) -> int:
        """Return the number of rows of ``lattice``."""
        return int(self.n_values)

    @abstractmethod
    def lattice(self, n_points: int) -> Array:
        """Return the codes of all values, ``(n, n_columns)``; where these fill a range, evenly spaced ones.

        Args:
            n_points: Number of points from one end of such a range to the other.
        """


@dataclass(frozen=True)
class OfOptions(Compound):
    """A variable of several columns whose values are lists of options, each any JSON value as those of a ``Choice``."""

    options: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", Choice(self.options).options)

    @functools.cached_property
    def choice(self) -> Choice:
        """The choice of one of the options."""
        return Choice(self.options)

    @property
    def n(self) -> int:
        """Number of options."""
        return len(self.options)

    def faults(self) -> list[str]:
        return self.choice.faults()

    def places(self, value: Any) -> list[int]:
        """Return the places in ``options`` of those that a value lists.

        Raises:
            ValueError: It is no list, names an unknown option, or one twice.
        """
        if not isinstance(value, list | tuple):
            raise ValueError(f"must be a list of options, but is {value!r}")
        places = [int(self.choice.code(each)) for each in value]
        if len(set(places)) < len(places):
            raise ValueError(f"must list no option twice, but is {value!r}")
        return places

    def listed(self, places: list[list[int]]) -> list[list[Any]]:
        """Return lists of the options in lists of places."""
        ends = np.cumsum([0, *map(len, places)]).tolist()
        flat = self.choice.values(np.array([place for row in places for place in row], dtype=float))
        return [flat[start:stop] for start, stop in itertools.pairwise(ends)]

    def to_json(self) -> dict[str, Any]:
        """Return the definition as plain data; ``declared`` as for a ``Choice``."""
        of_choice = self.choice.to_json()
        return super().to_json() | ({"declared": of_choice["declared"]} if "declared" in of_choice else {})
