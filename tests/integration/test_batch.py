"""Runs and batches under a scheduler: started twice at once, stopped by signals and deadlines, resumed."""

import csv
import datetime
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import evo_moo as package
from evo_moo.errors import RunStoppedError
from tests.benchmarks.bench_kills import besiege
from tests.integration.running import PATIENCE_S, USER_FILE, evo_moo, front_of, ledger_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gated(tmp_path: Path) -> Path:
    """A job whose evaluations say that they have begun, and hold on until ``let_go``."""
    os.mkfifo(tmp_path / "begun")
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "closed").touch()
    path = tmp_path / "job.toml"
    path.write_text(
        f'[problem]\nuse = "{USER_FILE}:Gated"\noptions = {{ folder = "{tmp_path}" }}\n'
        "[search]\npop_size = 4\n[budget]\nn_evals = 10\n[evaluation]\nworkers = 1\n"
        '[surrogate]\nmodel = "none"\n'
    )
    return path


def started(*arguments: object, cwd: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "evo_moo", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=cwd, text=True, start_new_session=True, **pipes)


def ended(process: "subprocess.Popen[str]", code: int) -> str:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, out + err
    return err


def begun(folder: Path, n: int = 1) -> list[psutil.Process]:
    """Wait for evaluations to begin, and give their processes."""
    pids: list[int] = []
    while len(pids) < n:
        pids += map(int, (folder / "begun").read_text().split())
    return [psutil.Process(pid) for pid in pids]


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """The ledger of the job of ``gated``, left in peace."""
    folder = tmp_path_factory.mktemp("peace")
    package.search(
        f"{USER_FILE}:Gated",
        options={"folder": str(folder)},
        pop_size=4,
        termination=("n_evals", 10),
        surrogate="none",
        workers=1,
        run_dir=folder / "r",
    )
    return ledger_of(folder / "r")


def test_second_start_of_a_run_is_refused_with_the_holder(gated: Path, peace: list[tuple]) -> None:
    folder = gated.parent
    both = [started("run", gated, "--run-dir", "r", cwd=folder) for _ in range(2)]
    begun(folder)
    holder = json.loads((folder / "r" / "writer.json").read_text())["pid"]
    (winner,), (loser,) = [[p for p in both if (p.pid == holder) == wins] for wins in (True, False)]
    assert f"is held by process {winner.pid}" in ended(loser, 1)
    (folder / "closed").unlink()
    with (folder / "gate").open("w"):
        pass
    ended(winner, 0)
    assert ledger_of(folder / "r") == peace


@pytest.mark.parametrize(
    ("number", "pool"),
    [
        *((number, "loky") for number in (signal.SIGTERM, signal.SIGINT)),
        (signal.SIGTERM, "serial"),
        (signal.SIGUSR1, "dask"),
    ],
)
def test_a_signal_gives_up_a_long_evaluation_which_runs_again(
    gated: Path, peace: list[tuple], number: int, pool: str
) -> None:
    folder = gated.parent
    run = started("run", gated, "--run-dir", "r", "--set", f"evaluation.pool={pool}", cwd=folder)
    evaluating = begun(folder)
    os.killpg(run.pid, number)  # to every process, as a terminal and SLURM do
    said = ended(run, 75)
    assert f"stopped by {signal.Signals(number).name}; everything that ended is recorded" in said.splitlines()[-1]
    assert "Traceback" not in said and "warning" not in said.lower()
    assert psutil.wait_procs(evaluating, timeout=PATIENCE_S)[1] == []
    with sqlite3.connect(folder / "r" / "run.sqlite") as db:
        assert db.execute("SELECT status FROM evaluations").fetchall() == [("asked",)]
    (folder / "closed").unlink()
    package.resume(folder / "r")
    assert ledger_of(folder / "r") == peace


