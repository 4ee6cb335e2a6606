"""How variables stand in columns of numbers: bounds, grids, logarithms, and a 0 below a logarithm."""

from collections.abc import Collection

import numpy as np

from evo_moo.space.rounding import round_significant
from evo_moo.space.variable import Array, Variable

TINY = 1e-9
ZERO_SHARE = 0.2
"""Of a column in log scale whose variable may also be 0: so much of it, at its lower end, stands for 0."""


class Encoding:
    """The columns of variables, each by itself; which exist is not looked at.

    A variable that may be 0 beside a range in log scale has one column: its lowest fifth is 0, with the middle of that
    as the canonical place. So 0 is drawn with a chance of one in five, operators come and go as from one value to the
    next, and models see 0 a ninth of the range below the lowest other value.

    Attributes:
        xl: ``(n_var,)`` lower bounds of the columns.
        xu: ``(n_var,)`` upper bounds of the columns.
        low: ``(n_var,)`` smallest codes.
        high: ``(n_var,)`` largest codes.
        wide_xl: Lower bounds with half a step more where a column is a grid.
        wide_xu: Upper bounds, likewise.
        grid: ``(n_var,)`` mask of the columns of whole numbers.
        log: ``(n_var,)`` mask of the columns that hold natural logarithms.
        category: ``(n_var,)`` mask of the columns whose codes have no order.
        zero_edge: ``(n_var,)`` what of a column stands for 0 lies below it; minus infinity where nothing does.
    """

    def __init__(self, kinds: Collection[Variable]) -> None:
        self.grid = np.array([kind.grid for kind in kinds])
        self.log = np.array([getattr(kind, "log", False) for kind in kinds])
        self.category = np.array([kind.has_options and not getattr(kind, "ordered", False) for kind in kinds])
        self._log_columns = np.flatnonzero(self.log)
        self._log_reals = np.flatnonzero(self.log & ~self.grid)
        self.low, self.high = np.array([kind.span for kind in kinds]).T
        half = np.where(self.grid, 0.5, 0.0)
        self._zeros = zeros = np.flatnonzero([getattr(kind, "zero", False) for kind in kinds])
        self._first = np.array([getattr(kind, "low", 0.0) for kind in kinds], dtype=object)[zeros].astype(float)
        self._edge_codes = self._first - half[zeros]
        self.zero_edge = np.full(len(self.low), -np.inf)
        self.zero_edge[zeros] = edges = np.log(self._edge_codes)
        self._gaps = (np.log(self.high[zeros] + half[zeros]) - edges) * ZERO_SHARE / (1 - ZERO_SHARE)
        ends = np.stack([self.low, self.high, self.low - half, self.high + half])
        self.xl, self.xu, self.wide_xl, self.wide_xu = self.columns(ends)
        self.wide_xl[zeros] = edges - self._gaps
        self.zero_edge[zeros] = edges - TINY * self._gaps  # what is rounded to just below low is no 0

    def codes(self, X: Array) -> Array:
        """Return the codes of ``(n, n_var)`` rows, put inside the bounds and on the grid."""
        codes = np.minimum(np.maximum(X, self.xl), self.xu)
        is_zero = np.take(codes, self._zeros, axis=1) < self.zero_edge[self._zeros]
        # Contiguous blocks: NumPy may take another code path, off by one bit, for strided input.
        if self._log_columns.size:
            codes[:, self._log_columns] = np.exp(np.take(codes, self._log_columns, axis=1))
        if self._log_reals.size:
            codes[:, self._log_reals] = round_significant(np.take(codes, self._log_reals, axis=1))
        np.rint(codes, out=codes, where=self.grid)
        # Adding 0 turns -0.0 into 0.0, which has other bytes.
        codes = np.asarray(np.minimum(np.maximum(codes, self.low), self.high) + 0.0)
        if self._zeros.size:
            others = np.maximum(np.take(codes, self._zeros, axis=1), self._first)
            codes[:, self._zeros] = np.where(is_zero, self.low[self._zeros], others)
        return codes

    def of_column(self, column: int, values: Array) -> Array:
        """Return the codes of ``(n,)`` values of a column without a 0 beside it, wherever its bounds are."""
        codes = np.exp(values) if self.log[column] else values
        if self.grid[column]:
            return np.rint(codes)
        return round_significant(codes) if self.log[column] else codes

    def wide(self, column: int, low: Array, high: Array) -> tuple[Array, Array]:
        """Return the values of a column for ``(n,)`` smallest and largest codes, half a step wider on a grid."""
        half = 0.5 if self.grid[column] else 0.0
        return (np.log(low - half), np.log(high + half)) if self.log[column] else (low - half, high + half)

    def columns(self, codes: Array) -> Array:
        """Return the rows of ``(n, n_var)`` codes: logarithms where the range is searched in log scale."""
        X = codes.copy()
        if self._zeros.size:
            X[:, self._zeros] = np.maximum(np.take(codes, self._zeros, axis=1), self._edge_codes)
        if self._log_columns.size:
            X[:, self._log_columns] = np.log(np.take(X, self._log_columns, axis=1))
        if self._zeros.size:
            beyond = np.take(codes, self._zeros, axis=1) - self._edge_codes
            below = np.where(self.grid[self._zeros], beyond, -0.5) * self._gaps + self.zero_edge[self._zeros]
            X[:, self._zeros] = np.where(beyond < 0, below, np.take(X, self._zeros, axis=1))
        return X
