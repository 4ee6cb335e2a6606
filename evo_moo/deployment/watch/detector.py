"""When to raise an alarm, so that false alarms are as rare as asked for: the detector of Shiryaev and Roberts.

While nothing is wrong, evidence that is gathered anew from every instant on grows no faster than time, in the mean.
An alarm is raised where it reaches ``threshold`` months, and gathering starts anew; so the expected number of false
alarms in T months is at most T / threshold, however often one looks, whatever the rate of events is, and whatever the
alarms of other detectors say (Shin, Ramdas and Rinaldo 2024, "E-detectors: a nonparametric framework for sequential
change detection"). Rates add up: detectors that share a number of alarms per month hold it together.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MONTH_S = 365.25 / 12 * 86_400
_MOST_NUMBERS = 2_000_000
"""Numbers of an array in memory."""


class Crossing(NamedTuple):
    """Where the evidence sufficed.

    Attributes:
        row: Index of the event.
        cell: The bet that had gained the most.
        months: The evidence: a false alarm with as much comes less than once in so many months.
        since: Time of the event after which that bet gained.
        n: Number of events since then.
        total: Sum of the watched numbers since then.
    """

    row: int
    cell: int
    months: float
    since: float
    n: int
    total: float


@dataclass
class Detector:
    """Evidence of several bets, gathered from every instant on.

    Attributes:
        threshold: Months at which an alarm is raised.
        rest_s: Seconds of rest after an alarm; also the longest time that one event counts for.
        log_months: ``(n_cells,)`` logarithm of the evidence of each bet.
        gains: ``(n_cells,)`` logarithm of what each bet has gained since it had lost everything.
        since: ``(n_cells,)`` times since when.
        n_since: ``(n_cells,)`` numbers of events since then.
        total: ``(n_cells,)`` sums of the watched numbers since then.
        last: Time of the last event, None before the first.
    """

    threshold: float
    rest_s: float
    log_months: Array
    gains: Array
    since: Array
    n_since: Array
    total: Array
    last: float | None = None

    @classmethod
    def new(cls, n_cells: int, threshold: float, rest_s: float) -> Self:
        """Return one without evidence."""
        zeros = np.zeros(n_cells)
        return cls(threshold, rest_s, zeros - np.inf, zeros, zeros + np.nan, np.zeros(n_cells, dtype=int), zeros)

    @property
    def months(self) -> float:
        """The evidence of all bets together: their mean."""
        return float(np.exp(np.logaddexp.reduce(self.log_months) - np.log(len(self.log_months))))

    def advance(self, times: Array, log_e: Array, values: Array) -> list[Crossing]:
        """Take events in their order, and return where alarms are raised.

        Args:
            times: ``(n,)`` seconds, which never fall.
            log_e: ``(n, n_cells)`` logarithms of factors of evidence, see ``evidence``.
            values: ``(n, d)`` numbers that are watched, each by ``n_cells / d`` bets in turn.
        """
        crossings: list[Crossing] = []
        at, n, block = 0, len(times), max(1, _MOST_NUMBERS // len(self.log_months))
        while at < n:
            if self.last is not None and times[at] < self.last:  # it rests
                at = max(at + 1, int(np.searchsorted(times, self.last, side="left")))
                continue
            stop = min(at + block, n)
            crossed = self._take(times[at:stop], log_e[at:stop], values[at:stop])
            if crossed is None:
                at = stop
                continue
            cell = int(np.argmax(self.log_months))
            since, n_since, total = float(self.since[cell]), int(self.n_since[cell]), float(self.total[cell])
            crossings.append(Crossing(at + crossed, cell, self.months, since, n_since, total))
            at += crossed + 1
            self._forget(float(times[at - 1]) + self.rest_s)
        return crossings

    def _take(self, times: Array, log_e: Array, values: Array) -> int | None:
        """Gather the evidence of events up to the first alarm; return the index of the event that raised it."""
        before = times[0] if self.last is None else self.last
        passed = np.minimum(np.diff(times, prepend=before), self.rest_s) / MONTH_S
        with np.errstate(divide="ignore"):
            log_passed = np.log(passed)
        sums = np.cumsum(log_e, axis=0)
        starts = np.concatenate([self.log_months[None], log_passed[:, None] - (sums - log_e)])
        log_months = sums + np.logaddexp.accumulate(starts, axis=0)[1:]
        together = np.logaddexp.reduce(log_months, axis=1) - np.log(log_months.shape[1])
        over = np.flatnonzero(together >= np.log(self.threshold))
        end = int(over[0]) if len(over) else len(times) - 1
        self.log_months, self.last = log_months[end], float(times[end])
        self._follow(times[: end + 1], sums[: end + 1], values[: end + 1])
        return end if len(over) else None

    def _follow(self, times: Array, sums: Array, values: Array) -> None:
        """Find the event after which each bet has gained: its lowest point (Page 1954)."""
        n, cells, paths = len(times), np.arange(sums.shape[1]), self.gains + sums
        lowest = n - 1 - np.argmin(paths[::-1], axis=0)
        is_new = paths[lowest, cells] <= 0
        until = np.cumsum(np.nan_to_num(values), axis=0)
        columns = cells // (len(cells) // values.shape[1])
        self.total = until[-1, columns] + np.where(is_new, -until[lowest, columns], self.total)
        self.since = np.where(is_new, times[lowest], self.since)
        self.since = np.where(np.isnan(self.since), times[0], self.since)
        self.gains = paths[-1] - np.where(is_new, paths[lowest, cells], 0.0)
        self.n_since = np.where(is_new, n - 1 - lowest, self.n_since + n)

    def _forget(self, last: float) -> None:
        fresh = self.new(len(self.gains), self.threshold, self.rest_s)
        self.log_months, self.gains, self.since = fresh.log_months, fresh.gains, fresh.since
        self.n_since, self.total, self.last = fresh.n_since, fresh.total, last

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain data; see ``restore``."""
        return {
            "log_months": [None if np.isinf(each) else each for each in self.log_months.tolist()],
            "gains": self.gains.tolist(),
            "since": [None if np.isnan(each) else each for each in self.since.tolist()],
            "n_since": self.n_since.tolist(),
            "total": self.total.tolist(),
            "last": self.last,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state that another had."""
        self.log_months = np.array([-np.inf if each is None else float(each) for each in state["log_months"]])
        self.since = np.array([np.nan if each is None else float(each) for each in state["since"]])
        self.gains, self.n_since = np.array(state["gains"], dtype=float), np.array(state["n_since"], dtype=int)
        self.total = np.array(state["total"], dtype=float)
        self.last = None if state["last"] is None else float(state["last"])
