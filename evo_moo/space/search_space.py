"""The search space: named variables, encoded once into a matrix of numbers that the search works on.

One row of the ``(n, n_var)`` matrix is one configuration, one column one variable, or a part of one that has several.
A *canonical* row is the only row of its configuration: inside the bounds, on the grid of whole numbers, with parts that
make up a value, and with every column that is not active at its lower bound. Two canonical rows are equal exactly when
their configurations are.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from evo_moo.errors import SpaceError
from evo_moo.space.bounds import Bounds, RowBounds, resolved
from evo_moo.space.conditions import Conditions, Region, when_text
from evo_moo.space.dotted import flat
from evo_moo.space.encoding import Encoding
from evo_moo.space.faults import space_faults
from evo_moo.space.layout import Layout
from evo_moo.space.unit_points import Method, unit_points
from evo_moo.space.variables import Array, Mask, Variable
from evo_moo.values import plain

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Configuration = dict[str, Any]
SAMPLING_ROUNDS = 16
MOST_LAID_OUT = 100_000
"""Combinations of values that are laid out to be counted."""


class SearchSpace:
    """Named variables with their conditions and forbidden combinations.

    Attributes:
        variables: Name to variable, in declaration order, which is the order of the columns.
        forbidden: Name of a rule to a predicate; configurations for which it is true are never drawn.
        names: Names of the variables.
        layout: Which columns hold which variable.
        n_var: Number of columns.
        xl: ``(n_var,)`` lower bounds of the columns.
        xu: ``(n_var,)`` upper bounds of the columns.
        low: ``(n_var,)`` smallest codes.
        high: ``(n_var,)`` largest codes.
        wide_xl: Lower bounds with half a step more where a column is a grid, so that equal widths round to
            each value.
        wide_xu: Upper bounds, likewise.
        grid: ``(n_var,)`` mask of the columns of whole numbers.
        log: ``(n_var,)`` mask of the columns that hold natural logarithms.
        category: ``(n_var,)`` mask of the columns whose codes have no order.
        zero_edge: ``(n_var,)`` what of a column stands for a 0 beside a range in log scale lies below it; minus
            infinity where nothing does.
    """

    def __init__(
        self, variables: Mapping[str, Variable], forbidden: Mapping[str, Callable[[Configuration], bool]] | None = None
    ) -> None:
        """Check the definition and lay out the columns.

        Raises:
            SpaceError: The definition has faults; the message lists all, one per line.
        """
        self.variables, of_bounds = resolved(variables)
        self.forbidden = dict(forbidden or {})
        self.names = tuple(self.variables)
        self._has_dots = any("." in str(name) for name in self.names)
        if faults := space_faults(self.variables, self.forbidden, of_bounds):
            raise SpaceError("\n".join(faults))
        self.layout = Layout(self.variables)
        self.n_var = len(self.layout.parts)
        self._conditions = Conditions(self.layout.parts)
        self._encoding = e = Encoding(self.layout.parts.values())
        self._bounds = Bounds(self.layout.parts, self._conditions, e)
        self.grid, self.log, self.category, self.zero_edge = e.grid, e.log, e.category, e.zero_edge
        self.low, self.high, self.xl, self.xu = e.low, e.high, e.xl, e.xu
        self.wide_xl, self.wide_xu = e.wide_xl, e.wide_xu

    @classmethod
    def from_configspace(cls, cs: "ConfigurationSpace") -> "SearchSpace":
        """Take a space over from ConfigSpace; see ``variables_of`` in ``evo_moo.space.configspace.reading``.

        Raises:
            ImportError: ConfigSpace is not installed.
            SpaceError: The space says something that evo-moo has no words for.
        """
        from evo_moo.space.configspace.reading import variables_of

        return cls(*variables_of(cs))

    def to_configspace(self) -> "ConfigurationSpace":
        """Return the space as ConfigSpace has it; see ``evo_moo.space.configspace.writing.configuration_space``.

        Raises:
            ImportError: ConfigSpace is not installed.
            SpaceError: The space says something that ConfigSpace has no words for.
        """
        from evo_moo.space.configspace.writing import configuration_space

        if self.forbidden:
            raise SpaceError(
                f"ConfigSpace has no functions as rules, but there are {', '.join(self.forbidden)}; drop them"
            )
        return configuration_space(self.variables)

    def __repr__(self) -> str:
        return f"SearchSpace({self.variables})"

    def canonical(self, X: npt.ArrayLike) -> Array:
        """Return the canonical rows nearest to any ``(n, n_var)`` rows; canonical rows come back unchanged.

        Raises:
            SpaceError: The matrix has another shape, or holds NaN.
        """
        codes = self.codes(X)
        return np.where(self._conditions.active(codes), self.columns(codes), self.xl)

    def active(self, X: npt.ArrayLike) -> Mask:
        """Return the ``(n, n_var)`` mask of the columns that exist in each row's configuration."""
        return self._conditions.active(self.codes(X))

    def needed(self, column: int) -> dict[int, Region]:
        """Return the codes that the ancestors of a column, by theirs, must all have for it to exist."""
        return self._conditions.needed[column]

    def has_alternatives(self, column: int) -> bool:
        """Return whether there are several ways for a column to exist, so that ``needed`` has room for all of them."""
        return self._conditions.has_alternatives[column]

    def codes(self, X: npt.ArrayLike, of_rows: bool = True) -> Array:
        """Return the codes of ``(n, n_var)`` rows, put inside the bounds, those ``of_rows`` too, and on the grid."""
        X = self._checked(X)
        codes = self.layout.repaired(self._encoding.codes(X), np.minimum(np.maximum(X, self.xl), self.xu))
        return self._bounds.inside(codes) if of_rows else codes

    def columns(self, codes: Array) -> Array:
        """Return the rows of ``(n, n_var)`` codes: logarithms where the range is searched in log scale."""
        return self._encoding.columns(codes)

    def decode(self, X: npt.ArrayLike) -> list[Configuration]:
        """Return the configurations of ``(n, n_var)`` rows: active variables only, as plain Python values."""
        codes = self.codes(X)
        active = self._conditions.active(codes)[:, self.layout.first]
        rows = zip(zip(*self.layout.values(codes), strict=True), active.tolist(), strict=True)
        return [dict(itertools.compress(zip(self.names, row, strict=True), active)) for row, active in rows]

    def flat(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values of some variables by their names, where tables may stand for names with dots."""
        return flat(values, self.names) if self._has_dots else dict(values)

    def codes_of_values(self, values: Mapping[str, Any]) -> dict[int, float]:
        """Return the columns of some variables' values to their codes.

        Raises:
            SpaceError: A variable is unknown, or a value is none of it.
        """
        codes: dict[int, float] = {}
        for name, value in values.items():
            if name not in self.variables:
                raise SpaceError(f"`{name}`: unknown variable; known are {', '.join(self.names)}")
            try:
                codes |= self.layout.codes(name, value)
            except ValueError as fault:
                raise SpaceError(f"`{name}`: {fault}") from None
        return codes

    def encode(self, configurations: Sequence[Mapping[str, Any]]) -> Array:
        """Return the canonical ``(n, n_var)`` rows of configurations.

        Values of a real in log scale are rounded to 12 significant digits.

        Raises:
            SpaceError: A configuration is none of this space: a name is unknown, an active variable is
                missing, an inactive one is given, a value is out of range, or a rule forbids it.
        """
        codes = np.tile(self.low, (len(configurations), 1))
        configurations = [self.flat(each) if isinstance(each, Mapping) else plain(each) for each in configurations]
        for row, configuration in zip(codes, configurations, strict=True):
            if not isinstance(configuration, Mapping):
                raise SpaceError(f"a configuration must map names to values, but is {configuration!r}")
            for column, code in self.codes_of_values(configuration).items():
                row[column] = code
        X = self.canonical(self.columns(codes))
        for active, configuration in zip(self.active(X), configurations, strict=True):
            self._check_presence(active, configuration)
        for row, column in self._bounds.outside(codes):
            name, configuration = self.layout.owners[column], configurations[row]
            if name in configuration:
                words = f"must lie in {self.variables[name].text()}, but is {configuration[name]!r}"
                raise SpaceError(f"`{name}`: {words} in {dict(configuration)}")
        for configuration in self.decode(X) if self.forbidden else ():
            if rule := self._broken_rule(configuration):
                raise SpaceError(f"the rule `{rule}` forbids {configuration}; change one of its values")
        return X

    def sample(self, n: int, rng: np.random.Generator, method: Method = "random") -> Array:
        """Draw ``(n, n_var)`` canonical rows, none of them forbidden; rows may repeat.

        Every integer and every option is equally likely; in log scale, equally long stretches of it are. So is every
        size of a subset, every ordering, and every mixture of shares.

        Args:
            n: Number of rows.
            rng: Source of all randomness.
            method: ``"random"``, ``"sobol"`` (scrambled) or ``"lhs"`` (Latin hypercube).

        Raises:
            SpaceError: The method is unknown, or hardly any configuration passes the forbidden rules.
        """
        X = np.empty((0, self.n_var))
        for doubling in range(SAMPLING_ROUNDS):
            more = self.canonical(self.draw(max(n, min(n << doubling, 8192)), rng, method))
            X = np.concatenate([X, more[self.allowed(more)]])
            if len(X) >= n:
                return X[:n]
        raise SpaceError(
            f"the forbidden rules must leave enough to draw from, but only {len(X)} of {n} rows were found "
            f"({', '.join(self.forbidden)}); loosen them, or say the same by narrower ranges or `when`"
        )

    def draw(self, n: int, rng: np.random.Generator, method: Method = "random") -> Array:
        """Draw ``(n, n_var)`` raw rows, uniform between the wide bounds; ``canonical`` makes them valid.

        Args:
            n: Number of rows.
            rng: Source of all randomness.
            method: As in ``sample``.
        """
        if method not in get_args(Method):
            raise SpaceError(f"`method` must be random, sobol or lhs, but is {method!r}")
        return self.of_unit(unit_points(n, self.layout.n_unit, rng, method))

    def of_unit(self, unit: Array) -> Array:
        """Return the raw rows, ``(n, n_var)``, that ``(n, layout.n_unit)`` points of the unit cube stand for."""
        return self._bounds.spread(self.layout.of_unit(unit, self.wide_xl, self.wide_xu))

    def bounds_of(self, codes: Array) -> RowBounds:
        """Return the bounds of the rows of ``(n, n_var)`` codes, which differ where they are values of variables."""
        return self._bounds.of_rows(codes)

    def allowed(self, X: npt.ArrayLike) -> Mask:
        """Return the ``(n,)`` mask of the rows that no rule forbids.

        Raises:
            SpaceError: A rule raised an exception.
        """
        if not self.forbidden:
            return np.ones(len(self._checked(X)), dtype=bool)
        return np.array([self._broken_rule(config) is None for config in self.decode(X)], dtype=bool)

    def size(self) -> int | float:
        """Count the different configurations, forbidden ones included; infinite with a ``Real``.

        Conditions so entangled that counting would take too long make it an upper bound: the count as if all
        variables were always active. So do bounds that name variables, but in small spaces.
        """
        combinations = math.prod((self.high - self.low + 1).tolist())
        if self.grid.all() and self._bounds.has_any and not self.layout.compounds and combinations <= MOST_LAID_OUT:
            codes = np.indices((self.high - self.low + 1).astype(int)).reshape(self.n_var, -1).T + self.low
            return len(np.unique(self.canonical(self.columns(codes)), axis=0))
        return self.layout.count(self._conditions, self.low, self.high) if self.grid.all() else math.inf

    def describe(self) -> list[dict[str, str]]:
        """List the variables for a table: ``name``, ``kind``, ``range``, ``log`` and ``condition``."""
        return [
            {
                "name": name,
                "kind": kind.kind,
                "range": kind.text(),
                "log": "log" if getattr(kind, "log", False) else "",
                "condition": when_text(kind),
            }
            for name, kind in self.variables.items()
        ]

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Describe the variables as plain data: their ``kind``, then what it was declared with."""
        return {name: kind.to_json() for name, kind in self.variables.items()}

    def _checked(self, X: npt.ArrayLike) -> Array:
        X = np.asarray(X, dtype=float)
        if X.size == 0:
            X = X.reshape(-1, self.n_var)
        if X.ndim != 2 or X.shape[1] != self.n_var:
            raise SpaceError(f"rows must have the shape (n, {self.n_var}), but have {X.shape}")
        if np.isnan(X).any():
            name = list(self.layout.parts)[int(np.isnan(X).any(axis=0).argmax())]
            raise SpaceError(f"`{name}`: a column must hold numbers, but holds NaN")
        return X

    def _check_presence(self, active: Mask, configuration: Mapping[str, Any]) -> None:
        for i in self._conditions.order:
            name = self.layout.owners[i]
            if active[i] and name not in configuration:
                raise SpaceError(f"`{name}`: must be given, but is missing in {dict(configuration)}")
            if not active[i] and name in configuration:
                raise SpaceError(
                    f"`{name}`: exists only when {when_text(self.variables[name])}, but is given as "
                    f"{configuration[name]!r}; leave it out of {dict(configuration)}"
                )

    def _broken_rule(self, configuration: Configuration) -> str | None:
        for rule, predicate in self.forbidden.items():
            try:
                broken = bool(predicate(configuration))
            except Exception as error:
                raise SpaceError(
                    f"the rule `{rule}` must say yes or no, but raised {type(error).__name__}: {error} for "
                    f"{configuration}; inactive variables are absent, read them with .get"
                ) from error
            if broken:
                return rule
        return None
