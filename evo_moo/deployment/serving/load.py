"""What a switch has seen: how many requests come, and how long members take now."""

from collections import deque

import numpy as np

from evo_moo.deployment.serving.members import Member
from evo_moo.deployment.serving.waiting import FloatArray

WINDOW_S = 5.0
"""Seconds over which arrivals are counted."""
FRESH_S = 60.0
"""Seconds for which an observed latency counts."""
N_OBSERVED, FEWEST = 200, 20
"""Latencies that are kept of a member, and those that must be fresh before they count instead of its measured ones."""


class Arrivals:
    """Counts requests over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()
        self._sum = 0.0
        self._since: float | None = None

    def add(self, now: float, size: float) -> None:
        """Note a request that counts as ``size`` usual ones."""
        self._since = now if self._since is None else self._since
        self._seen.append((now, size))
        self._sum += size

    def rate(self, now: float) -> float:
        """Return usual requests per second; in the first seconds over what has passed, but at least a fifth."""
        while self._seen and self._seen[0][0] <= now - WINDOW_S:
            self._sum -= self._seen.popleft()[1]
        if self._since is None or not self._seen:
            self._sum = 0.0
            return 0.0
        return self._sum / min(WINDOW_S, max(now - self._since, WINDOW_S / 5))


class Latencies:
    """The latencies of one member: those observed of late, or else those measured before."""

    def __init__(self, member: Member) -> None:
        self._measured = np.asarray(member.latencies_ms, dtype=float)
        self._observed: deque[tuple[float, float]] = deque(maxlen=N_OBSERVED)

    def add(self, now: float, latency_ms: float) -> None:
        """Note a latency of a usual request."""
        self._observed.append((now, latency_ms))

    def at(self, now: float) -> FloatArray:
        """Return the latencies that count now, ``(n,)``."""
        while self._observed and self._observed[0][0] <= now - FRESH_S:
            self._observed.popleft()
        if len(self._observed) < FEWEST:
            return self._measured
        return np.fromiter((latency for _, latency in self._observed), dtype=float, count=len(self._observed))
