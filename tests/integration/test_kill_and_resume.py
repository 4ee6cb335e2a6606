"""A run killed anywhere, any number of times, ends as one that was left in peace."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import evo_moo as evo_moo_package
from evo_moo.report.content import read_report
from tests.integration.running import PATIENCE_S, USER_FILE, evo_moo, front_of, ledger_of

pytestmark = pytest.mark.slow

N_EVALS, N_EVALS_WITH_MODELS = 60, 24


def job(
    folder: Path,
    name: str,
    algorithm: str,
    workers: int,
    mode: str = "generational",
    surrogate: str = "none",
    problem: str = "KillsItsRun",
    **options: str,
) -> Path:
    path = folder / f"{name}.toml"
    models = f'[surrogate]\nmodel = "{surrogate}"\n'
    n_evals = N_EVALS if surrogate == "none" else N_EVALS_WITH_MODELS
    listed = ", ".join(f'{key} = "{value}"' for key, value in options.items())
    path.write_text(
        f'[problem]\nuse = "{USER_FILE}:{problem}"\noptions = {{ {listed} }}\n'
        f'[search]\nalgorithm = "{algorithm}"\npop_size = 12\nseed = 3\nmode = "{mode}"\n'
        f"[budget]\nn_evals = {n_evals}\n{models}[evaluation]\nworkers = {workers}\n"
    )
    return path


@pytest.mark.parametrize(
    ("algorithm", "workers", "mode", "surrogate", "problem"),
    [
        ("nsga2", 2, "generational", "none", "KillsItsRun"),
        ("nsga2", 1, "steady-state", "none", "KillsItsRun"),
        ("nsga2", 2, "generational", "auto", "KillsItsRunOfParts"),
        ("nsga3", 1, "steady-state", "gp", "KillsItsRun"),
    ],
)
def test_killed_runs_end_like_one_left_in_peace(
    tmp_path: Path, algorithm: str, workers: int, mode: str, surrogate: str, problem: str
) -> None:
    peace, war = tmp_path / "peace.txt", tmp_path / "war.txt"
    peace.write_text("")
    war.write_text("0.9 0.61")
    in_peace = job(tmp_path, "peace", algorithm, workers, mode, surrogate, problem, turns=str(peace))
    in_war = job(tmp_path, "war", algorithm, workers, mode, surrogate, problem, turns=str(war))
    evo_moo("run", in_peace, "--run-dir", "peace", cwd=tmp_path)
    evo_moo("run", in_war, "--run-dir", "war", cwd=tmp_path, code=-9)
    kills = 1
    while war.read_text():
        evo_moo("resume", "war", cwd=tmp_path, code=-9)
        kills += 1
    evo_moo("resume", "war", cwd=tmp_path)
    assert kills == 2
    assert len(front_of(tmp_path / "war")) > 1
    assert ledger_of(tmp_path / "war") == ledger_of(tmp_path / "peace")
    assert front_of(tmp_path / "war") == front_of(tmp_path / "peace")


def volumes_of(run: str, folder: Path) -> set[str]:
    """The hypervolume in every place that has it, as four digits."""
    result = evo_moo_package.Result.read(folder / run)
    row = next(line for line in evo_moo("list", ".", cwd=folder).stdout.splitlines() if f" {run} " in line)
    shown = evo_moo("show", run, cwd=folder).stdout
    log = (folder / run / "log.txt").read_text().splitlines()
    report = json.loads(read_report(folder / run, with_importances=False).to_json())
    batch = folder / f"{run}-batch"
    batch.mkdir()
    shutil.copytree(folder / run, batch / run)
    shutil.copy(folder / run / "job.toml", batch / f"{run}.toml")
    (in_batch,) = json.loads(evo_moo("batch", "--show", batch, "--json", cwd=folder).stdout)["runs"]
    numbers = [
        result.hypervolume(),
        json.loads(evo_moo("show", run, "--json", cwd=folder).stdout)["hypervolume"],
        report["history"]["volume"][-1],
        in_batch["hypervolume"],
    ]
    words = [
        re.search(r"Hypervolume: (\S+) of the first generation's box", shown),
        re.search(
            r"hypervolume (\S+) of the first generation's box", [line for line in log if "generation" in line][-1]
        ),
        re.search(r"(\S+) of the first generation's box", report["facts"]["Hypervolume"]),
    ]
    assert str(f"{result.hypervolume():.4g}") in row
    return {f"{number:.4g}" for number in numbers} | {found[1] for found in words if found}


def test_hypervolume_is_one_whether_killed_or_not(tmp_path: Path) -> None:
    peace, war = tmp_path / "peace.txt", tmp_path / "war.txt"
    peace.write_text("")
    war.write_text("0.9 0.7")
    evo_moo("run", job(tmp_path, "peace", "nsga2", 2, turns=str(peace)), "--run-dir", "peace", cwd=tmp_path)
    path, kills = job(tmp_path, "war", "nsga2", 2, turns=str(war)), 0
    while war.read_text():
        evo_moo("run", path, "--run-dir", "war", cwd=tmp_path, code=-9)
        kills += 1
    evo_moo("run", path, "--run-dir", "war", cwd=tmp_path)
    assert kills == 2
    (volume,) = volumes_of("peace", tmp_path)
    assert volumes_of("war", tmp_path) == {volume} and float(volume) > 0
    lines = [re.findall(r"generation \d.*box", (tmp_path / run / "log.txt").read_text()) for run in ("peace", "war")]
    assert set(lines[0]) == set(lines[1]) and len(lines[0]) == 5


def test_kill_in_steady_state_loses_and_repeats_nothing(tmp_path: Path) -> None:
    turns = tmp_path / "turns.txt"
    turns.write_text("0.9 0.7 0.8")
    path = job(tmp_path, "job", "nsga2", 2, "steady-state", turns=str(turns))
    ended: list[tuple] = []
    code = -9
    while code:
        code = -9 if turns.read_text() else 0
        evo_moo("run", path, "--run-dir", "r", cwd=tmp_path, code=code)
        evaluations = [row for row in ledger_of(tmp_path / "r") if len(row) == 7 and row[4] != "asked"]
        assert set(ended) <= set(map(str, evaluations))
        ended = list(map(str, evaluations))
    assert [row[0] for row in ledger_of(tmp_path / "r") if len(row) == 7] == list(range(1, N_EVALS + 1))
    assert len(ended) == N_EVALS
    assert len({row[2] for row in ledger_of(tmp_path / "r") if len(row) == 7}) == N_EVALS


def test_workers_do_not_outlive_a_killed_run(tmp_path: Path) -> None:
    turns = tmp_path / "turns.txt"
    turns.write_text("0.0")
    evo_moo("run", job(tmp_path, "job", "nsga2", 2, turns=str(turns)), "--run-dir", "r", cwd=tmp_path, code=-9)
    mine = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(tmp_path)]
    _, alive = psutil.wait_procs(mine, timeout=PATIENCE_S)
    assert alive == []


def test_sigterm_stops_with_75_and_resume_finishes(tmp_path: Path) -> None:
    turns = tmp_path / "turns.txt"
    turns.write_text("0.9")
    path = job(tmp_path, "job", "nsga2", 2, turns=str(turns), signal_name="SIGTERM")
    done = evo_moo("run", path, "--run-dir", "r", cwd=tmp_path, code=75)
    assert "SIGTERM" in done.stderr
    assert "stopped" in evo_moo("list", ".", cwd=tmp_path).stdout
    evo_moo("resume", "r", cwd=tmp_path)
    (tmp_path / "peace").mkdir()
    turns.write_text("")
    evo_moo("run", path, "--run-dir", "peace/r", cwd=tmp_path)
    assert ledger_of(tmp_path / "r") == ledger_of(tmp_path / "peace/r")


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    evo_moo("run", "pymoo:bnh", "--n-evals", 200, "--run-dir", "r", cwd=tmp_path)
    before = ledger_of(tmp_path / "r")
    evo_moo("run", "pymoo:bnh", "--n-evals", 200, "--run-dir", "r", cwd=tmp_path)
    evo_moo("resume", "r", cwd=tmp_path)
    assert ledger_of(tmp_path / "r") == before
    done = evo_moo("run", "pymoo:srn", "--n-evals", 200, "--run-dir", "r", cwd=tmp_path, code=1)
    assert "belongs to one job" in done.stderr and "'pymoo:bnh' there, 'pymoo:srn' here" in done.stderr


def test_a_changed_problem_is_not_mixed_into_an_old_run(tmp_path: Path) -> None:
    turns = tmp_path / "turns.txt"
    turns.write_text("0.8")
    evo_moo("run", job(tmp_path, "job", "nsga2", 2, turns=str(turns)), "--run-dir", "r", cwd=tmp_path, code=-9)
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as db:
        (n_asked,) = db.execute("SELECT coalesce(max(n_asked), 0) FROM generations").fetchone()
        other = json.dumps({"x": 0.5, "rate": 0.01, "n": 2, "kind": "plain"})
        db.execute("UPDATE evaluations SET configuration = ? WHERE id = ?", (other, n_asked + 1))
    done = evo_moo("resume", "r", cwd=tmp_path, code=2)
    assert "has changed" in done.stderr


@pytest.mark.parametrize(
    ("mode", "journal", "step"),
    [("generational", "wal", 11), ("steady-state", "wal", 13), ("generational", "delete", 17), ("points", "wal", 29)],
)
def test_run_killed_at_any_write_ends_as_undisturbed(tmp_path: Path, mode: str, journal: str, step: int) -> None:
    command = [sys.executable, "-m", "tests.integration.kill_at_write", str(tmp_path), mode, str(step)]
    environment = {**os.environ, "EVO_MOO_JOURNAL": journal}
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
