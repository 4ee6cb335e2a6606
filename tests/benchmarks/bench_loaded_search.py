"""The main job beside busy processes: how far its latencies are from those of the quiet machine.

Run: python -m tests.benchmarks.bench_loaded_search [N_EVALS [ROUNDS [N_BUSY [N_NETWORKS]]]]

In each round, from an empty cache: a short main job runs beside four processes that compute, and 30 networks are
measured beside them too. Then the machine is quiet: the front and the 30 networks are measured again, and the run is
resumed, which measures what is in doubt. A latency is a ratio times the reference's nominal time, so the part of the
difference that all share, the *scale*, is shown apart. Nothing else may run on the machine.
"""

import contextlib
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from evo_moo import Result
from evo_moo.evaluation.profile_cache import ProfileCache
from evo_moo.plugins import load_problem
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.threads import one_thread

N_EVALS, ROUNDS, N_BUSY, N_NETWORKS = 64, 3, 4, 30
TARGET_MEDIAN, TARGET_WORST, TARGET_RANK = 0.10, 0.25, 0.95
PROBLEMS = Path(__file__).parents[2] / "problems"


def compute_until(stop: Event, ready: Event, touches_memory: bool) -> None:
    """Compute on one core, in the caches or through the memory, as long as the benchmark lives."""
    parent = os.getppid()
    values = np.ones(2_000_000 if touches_memory else 2_000)
    ready.set()
    while not stop.is_set() and os.getppid() == parent:
        for _ in range(20 if touches_memory else 20_000):
            values = values[::-1] * 1.0000001


@contextlib.contextmanager
def busy_machine(n_busy: int) -> Iterator[None]:
    """Let other processes compute as long as the block runs."""
    context = multiprocessing.get_context("spawn")
    stop, *ready = (context.Event() for _ in range(1 + n_busy))
    processes = [context.Process(target=compute_until, args=(stop, event, i % 2 == 1)) for i, event in enumerate(ready)]
    for process in processes:
        process.start()
    try:
        for event in ready:
            event.wait()
        yield
    finally:
        stop.set()
        for process in processes:
            process.join()


def measured(problem: SearchProblem, configurations: Sequence[Configuration], repeats: int = 1) -> list[float]:
    """Measure networks as a search does; of several measurements it is the pooled latency, in milliseconds."""
    profiles = ProfileCache(problem, None)
    with one_thread():
        for _ in range(repeats - 1):
            for configuration in configurations:
                profiles.profile(configuration, anew=True)
        return [profiles.profile(configuration, anew=True).metrics["latency_ms"] for configuration in configurations]


def command(*arguments: object) -> None:
    """Run a command of evo-moo."""
    line = [sys.executable, "-m", "evo_moo", *map(str, arguments)]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def report(name: str, seen: Sequence[float], quiet: Sequence[float], n_in_doubt: int | None = None) -> None:
    """Print one row: differences as they stand, and without the scale that all share."""
    ratios = np.divide(seen, quiet)
    scale = statistics.median(ratios)
    plain, relative = np.abs(ratios - 1), np.abs(ratios / scale - 1)
    doubt = "" if n_in_doubt is None else f"{n_in_doubt} of {len(seen)}"
    rank = float(spearmanr(seen, quiet).statistic) if len(seen) > 2 else float("nan")
    print(
        f"  {name:<26}{np.median(plain):>10.1%}{plain.max():>10.1%}{scale - 1:>+10.1%}{np.median(relative):>10.1%}"
        f"{relative.max():>10.1%}{rank:>8.3f}  {doubt}",
        flush=True,
    )


def one_round(folder: Path, n_evals: int, n_busy: int, n_networks: int) -> None:
    """Search and measure beside busy processes, and measure again without them."""
    os.environ["EVO_MOO_CACHE_DIR"] = str(folder / "cache")
    problem, run = load_problem(f"{PROBLEMS / 'digits_cnn.py'}:DigitsCNN"), folder / "run"
    networks = problem.space.decode(problem.space.sample(n_networks, np.random.default_rng(0)))
    with busy_machine(n_busy):
        command(
            "run",
            PROBLEMS / "digits_cnn.toml",
            "--run-dir",
            run,
            "--n-evals",
            n_evals,
            "--set",
            f"search.pop_size={min(n_evals, 16)}",
        )
        loaded = measured(problem, networks)
    before = Result.read(run)
    quiet = measured(problem, networks, repeats=3)
    expected = dict(zip((e.id for e in before.front), measured(problem, before.configurations, repeats=3), strict=True))
    command("resume", run)
    after = {e.id: e for e in Result.read(run).evaluations}
    columns = ("median", "worst", "scale", "rel. med.", "rel. worst")
    print(f"  {'':<26}{''.join(f'{column:>10}' for column in columns)}{'rank':>8}  in doubt")
    values = [e.metrics["latency_ms"] for e in before.front]
    report("front of the loaded run", values, list(expected.values()), sum(e.id in before.doubts for e in before.front))
    settled, still = [after[key].metrics["latency_ms"] for key in expected], Result.read(run).doubts
    report("after resume when quiet", settled, list(expected.values()), sum(key in still for key in expected))
    report(f"{n_networks} networks", loaded, quiet)


def main() -> None:
    """Run all rounds and print a table of each."""
    given = [int(number) for number in sys.argv[1:5] if number.isdigit()]
    n_evals, rounds, n_busy, n_networks = [*given, *[N_EVALS, ROUNDS, N_BUSY, N_NETWORKS][len(given) :]]
    load = f"load average at the start {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"
    print(f"{n_evals} evaluations of the main job beside {n_busy} busy processes; {load}")
    print(f"targets: median <= {TARGET_MEDIAN:.0%}, worst <= {TARGET_WORST:.0%}, rank >= {TARGET_RANK}, or in doubt")
    for number in range(1, rounds + 1):
        print(f"round {number}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            one_round(Path(folder), n_evals, n_busy, n_networks)


if __name__ == "__main__":
    main()
