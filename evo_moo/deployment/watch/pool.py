"""What numbers looked like until now, as counts in bins, and the ranks of new ones among them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.deployment.watch.evidence import chance_of_rows, uniform_ranks

Array = npt.NDArray[Any]
FIRST_ROWS = 256
"""Number of rows of the log that stand in for a reference: by them bins are cut."""
N_CUTS = 15
ROUNDING = 1e-3
_MOST_NUMBERS = 4_000_000


@dataclass
class Pool:
    """Numbers of ``d`` columns, seen until now.

    Bins are cut at quantiles of the first rows. Where these lie decides how much is noticed, never how often the watch
    is wrong. A value that equals a cut has a bin of its own, as has a missing one. Numbers that differ by a thousandth
    of a column's spread are equal: a log may round.

    Attributes:
        cuts: Of each column the ascending cuts; empty until there are enough rows.
        steps: Of each column what differences count from; 0 where all do.
        counts: ``(d, n_bins)`` of the values until now.
        first: Rows that wait for cuts.
        total: ``(d,)`` sums of the values.
        n: Number of rows.
    """

    cuts: list[list[float]] = field(default_factory=list)
    steps: Array = field(default_factory=lambda: np.zeros(0))
    counts: Array = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    first: list[list[float]] = field(default_factory=list)
    total: Array = field(default_factory=lambda: np.zeros(0))
    n: int = 0

    def learn(self, values: Array) -> None:
        """Take a reference ``(n, d)`` as the first rows; cuts that are set stay."""
        if not self.cuts:
            self._cut_at_quantiles(values)
        self._add(values)
        np.add.at(self.counts, (np.arange(values.shape[1])[None], self._codes(values)), 1)

    def _cut_at_quantiles(self, values: Array) -> None:
        at = np.arange(1, N_CUTS + 1) / (N_CUTS + 1)
        columns = [column[~np.isnan(column)] for column in values.T]
        steps = np.array([_spread(column) * ROUNDING for column in columns])
        columns = [_rounded(column[:, None], step)[:, 0] for column, step in zip(columns, steps, strict=True)]
        self.cut([np.unique(np.quantile(c, at, method="inverted_cdf")).tolist() if len(c) else [] for c in columns])
        self.steps = steps

    def cut(self, cuts: list[list[float]]) -> None:
        """Set the cuts of all columns; nothing has been seen yet."""
        self.cuts, self.total, self.steps = cuts, np.zeros(len(cuts)), np.zeros(len(cuts))
        self.counts = np.zeros((len(cuts), 2 * max(map(len, cuts), default=0) + 2), dtype=np.int64)

    @property
    def mean(self) -> Array:
        """Mean of each column until now, ``(d,)``."""
        return self.total / max(self.n, 1)

    def ranks(self, values: Array, rows: Array, salt: int) -> Array:
        """Return the ranks of new rows ``(n, d)`` among all before them; the first rows of a log have none.

        Args:
            values: The rows in their order.
            rows: ``(n,)`` numbers of the rows, which decide between equal values.
            salt: Makes that decision another one.

        Returns:
            ``(m, d)`` ranks of the last ``m`` rows.
        """
        if not self.cuts:
            n_first = FIRST_ROWS - len(self.first)
            self.first += values[:n_first].tolist()
            if len(self.first) < FIRST_ROWS:
                return np.zeros((0, values.shape[1]))
            self.learn(np.array(self.first, dtype=float))
            self.first, values, rows = [], values[n_first:], rows[n_first:]
        self._add(values)
        codes, block = self._codes(values), max(1, _MOST_NUMBERS // self.counts.size)
        parts = [
            uniform_ranks(self.counts, codes[i : i + block], chance_of_rows(rows[i : i + block], len(self.cuts), salt))
            for i in range(0, len(codes), block)
        ]
        return np.concatenate([np.zeros((0, values.shape[1])), *parts])

    def _add(self, values: Array) -> None:
        self.total = self.total + np.nan_to_num(values).sum(axis=0)
        self.n += len(values)

    def _codes(self, values: Array) -> Array:
        codes, values = np.empty(values.shape, dtype=np.int64), _rounded(values, self.steps)
        for j, cuts in enumerate(self.cuts):
            column = values[:, j]
            codes[:, j] = np.searchsorted(cuts, column, "left") + np.searchsorted(cuts, column, "right")
            codes[np.isnan(column), j] = self.counts.shape[1] - 1
        return codes

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain data; see ``restore``."""
        first = [[None if np.isnan(each) else each for each in row] for row in self.first]
        counts = self.counts.tolist()
        state = {"cuts": self.cuts, "steps": self.steps.tolist(), "counts": counts, "first": first}
        return state | {"total": self.total.tolist(), "n": self.n}

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state that another had."""
        self.cuts = [[float(each) for each in cuts] for cuts in state["cuts"]]
        self.steps = np.array(state["steps"], dtype=float)
        counts = np.array(state["counts"], dtype=np.int64)
        self.counts = counts.reshape(len(self.cuts), -1 if self.cuts else 0)
        self.first = [[np.nan if each is None else float(each) for each in row] for row in state["first"]]
        self.total, self.n = np.array(state["total"], dtype=float), int(state["n"])


def _spread(column: Array) -> float:
    """Return the range of nearly all values of a column, or of all where nearly all are equal."""
    if not len(column):
        return 0.0
    low, high = np.quantile(column, [0.05, 0.95])
    return float(high - low) or float(np.ptp(column))


def _rounded(values: Array, steps: Array | float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(steps) > 0, np.round(values / steps) * steps, values)
