"""Latency under load: 30 networks measured idle, and again while two processes train on both cores.

Run: python tests/benchmarks/bench_latency.py

Idle and loaded are compared for the corrected latency, for the raw median of the same blocks, and for the naive way
of measuring: mean time per batch over a test loader, with no slot, no warm-up and no regard for others. The naive
way is compared with itself when idle, so that it pays for the load and for nothing else.
"""

import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau
from torch.utils.data import DataLoader, TensorDataset

from evo_moo.evaluation.slots import compute_slot
from evo_moo.plugins import load_problem
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.threads import one_thread

N_NETWORKS, N_TRAININGS = 30, 2
TARGET_DIFFERENCE, TARGET_TAU = 0.03, 0.95
DIGITS = f"{Path(__file__).parents[2] / 'problems' / 'digits_cnn.py'}:DigitsCNN"


def train_until(stop: Event, started: Event, seed: int) -> None:
    """Train one configuration after the other, as a worker of a search does."""
    problem = load_problem(DIGITS)
    configurations = problem.space.decode(problem.space.sample(1000, np.random.default_rng(100 + seed)))
    with one_thread():
        for configuration in configurations:
            with compute_slot():
                started.set()
                problem.evaluate(configuration, seed=seed)
            if stop.is_set():
                return


def measured(problem: SearchProblem, configurations: list[Configuration]) -> tuple[list[float], list[float]]:
    """Give the corrected and the raw latencies as a search measures them, in milliseconds."""
    profiles = [problem.profile(configuration) for configuration in configurations]
    return [profile["latency_ms"] for profile in profiles], [profile["latency_raw_ms"] for profile in profiles]


def naive(problem: SearchProblem, configurations: list[Configuration]) -> list[float]:
    """Give the mean time per batch over a test loader, in milliseconds."""
    times_ms = []
    for configuration in configurations:
        network, batch = problem.network(configuration)
        loader = DataLoader(TensorDataset(problem.data["test"][0]), len(batch), drop_last=True)
        network.eval()
        start = time.perf_counter()
        with torch.no_grad():
            for (inputs,) in loader:
                network(inputs)
        times_ms.append((time.perf_counter() - start) / len(loader) * 1e3)
    return times_ms


def report(name: str, idle: list[float], loaded: list[float]) -> None:
    """Print one row."""
    differences = [abs(b / a - 1) for a, b in zip(idle, loaded, strict=True)]
    shift = statistics.median(b / a - 1 for a, b in zip(idle, loaded, strict=True))
    print(
        f"{name:<12}{statistics.median(differences):>12.2%}{max(differences):>12.2%}{shift:>+12.2%}"
        f"{kendalltau(idle, loaded).statistic:>10.3f}"
    )


def under_load(work: Callable[[], tuple[list[float], ...]]) -> tuple[list[float], ...]:
    """Do the work while other processes train."""
    context = multiprocessing.get_context("spawn")
    stop, *started = (context.Event() for _ in range(1 + N_TRAININGS))
    trainings = [context.Process(target=train_until, args=(stop, event, i)) for i, event in enumerate(started)]
    for process in trainings:
        process.start()
    try:
        for event in started:
            event.wait()
        return work()
    finally:
        stop.set()
        for process in trainings:
            process.join()


def main() -> None:
    """Measure and print the table."""
    problem = load_problem(DIGITS)
    configurations = problem.space.decode(problem.space.sample(N_NETWORKS, np.random.default_rng(0)))
    with one_thread():

        def both() -> tuple[list[float], ...]:
            return *measured(problem, configurations), naive(problem, configurations)

        print(f"{N_NETWORKS} networks; load average at the start {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
        print(f"targets: median difference <= {TARGET_DIFFERENCE:.0%}, Kendall tau >= {TARGET_TAU}")
        both()  # nothing is loaded or calibrated for the first time from here on
        start = time.perf_counter()
        runs = {"idle": both(), "idle again": both()}
        print(f"idle, {(time.perf_counter() - start) / 2 / N_NETWORKS:.2f} s per network")
        runs["while others train"] = under_load(both)
    for (before, first), (after, second) in itertools.combinations(runs.items(), 2):
        if before == "idle":
            print(f"\n{before} against {after}\n{'':<12}{'median diff':>12}{'largest':>12}{'shift':>12}{'tau':>10}")
            for i, name in enumerate(("corrected", "raw", "naive")):
                report(name, first[i], second[i])


if __name__ == "__main__":
    main()
