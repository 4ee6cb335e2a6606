"""Searches of programs, as of a script of bash: killed, limited, changed, moved, from a stranger."""

import contextlib
import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import evo_moo as package
from evo_moo.analysis.result import Result
from evo_moo.evaluation.loky_pool import LokyPool
from evo_moo.evaluation.task import Outcome, PoolOptions, Task
from evo_moo.plugins import ProblemSource
from tests.integration.running import PATIENCE_S, evo_moo, front_of, ledger_of

pytestmark = pytest.mark.slow

TRADE = """#!/bin/bash
# usage: trade.sh --x N [--y N] [--fast] --seed N --out DIR
while [ $# -gt 0 ]; do case $1 in
  --x) x=$2; shift 2;; --y) y=$2; shift 2;; --fast) fast=1; shift;; --seed) seed=$2; shift 2;; --out) out=$2; shift 2;;
esac; done
run=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/' "$out/../../writer.json" 2>/dev/null)
exec 9>"$TURNS.lock"; flock 9  # each turn is taken once
turn=$(head -n 1 "$TURNS" 2>/dev/null)
parent=$(sed 's/.*) . \\([0-9]*\\) .*/\\1/' /proc/$PPID/stat)  # another one where the worker has outlived its run
if [ -n "$turn" ] && [ "$x" -ge "$turn" ] && [ "$parent" = "$run" ]; then
  sed -i 1d "$TURNS"; kill -9 $run; sleep 600  # with the lock, until the worker ends it
fi
exec 9>&-
echo "seed $seed" > "$out/seen.txt"
echo "{\\"loss\\": $((100 - x + ${y:-5} + seed % 3)), \\"cost\\": $((x * (2 - ${fast:-0})))}"
"""
JOB = """
[problem]
command = ["bash", "trade.sh", "--x", "{{x}}", "--y", "{{y}}", "--fast", "{{fast}}", "--seed", "{{seed}}",
    "--out", "{{workspace}}"]
environment = {{ TURNS = "{turns}" }}
[problem.variables]
x = {{ integer = [1, 90] }}
fast = "boolean"
y = {{ integer = [0, 9], when = {{ fast = true }} }}
[objectives]
loss = "min"
cost = "min"
[search]
pop_size = 8
seed = 3
[budget]
n_evals = {n_evals}
[surrogate]
model = "none"
[evaluation]
workers = 2
"""


def write_job(folder: Path, name: str = "job", turns: str = "", n_evals: int = 24) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "trade.sh").write_text(TRADE)
    (folder / f"{name}.turns").write_text("".join(f"{turn}\n" for turn in turns.split()))
    (folder / f"{name}.toml").write_text(JOB.format(turns=folder / f"{name}.turns", n_evals=n_evals))
    return folder / f"{name}.toml"


def runs(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(map(runs, pids)):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if runs(pid)]}"
        time.sleep(0.05)


def test_search_of_a_script_killed_twice_ends_as_undisturbed(tmp_path: Path) -> None:
    peace, war = write_job(tmp_path, "peace"), write_job(tmp_path, "war", turns="60 70")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    evo_moo("run", peace, "--run-dir", "peace", cwd=tmp_path)
    evo_moo("run", war, "--run-dir", "war", cwd=tmp_path, code=-9)
    evo_moo("resume", "../war", cwd=elsewhere, code=-9)
    evo_moo("resume", "../war", cwd=elsewhere)
    assert (tmp_path / "war.turns").read_text() == ""
    assert ledger_of(tmp_path / "war") == ledger_of(tmp_path / "peace")
    assert front_of(tmp_path / "war") == front_of(tmp_path / "peace") != []
    evaluations = Result.read(tmp_path / "war").evaluations
    assert {e.status for e in evaluations} == {"ok"}
    assert all((tmp_path / "war" / "work" / str(e.id) / "seen.txt").is_file() for e in evaluations)


