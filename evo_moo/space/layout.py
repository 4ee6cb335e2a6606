"""Which columns of the matrix hold which variable: one for most kinds, several for a ``Compound``."""

import copy
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from evo_moo.space.conditions import Conditions
from evo_moo.space.kinds.compound import Compound
from evo_moo.space.variables import Array, Variable


class Layout:
    """The columns of a space's variables.

    Attributes:
        variables: Name to variable, in the order of the columns.
        parts: Name of each column to what it holds: the variable itself, or a part of it, as ``mix[web]``. Their
            conditions are about columns.
        places: Name of each variable to the slice of its columns.
        owners: Name of the variable of each column.
        first: ``(n_variables,)`` first column of each variable.
        n_unit: Number of coordinates of the unit cube that ``of_unit`` makes rows of.
        compound: ``(n_var,)`` mask of the columns that hold parts.
        compounds: Name of each variable of several columns to itself.
        asks_for_parts: Whether some condition asks for a part of another variable.
    """

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        """Lay out variables without faults."""
        self.variables = dict(variables)
        self.compounds = {name: kind for name, kind in variables.items() if isinstance(kind, Compound)}
        parts = {
            name: {f"{name}[{part}]": what for part, what in self.compounds[name].parts().items()}
            if name in self.compounds
            else {name: kind}
            for name, kind in variables.items()
        }
        self.parts = {part: self._by_columns(what) for own in parts.values() for part, what in own.items()}
        self.asks_for_parts = any(self._asks(kind) for kind in variables.values())
        self.owners = tuple(name for name, own in parts.items() for _ in own)
        self.places = _slices({name: len(own) for name, own in parts.items()})
        self.first = np.array([place.start for place in self.places.values()])
        self.compound = np.array([name in self.compounds for name in self.owners])
        self._units = _slices({name: kind.n_units if (kind := self.compounds.get(name)) else 1 for name in parts})
        self.n_unit = max(place.stop for place in self._units.values())

    def _asks(self, kind: Variable) -> bool:
        return any(parent in self.compounds for each in kind.alternatives for parent in each)

    def _by_columns(self, kind: Variable) -> Variable:
        """Return a variable with conditions on columns in place of those on variables."""
        if not self._asks(kind):
            return kind
        alternatives = [
            {column: each for parent in ways for column, each in self._asked(parent, ways[parent])}
            for ways in kind.alternatives
        ]
        with_columns = copy.copy(kind)  # with what a number knows of its bounds, which are no attributes to declare
        object.__setattr__(with_columns, "when", alternatives)
        return with_columns

    def _asked(self, parent: str, wanted: Any) -> Iterable[tuple[str, Any]]:
        return self.variables[parent].asked(parent, wanted).items()

    def repaired(self, codes: Array, X: Array) -> Array:
        """Return ``(n, n_var)`` codes with parts that make up values, those nearest to rows within the bounds."""
        for name, kind in self.compounds.items():
            codes[:, self.places[name]] = kind.repaired(X[:, self.places[name]])
        return codes

    def of_unit(self, unit: Array, low: Array, high: Array) -> Array:
        """Return what ``(n, n_unit)`` points of the unit cube stand for, ``(n, n_var)``: numbers between the bounds."""
        if not self.compounds:
            return np.asarray(low + unit * (high - low))
        X = np.empty((len(unit), len(low)))
        for name, place in self.places.items():
            kind, own = self.compounds.get(name), unit[:, self._units[name]]
            X[:, place] = kind.drawn(own) if kind else low[place] + own * (high - low)[place]
        return X

    def with_column(self, X: Array, column: int, to: Array) -> Array:
        """Return canonical rows with a column changed to ``(n,)`` numbers, and as few other parts as that takes."""
        X, name = X.copy(), self.owners[column]
        place = self.places[name]
        if kind := self.compounds.get(name):
            X[:, place] = kind.with_part(X[:, place], column - place.start, to)
        else:
            X[:, column] = to
        return X

    def values(self, codes: Array) -> list[list[Any]]:
        """Return for each variable its values in ``(n, n_var)`` codes."""
        return [
            kind.values(codes[:, place] if name in self.compounds else codes[:, place.start])
            for (name, kind), place in zip(self.variables.items(), self.places.values(), strict=True)
        ]

    def codes(self, name: str, value: Any) -> dict[int, float]:
        """Return the columns of a variable to the codes of a value; raises ``ValueError`` if it is none of it."""
        place = self.places[name]
        return dict(zip(range(place.start, place.stop), self.variables[name].codes(value), strict=True))

    def value(self, name: str, value: Any) -> Any:
        """Return a value of a variable as configurations have it; raises ``ValueError`` if it is none of it."""
        codes, kind = np.array([self.variables[name].codes(value)]), self.variables[name]
        return kind.values(codes if name in self.compounds else codes[:, 0])[0]

    def count(self, conditions: Conditions, low: Array, high: Array) -> int:
        """Count the different configurations of columns that all are grids between ``(n_var,)`` codes.

        See ``Conditions.count``. Where conditions ask for parts, it is an upper bound: as if there were none.
        """
        if not self.compounds:
            return conditions.count(low, high)
        first, last = low.astype(object), high.astype(object)
        for name, kind in self.compounds.items():
            first[self.places[name]] = last[self.places[name]] = 0
            last[self.places[name].start] = kind.n_values - 1
        n_values = map(int, last - first + 1)
        return math.prod(n_values) if self.asks_for_parts else conditions.count(first, last)


def _slices(widths: Mapping[str, int]) -> dict[str, slice]:
    ends = itertools.accumulate(widths.values())
    return {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}