def test_a_second_signal_acts_at_once(gated: Path) -> None:
    run = started("run", gated, "--run-dir", "r", cwd=gated.parent)
    evaluating = begun(gated.parent)
    run.send_signal(signal.SIGTERM)
    run.send_signal(signal.SIGUSR1)
    ended(run, 75)
    assert psutil.wait_procs(evaluating, timeout=PATIENCE_S)[1] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_run_stops_at_the_deadline_in_the_midst_of_evaluations(
    gated: Path, peace: list[tuple], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = gated.parent
    deadline = datetime.datetime.now() + datetime.timedelta(hours=1)

    class OnceEvaluating(threading.Timer):
        def run(self) -> None:
            begun(folder)
            self.function()

    monkeypatch.setattr("threading.Timer", OnceEvaluating)
    search = {"options": {"folder": str(folder)}, "pop_size": 4, "run_dir": folder / "r", "workers": workers}
    search["surrogate"] = "none"
    with pytest.raises(RunStoppedError, match=f"stopped by the deadline {deadline:%Y-%m-%dT%H:%M}"):
        package.search(f"{USER_FILE}:Gated", termination={"n_evals": 10, "deadline": deadline}, **search)
    assert not any(e.status == "ok" for e in package.Result.read(folder / "r").evaluations)
    (folder / "closed").unlink()
    evo_moo("resume", "r", cwd=folder)
    assert ledger_of(folder / "r") == peace


def test_past_deadline_is_refused_unless_the_run_is_finished(tmp_path: Path) -> None:
    arguments = ["run", "pymoo:bnh", "--n-evals", 40, "--run-dir", "r"]
    late = [*arguments, "--deadline", "2020-01-01T08:00:00+01:00"]
    refused = evo_moo(*late, cwd=tmp_path, code=2).stderr
    assert "`budget.deadline` must be in the future, but is 2020-01-01T" in refused and "--deadline none" in refused
    assert not (tmp_path / "r").exists()
    package.search("pymoo:bnh", termination=("n_evals", 40), run_dir=tmp_path / "r")
    before = ledger_of(tmp_path / "r")
    evo_moo(*late, cwd=tmp_path)
    assert "must be in the future" in evo_moo("resume", "r", "--n-evals", 60, cwd=tmp_path, code=2).stderr
    evo_moo("resume", "r", "--deadline", "none", cwd=tmp_path)
    assert ledger_of(tmp_path / "r") == before


def test_stalled_search_ends_and_resumes_without_the_rule(tmp_path: Path) -> None:
    evo_moo("run", "pymoo:bnh", "--stop-when", "hypervolume stalls", "--run-dir", "r", cwd=tmp_path)
    assert "hypervolume stalls: it grew by" in (tmp_path / "r" / "log.txt").read_text()
    n = len(package.Result.read(tmp_path / "r").evaluations)
    assert len(package.resume(tmp_path / "r", n_evals=n + 100).evaluations) == n
    evo_moo("resume", "r", "--stop-when", "none", cwd=tmp_path)
    package.search("pymoo:bnh", termination=("n_evals", n + 100), run_dir=tmp_path / "whole")
    assert ledger_of(tmp_path / "r") == ledger_of(tmp_path / "whole")


BNH = (
    '[problem]\nuse = "pymoo:bnh"\n[search]\npop_size = 12\n[budget]\nn_evals = 60\n'
    '[grid]\n"search.algorithm" = ["nsga2", "nsga3"]\n[[runs]]\nsearch.seed = 1\n'
)
BROKEN = (
    'from evo_moo import Real, SearchProblem\n\n\nclass Broken(SearchProblem):\n    variables = {"x": Real(0, 1)}\n'
)
BROKEN += '    objectives = {"a": "min"}\n\n    def evaluate(self, config):\n        raise RuntimeError("no luck")\n'


def test_a_batch_runs_resumes_and_compares(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    extra = '[[runs]]\nsearch = { algorithm = "nsga2", seed = 2 }\n'
    (tmp_path / "jobs" / "bnh.toml").write_text(BNH + extra)
    (tmp_path / "jobs" / "broken.py").write_text(BROKEN)
    (tmp_path / "jobs" / "broken.toml").write_text(
        '[problem]\nuse = "broken.py:Broken"\n[search]\npop_size = 4\n[budget]\nn_evals = 8\n'
    )
    command = ["batch", "jobs/bnh.toml", "jobs/broken.toml", "--workers", 2]
    done = evo_moo(*command, cwd=tmp_path, code=1)
    home = tmp_path / "runs" / "jobs"
    assert "broken: failed: all of the first" in done.stdout and "RuntimeError: no luck" in done.stdout
    with (home / "summary.csv").open() as file:
        rows = {row["group"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["bnh,algorithm=nsga2", "bnh,algorithm=nsga3", "broken"]
    assert [(row["runs"], row["finished"]) for row in rows.values()] == [("2", "2"), ("1", "1"), ("1", "0")]
    assert float(rows["bnh,algorithm=nsga2"]["hypervolume_sd"]) > 0
    names = [f"bnh,algorithm={word}" for word in ("nsga2,seed=1", "nsga2,seed=2", "nsga3,seed=1")]
    before = {name: (home / name / "log.txt").read_text() for name in names}
    package.search("pymoo:bnh", pop_size=12, termination=("n_evals", 60), run_dir=tmp_path / "alone")
    assert ledger_of(home / names[0]) == ledger_of(tmp_path / "alone")
    assert front_of(home / names[0]) == front_of(tmp_path / "alone")
    evo_moo(*command, cwd=tmp_path, code=1)
    assert before == {name: (home / name / "log.txt").read_text() for name in names}
    shown = json.loads(evo_moo("batch", "--show", "jobs", "--json", cwd=tmp_path).stdout)
    assert [run["state"] for run in shown["runs"]] == ["finished"] * 3 + ["failed"]
    assert all(run["hypervolume"] > 0 for run in shown["runs"][:3])


def test_faults_of_all_files_are_listed_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(BNH)
    (tmp_path / "bad.toml").write_text(BNH.replace("nsga3", "nsga9").replace("pop_size", "popsize"))
    (tmp_path / "worse.toml").write_text('[problem]\nuse = "pymoo:nothing"\n[budget]\nn_evals = 3\n[grid]\nseed = 1\n')
    (tmp_path / "worst.toml").write_text("[problem")
    done = evo_moo("batch", *[f"{n}.toml" for n in ("good", "bad", "worse", "worst")], cwd=tmp_path, code=2)
    for fault in (
        "bad.toml: `search.popsize` is no key of a job",
        "bad.toml: `search.algorithm` must be 'nsga2', 'nsga3', 'weighted-sum', 'tchebycheff', 'random', "
        "'sobol', 'grid', 'unsga3', 'agemoea2', 'smsemoa', 'spea2', 'ctaea' or 'moead', but is 'nsga9'",
        "worse.toml: `grid.seed` must be a list of values, but is 1",
        "`worst.toml` must be TOML",
    ):
        assert fault in done.stderr
    assert done.stderr.count("popsize") == 1
    assert not (tmp_path / "runs").exists()
    assert "must be given job files" in evo_moo("batch", cwd=tmp_path, code=2).stderr
    assert "must be a batch's folder" in evo_moo("batch", "--show", ".", cwd=tmp_path / "..", code=1).stderr


def of_folder(folder: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(folder)]


@pytest.mark.parametrize(
    ("stop", "code"), [(lambda batch: batch.terminate(), 75), (lambda batch: batch.kill(), -signal.SIGKILL)]
)
def test_a_batch_that_is_ended_leaves_no_search_behind(
    gated: Path, peace: list[tuple], stop: Callable[["subprocess.Popen[str]"], None], code: int
) -> None:
    folder = gated.parent
    gated.write_text(gated.read_text() + '[grid]\n"search.seed" = [1, 2, 3]\n')
    command = ["batch", gated, "--at-once", 2, "--workers", 1, "--batch-dir", "b"]
    batch = started(*command, cwd=folder)
    begun(folder, 2)
    stop(batch)
    ended(batch, code)
    assert psutil.wait_procs(of_folder(folder), timeout=PATIENCE_S)[1] == []
    assert not (folder / "b" / "job,seed=3").exists()
    (folder / "closed").unlink()
    evo_moo(*command, cwd=folder)
    shown = json.loads(evo_moo("batch", "--show", "b", "--json", cwd=folder).stdout)
    assert [run["state"] for run in shown["runs"]] == ["finished"] * 3
    assert ledger_of(folder / "b" / "job,seed=1") == peace


def test_two_batches_do_not_share_a_folder(gated: Path) -> None:
    batch = started("batch", gated, "--batch-dir", "b", cwd=gated.parent)
    begun(gated.parent)
    assert (
        f"is held by process {batch.pid}"
        in evo_moo("batch", gated, "--batch-dir", "b", cwd=gated.parent, code=1).stderr
    )
    batch.terminate()
    ended(batch, 75)


def test_random_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    kinds = ["evaluation", "start-up", "worker", "end"]
    siege = besiege(tmp_path, {"workers": 2}, kinds, random.Random(1))
    assert (siege.lost, siege.repeated, siege.equal) == (0, 0, True)
    assert siege.found.total() - siege.found["too late"] >= 2


def test_slurm_script_passes_the_signal_on_and_requeues(gated: Path, peace: list[tuple]) -> None:
    folder = gated.parent
    scripts = re.findall(r"(?ms)^```slurm\n(.*?)^```$", (ROOT / "runs" / "README.md").read_text())
    (script,) = [script for script in scripts if "scontrol" in script]
    (folder / "bin").mkdir()
    (folder / "bin" / "scontrol").write_text('#!/bin/sh\necho "$@" >> requeued\n')
    (folder / "bin" / "scontrol").chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "SLURM_JOB_ID": "7"}
    shell = subprocess.Popen(["bash", "-c", script.replace("--workers 16", "--workers 1")], cwd=folder, env=env)
    begun(folder)
    shell.send_signal(signal.SIGUSR1)
    shell.wait(timeout=PATIENCE_S)
    assert (folder / "requeued").read_text() == "requeue 7\n"
    (folder / "closed").unlink()
    subprocess.run(["bash", "-c", script], cwd=folder, env=env, timeout=PATIENCE_S, check=True)
    assert (folder / "requeued").read_text() == "requeue 7\n"
    assert ledger_of(folder / "runs" / "night") == peace
