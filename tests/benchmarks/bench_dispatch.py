"""The price of sending a trivial evaluation to a worker: our pools, and joblib.Parallel beside them."""

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from joblib import Parallel, delayed

from evo_moo import Real, SearchProblem
from evo_moo.evaluation.dask_pool import DaskPool
from evo_moo.evaluation.evaluate import evaluate_task
from evo_moo.evaluation.loky_pool import LokyPool
from evo_moo.evaluation.task import PoolOptions, Task
from evo_moo.plugins import ProblemSource

N_EVALS, N_WORKERS, REPEATS, TARGET_MS = 400, 2, 7, 5


class Trivial(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"a": "min", "b": "min"}

    def evaluate(self, config):
        return {"a": config["x"], "b": -config["x"]}


PROBLEM = Trivial()
TASKS = [Task(i, {"x": i / N_EVALS}, i) for i in range(N_EVALS)]


def by_pool(pool: Any) -> list[Any]:
    tasks, outcomes = list(TASKS), []
    while tasks or pool.running:
        while tasks and pool.free:
            pool.submit(tasks.pop())
        outcomes += pool.next_finished(1.0)
    return outcomes


def by_joblib(parallel: Parallel) -> list[Any]:
    return parallel(delayed(evaluate_task)(PROBLEM, PROBLEM.goals, task) for task in TASKS)


def main() -> None:
    source = ProblemSource("tests.benchmarks.bench_dispatch:Trivial")
    with (
        closing(LokyPool(source, PROBLEM.goals, N_WORKERS, PoolOptions(60.0, memory_mb=4000))) as loky,
        closing(DaskPool(source, PROBLEM.goals, N_WORKERS, None, PoolOptions(60.0))) as dask,
        Parallel(n_jobs=N_WORKERS, batch_size=1, pre_dispatch=N_WORKERS) as parallel,
    ):
        contenders: dict[str, Callable[[], list[Any]]] = {
            "joblib.Parallel, one by one": lambda: by_joblib(parallel),
            "loky": lambda: by_pool(loky),
            "dask": lambda: by_pool(dask),
        }
        ms: dict[str, list[float]] = {name: [] for name in contenders}
        for run in contenders.values():
            run()
        for _ in range(REPEATS):
            for name, run in contenders.items():
                gc.collect()
                start = time.perf_counter()
                outcomes = run()
                ms[name].append((time.perf_counter() - start) / N_EVALS * 1e3)
                if sorted(o.id for o in outcomes if o.status == "ok") != list(range(N_EVALS)):
                    raise SystemExit(f"{name} must give each outcome once, but does not")
    print(f"{N_EVALS} trivial evaluations, {N_WORKERS} workers, {REPEATS} interleaved repeats; loky: < {TARGET_MS} ms")
    reference = ms["joblib.Parallel, one by one"]
    for name, values in ms.items():
        ratios = [a / b for a, b in zip(values, reference, strict=True)]
        print(
            f"{name:28} median {statistics.median(values):6.2f} ms, worst {max(values):6.2f} ms per evaluation, "
            f"to joblib {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