def test_run_sees_a_changed_script_and_follows_a_moved_one(tmp_path: Path) -> None:
    job = write_job(tmp_path / "here", n_evals=8)
    evo_moo("run", job, "--run-dir", "here/r", cwd=tmp_path)
    (tmp_path / "here").rename(tmp_path / "there")
    script = tmp_path / "there" / "trade.sh"
    evo_moo("resume", "there/r", "--n-evals", 9, cwd=tmp_path)
    script.write_text(TRADE + "# more\n")
    done = evo_moo("resume", "there/r", "--n-evals", 10, cwd=tmp_path, code=1)
    assert "`trade.sh` has changed (--accept-changes" in done.stderr
    done = evo_moo("resume", "there/r", "--n-evals", 10, "--accept-changes", cwd=tmp_path)
    assert "runs the command bash trade.sh --x {x}" in done.stderr
    shutil.move(tmp_path / "there" / "r", tmp_path / "apart")
    (tmp_path / "there").rename(tmp_path / "far")
    done = evo_moo("resume", "apart", "--n-evals", 11, cwd=tmp_path, code=2)
    assert "name the new place by --problem DIR" in done.stderr
    evo_moo("resume", "apart", "--n-evals", 11, "--problem", "far", cwd=tmp_path)
    assert len(Result.read(tmp_path / "apart").evaluations) == 11


def test_folder_of_a_stranger_runs_no_command_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evo_moo("run", write_job(tmp_path, n_evals=8), "--run-dir", "r", cwd=tmp_path)
    shutil.copytree(tmp_path / "r", tmp_path / "tampered")
    path = tmp_path / "tampered" / "job.toml"
    path.write_text(path.read_text().replace('    "trade.sh"', '    "-c",\n    "touch evil"'))
    with contextlib.closing(sqlite3.connect(path.with_name("run.sqlite"), isolation_level=None)) as db:
        evil = """replace(value, '"bash","trade.sh"', '"bash","-c","touch evil"')"""
        db.execute(f"UPDATE meta SET value = {evil}, checksum = NULL WHERE key = 'job'")
    done = evo_moo("resume", "tampered", "--n-evals", 9, cwd=tmp_path, code=2)
    assert "code must be yours or trusted" in done.stderr and "touch evil" in done.stderr
    done = evo_moo("resume", "tampered", "--n-evals", 9, "--problem", ".", cwd=tmp_path, code=2)
    assert "code must be yours or trusted" in done.stderr
    evo_moo("resume", "r", "--n-evals", 9, cwd=tmp_path)
    monkeypatch.setenv("EVO_MOO_STATE_DIR", str(tmp_path / "of another user"))
    done = evo_moo("resume", "r", "--n-evals", 10, cwd=tmp_path, code=2)
    assert "code must be yours or trusted, but you have not run what `r` names: the command bash" in done.stderr
    evo_moo("resume", "r", "--n-evals", 10, "--trust", cwd=tmp_path)
    assert not (tmp_path / "evil").exists()


def test_job_is_checked_shown_and_faults_are_listed(tmp_path: Path) -> None:
    job = write_job(tmp_path)
    done = evo_moo("check", job, "--n-evals", 3, cwd=tmp_path)
    assert "Evaluations: 5 of 5 ended well" in done.stdout and "`loss` depends on the seed" in done.stdout
    (tmp_path / "trade.sh").write_text("exit 1")
    done = evo_moo("check", job, "--dry-run", "--n-evals", 3, cwd=tmp_path)
    calls = [line for line in done.stdout.splitlines() if line.startswith("bash trade.sh --x ")]
    assert len(calls) == 3 and any("--fast" in call for call in calls) and any("--fast" not in call for call in calls)
    assert all(("--y" in call) == ("--fast" in call) for call in calls)
    job.write_text(job.read_text().replace('"{x}"', '"{z}"').replace("trade.sh", "tread.sh"))
    done = evo_moo("run", job, cwd=tmp_path, code=2)
    assert "`problem.command`: {z} names no variable" in done.stderr and "the script 'tread.sh'" in done.stderr
    assert not (tmp_path / "runs").exists()


