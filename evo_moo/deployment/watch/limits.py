"""Streams that have a limit: a share, a calibration error, a gap between two groups."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from evo_moo.deployment.watch.evidence import GAPS, N_CALIBRATION_BINS, STAKES, STEPS, of_gap, of_mean, of_share
from evo_moo.deployment.watch.streams import Events, Found, Terms, evidence_of, found_at

BLOCK = 50
"""Number of events of two groups in a block."""


@dataclass
class ShareStream:
    """Whether the share of bad events stays below a limit; values are 1 where an event is bad."""

    terms: Terms
    limit: float
    share: float = 1.0

    def __post_init__(self) -> None:
        self.detector = self.terms.detector(len(STEPS), self.share)

    def learn(self, events: Events) -> None:
        """See ``Stream``."""

    def feed(self, events: Events) -> Iterator[Found]:
        """See ``Stream``."""
        for each in self.detector.advance(events.times, of_share(events.values[:, 0], self.limit), events.values):
            yield found_at(each, events.times, "", self.limit)

    def evidence(self) -> float:
        """See ``Stream``."""
        return evidence_of(self.detector)

    def to_json(self) -> dict[str, Any]:
        """See ``Stream``."""
        return self.detector.to_json()

    def restore(self, state: dict[str, Any]) -> None:
        """See ``Stream``."""
        self.detector.restore(state)


@dataclass
class CalibrationStream:
    """Whether the expected calibration error stays below a limit.

    Values are ``(n, 2)``: confidence, and confidence minus 1 where it was right, or 0. In each of ten bins of
    confidence the sign of the error is guessed from what came before; the mean of the signed errors is at most the
    calibration error (Naeini, Cooper and Hauskrecht 2015) in those bins.
    """

    terms: Terms
    limit: float

    def __post_init__(self) -> None:
        self.detector = self.terms.detector(len(STAKES))
        self.sums = np.zeros(N_CALIBRATION_BINS)

    def learn(self, events: Events) -> None:
        """See ``Stream``."""

    def feed(self, events: Events) -> Iterator[Found]:
        """See ``Stream``."""
        confidence, errors = events.values.T
        bins = np.minimum((confidence * N_CALIBRATION_BINS).astype(int), N_CALIBRATION_BINS - 1)
        apart = np.zeros((len(bins), N_CALIBRATION_BINS))
        apart[np.arange(len(bins)), bins] = errors
        before = self.sums + np.cumsum(apart, axis=0) - apart
        signed = np.sign(before[np.arange(len(bins)), bins]) * errors
        self.sums = self.sums + apart.sum(axis=0)
        for each in self.detector.advance(events.times, of_mean(signed, self.limit), signed[:, None]):
            yield found_at(each, events.times, "", self.limit)

    def evidence(self) -> float:
        """See ``Stream``."""
        return evidence_of(self.detector)

    def to_json(self) -> dict[str, Any]:
        """See ``Stream``."""
        return {"sums": self.sums.tolist(), "detector": self.detector.to_json()}

    def restore(self, state: dict[str, Any]) -> None:
        """See ``Stream``."""
        self.sums = np.array(state["sums"], dtype=float)
        self.detector.restore(state["detector"])


@dataclass
class PairStream:
    """Whether the share of one group exceeds that of another by more than a limit; values are 1 where it counts."""

    terms: Terms
    limit: float
    share: float = 1.0

    def __post_init__(self) -> None:
        self.detector = self.terms.detector(len(GAPS), self.share)
        self.seen = np.zeros((2, 2))  # (events, those that count) of both groups
        self.waiting: list[tuple[float, int, float]] = []

    def feed_pair(self, events: Events, names: tuple[str, str]) -> Iterator[Found]:
        """Take events of both groups, and say what raised alarms."""
        second = (events.groups == names[1]).astype(int).tolist()
        self.waiting += list(zip(events.times.tolist(), second, events.values[:, 0].tolist(), strict=True))
        n_blocks = len(self.waiting) // BLOCK
        if not n_blocks:
            return
        blocks = np.array(self.waiting[: n_blocks * BLOCK]).reshape(n_blocks, BLOCK, 3)
        self.waiting = self.waiting[n_blocks * BLOCK :]
        is_of = np.stack([blocks[:, :, 1] == 0, blocks[:, :, 1] == 1], axis=2)
        n, k = is_of.sum(axis=1), (is_of * blocks[:, :, 2:]).sum(axis=1)
        both = np.stack([n, k], axis=1)
        before = self.seen + np.cumsum(both, axis=0) - both
        self.seen = self.seen + both.sum(axis=0)
        rates = (before[:, 1] + 0.5) / (before[:, 0] + 1)
        kept = n.min(axis=1) > 0
        times, n, k, expected = blocks[kept, -1, 0], n[kept], k[kept], rates.mean(axis=1)[kept]
        if not len(times):
            return
        gaps = k[:, :1] / n[:, :1] - k[:, 1:] / n[:, 1:]
        for each in self.detector.advance(times, of_gap(n, k, expected, self.limit), gaps):
            found = found_at(each, times, f"{names[0]} above {names[1]}", self.limit)
            yield found._replace(n=each.n * BLOCK)

    def evidence(self) -> float:
        """See ``Stream``."""
        return evidence_of(self.detector)

    def to_json(self) -> dict[str, Any]:
        """See ``Stream``."""
        return {"seen": self.seen.tolist(), "waiting": self.waiting, "detector": self.detector.to_json()}

    def restore(self, state: dict[str, Any]) -> None:
        """See ``Stream``."""
        self.seen = np.array(state["seen"], dtype=float)
        self.waiting = [(float(time), int(side), float(value)) for time, side, value in state["waiting"]]
        self.detector.restore(state["detector"])
