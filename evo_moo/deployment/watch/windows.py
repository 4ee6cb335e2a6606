"""What a log showed in each window of time: the numbers that a page draws. No alarm depends on them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evo_moo.deployment.watch.evidence import N_CALIBRATION_BINS
from evo_moo.deployment.watch.streams import Events

MOST_WINDOWS = 500
_GROWTH = math.log(1.01)
_LEAST_MS = 1e-4
_SUMS = ("n", "failed", "labelled", "right", "error", "answered", "positive")


@dataclass
class Window:
    """Sums over one window.

    Attributes:
        sums: Of events and of what counts: see ``_SUMS``.
        latencies: Numbers of latencies in bins that are 1 % wide.
        calibration: In bins of confidence the number of events and the sum of errors.
        groups: Names to sums of their own.
        evidence: What is watched to its evidence at the end, as a share of what an alarm takes.
    """

    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0.0))
    latencies: dict[str, int] = field(default_factory=dict)
    calibration: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0] for _ in range(N_CALIBRATION_BINS)])
    groups: dict[str, dict[str, float]] = field(default_factory=dict)
    evidence: dict[str, float] = field(default_factory=dict)

    def add(self, columns: Mapping[str, Events], n: int) -> None:
        """Count the columns of ``n`` rows."""
        self.sums["n"] += n
        for name, (events, (of_all, of_those)) in _pairs(columns):
            values = events.values[:, 0]
            counted = 1 - values if name == "wrong" else values
            self._count(self.sums, of_all, of_those, counted)
            for group in sorted(set(events.groups.tolist()) - {""}) if of_all else ():
                sums = self.groups.setdefault(group, dict.fromkeys(_SUMS, 0.0))
                self._count(sums, of_all, of_those, counted[events.groups == group])
        if "latency" in columns:
            bins = np.ceil(np.log(np.maximum(columns["latency"].values[:, 0], _LEAST_MS)) / _GROWTH).astype(int)
            for each, times in zip(*np.unique(bins, return_counts=True), strict=True):
                self.latencies[str(each)] = self.latencies.get(str(each), 0) + int(times)
        if "calibration" in columns:
            confidence, errors = columns["calibration"].values.T
            bins = np.minimum((confidence * N_CALIBRATION_BINS).astype(int), N_CALIBRATION_BINS - 1)
            for each in np.unique(bins).tolist():
                self.calibration[each][0] += int((bins == each).sum())
                self.calibration[each][1] += float(errors[bins == each].sum())

    @staticmethod
    def _count(sums: dict[str, float], of_all: str, of_those: str, values: Any) -> None:
        if of_all:
            sums[of_all] += len(values)
        sums[of_those] += float(values.sum())

    def metrics(self) -> dict[str, float]:
        """Return the metrics that are known of the window."""
        found = _shares(self.sums)
        known = [each for each in (_shares(sums) for sums in self.groups.values()) if each]
        by_group = [each["accuracy"] for each in known if "accuracy" in each]
        rates = [each["positive_share"] for each in known if "positive_share" in each]
        if len(by_group) > 1:
            found |= {"worst_group_accuracy": min(by_group), "accuracy_gap": max(by_group) - min(by_group)}
        if len(rates) > 1:
            found["demographic_parity_difference"] = max(rates) - min(rates)
        for name, sums in self.groups.items():
            found |= {f"{metric} of {name}": value for metric, value in _shares(sums).items()}
        if total := sum(n for n, _ in self.calibration):
            found["calibration_error"] = sum(abs(error) for _, error in self.calibration) / total
        if self.latencies:
            found |= {f"latency_p{q}_ms": self._latency(q / 100) for q in (50, 95, 99)}
        if self.sums["failed"]:
            found["failed_share"] = self.sums["failed"] / self.sums["n"]
        return found

    def _latency(self, q: float) -> float:
        bins = sorted((int(each), times) for each, times in self.latencies.items())
        up_to = np.cumsum([times for _, times in bins])
        at = int(np.searchsorted(up_to, q * up_to[-1]))
        return math.exp((bins[at][0] - 0.5) * _GROWTH)

    def to_json(self) -> dict[str, Any]:
        """Return the sums as plain data."""
        return dict(vars(self))


_COUNTED = {
    "failed": ("", "failed"),
    "wrong": ("labelled", "right"),
    "error": ("labelled", "error"),
    "positive": ("answered", "positive"),
}


def _pairs(columns: Mapping[str, Events]) -> list[tuple[str, tuple[Events, tuple[str, str]]]]:
    return [(name, (columns[name], sums)) for name, sums in _COUNTED.items() if name in columns]


def _shares(sums: Mapping[str, float]) -> dict[str, float]:
    found = {}
    if sums["labelled"] and not sums["error"]:
        found["accuracy"] = sums["right"] / sums["labelled"]
    elif sums["labelled"]:
        found["mean_absolute_error"] = sums["error"] / sums["labelled"]
    if sums["answered"]:
        found["positive_share"] = sums["positive"] / sums["answered"]
    return found


@dataclass
class Windows:
    """Windows of equal length, counted from the epoch; of very many the last ones.

    Attributes:
        length_s: Length of each.
        table: Numbers of windows to their sums.
    """

    length_s: float
    table: dict[int, Window] = field(default_factory=dict)

    def at(self, time: float) -> Window:
        """Return the window of a time, a new one for a new time."""
        window = self.table.setdefault(int(time // self.length_s), Window())
        while len(self.table) > MOST_WINDOWS:
            del self.table[next(iter(self.table))]
        return window

    def rows(self) -> list[tuple[float, Window]]:
        """Return the beginnings of all windows, in seconds, and the windows, in order."""
        return [(number * self.length_s, window) for number, window in sorted(self.table.items())]

    def to_json(self) -> dict[str, Any]:
        """Return the sums as plain data; see ``restore``."""
        return {str(number): window.to_json() for number, window in self.table.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state that others had."""
        self.table = {int(number): Window(**window) for number, window in state.items()}