FATES = """
echo $$ >> pids
case $1 in
  hangs) echo begins; (trap '' TERM; sleep 601) & echo $! >> pids; setsid sleep 601 & echo $! >> pids; wait;;
  hogs) {python} -c 'import time; x = bytearray(400_000_000); time.sleep(601)' & echo $! >> pids; wait;;
  forks) setsid sleep 601 & echo $! >> pids; (sleep 601 &) ; echo '{{"a": 1}}';;
  fails) echo no >&2; exit 5;;
  floods) head -c 3000000 /dev/zero | tr '\\0' '\\n'; echo '{{"a": 2}}';;
  good) echo '{{"a": 3}}';;
esac
"""
ENDS = {
    "hangs": ("timeout", "ran longer than 5 s"),
    "hogs": ("failed", "more than the limit of 300 MB"),
    "forks": ("ok", ""),
    "fails": ("failed", "the command ended with exit code 5; it said: no"),
    "floods": ("ok", ""),
    "good": ("ok", ""),
}


def outcomes_of(problem: package.CommandProblem, names: list[str], options: PoolOptions) -> dict[str, Outcome]:
    pool = LokyPool(ProblemSource.of_object(problem), problem.goals, 2, options)
    fates, outcomes = dict(enumerate(names)), {}
    with contextlib.closing(pool):
        tasks = [Task(i, {"fate": fate}, i) for i, fate in fates.items()]
        while tasks or pool.running:
            while tasks and pool.free:
                pool.submit(tasks.pop(0))
            outcomes |= {fates[outcome.id]: outcome for outcome in pool.next_finished(1.0)}
    return outcomes


def test_limits_and_faults_cost_only_one_and_leave_no_process(tmp_path: Path) -> None:
    (tmp_path / "fates.sh").write_text(FATES.format(python=sys.executable))
    variables = {"fate": package.Choice(list(ENDS))}
    problem = package.CommandProblem(["bash", "fates.sh", "{fate}"], variables, {"a": "min"}, directory=tmp_path)
    outcomes = outcomes_of(problem, ["hangs"], PoolOptions(5.0))
    others = [fate for fate in ENDS if fate != "hangs"]
    outcomes |= outcomes_of(problem, others, PoolOptions(retries=0, memory_mb=300))
    ends = {fate: (outcome.status, outcome.reason) for fate, outcome in outcomes.items()}
    assert {fate: status for fate, (status, _) in ends.items()} == {fate: status for fate, (status, _) in ENDS.items()}
    assert all(words in ends[fate][1] for fate, (_, words) in ENDS.items()), ends
    assert outcomes["hangs"].traceback == "begins"
    assert outcomes["fails"].traceback == "no" and "no" in outcomes["fails"].output
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == len(ENDS) + 4
    wait_for_end(pids)


def test_program_does_not_outlive_a_killed_run(tmp_path: Path) -> None:
    """Neither it nor what it started: the workers notice."""
    write_job(tmp_path, turns="1")
    last = "echo $$ >> pids; sleep 602 & echo $! >> pids; kill -9 $run; wait"
    (tmp_path / "trade.sh").write_text(TRADE.replace("kill -9 $run; sleep 600", last))
    evo_moo("run", "job.toml", "--run-dir", "r", cwd=tmp_path, code=-9)
    wait_for_end([int(pid) for pid in (tmp_path / "pids").read_text().split()])


SLOPES = """
total=$((100 + $1)); steps=$2; out=$3
for ((e = 1; e <= steps; e++)); do echo "{\\"epoch\\": $e, \\"loss\\": $((total - e)), \\"x\\": $1}"; done
"""


def test_trainings_are_stopped_by_what_they_print(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text(SLOPES)
    problem = package.CommandProblem(
        ["bash", "train.sh", "{x}", "{fidelity}"],
        {"x": {"integer": [1, 400]}},
        {"loss": "min", "x": "min"},
        fidelity={"epochs": [9, 30]},
        directory=tmp_path,
    )
    more: Any = {"refinement": {"rungs": [30], "risk": 0.2}, "pop_size": 20, "surrogate": "none", "workers": 1}
    result = package.search(problem, termination=("n_evals", 60), **more)
    stopped = [e for e in result.evaluations if e.status == "stopped"]
    assert stopped and all("which the front dominates" in e.reason for e in stopped)
    assert os.environ.get("EVO_MOO_WORKER") is None
