"""How busy two workers are kept: steady-state and generational, with log-normal durations."""

import math
import random
import time

import evo_moo

N_EVALS, WORKERS, POP_SIZE = 150, 2, 12


class Waits(evo_moo.SearchProblem):
    """Takes as long as its seed says: median 0.3 s, sigma 0.8."""

    variables = {"x": evo_moo.Real(0, 1), "n": evo_moo.Integer(1, 5)}
    objectives = {"a": "min", "b": "min"}

    def evaluate(self, config, *, seed):
        time.sleep(random.Random(seed).lognormvariate(math.log(0.3), 0.8))
        return {"a": config["x"] * config["n"], "b": (1 - config["x"]) / config["n"]}


def efficiency(mode: str, seed: int) -> float:
    """Share of the workers' time that they evaluate, between the first start and the last end."""
    result = evo_moo.search(Waits(), "nsga2", POP_SIZE, ("n_evals", N_EVALS), seed, WORKERS, mode=mode)
    ends = [e.started_at + e.duration_s for e in result.evaluations]
    span_s = max(ends) - min(e.started_at for e in result.evaluations)
    return sum(e.duration_s for e in result.evaluations) / (WORKERS * span_s)


def main() -> None:
    print(f"{N_EVALS} evaluations, {WORKERS} workers, population {POP_SIZE}, log-normal durations")
    for mode in ("steady-state", "generational"):
        shares = [efficiency(mode, seed) for seed in (1, 2)]
        print(f"{mode:13} efficiency {' '.join(f'{share:.1%}' for share in shares)} of the ideal (2 seeds)")


if __name__ == "__main__":
    main()
