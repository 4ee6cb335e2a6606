"""How likely a request is answered before its deadline, as queueing theory tells it."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def share_in_time(latencies_ms: FloatArray, rate_per_s: float, workers: int, deadline_ms: float) -> float:
    """Return the expected share of answers within a deadline, in the long run and at a steady rate.

    Requests that come at random wait for the first free one of some workers. A request waits with the probability of
    Erlang C, and then for an exponential time whose mean is that of Allen and Cunneen (Allen, "Probability, Statistics,
    and Queueing Theory", 1990, section 5.3). This is exact for M/M/c; for one worker the mean wait is that of Pollaczek
    and Khinchine, exact for every distribution of latencies.

    Args:
        latencies_ms: Measured latencies without any wait, ``(n,)``.
        rate_per_s: Requests per second.
        workers: Number of requests that are answered at once.
        deadline_ms: The deadline.

    Returns:
        A share from 0 to 1; 0 where more requests come than are answered.
    """
    left = deadline_ms - latencies_ms
    if rate_per_s <= 0:
        return float(np.mean(left >= 0))
    mean = float(latencies_ms.mean())
    load = rate_per_s * mean / 1e3
    if load >= workers:
        return 0.0
    waits = erlang_c(load, workers)
    mean_wait = mean * (1 + float(latencies_ms.var()) / mean**2) / 2 / (workers - load)
    # An underflow would be a share of exactly 1.
    late = waits * np.exp(-np.maximum(left, 0) / mean_wait)
    return float(np.mean((left >= 0) * (1 - late)))


def erlang_c(load: float, workers: int) -> float:
    """Return the probability that a request waits, with ``load`` requests on average in the hands of workers.

    By the recursion of Erlang B, which no factorial makes overflow.
    """
    blocked = 1.0
    for k in range(1, workers + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked / (1 - load / workers * (1 - blocked))
