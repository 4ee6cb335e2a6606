"""What is watched as streams of events: what goes in, and what raises an alarm; the same for each group."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from evo_moo.deployment.watch.detector import Crossing, Detector

Array = npt.NDArray[Any]


class Events(NamedTuple):
    """Events of one kind, in their order.

    Attributes:
        times: ``(n,)`` seconds, which never fall.
        rows: ``(n,)`` numbers of the rows in the log.
        values: ``(n, d)`` what is watched.
        groups: ``(n,)`` names of groups; empty where there is none.
    """

    times: Array
    rows: Array
    values: Array
    groups: Array

    def only(self, kept: Array) -> "Events":
        """Return those of a mask or of indices."""
        return Events(self.times[kept], self.rows[kept], self.values[kept], self.groups[kept])


class Found(NamedTuple):
    """What raised an alarm.

    Attributes:
        time: When.
        since: From when on evidence had gathered.
        n: Number of events since then.
        months: See ``Crossing``.
        part: The group or the column; empty where there is one only.
        promised: The limit, or the mean until then.
        measured: The mean since then.
    """

    time: float
    since: float
    n: int
    months: float
    part: str
    promised: float
    measured: float


@dataclass(frozen=True)
class Terms:
    """What all detectors of a stream share.

    Attributes:
        threshold: Months of evidence at which it raises an alarm.
        rest_s: See ``Detector``.
        salt: Makes chance decide otherwise than in other streams.
    """

    threshold: float
    rest_s: float
    salt: int = 0

    def detector(self, n_cells: int, share: float = 1.0) -> Detector:
        """Return a detector that takes a share of the stream's false alarms."""
        return Detector.new(n_cells, self.threshold / share, self.rest_s)


class Stream(Protocol):
    """What is watched."""

    def learn(self, events: Events) -> None:
        """Take what came before the log; a limit needs none."""

    def feed(self, events: Events) -> Iterator[Found]:
        """Take events, and say what raised alarms."""

    def evidence(self) -> float:
        """Return the evidence at the end as a share of what an alarm takes."""

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain data."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state that another had."""


def evidence_of(detector: Detector) -> float:
    """Return the evidence as a share of what an alarm takes."""
    return detector.months / detector.threshold


def found_at(crossing: Crossing, times: Array, part: str, promised: float) -> Found:
    """Return a crossing as what was found."""
    time, mean = float(times[crossing.row]), crossing.total / max(crossing.n, 1)
    return Found(time, crossing.since, crossing.n, crossing.months, part, promised, mean)


def share_of(k: int) -> float:
    """Return the k-th of shares that add up to 1, whatever their number."""
    return 1 / ((k + 1) * (k + 2))


@dataclass
class GroupStreams:
    """The same stream for each group, whose number nobody knows before."""

    make: Callable[[float], Any]
    streams: dict[str, Any] = field(default_factory=dict)

    def stream(self, name: str) -> Any:
        """Return the stream of a group, a new one for a new group."""
        if name not in self.streams:
            self.streams[name] = self.make(share_of(len(self.streams)))
        return self.streams[name]

    def learn(self, events: Events) -> None:
        """See ``Stream``."""
        for name in np.unique(events.groups[events.groups != ""]).tolist():
            self.stream(name).learn(events.only(events.groups == name))

    def feed(self, events: Events) -> Iterator[Found]:
        """See ``Stream``."""
        for name in dict.fromkeys(events.groups[events.groups != ""].tolist()):
            for found in self.stream(name).feed(events.only(events.groups == name)):
                yield found._replace(part=name)

    def evidence(self) -> float:
        """See ``Stream``."""
        return max((each.evidence() for each in self.streams.values()), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """See ``Stream``."""
        return {name: each.to_json() for name, each in self.streams.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """See ``Stream``."""
        for name, each in state.items():
            self.stream(name).restore(each)


@dataclass
class PairStreams(GroupStreams):
    """A stream for each ordered pair of groups, of the events from when both were seen.

    Attributes:
        first_rows: Groups to the numbers of their first rows, in that order.
    """

    first_rows: dict[str, int] = field(default_factory=dict)

    def learn(self, events: Events) -> None:
        """See ``Stream``."""

    def feed(self, events: Events) -> Iterator[Found]:
        """See ``Stream``."""
        events = events.only(events.groups != "")
        for name, row in zip(events.groups.tolist(), events.rows.tolist(), strict=True):
            self.first_rows.setdefault(name, row)
        names = list(self.first_rows)
        for below, above in ((names[i], names[j]) for j in range(len(names)) for i in range(j)):
            since = self.first_rows[above]
            those = events.only(np.isin(events.groups, (below, above)) & (events.rows >= since))
            for pair in ((below, above), (above, below)):
                yield from self.stream(json.dumps(pair)).feed_pair(those, pair)

    def to_json(self) -> dict[str, Any]:
        """See ``Stream``."""
        return {"first_rows": self.first_rows, "pairs": super().to_json()}

    def restore(self, state: dict[str, Any]) -> None:
        """See ``Stream``."""
        self.first_rows = {name: int(row) for name, row in state["first_rows"].items()}
        super().restore(state["pairs"])
