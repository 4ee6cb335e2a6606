"""Trainings that are stopped early in real runs: killed, resumed, with any number of workers."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import evo_moo
from evo_moo.analysis.rung_summary import rung_report
from evo_moo.errors import JobError
from evo_moo.run.doctor import examine
from evo_moo.storage.reading import reading
from tests.integration.running import front_of, ledger_of

pytestmark = pytest.mark.slow

LEARNING = "tests.integration.learning:Learning"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def search(run_dir: Path | None, n_evals: int = 30, workers: int = 1, **settings: Any) -> evo_moo.Result:
    settings = {"refinement": {"eta": 3, "risk": 0.3}, "pop_size": 20, "surrogate": "none", **settings}
    return evo_moo.search(
        LEARNING, termination=("n_evals", n_evals), seed=3, workers=workers, run_dir=run_dir, **settings
    )


def whole_ledger(run_dir: Path) -> list[Any]:
    with sqlite3.connect(run_dir / "run.sqlite") as db:
        curves = db.execute("SELECT evaluation, curve FROM curves ORDER BY 1").fetchall()
        costs = db.execute("SELECT id, fidelity, continues, cost, status, reason FROM evaluations").fetchall()
    return [curves, costs, ledger_of(run_dir)]


@pytest.mark.parametrize("refinement", [{"eta": 3, "risk": 0.3}, {"rungs": [9], "risk": 0.3}])
def test_the_number_of_workers_changes_nothing(refinement: dict[str, Any], tmp_path: Path) -> None:
    for workers in (1, 3):
        search(tmp_path / str(workers), workers=workers, refinement=refinement)
    assert whole_ledger(tmp_path / "1") == whole_ledger(tmp_path / "3")
    assert front_of(tmp_path / "1") == front_of(tmp_path / "3")


@pytest.mark.parametrize("settings", [{}, {"mode": "steady-state"}, {"refinement": {"rungs": [9], "risk": 0.3}}])
def test_stopped_training_costs_its_share_and_joins_no_front(settings: dict[str, Any], tmp_path: Path) -> None:
    result = search(tmp_path / "r", 24, **settings)
    stopped = [e for e in result.evaluations if e.status == "stopped"]
    assert stopped and all("which the front dominates" in e.reason for e in stopped)
    assert all(e.status == "ok" and e.fidelity == 9 for e in result.front)
    with reading(tmp_path / "r") as ledger:
        assert 23 < ledger.cost() <= 24
        curves, by_id = ledger.curves(), {e.id: e for e in ledger.evaluations()}
        members = {key for _, _, population, optimum in ledger.generations() for key in population + optimum}
        report = rung_report(ledger)
    assert not members & {e.id for e in stopped}
    for e in stopped:
        begun = by_id[e.continues].fidelity if e.continues else 0
        trained = curves[e.id].epochs[-1] - begun
        assert 0 < trained < e.fidelity - begun
        assert e.cost == pytest.approx(trained / 9)
        assert not any(other.continues == e.id for other in result.evaluations)
    for e in result.evaluations:
        if e.status in ("ok", "partial"):
            assert curves[e.id].epochs[-1] == e.fidelity
            assert curves[e.id].metrics["loss"][-1] == e.metrics["loss"]
    assert sum(rung["stopped"] for rung in report["rungs"]) == len(stopped)
    assert all(finding.sound for finding in examine(tmp_path / "r"))


@pytest.mark.parametrize("mode", ["stopping", "stopping-steady-state"])
def test_run_killed_at_any_write_ends_as_undisturbed(mode: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "tests.integration.kill_at_write", str(tmp_path), mode, "131"]
    done = subprocess.run(arguments, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with reading(tmp_path / "twin") as ledger:
        assert ledger.counts()["stopped"] > 0


def test_models_learn_of_what_was_stopped(tmp_path: Path) -> None:
    search(tmp_path / "a", 16, surrogate="rf", refinement={"rungs": [9], "risk": 0.5}, pop_size=8)
    with reading(tmp_path / "a") as ledger:
        counts = ledger.counts()
        n_learnt = max(detail["n"] for _, kind, detail in ledger.events() if kind == "surrogate")
    assert counts["stopped"] > 0 and n_learnt > counts["ok"]


def test_curves_are_kept_and_nothing_stops_without_a_risk() -> None:
    result = search(None, 12, refinement={"eta": 3})
    assert {e.status for e in result.evaluations} == {"ok", "partial"}


def test_a_risk_must_go_with_a_problem_that_reports() -> None:
    with pytest.raises(JobError, match=r"`refinement.risk` must go with .* does not name `report`"):
        evo_moo.search("tests.golden.ladder:GoldenLadder", refinement={"risk": 0.1})
    with pytest.raises(JobError, match=r"`refinement.risk` must be at least 0.001, but is 0.0"):
        search(None, refinement={"risk": 0.0})
