"""What long runs cost: appending, showing, and the engine's memory, from 1,000 to 100,000 evaluations.

Run: python -m tests.benchmarks ledger

One process for each size, so that memory is each one's own. The targets: an append costs the same at any size,
``evo-moo show`` of 100,000 evaluations takes at most 2 s, and the engine's memory grows by at most 20 %.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = (1_000, 10_000, 100_000)
SHOW_S, MEMORY_RATIO, APPEND_RATIO = 2.0, 1.2, 1.5
MOST_RUN_S = 3600


def appends(path: Path) -> list[float]:
    """Give the median seconds per append around each size, on one ledger that grows through them all."""
    from evo_moo.evaluation.task import Outcome
    from evo_moo.optimizer.candidate import Candidate
    from evo_moo.storage.ledger import Ledger

    ledger, costs, rng = Ledger(path), [], np.random.default_rng(1)
    for n in range(1, SIZES[-1] + 1):
        x = rng.random(10)
        metrics = {"f1": float(x[0]), "f2": float(1 - x[0] * x[1])}
        start = time.perf_counter()
        with ledger.transaction():
            ledger.record_asked([(Candidate(n, n // 20 + 1, dict(enumerate_names(x)), x, "mating", (n // 2 + 1,)), n)])
        with ledger.transaction():
            ledger.record_outcomes([Outcome(n, "ok", metrics, worker=1)], lambda metrics: 0.0)
        costs.append(time.perf_counter() - start)
    ledger.close()
    return [statistics.median(costs[size - 1000 : size]) for size in SIZES]


def enumerate_names(x: np.ndarray) -> list[tuple[str, float]]:
    return [(f"x{i}", float(value)) for i, value in enumerate(x)]


def engine(n_evals: int, run_dir: str) -> None:
    """Run one search in this process and print its memory, in MB, before it and in the end."""
    import psutil

    from evo_moo.job.check import check_job
    from evo_moo.run.api import run_job
    from evo_moo.run.preparation.prepared import prepare

    job = {
        "problem": {"use": f"{Path(__file__).parents[1] / 'golden' / 'problem.py'}:Golden"},
        "search": {"pop_size": 100},
        "budget": {"n_evals": n_evals},
        "evaluation": {"pool": "serial", "workers": 1},
    }
    checked = check_job(job)
    before, start = psutil.Process().memory_info().rss, time.perf_counter()

    from evo_moo.run.engine import Engine

    at_end: list[int] = []
    run = Engine.run

    def measured(self: Engine) -> None:
        run(self)
        at_end.append(psutil.Process().memory_info().rss)

    Engine.run = measured
    run_job(prepare(*checked, Path(run_dir)), Path(run_dir), verbose=False)
    print(json.dumps({"before": before / 1e6, "end": at_end[0] / 1e6, "seconds": time.perf_counter() - start}))


def show_s(run_dir: Path) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "evo_moo", "show", run_dir], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main(sizes: tuple[int, ...] = SIZES) -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = appends(folder / "run.sqlite")
        for size, cost in zip(SIZES, costs, strict=True):
            print(f"append at {size:>7,}: {cost * 1e6:6.0f} us, {cost / costs[0]:.2f} of that at {SIZES[0]:,}")
        first = None
        for size in sizes:
            code = "import sys; from tests.benchmarks.bench_ledger import engine; engine(int(sys.argv[1]), sys.argv[2])"
            command = [sys.executable, "-c", code, str(size), str(folder / str(size))]
            done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=MOST_RUN_S)
            found = json.loads(done.stdout.splitlines()[-1])
            first = first or found["end"]
            print(
                f"engine to {size:>7,}: {found['end']:.0f} MB, {found['end'] / first:.2f} of that at {sizes[0]:,} "
                f"(target <= {MEMORY_RATIO}); show {show_s(folder / str(size)):.2f} s (target <= {SHOW_S:g} s)"
            )
        print(f"append ratio {costs[-1] / costs[0]:.2f} (target <= {APPEND_RATIO})")


if __name__ == "__main__":
    main()
