"""A simulation of requests that wait for a worker: what a switch would give, without a clock."""

import heapq
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evo_moo.deployment.serving.switch import Switch
from evo_moo.deployment.serving.waiting import FloatArray
from evo_moo.errors import UsageError


@dataclass(frozen=True)
class Simulated:
    """What became of simulated requests.

    Attributes:
        share_in_time: Share of all requests that were answered within the deadline.
        mean_quality: Mean quality of the answers, with that of the member that gave each.
        good_in_time: Sum of the qualities of the answers in time, by all requests: where quality is accuracy, the share
            of requests that get a right answer in time.
        share_refused: Share that found the queue full; they count as late.
        answers: Members to numbers of answers.
        n_moves: How often the switch moved.
        answer_ms: Time from arrival to answer, ``(n answered,)``, in the order of arrival.
    """

    share_in_time: float
    mean_quality: float
    good_in_time: float
    share_refused: float
    answers: dict[str, int]
    n_moves: int
    answer_ms: FloatArray = field(repr=False, compare=False)


def poisson_arrivals(rates_per_s: Sequence[float] | FloatArray, n: int, seed: int) -> FloatArray:
    """Draw the times of ``n`` requests that come at random, ``(n,)`` in seconds.

    Args:
        rates_per_s: Rates; each holds for an equal part of the requests, one after the other.
        n: Number of requests.
        seed: Seed of the times.

    Raises:
        UsageError: A rate is not above 0.
    """
    rates = np.asarray(rates_per_s, dtype=float)
    if not rates.size or not rates.min() > 0:
        raise UsageError(f"`rates_per_s` must be numbers above 0, but is {rates.tolist()}")
    of_each = rates[np.arange(n) * len(rates) // n]
    return np.asarray(np.cumsum(np.random.default_rng(seed).exponential(1 / of_each)))


def simulate(
    switch: Switch, arrivals_s: FloatArray, *, most_waiting: float = np.inf, seed: int = 0, start_s: float = 0.0
) -> Simulated:
    """Answer requests in the order of their arrival, as a service of the switch's workers would.

    How long an answer takes is drawn from the measured latencies of its member. A member alone is a switch that has no
    other one.

    Args:
        switch: The switch; it is used up by this.
        arrivals_s: When requests come, sorted, ``(n,)``.
        most_waiting: How many may wait; what comes then is refused.
        seed: Seed of the latencies.
        start_s: Seconds since the epoch at the time 0, where budgets change by time of day.
    """
    rng, queue, free = np.random.default_rng(seed), deque[float](), [0.0] * switch.workers
    measured = {member.name: np.array(member.latencies_ms) for member in switch.members}
    answers, answer_ms, qualities, in_time = Counter[str](), list[float](), list[float](), list[bool]()

    def answer_until(until: float) -> None:
        while queue and free[0] <= until:
            arrival = queue.popleft()
            start = max(heapq.heappop(free), arrival)
            decision = switch.choose(start_s + start, waiting=len(queue), waited_ms=(start - arrival) * 1e3)
            latency = float(rng.choice(measured[decision.member.name]))
            heapq.heappush(free, start + latency / 1e3)
            answers[decision.member.name] += 1
            qualities.append(decision.member.quality)
            answer_ms.append((start - arrival) * 1e3 + latency)
            in_time.append(answer_ms[-1] <= decision.deadline_ms)

    n_refused = 0
    for now in arrivals_s.tolist():
        answer_until(now)
        switch.arrived(start_s + now)
        if len(queue) >= most_waiting:
            n_refused += 1
        else:
            queue.append(now)
            answer_until(now)
    answer_until(np.inf)
    n = len(arrivals_s)
    return Simulated(
        share_in_time=sum(in_time) / n,
        mean_quality=float(np.mean(qualities)),
        good_in_time=float(np.dot(qualities, in_time)) / n,
        share_refused=n_refused / n,
        answers=dict(answers),
        n_moves=switch.n_moves,
        answer_ms=np.array(answer_ms),
    )
