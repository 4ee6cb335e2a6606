"""Whatever an evaluation does costs only itself, and is recorded with its reason."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pymoo.core.problem import Problem

import evo_moo as package
from evo_moo.analysis.result import Result
from evo_moo.errors import SearchFailedError
from evo_moo.evaluation.evaluate import evaluate_task
from evo_moo.evaluation.loky_pool import LokyPool
from evo_moo.evaluation.task import PoolOptions, Task
from evo_moo.plugins import ProblemSource
from tests.integration import storm
from tests.integration.running import USER_FILE, evo_moo

pytestmark = pytest.mark.slow

EXPECTED = {
    "good": ("ok", ""),
    "prints": ("ok", ""),
    "raises": ("failed", "RuntimeError: as asked (problem.py, line"),
    "nan": ("failed", "metric `a` must be finite, but is nan"),
    "text": ("failed", "metric `a` must be a number, but is str 'small'"),
    "missing": ("failed", "an evaluation must return `b`, but it returned `a`"),
    "exits": ("failed", "SystemExit: 3"),
    "dies": ("crashed", "its worker process died, 2 times"),
    "hangs": ("timeout", "ran longer than 5 s"),
}


def test_every_fault_is_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "problem.py"
    source = USER_FILE.read_text().replace("from landscape import valley\n", "").replace(', "stuck"', "")
    file.write_text(source)
    settings = ["--set", "evaluation.timeout=5", "--set", "search.pop_size=16", "--surrogate", "none"]
    done = evo_moo(
        "run", "problem.py:Faulty", "--n-evals", 24, "--workers", 2, "--run-dir", "r", *settings, cwd=tmp_path
    )
    result = Result.read(tmp_path / "r")
    assert [e.id for e in result.evaluations] == list(range(1, 25))
    ways = Counter(e.configuration["way"] for e in result.evaluations)
    assert ways.keys() >= {"good", "raises", "nan", "dies", "hangs"}
    for e in result.evaluations:
        status, reason = EXPECTED[e.configuration["way"]]
        assert (e.status, e.reason[: len(reason)]) == (status, reason)
        assert e.attempts == (2 if status == "crashed" else 1)
    assert "failed: RuntimeError: as asked" in done.stdout
    printed = {e.output for e in result.evaluations if e.configuration["way"] == "prints"}
    assert printed and all(0 < len(output) <= 4096 and "chatter" in output for output in printed)
    assert "chatter" not in done.stdout + done.stderr
    assert {e.configuration["way"] for e in result.front} <= {"good", "prints"}


@pytest.mark.parametrize(("pool", "mode"), [("loky", "steady-state"), ("dask", "generational")])
def test_a_storm_of_faults_costs_no_other_evaluation(tmp_path: Path, pool: str, mode: str) -> None:
    if pool == "dask":
        pytest.importorskip("distributed")
    fates = storm.planned(40, losses=1 if pool == "dask" else 0)
    with storm.dask_cluster(tmp_path) if pool == "dask" else contextlib.nullcontext() as address:
        evaluation = {"pool": pool} | ({"address": address} if address else {})
        result, killed = storm.search(tmp_path, fates, mode, evaluation)
    assert storm.recorded(result) == storm.expected(fates)
    # More than that if an outcome was lost with the host that held it.
    assert len(killed) >= 2 * fates.count("killed") + fates.count("loses its host once")
    attempts = {fate: {e.attempts for e in result.evaluations if fates[e.id - 1] == fate} for fate in set(fates)}
    assert attempts.pop("killed") == {2} and attempts.pop("hogs") <= {1, 2}
    assert set.union(*attempts.values()) == {1}


def test_waiting_for_a_measurement_of_others_is_not_charged() -> None:
    fcntl = pytest.importorskip("fcntl")
    folder = Path(os.environ["EVO_MOO_SLOT_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    clock: list[float] = []
    problem = package.FunctionProblem(lambda config: {"a": config["x"]}, {"x": package.Real(0, 1)}, {"a": "min"})
    with (folder / "gate.lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)

        def on_clock(left_s: float) -> None:
            clock.append(left_s)
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 0 or left_s == math.inf
            fcntl.flock(gate, fcntl.LOCK_UN)

        outcome = evaluate_task(problem, problem.goals, Task(1, {"x": 0.5}, 0), 60.0, on_clock)
    assert outcome.status == "ok"
    assert clock[0] == math.inf and 0 < clock[1] <= 60.0 and len(clock) == 2


def test_a_time_limit_holds_in_every_thread_and_call() -> None:
    class Slow(package.SearchProblem):
        variables = {"x": package.Real(0, 1), "slow": package.Boolean()}
        objectives = {"a": "min", "b": "min"}

        def evaluate(self, config):
            if config["slow"]:
                threading.Event().wait()
            return {"a": config["x"], "b": 1 - config["x"]}

    class SlowInOneCall(Problem):
        def __init__(self):
            super().__init__(n_var=1, n_obj=2, xl=0.0, xu=1.0)

        def _evaluate(self, X, out, *args, **kwargs):
            if (X > 0.5).any():
                threading.Event().wait()
            out["F"] = np.hstack([X, 1 - X])

    def searched(problem, **more):
        result = package.search(problem, pop_size=4, termination=("n_evals", 4), timeout_s=2.0, **more)
        return [(e.configuration, e.status) for e in result.evaluations]

    start = [{"x": 0.1 * i, "slow": i == 1} for i in range(4)]
    with ThreadPoolExecutor(1) as thread:
        ends = thread.submit(searched, Slow(), start=start, workers=1).result()
    assert ends == [(c, "timeout" if c["slow"] else "ok") for c in start]
    with ThreadPoolExecutor(1) as thread:
        ends = thread.submit(searched, SlowInOneCall(), workers=2).result()
    assert {(c["x1"] > 0.5, status) for c, status in ends} == {(True, "timeout"), (False, "ok")}


def test_first_traceback_is_shown_if_everything_fails(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(
        "from evo_moo import Real, SearchProblem\n\n\nclass Broken(SearchProblem):\n"
        '    variables = {"x": Real(0, 1)}\n    objectives = {"a": "min", "b": "min"}\n\n'
        "    def evaluate(self, config):\n        return 1 / 0\n"
    )
    done = evo_moo("run", "broken.py:Broken", "--n-evals", 500, "--run-dir", "r", cwd=tmp_path, code=1)
    assert "ZeroDivisionError" in done.stderr and "broken.py" in done.stderr and "return 1 / 0" in done.stderr
    assert len(Result.read(tmp_path / "r").evaluations) < 30
    with pytest.raises(SearchFailedError):
        package.search(f"{file}:Broken", termination=("n_evals", 40), workers=1)


def test_the_last_words_of_a_failing_program_are_in_the_reason() -> None:
    program = [sys.executable, "-c", "print('begins', flush=True); raise ValueError('no such kernel')"]

    def evaluate(config):
        if config["way"] == "killed":
            subprocess.run(["sh", "-c", "kill -9 $$"], check=True)
        subprocess.run(program, check=True, capture_output=config["way"] == "kept", text=True)

    ways = ["kept", "shown", "killed"]
    start = [{"way": way, "x": 0.5} for way in ways]
    variables = {"way": package.Choice(ways), "x": package.Real(0, 1)}
    problem = package.FunctionProblem(evaluate, variables, {"a": "min"})
    pool = LokyPool(ProblemSource.of_object(problem), problem.goals, 1, PoolOptions())
    reasons = []
    for i, configuration in enumerate(start):
        pool.submit(Task(i, configuration, 0))
        while not (outcomes := pool.next_finished(60.0)):
            pass
        reasons.append(outcomes[0].reason)
    pool.close()
    assert all(reason.startswith("CalledProcessError: Command ") for reason in reasons)
    assert [reason.partition("; it said: ")[2] for reason in reasons] == ["ValueError: no such kernel"] * 2 + [""]


def test_helpers_of_an_evaluation_leave_no_word(tmp_path: Path) -> None:
    start = ", ".join(f'{{ fate = "{fate}", i = {i} }}' for i in (1, 2) for fate in ("helpers", "shares"))
    (tmp_path / "job.toml").write_text(
        f'[problem]\nuse = "{USER_FILE.with_name("fates.py")}:Fates"\noptions = {{ folder = "{tmp_path}" }}\n'
        f"[search]\npop_size = 4\nstart = [{start}]\n[budget]\nn_evals = 4\n[evaluation]\nworkers = 2\n"
    )
    done = evo_moo("run", "job.toml", "--run-dir", "r", cwd=tmp_path)
    assert {(e.status, e.output) for e in Result.read(tmp_path / "r").evaluations} == {("ok", "")}
    assert "leaked" not in done.stderr and "Warning" not in done.stderr
