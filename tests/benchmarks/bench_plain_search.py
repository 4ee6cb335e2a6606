"""The price of the ledger: a plain pymoo problem searched by evo-moo and by ``pymoo.optimize.minimize``."""

import gc
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize
from pymoo.problems import get_problem

import evo_moo

N_EVALS, REPEATS = 4000, 15
PROBLEM = get_problem("zdt1")


def by_pymoo() -> np.ndarray:
    return minimize(PROBLEM, NSGA2(pop_size=100), ("n_evals", N_EVALS), seed=1).F


def in_memory() -> np.ndarray:
    return evo_moo.search(PROBLEM, termination=("n_evals", N_EVALS), seed=1).F


def in_folder() -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        return evo_moo.search(PROBLEM, termination=("n_evals", N_EVALS), seed=1, run_dir=folder).F


def main() -> None:
    contenders: list[Callable[[], np.ndarray]] = [by_pymoo, in_memory, in_folder]
    expected = by_pymoo()
    seconds: dict[str, list[float]] = {run.__name__: [] for run in contenders}
    for _ in range(REPEATS):
        for run in contenders:
            gc.collect()
            start = time.perf_counter()
            F = run()
            seconds[run.__name__].append(time.perf_counter() - start)
            if not np.array_equal(F, expected):
                raise SystemExit(f"{run.__name__} must find what pymoo finds, but does not")
    print(f"ZDT1, {N_EVALS} evaluations, NSGA-II, population 100, {REPEATS} interleaved repeats; equal F")
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(times, seconds["by_pymoo"], strict=True)]
        print(
            f"{name:10} median {statistics.median(times):.3f} s, to pymoo {statistics.median(ratios):.2f} "
            f"(from {min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
