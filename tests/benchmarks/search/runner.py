"""Search quality at equal numbers of evaluations, side by side with other optimisers.

Run: ``make bench-search``, or ``python -m tests.benchmarks search`` with the options that ``--help`` lists. Each
search runs in a process of its own with one BLAS thread and a limit on CPU time. What is in the results file is not
run again, failed runs included: delete their lines, or name another file, to compare another version.

The extra ``benchmarks`` installs the peers, pysamoo apart: its only release asks for exactly pymoo 0.6.1.1, which
evo-moo does not work with. It needs an interpreter of its own, with pysamoo alone in it:
``--python pysamoo=PATH``. A peer that is not installed is left out, and named.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.benchmarks.search import records, report
from tests.benchmarks.search.fronts import Scale, scale
from tests.benchmarks.search.methods import METHODS
from tests.benchmarks.search.problems import HELD_OUT, PROBLEMS, UnavailableError, build

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "runs" / "benchmarks"
ONE_THREAD = dict.fromkeys(
    ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"], "1"
)
WALL_TO_CPU = 10
"""A search that takes so many times its CPU limit in wall-clock time hangs, and is stopped."""


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks search", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--problems", nargs="+", choices=[*PROBLEMS, *HELD_OUT], metavar="NAME", help=", ".join(PROBLEMS))
    add("--held-out", action="store_true", help=f"the problems that nobody tunes on: {', '.join(HELD_OUT)}")
    add("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="NAME", help=", ".join(METHODS))
    add("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5], help="default: 1 2 3 4 5")
    add("--n-evals", type=int, default=200, help="evaluations of a run; default: 200")
    add("--batch", nargs="+", type=int, default=[1], help="configurations asked at a time; several are compared apart")
    add("--results", type=Path, default=FOLDER / "search.jsonl", help="file of the records; the plot lies beside it")
    add("--cache", type=Path, default=FOLDER, help="folder of what is computed once: true fronts and trainings")
    add("--jobs", type=int, default=1, help="searches at a time; default: 1")
    add("--limit-s", type=int, default=3600, help="CPU seconds of a search, after which it is stopped; default: 3600")
    add("--python", nargs="+", default=[], metavar="METHOD=PATH", help="another interpreter for a method")
    add("--report-only", action="store_true", help="run nothing, report what the file has")
    options = parser.parse_args(given)
    options.problems = options.problems or list(HELD_OUT if options.held_out else PROBLEMS)
    options.interpreters = dict(entry.split("=", 1) for entry in options.python if "=" in entry)
    if len(options.interpreters) < len(options.python) or not set(options.interpreters) <= set(METHODS):
        parser.error(f"--python must be METHOD=PATH with a method of the list, but is {' '.join(options.python)}")
    return options


def tasks(options: argparse.Namespace) -> Iterable[records.Record]:
    """List the searches, seed by seed, so that an interrupted benchmark has something on everything."""
    for seed in options.seeds:
        for problem in options.problems:
            for batch in options.batch:
                for method in options.methods:
                    yield {
                        "problem": problem,
                        "method": method,
                        "batch": batch,
                        "seed": seed,
                        "n_evals": options.n_evals,
                    }


def is_installed(method: str, interpreter: str) -> bool:
    """Tell whether a method's package is there for its interpreter."""
    code = "import sys, importlib.metadata as m; m.version(sys.argv[1])"
    # evo-moo lies in this very folder; a peer's interpreter need not have it installed.
    package = METHODS[method].package
    return (
        package == "evo-moo"
        or not subprocess.run([interpreter, "-c", code, package], capture_output=True, check=False).returncode
    )


def run_one(
    task: records.Record, interpreter: str, cache: Path, limit_s: int, measure: Scale | None = None
) -> records.Record:
    """Run a search in a process of its own and give its record."""
    problem = build(task["problem"], cache)
    measure = measure or scale(problem, cache)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lines, errors = Path(folder, "lines"), Path(folder, "errors")
        lines.touch()
        order = json.dumps({**task, "cache": str(cache.resolve()), "limit_s": limit_s})
        command = [interpreter, "-m", "tests.benchmarks.search.worker", order, str(lines)]
        with errors.open("wb") as file:
            process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdout=file, stderr=file)
            try:
                code: int | None = process.wait(WALL_TO_CPU * limit_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                process.kill()
                process.wait()
        rows = [json.loads(line) for line in lines.read_text().splitlines(keepends=True) if line.endswith("\n")]
        outcome = rows.pop() if rows and "status" in rows[-1] else _cut_off(code, len(rows), limit_s)
        if outcome["status"] == "failed":
            print(errors.read_text(errors="replace")[-3000:], file=sys.stderr)
    F = [row["F"] for row in rows]
    if problem.noise is None:
        shares = measure.shares(F, [row["G"] for row in rows])
    else:
        shares = measure.shares_of_chosen(F, [row["measured"] for row in rows])
    return {
        **task,
        **outcome,
        "n": len(rows),
        "cpu_s": round(sum(row["cpu_s"] for row in rows), 4),
        "wall_s": round(time.monotonic() - started, 2),
        "shares": [round(share, 5) for share in shares],
    }


def _cut_off(code: int | None, n: int, limit_s: int) -> dict[str, Any]:
    """Say why a process ended without an outcome of its own."""
    if code is None:
        return {"status": "stopped", "reason": f"stopped at {n} evaluations, after {WALL_TO_CPU * limit_s} s"}
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return {"status": "stopped", "reason": f"stopped at {n} evaluations, after {limit_s} CPU s or for its memory"}
    return {"status": "failed", "reason": f"its process ended with code {code} at {n} evaluations"}


def main(given: Sequence[str]) -> None:
    """Run what the results file lacks, and report."""
    options = arguments(given)
    if not options.report_only:
        _run_missing(options)
    wanted = [
        record
        for record in records.read(options.results)
        if record["problem"] in options.problems
        and record["method"] in options.methods
        and record["batch"] in options.batch
    ]
    print(report.text(wanted))
    if wanted:
        picture = options.results.with_name(f"{options.results.stem}{'-held-out' if options.held_out else ''}.png")
        report.plot(wanted, picture)
        print(f"\nplot: {picture}")


def _run_missing(options: argparse.Namespace) -> None:
    interpreters = {method: options.interpreters.get(method, sys.executable) for method in options.methods}
    for method in [method for method, path in interpreters.items() if not is_installed(method, path)]:
        print(f"left out: {method}, since {METHODS[method].package} is not installed for {interpreters.pop(method)}")
    scales: dict[str, Scale | None] = {}
    for name in options.problems:
        try:
            scales[name] = scale(build(name, options.cache), options.cache)
        except UnavailableError as error:
            print(f"left out: {name}, since {error}")
    wanted = (task for task in tasks(options) if task["problem"] in scales and task["method"] in interpreters)
    left = records.missing(wanted, records.read(options.results))

    def work(task: records.Record) -> records.Record:
        return run_one(task, interpreters[task["method"]], options.cache, options.limit_s, scales[task["problem"]])

    with ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(work, task) for task in left]
        try:
            for i, future in enumerate(as_completed(running), 1):
                record = future.result()
                records.append(options.results, record)
                print(_line(i, len(left), record), flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _line(i: int, n: int, record: records.Record) -> str:
    share = f"{record['shares'][-1]:.3f}" if record["shares"] else "-"
    told = [
        f"{i}/{n}",
        record["problem"],
        record["method"],
        f"batch {record['batch']}",
        f"seed {record['seed']}",
        share,
    ]
    return "  ".join([*told, f"{record['cpu_s']:.1f} CPU s", *filter(None, [record.get("reason")])])
