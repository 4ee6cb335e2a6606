"""How near to the ideal two workers are kept busy: steady-state and generational, with log-normal durations.

The ideal is a schedule of the same durations in the same order that loses no time: whoever is free begins the next
evaluation at once. Both ends count, from the first start to the last end, at which a worker may have nothing left.
"""

import heapq
import math
import random
import time
from collections.abc import Iterable

import evo_moo

N_EVALS, WORKERS, POP_SIZE = 150, 2, 12


class Waits(evo_moo.SearchProblem):
    """Takes as long as its seed says: median 0.3 s, sigma 0.8."""

    variables = {"x": evo_moo.Real(0, 1), "n": evo_moo.Integer(1, 5)}
    objectives = {"a": "min", "b": "min"}

    def evaluate(self, config, *, seed):
        time.sleep(random.Random(seed).lognormvariate(math.log(0.3), 0.8))
        return {"a": config["x"] * config["n"], "b": (1 - config["x"]) / config["n"]}


def ideal_s(durations: Iterable[float]) -> float:
    """The time that the durations take one after the other on ``WORKERS`` workers, none of which ever waits."""
    free_at = [0.0] * WORKERS
    for duration in durations:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)


def efficiency(mode: str, seed: int) -> float:
    """The ideal time of a search's evaluations as a share of the time that they took."""
    result = evo_moo.search(Waits(), "nsga2", POP_SIZE, ("n_evals", N_EVALS), seed, WORKERS, mode=mode)
    begun = sorted(result.evaluations, key=lambda e: e.started_at)
    span_s = max(e.started_at + e.duration_s for e in begun) - begun[0].started_at
    return ideal_s(e.duration_s for e in begun) / span_s


def main() -> None:
    print(f"{N_EVALS} evaluations, {WORKERS} workers, population {POP_SIZE}, log-normal durations")
    for mode in ("steady-state", "generational"):
        shares = [efficiency(mode, seed) for seed in (1, 2)]
        print(f"{mode:13} efficiency {' '.join(f'{share:.1%}' for share in shares)} of the ideal (2 seeds)", flush=True)


if __name__ == "__main__":
    main()
