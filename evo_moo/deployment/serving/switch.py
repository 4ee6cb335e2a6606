"""The switch for load: which member of a front answers, so that deadlines are kept and answers are good."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from evo_moo.deployment.serving.budgets import Budgets
from evo_moo.deployment.serving.load import Arrivals, Latencies
from evo_moo.deployment.serving.members import Member, checked_members, undominated
from evo_moo.deployment.serving.waiting import share_in_time
from evo_moo.errors import UsageError


@dataclass(frozen=True)
class Decision:
    """Which member answers a request.

    Attributes:
        member: The member.
        deadline_ms: The deadline of the request, from its arrival on.
        why: ``"steady"``: the member of the moment; ``"hurry"``: a faster one, since this request or one behind it
            would be late; ``"loading"``: a faster one, since the member of the moment is not loaded yet;
            ``"own deadline"``: the request has one.
    """

    member: Member
    deadline_ms: float
    why: str


class Switch:
    """Says which member answers: the most accurate one that keeps the deadline with a stated probability.

    It decides twice. The *member of the moment* is the most accurate one that at the present rate of requests keeps
    the deadline with ``probability`` in the long run, wait included (``share_in_time``). It moves to a faster member at
    once, and to a more accurate one only ``dwell_s`` after the last move, and only if that one would keep the deadline
    also at a rate higher by ``margin``: so it cannot flap. A *single request* whose time is nearly over, or with others
    behind it that would be late, is answered by a faster member; that moves nothing.

    All it knows comes from its arguments, the time too: the same calls give the same decisions.

    Args:
        members: The members, in any order; those that a faster one equals in quality never answer.
        limit: The deadline in milliseconds, or in words as ``"latency_ms <= 20"``.
        probability: Share of the requests that should keep the deadline.
        workers: Number of requests that are answered at once.
        by_time: Deadlines by time of day, as ``[("00:00", 50), ("08:00", 20)]``.
        by_queue: Tighter deadlines from a number of waiting requests on, as ``[(10, 20)]``.
        dwell_s: Seconds before a move to a more accurate member.
        margin: Share by which the rate may grow after such a move.

    Attributes:
        members: Those that may answer, sorted by latency; each is more accurate than the one before.
        budgets: The deadlines.
        workers: Number of requests that are answered at once.
        n_moves: How often the member of the moment has changed.

    Raises:
        UsageError: Something is not so; all faults are listed.
    """

    def __init__(
        self,
        members: Sequence[Member],
        limit: str | float,
        *,
        probability: float = 0.95,
        workers: int = 1,
        by_time: Sequence[tuple[str, float]] = (),
        by_queue: Sequence[tuple[float, float]] = (),
        dwell_s: float = 5.0,
        margin: float = 0.1,
    ) -> None:
        faults = [] if 0 < probability < 1 else [f"`probability` must lie between 0 and 1, but is {probability}"]
        faults += [] if workers >= 1 else [f"`workers` must be at least 1, but is {workers}"]
        for name, value in (("dwell_s", dwell_s), ("margin", margin)):
            faults += [] if 0 <= value < np.inf else [f"`{name}` must be 0 or more, but is {value}"]
        try:
            self.budgets = Budgets.of(limit, by_time, by_queue)
        except UsageError as error:
            faults += error.faults
        try:
            self.members = undominated(checked_members(members))
        except UsageError as error:
            faults += error.faults
        if faults:
            raise UsageError(*faults)
        self._probability, self._dwell_s, self._margin, self.workers = probability, dwell_s, margin, workers
        self._arrivals = Arrivals()
        self._latencies = [Latencies(member) for member in self.members]
        self._place = {member.name: i for i, member in enumerate(self.members)}
        self._current: int | None = None
        self._moved_at = -np.inf
        self.n_moves = 0

    @property
    def current(self) -> int:
        """Position of the member of the moment among the members, which are sorted by latency."""
        return len(self.members) - 1 if self._current is None else self._current

    def arrived(self, now: float, size: float = 1.0) -> None:
        """Note the arrival of a request.

        Args:
            now: Seconds since the epoch.
            size: Its work, in usual requests.
        """
        self._arrivals.add(now, size)

    def answered(self, now: float, name: str, latency_ms: float) -> None:
        """Note how long a member took for a usual request, wait excluded: so the switch follows a slower machine."""
        self._latencies[self._place[name]].add(now, latency_ms)

    def rate(self, now: float) -> float:
        """Return the present rate in usual requests per second."""
        return self._arrivals.rate(now)

    def choose(
        self,
        now: float,
        *,
        waiting: float = 0.0,
        waited_ms: float = 0.0,
        size: float = 1.0,
        deadline_ms: float | None = None,
        loaded: Collection[str] | None = None,
    ) -> Decision:
        """Say which member answers the request that a free worker takes now.

        Args:
            now: Seconds since the epoch.
            waiting: The work that waits behind it, in usual requests.
            waited_ms: How long it has waited.
            size: Its work, in usual requests.
            deadline_ms: Its own deadline; None is that of the budget.
            loaded: Names of the members that are loaded; None: all.
        """
        ready = [i for i, member in enumerate(self.members) if loaded is None or member.name in loaded] or [0]
        limit = self.budgets.at(now, waiting)
        self._move(now, limit)
        deadline = limit if deadline_ms is None else deadline_ms
        most = self.current if deadline_ms is None else self._best(now, deadline, ready, 0.0)
        chosen = ready[0]
        for i in reversed([i for i in ready if i <= most]):
            latencies = self._latencies[i].at(now)
            own = np.mean(waited_ms + size * latencies <= deadline)
            # Those behind have come since this one did; the last of them waits for all before it.
            mean = float(latencies.mean())
            last = np.mean(((size + waiting - 1) * mean / self.workers + latencies) <= limit) if waiting else 1.0
            if min(own, last) >= self._probability:
                chosen = i
                break
        why = "own deadline" if deadline_ms is not None else "steady" if chosen == self.current else "hurry"
        why = "loading" if why == "hurry" and self.current not in ready else why
        return Decision(self.members[chosen], deadline, why)

    def _move(self, now: float, limit: float) -> None:
        everyone = range(len(self.members))
        best = self._best(now, limit, everyone, 0.0)
        if self._current is None or best < self._current:
            self._move_to(now, best)
        elif best > self._current and now >= self._moved_at + self._dwell_s:
            self._move_to(now, max(self._current, self._best(now, limit, everyone, self._margin)))

    def _move_to(self, now: float, place: int) -> None:
        if place != self._current:
            self.n_moves += self._current is not None
            self._current, self._moved_at = place, now

    def _best(self, now: float, limit: float, ready: Sequence[int], margin: float) -> int:
        """The most accurate member that keeps a limit in the long run; without any, the fastest one."""
        rate = self._arrivals.rate(now) * (1 + margin)
        for i in reversed(ready):
            if share_in_time(self._latencies[i].at(now), rate, self.workers, limit) >= self._probability:
                return i
        return ready[0]
