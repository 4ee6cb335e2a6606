"""The price of evaluating a program, beside the bare program: alone, through a worker, and when it prints very much."""

import contextlib
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from evo_moo import CommandProblem, Real
from evo_moo.evaluation.loky_pool import LokyPool
from evo_moo.evaluation.task import PoolOptions, Task
from evo_moo.plugins import ProblemSource

N_EVALS, REPEATS = 10, 7
PRINTS = """echo "{\\"a\\": $1}" """
SCRIPTS = {
    "bash": PRINTS,
    "python": "import json, sys; print(json.dumps({'a': float(sys.argv[1])}))",
    "10 MB of lines": f"yes 'a line of forty characters, as logs have' | head -c 10000000; echo; {PRINTS}",
}


def seconds(run: Callable[[], None]) -> float:
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def bare(arguments: list[str], n: int) -> None:
    for i in range(n):
        subprocess.run([*arguments, str(i / n)], capture_output=True, check=True, stdin=subprocess.DEVNULL)


def by_problem(problem: CommandProblem, n: int) -> None:
    with contextlib.redirect_stdout(None):
        for i in range(n):
            problem.call_evaluate({"x": i / n})


def by_pool(pool: LokyPool, n: int) -> None:
    for i in range(n):
        pool.submit(Task(i, {"x": i / n}, i))
        while not (outcomes := pool.next_finished(60.0)):
            pass
        if outcomes[0].status != "ok":
            raise SystemExit(f"every evaluation must end well, but: {outcomes[0].reason}")


def main() -> None:
    print(f"{N_EVALS} evaluations one after the other, {REPEATS} interleaved repeats; ratios to the bare program")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EVO_MOO_SLOT_DIR"] = folder  # no measurement of others is waited for
        for name, text in SCRIPTS.items():
            script = Path(folder) / f"{name.replace(' ', '_')}.txt"
            script.write_text(text)
            program = sys.executable if name == "python" else "bash"
            problem = CommandProblem([program, str(script), "{x}"], {"x": Real(0, 1)}, {"a": "min"}, directory=folder)
            problem.check()
            with closing(LokyPool(ProblemSource.of_object(problem), problem.goals, 1, PoolOptions(60.0))) as pool:
                contenders: dict[str, Callable[[], None]] = {
                    "bare": lambda arguments=[program, str(script)]: bare(arguments, N_EVALS),
                    "problem": lambda problem=problem: by_problem(problem, N_EVALS),
                    "worker": lambda pool=pool: by_pool(pool, N_EVALS),
                }
                for run in contenders.values():
                    run()
                taken = [{key: seconds(run) for key, run in contenders.items()} for _ in range(REPEATS)]
            line = f"{name:15} bare {statistics.median(t['bare'] for t in taken) / N_EVALS * 1e3:6.2f} ms"
            for key in ("problem", "worker"):
                ratios = [t[key] / t["bare"] for t in taken]
                more = statistics.median((t[key] - t["bare"]) / N_EVALS * 1e3 for t in taken)
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                line += f"; {key} {statistics.median(ratios):.2f} ({spread}), {more:+.2f} ms"
            print(line)


if __name__ == "__main__":
    main()
