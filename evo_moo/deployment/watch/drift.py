"""Streams that have no limit: whether numbers are distributed as they were until now."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evo_moo.deployment.watch.detector import Detector
from evo_moo.deployment.watch.evidence import LEANINGS, UPWARDS, of_ranks
from evo_moo.deployment.watch.pool import Pool
from evo_moo.deployment.watch.streams import Events, Found, Terms, evidence_of, found_at


@dataclass
class DriftStream:
    """Whether numbers are distributed as they were until now.

    Attributes:
        terms: See ``Terms``.
        names: Names of the columns; one for each number, if there are so many.
        upwards_only: Whether only larger numbers are wrong.
        share: Share of the stream's false alarms.
        cuts: Cuts of the bins, of columns that have few values.
    """

    terms: Terms
    names: tuple[str, ...] = ()
    upwards_only: bool = False
    share: float = 1.0
    cuts: tuple[float, ...] = ()
    pool: Pool = field(default_factory=Pool)
    detector: Detector | None = None

    def __post_init__(self) -> None:
        if self.cuts:
            self.pool.cut([list(self.cuts)])

    def learn(self, events: Events) -> None:
        """See ``Stream``."""
        self.pool.learn(events.values)

    def feed(self, events: Events) -> Iterator[Found]:
        """See ``Stream``."""
        ranks, d = self.pool.ranks(events.values, events.rows, self.terms.salt), events.values.shape[1]
        n_bets = len(UPWARDS if self.upwards_only else LEANINGS)
        self.detector = self.detector or self.terms.detector(n_bets * d, self.share)
        late = events.only(np.arange(len(events.times) - len(ranks), len(events.times)))
        if not len(ranks):
            return
        log_e = of_ranks(ranks, upwards_only=self.upwards_only)
        for each in self.detector.advance(late.times, log_e, late.values):
            column, after = each.cell // n_bets, each.row + 1
            name = self.names[column] if column < len(self.names) else str(column) if d > 1 else ""
            n, rest = self.pool.n - (len(ranks) - after) - each.n, np.nansum(late.values[after:, column])
            yield found_at(each, late.times, name, float(self.pool.total[column] - rest - each.total) / max(n, 1))

    def evidence(self) -> float:
        """See ``Stream``."""
        return evidence_of(self.detector) if self.detector else 0.0

    def to_json(self) -> dict[str, Any]:
        """See ``Stream``."""
        return {"pool": self.pool.to_json(), "detector": self.detector.to_json() if self.detector else None}

    def restore(self, state: dict[str, Any]) -> None:
        """See ``Stream``."""
        self.pool.restore(state["pool"])
        if state["detector"] is not None:
            self.detector = self.terms.detector(len(state["detector"]["gains"]), self.share)
            self.detector.restore(state["detector"])
