"""Every pool gives every evaluation's outcome, the right one, once; and the same search on all of them."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

import evo_moo as package
from evo_moo.errors import RunStoppedError, SearchFailedError, UsageError
from evo_moo.evaluation.pool import Pool, SerialPool
from evo_moo.evaluation.task import Outcome, PoolOptions, Task
from evo_moo.job.check import check_job
from evo_moo.plugins import ProblemSource
from evo_moo.run.api import run_job
from evo_moo.run.preparation.prepared import prepare
from tests.integration.running import PATIENCE_S, USER_FILE, Killer, evaluated, evo_moo, fates, ledger_of

pytestmark = pytest.mark.slow

distributed = pytest.importorskip("distributed")
MEMORY_MB, TIMEOUT_S = 700, 2.0
SOFT = {
    "good": ("ok", ""),
    "raises": ("failed", "RuntimeError: as asked"),
    "nan": ("failed", "metric `a` must be finite, but is nan"),
    "text": ("failed", "metric `a` must be a number, but is str 'small'"),
    "missing": ("failed", "an evaluation must return `b`, but it returned `a`"),
    "exits": ("failed", "SystemExit: 3"),
    "too large": ("failed", "MemoryError: Unable to allocate"),
}
HARD = {
    "dies": ("crashed", "its worker process died, 2 times (EXIT(9))"),
    "killed": ("crashed", "its worker process died, 2 times (SIGKILL(-9))"),
    "killed once": ("ok", ""),
    "hogs": ("failed", "used "),
    "family hogs": ("failed", "used "),
    "floods": ("ok", ""),
    "shouts and dies": ("crashed", "its worker process died, 2 times (SIGSEGV(-11))"),
    "leaves children": ("ok", ""),
    "helpers": ("ok", ""),
}
HANGS = {"hangs": ("timeout", "ran longer than 2 s")}
STUCK = {"stuck": ("timeout", "ran longer than 2 s and had to be killed")}


def serial(source: ProblemSource, workers: int = 1, timeout_s: float = TIMEOUT_S) -> Pool:
    problem = source.build()
    return SerialPool(problem, problem.goals, timeout_s)


def loky(source: ProblemSource, workers: int = 2, **options: Any) -> Pool:
    from evo_moo.evaluation.loky_pool import LokyPool

    return LokyPool(source, source.build().goals, workers, PoolOptions(**options))


def dask(source: ProblemSource, workers: int = 2, address: str | None = None, **options: Any) -> Pool:
    from evo_moo.evaluation.dask_pool import DaskPool

    return DaskPool(source, source.build().goals, workers, address, PoolOptions(**options))


@pytest.fixture(params=[loky, dask])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pool]:
    """A pool of two worker processes with every limit."""
    pool = request.param(fates(tmp_path), timeout_s=PATIENCE_S, memory_mb=MEMORY_MB)
    yield pool
    pool.close()


def check(outcomes: list[Outcome], names: list[str], expected: dict[str, tuple[str, str]]) -> dict[str, Outcome]:
    assert sorted(outcome.id for outcome in outcomes) == list(range(len(names)))
    by_fate = {names[outcome.id]: outcome for outcome in outcomes}
    for fate, (status, reason) in expected.items():
        outcome = by_fate[fate]
        assert (outcome.status, outcome.reason[: len(reason)]) == (status, reason), outcome
        assert bool(outcome.metrics) == (status == "ok")
    return by_fate


def test_outcomes_in_this_process(tmp_path: Path) -> None:
    for expected, limit_s in ((SOFT, PATIENCE_S), (HANGS, TIMEOUT_S)):
        names = list(expected)
        check(evaluated(serial(fates(tmp_path), timeout_s=limit_s), names), names, expected)


def test_outcomes_of_every_kind(pool: Pool, tmp_path: Path) -> None:
    expected = SOFT | HARD
    names = [name for fate in expected for name in (fate, "good")]
    with Killer(tmp_path / "to kill") as killer:
        outcomes = evaluated(pool, names)
    by_fate = check(outcomes, names, expected)
    assert {o.status for o in outcomes if names[o.id] == "good"} == {"ok"}
    assert {o.attempts for o in outcomes if names[o.id] == "good"} == {1}
    assert len(killer.killed) == 3
    assert by_fate["killed once"].attempts == by_fate["dies"].attempts == 2
    assert "MB, more than the limit of 700 MB" in by_fate["family hogs"].reason
    assert by_fate["raises"].output == "about to raise\n" and "fates.py" in by_fate["raises"].traceback
    assert by_fate["shouts and dies"].output.startswith("last words\n")
    flood = by_fate["floods"].output
    assert len(flood) <= 4096 and flood.endswith("flood last from a child\n")
    children = [int(pid) for file in tmp_path.glob("children *") for pid in file.read_text().split()]
    assert len(children) == 2 and not any(psutil.pid_exists(pid) for pid in children)


@pytest.mark.parametrize("make", [loky, dask])
def test_evaluations_over_their_time_limit(
    tmp_path: Path, make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evo_moo.evaluation.loky_pool.GRACE_S", 0.5)
    expected = HANGS | STUCK
    with closing(make(fates(tmp_path), timeout_s=TIMEOUT_S)) as pool:
        outcomes = evaluated(pool, list(expected))
    assert "time.sleep(3600)" in check(outcomes, list(expected), expected)["hangs"].traceback


@pytest.mark.parametrize("make", [serial, loky, dask])
def test_evaluations_start_processes_in_every_pool(tmp_path: Path, make: Callable[..., Pool]) -> None:
    pool = make(fates(tmp_path), workers=1, timeout_s=PATIENCE_S)
    outcomes = evaluated(pool, ["starts processes", "loads data"] * (2 if make is loky else 1))
    pool.close()
    assert {(o.status, o.reason) for o in outcomes} == {("ok", "")}


def test_processes_get_what_a_script_defines(tmp_path: Path) -> None:
    """Also where the search itself runs in a daemon, and with the start method that the script has chosen."""
    (tmp_path / "script.py").write_text(
        "import multiprocessing\n\nimport evo_moo\n\n\n"
        "def send(pipe, x):\n    pipe.send(x)\n\n\n"
        "def evaluate(config):\n    receiver, sender = multiprocessing.Pipe(duplex=False)\n"
        "    child = multiprocessing.Process(target=send, args=(sender, config['x']))\n"
        "    child.start()\n    x = receiver.recv()\n    child.join()\n"
        "    return {'a': x, 'b': -x, 'spawns': float(multiprocessing.get_start_method() == 'spawn')}\n\n\n"
        "def search(seed):\n    n = ('n_evals', 4)\n"
        "    goals = {'variables': {'x': evo_moo.Real(0, 1)}, 'objectives': {'a': 'min', 'b': 'min'}}\n"
        "    result = evo_moo.search(evaluate, workers=2, termination=n, pop_size=4, **goals)\n"
        "    return [(e.status, e.metrics['spawns']) for e in result.evaluations]\n\n\n"
        "if __name__ == '__main__':\n    multiprocessing.set_start_method('spawn')\n"
        "    with multiprocessing.Pool(1) as pool:\n        nested = pool.map(search, [1])[0]\n"
        "    print(search(1) == nested == [('ok', 1.0)] * 4)\n"
    )
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout == "True\n", done.stderr


def test_a_pool_that_is_closed_leaves_no_process(pool: Pool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "waiting")
    os.mkfifo(tmp_path / "gate")
    for i in range(2):
        assert pool.free
        pool.submit(Task(i, {"fate": "waits", "i": i}, 0))
    lines: list[str] = []
    while len(lines) < 2:  # both may have said it by the first look
        with (tmp_path / "waiting").open() as file:
            lines += file.readlines()
    processes = [psutil.Process(int(pid)) for line in lines for pid in line.split() if psutil.pid_exists(int(pid))]
    assert pool.running == 2 and len(processes) >= 3
    pool.close()
    assert psutil.wait_procs(processes, timeout=PATIENCE_S)[1] == []


def test_a_worker_that_leaks_is_replaced_between_evaluations(tmp_path: Path) -> None:
    pool = loky(fates(tmp_path), workers=1)
    outcomes = evaluated(pool, ["leaks"] * 4)
    pool.close()
    assert {(o.status, o.attempts) for o in outcomes} == {("ok", 1)}
    assert len({o.worker for o in outcomes}) == len({o.output for o in outcomes}) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_to_workers_at_rest_costs_nothing(tmp_path: Path, number: signal.Signals) -> None:
    pool = loky(fates(tmp_path), retries=0)
    workers = {outcome.worker for outcome in evaluated(pool, ["good"] * 8)}
    for pid in workers:
        os.kill(pid, number)
    outcomes = evaluated(pool, ["good"] * 8)
    pool.close()
    assert {outcome.status for outcome in outcomes} == {"ok"}
    after = {outcome.worker for outcome in outcomes}
    assert not workers & after if number == signal.SIGKILL else after <= workers


def test_a_problem_that_kills_every_worker_when_it_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evo_moo.evaluation.loky_pool.FALSE_STARTS", 3)
    file = tmp_path / "problem.py"
    file.write_text(
        "import os\nfrom evo_moo import Real, SearchProblem\n\n\nclass Deadly(SearchProblem):\n"
        '    variables = {"x": Real(0, 1)}\n    objectives = {"a": "min", "b": "min"}\n\n'
        f"    def __init__(self):\n        if os.getpid() != {os.getpid()}:\n            os.write(2, b'no licence')\n"
        "            os._exit(5)\n\n"
        "    def evaluate(self, config):\n        return {}\n"
    )
    pool = loky(ProblemSource(f"{file}:Deadly"), workers=1)
    with closing(pool), pytest.raises(SearchFailedError) as told:
        evaluated(pool, ["good"])
    assert str(told.value) == (
        "a worker process must live until its evaluation begins, but 3 in a row died or hung before (EXIT(5)); "
        "it said: no licence"
    )


def test_deaths_before_an_evaluation_begins_are_the_pools(tmp_path: Path) -> None:
    """Workers that die while they build the problem, more often than an evaluation may: it is as if none had."""
    file = tmp_path / "problem.py"
    file.write_text(
        "import os\nfrom pathlib import Path\nfrom evo_moo import Real, SearchProblem\n\n\n"
        "class Late(SearchProblem):\n"
        '    variables = {"x": Real(0, 1)}\n    objectives = {"a": "min", "b": "min"}\n\n'
        "    def __init__(self):\n"
        f"        deaths = Path({str(tmp_path / 'deaths')!r})\n"
        "        deaths.mkdir(exist_ok=True)\n"
        f"        if os.getpid() != {os.getpid()} and len(list(deaths.iterdir())) < 3:\n"
        "            (deaths / str(os.getpid())).touch()\n            os.kill(os.getpid(), 9)\n\n"
        '    def evaluate(self, config):\n        return {"a": 1.0, "b": 2.0}\n'
    )
    with closing(loky(ProblemSource(f"{file}:Late"), workers=1, retries=0)) as pool:
        (outcome,) = evaluated(pool, ["good"])
    assert (outcome.status, outcome.attempts) == ("ok", 1) and len(list((tmp_path / "deaths").iterdir())) == 3


@pytest.fixture(scope="module")
def in_this_process(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    return searched(tmp_path_factory.mktemp("serial"), {"pool": "serial"})


def searched(folder: Path, evaluation: dict[str, Any]) -> list[tuple[Any, ...]]:
    run(folder, evaluation)
    return ledger_of(folder)


def run(folder: Path, evaluation: dict[str, Any], use: str = f"{USER_FILE}:Small", **options: Any) -> None:
    job = {
        "problem": {"use": use, "options": options},
        "search": {"pop_size": 12, "seed": 3},
        "surrogate": {"model": "none"},
        "budget": {"n_evals": 30},
        "evaluation": evaluation,
    }
    run_job(prepare(*check_job(job), folder), folder, verbose=False)


@pytest.mark.parametrize(("pool_name", "workers"), [("loky", 1), ("loky", 3), ("dask", 2)])
def test_the_same_search_on_every_pool(
    tmp_path: Path, in_this_process: list[tuple[Any, ...]], pool_name: str, workers: int
) -> None:
    assert searched(tmp_path, {"pool": pool_name, "workers": workers}) == in_this_process


def test_a_dask_cluster_may_lose_and_gain_workers(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "waiting")
    os.mkfifo(tmp_path / "gate")
    names = ["waits", "waits", *["good"] * 10]
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=None, dashboard_address=None
        ) as cluster,
        # By address: a client of the cluster object replaces its list of workers, which a worker just lost then upsets.
        distributed.Client(cluster.scheduler_address, set_as_default=False) as client,
    ):
        pool = dask(fates(tmp_path), address=cluster.scheduler_address)
        tasks = [Task(i, {"fate": fate, "i": i}, 0) for i, fate in enumerate(names)]
        pool.submit(tasks.pop(0))
        pool.submit(tasks.pop(0))
        assert pool.free == 0
        waiting = [(tmp_path / "waiting").read_text().splitlines()]
        if len(waiting[0]) == 1:
            waiting.append((tmp_path / "waiting").read_text().splitlines())
        pids = [int(pid) for lines in waiting for line in lines for pid in line.split()]
        (tmp_path / "open").touch()
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        cluster.scale(3)
        client.wait_for_workers(3)
        with (tmp_path / "gate").open("w"):
            outcomes = pool.next_finished(0)
        while tasks or pool.running:
            while tasks and pool.free:
                pool.submit(tasks.pop(0))
            outcomes += pool.next_finished(1.0)
        assert pool.free == 3
        pool.close()
    assert sorted((o.id, o.status, o.attempts) for o in outcomes) == [(i, "ok", 1) for i in range(12)]
    assert psutil.wait_procs([psutil.Process(p) for p in pids if psutil.pid_exists(p)], timeout=PATIENCE_S)[1] == []


def test_evaluation_that_kills_its_dask_workers_is_set_aside(tmp_path: Path) -> None:
    from dask import config

    with (
        config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=None, dashboard_address=None
        ) as cluster,
        Killer(tmp_path / "to kill") as killer,
    ):
        pool = dask(fates(tmp_path), address=cluster.scheduler_address, retries=1)
        (culprit,) = evaluated(pool, ["loses its host"])
        others = evaluated(pool, ["good", "loses its host once", "good"])
        pool.close()
    assert (culprit.status, culprit.attempts) == ("crashed", 2)
    assert culprit.reason.startswith("the Dask workers that ran it died, the last at tcp://")
    assert {(o.status, o.attempts) for o in others} == {("ok", 1)}
    assert len(killer.killed) == 2 * 2 + 1


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Callable[[], tuple[str, int]]]:
    """Starts a scheduler with one worker by Dask's own commands; gives its address and process id."""
    started = []

    def start() -> tuple[str, int]:
        command = [sys.executable, "-m", "dask", "scheduler", "--port", "0", "--no-dashboard"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        started.append(process)
        address = next(line.split()[-1] for line in process.stderr if "Scheduler at:" in line)
        worker = [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1", "--no-dashboard"]
        started.append(subprocess.Popen(worker, stderr=subprocess.DEVNULL, cwd=tmp_path))
        return address, process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_run_stops_without_its_scheduler_and_can_be_resumed(
    tmp_path: Path,
    scheduler: Callable[[], tuple[str, int]],
    in_this_process: list[tuple[Any, ...]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    address, pid = scheduler()
    (tmp_path / "pid").write_text(str(pid))
    use, folder = f"{USER_FILE}:KillsItsScheduler", tmp_path / "r"
    with pytest.raises(RunStoppedError, match=r"Dask scheduler, but the one tcp.* is gone, .*; everything that"):
        run(folder, {"pool": "dask", "address": address}, use, pid_file=str(tmp_path / "pid"))
    assert "Traceback" not in capfd.readouterr().err
    assert 0 < len(package.Result.read(folder).evaluations) < 30
    (address, _) = scheduler()
    run(folder, {"pool": "dask", "address": address}, use, pid_file=str(tmp_path / "pid"))
    assert ledger_of(folder) == in_this_process


def test_dask_pool_leaves_environment_and_logging_as_they_were(tmp_path: Path) -> None:
    """Else the user's own clusters would say nothing, in this process and in those that it starts."""
    level, before = logging.getLogger("distributed").level, dict(os.environ)
    with closing(dask(fates(tmp_path), workers=1)) as pool:
        evaluated(pool, ["good"])
    assert logging.getLogger("distributed").level == level and dict(os.environ) == before


def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evo_moo.evaluation.dask_pool.CONNECT_S", 1)
    with pytest.raises(UsageError, match=r"must be that of a Dask scheduler, .* 'tcp://127.0.0.1:9' cannot be reached"):
        dask(fates(tmp_path), address="tcp://127.0.0.1:9")


@pytest.mark.parametrize("pool_name", ["loky", "dask", "dask at an address"])
def test_a_killed_run_leaves_nothing(tmp_path: Path, scheduler: Callable[[], tuple[str, int]], pool_name: str) -> None:
    address = f'address = "{scheduler()[0]}"\n' if "address" in pool_name else ""
    os.mkfifo(tmp_path / "waiting")
    os.mkfifo(tmp_path / "gate")
    job = tmp_path / "job.toml"
    job.write_text(
        f'[problem]\nuse = "{USER_FILE.with_name("fates.py")}:Fates"\noptions = {{ folder = "{tmp_path}" }}\n'
        '[search]\npop_size = 4\nstart = [{ fate = "waits", i = 1 }]\n[budget]\nn_evals = 8\n'
        f'[evaluation]\nworkers = 1\npool = "{pool_name.split()[0]}"\n{address}'
    )
    main = subprocess.Popen([sys.executable, "-m", "evo_moo", "run", str(job), "--run-dir", "r"], cwd=tmp_path)
    pids = [int(pid) for pid in (tmp_path / "waiting").read_text().split()]
    processes = [psutil.Process(pid) for pid in pids]
    main.kill()
    main.wait()
    assert psutil.wait_procs(processes, timeout=PATIENCE_S)[1] == []
    assert len(processes) == 3


def test_the_job_file_says_what_goes_together(tmp_path: Path) -> None:
    wrong = ["--set", "evaluation.pool=serial", "--set", "evaluation.memory_mb=100", "--set", "evaluation.address=a"]
    done = evo_moo("run", "pymoo:bnh", "--n-evals", 8, *wrong, cwd=tmp_path, code=2)
    assert "`evaluation.address` must go with pool = 'dask', but pool is 'serial'" in done.stderr
    assert "`evaluation.memory_mb` must go with worker processes" in done.stderr
