"""The price of sending an evaluation to a worker: our pools, and joblib.Parallel beside them.

The evaluation is a trivial one, and one that sleeps for 10 ms. The run that listens has its workers in a process of
``evo-moo work``, by TLS on this host.
"""

import contextlib
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from evo_moo import Real, SearchProblem
from evo_moo.evaluation.cluster.head import Listening
from evo_moo.evaluation.cluster.keys import new_keys
from evo_moo.evaluation.cluster.terms import Terms
from evo_moo.evaluation.dask_pool import DaskPool
from evo_moo.evaluation.evaluate import evaluate_task
from evo_moo.evaluation.loky_pool import LokyPool
from evo_moo.evaluation.problem_version import problem_parts, problem_version
from evo_moo.evaluation.task import PoolOptions, Task
from evo_moo.plugins import ProblemSource

N_EVALS, N_WORKERS, REPEATS, TARGET_MS = 400, 2, 7, 5
PAUSES_MS = 0, 10


class Trivial(SearchProblem):
    variables = {"x": Real(0, 1), "pause_ms": Real(0, 10)}
    objectives = {"a": "min", "b": "min"}

    def evaluate(self, config):
        time.sleep(config["pause_ms"] / 1e3)
        return {"a": config["x"], "b": -config["x"]}


PROBLEM = Trivial()


def tasks(pause_ms: float) -> list[Task]:
    return [Task(i, {"x": i / N_EVALS, "pause_ms": pause_ms}, i) for i in range(N_EVALS)]


def by_pool(pool: Any, left: list[Task]) -> list[Any]:
    outcomes: list[Any] = []
    while left or pool.running:
        while left and pool.free:
            pool.submit(left.pop())
        outcomes += pool.next_finished(1.0)
    return outcomes


def by_joblib(parallel: Parallel, left: list[Task]) -> list[Any]:
    return parallel(delayed(evaluate_task)(PROBLEM, PROBLEM.goals, task) for task in left)


@contextlib.contextmanager
def listening_pool(source: ProblemSource) -> Iterator[DaskPool]:
    version, parts = problem_version(PROBLEM, source), problem_parts(PROBLEM, source)
    with tempfile.TemporaryDirectory() as folder:
        new_keys(keys := Path(folder, "keys"))
        terms = Terms("", source, version, parts, None, needs_folder=False)
        listening = Listening("127.0.0.1", 0, keys, lambda token: terms._replace(token=token), lambda: True)
        with closing(DaskPool(source, PROBLEM.goals, N_WORKERS, None, PoolOptions(60.0), listening)) as pool:
            command = [sys.executable, "-m", "evo_moo", "work", pool.address, "--workers", str(N_WORKERS)]
            worker = subprocess.Popen([*command, "--keys", str(keys)], stderr=subprocess.DEVNULL)
            yield pool
        if worker.wait() != 0:
            raise SystemExit("a worker must end well with its run, but has not")


def main() -> None:
    source = ProblemSource("tests.benchmarks.bench_dispatch:Trivial")
    with (
        closing(LokyPool(source, PROBLEM.goals, N_WORKERS, PoolOptions(60.0, memory_mb=4000))) as loky,
        closing(DaskPool(source, PROBLEM.goals, N_WORKERS, None, PoolOptions(60.0))) as dask,
        listening_pool(source) as listening,
        Parallel(n_jobs=N_WORKERS, batch_size=1, pre_dispatch=N_WORKERS) as parallel,
    ):
        contenders: dict[str, Callable[[list[Task]], list[Any]]] = {
            "joblib.Parallel, one by one": lambda left: by_joblib(parallel, left),
            "loky": lambda left: by_pool(loky, left),
            "dask": lambda left: by_pool(dask, left),
            "listening, by TLS": lambda left: by_pool(listening, left),
        }
        ms: dict[float, dict[str, list[float]]] = {pause: {name: [] for name in contenders} for pause in PAUSES_MS}
        for run in contenders.values():
            run(tasks(0))
        for _ in range(REPEATS):
            for pause, name in ((pause, name) for pause in PAUSES_MS for name in contenders):
                gc.collect()
                start = time.perf_counter()
                outcomes = contenders[name](tasks(pause))
                # Of each worker, beyond the pause itself.
                ms[pause][name].append((time.perf_counter() - start) / N_EVALS * 1e3 - pause / N_WORKERS)
                if sorted(o.id for o in outcomes if o.status == "ok") != list(range(N_EVALS)):
                    raise SystemExit(f"{name} must give each outcome once, but does not")
    print(
        f"{N_EVALS} evaluations, {N_WORKERS} workers, {REPEATS} interleaved repeats; trivial by loky: < {TARGET_MS} ms"
    )
    for pause, of_pause in ms.items():
        print(f"of {pause} ms each, and beside that:")
        for name, values in of_pause.items():
            ratios = [a / b for a, b in zip(values, of_pause["loky"], strict=True)]
            print(
                f"  {name:28} median {statistics.median(values):6.2f} ms, worst {max(values):6.2f} ms per evaluation, "
                f"to loky {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})"
            )


if __name__ == "__main__":
    main()
