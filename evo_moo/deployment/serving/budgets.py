"""What a switch may spend on an answer: a deadline, which may change by time of day and with the queue."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from evo_moo.errors import UsageError

_RULE = "`limit` must be latency_ms <= NUMBER above 0"


@dataclass(frozen=True)
class Budgets:
    """Deadlines; of the one by time of day and the one by queue the tighter counts.

    Attributes:
        deadline_ms: What holds where nothing else does.
        by_time: Minutes since midnight to deadlines, sorted; the last one before a time holds.
        by_queue: Numbers of waiting requests to deadlines, sorted; the last one that is reached holds.
        zone: Of the times of day; None is that of this machine.
    """

    deadline_ms: float
    by_time: tuple[tuple[int, float], ...] = ()
    by_queue: tuple[tuple[float, float], ...] = ()
    zone: datetime.tzinfo | None = None

    @classmethod
    def of(
        cls,
        limit: str | float,
        by_time: Sequence[tuple[str, float]] = (),
        by_queue: Sequence[tuple[float, float]] = (),
        zone: datetime.tzinfo | None = None,
    ) -> Self:
        """Read a limit such as ``"latency_ms <= 20"``, and others such as ``[("00:00", 50), ("08:00", 20)]``.

        Raises:
            UsageError: Something is not so; all faults are listed.
        """
        faults, bound, minutes = [], 1.0, list[tuple[int, float]]()
        try:
            match = re.fullmatch(r"\s*latency_ms\s*<=\s*(\S+)\s*", limit) if isinstance(limit, str) else None
            bound = float(match[1] if match else limit)
        except ValueError:
            faults.append(f"{_RULE}, but is {limit!r}")
        else:
            faults += [] if 0 < bound < float("inf") else [f"{_RULE}, but is {limit!r}"]
        for text, deadline in by_time:
            found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
            if found:
                minutes.append((int(found[1]) * 60 + int(found[2]), deadline))
            else:
                faults.append(f"a budget by time must begin with a time of day such as 08:00, but begins with {text!r}")
        for deadline in [each for _, each in (*by_time, *by_queue)]:
            if not 0 < deadline < float("inf"):
                faults.append(f"a budget must be a number of milliseconds above 0, but is {deadline}")
        faults += [
            f"a budget by queue must begin with a length of 0 or more, not {n}" for n, _ in by_queue if not n >= 0
        ]
        if faults:
            raise UsageError(*faults)
        return cls(bound, tuple(sorted(minutes)), tuple(sorted(by_queue)), zone)

    def at(self, now: float, waiting: float) -> float:
        """Return the deadline in milliseconds.

        Args:
            now: Seconds since the epoch.
            waiting: Number of requests that wait.
        """
        deadlines = []
        if self.by_time:
            time = datetime.datetime.fromtimestamp(now, self.zone)
            minute = time.hour * 60 + time.minute
            # Before the first one of the day, the last one of the day before holds.
            before = [deadline for start, deadline in self.by_time if start <= minute]
            deadlines.append(before[-1] if before else self.by_time[-1][1])
        else:
            deadlines.append(self.deadline_ms)
        deadlines += [deadline for length, deadline in self.by_queue if length <= waiting][-1:]
        return min(deadlines)
