"""A ladder of short and long evaluations in real runs: killed, resumed, with any number of workers."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import evo_moo
from evo_moo.analysis.rung_summary import rung_report
from evo_moo.cli.overview_tables import print_runs
from evo_moo.errors import JobError, UsageError
from evo_moo.run.doctor import examine
from evo_moo.storage.reading import reading
from tests.golden.problem import Golden
from tests.integration.running import USER_FILE, front_of, ledger_of
from tests.integration.running import evo_moo as command

pytestmark = pytest.mark.slow

LADDER = "tests.golden.ladder:GoldenLadder"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def search(run_dir: Path | None, n_evals: int = 12, workers: int = 1, **settings: Any) -> evo_moo.Result:
    settings = {"refinement": {"eta": 3, "replicates": 2}, "pop_size": 6, "surrogate": "none", **settings}
    return evo_moo.search(
        LADDER, termination=("n_evals", n_evals), seed=3, workers=workers, run_dir=run_dir, **settings
    )


def whole_ledger(run_dir: Path) -> list[Any]:
    with sqlite3.connect(run_dir / "run.sqlite") as db:
        ladder = db.execute(
            "SELECT id, fidelity, replicate, continues, cost, origin, parents FROM evaluations"
        ).fetchall()
    return [ladder, ledger_of(run_dir)]


def job(folder: Path, name: str, mode: str, turns: Path) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(
        f'[problem]\nuse = "{USER_FILE}:KillsItsLadder"\noptions = {{ turns = "{turns}" }}\n'
        f'[search]\npop_size = 9\nseed = 3\nmode = "{mode}"\n[surrogate]\nmodel = "none"\n[budget]\nn_evals = 14\n'
        f"[refinement]\nrungs = [1, 3, 9]\n[evaluation]\nworkers = {1 if mode == 'steady-state' else 2}\n"
    )
    return path


@pytest.mark.parametrize(("mode", "turns"), [("generational", "1 3 9"), ("steady-state", "3 9")])
def test_refinement_killed_on_every_rung_ends_as_undisturbed(mode: str, turns: str, tmp_path: Path) -> None:
    peace, war = tmp_path / "peace.txt", tmp_path / "war.txt"
    peace.write_text("")
    war.write_text(turns)
    command("run", job(tmp_path, "peace", mode, peace), "--run-dir", "peace", cwd=tmp_path)
    command("run", job(tmp_path, "war", mode, war), "--run-dir", "war", cwd=tmp_path, code=-9)
    while war.read_text():
        command("resume", "war", cwd=tmp_path, code=-9)
    command("resume", "war", cwd=tmp_path)
    assert whole_ledger(tmp_path / "war") == whole_ledger(tmp_path / "peace")
    assert front_of(tmp_path / "war") == front_of(tmp_path / "peace") != []
    with reading(tmp_path / "war") as ledger:
        rows = [e for e in ledger.ended() if "steps_here" in e.metrics]
        # Nothing was trained twice: what went on did so from the weights of the rung below.
        below = {e.id: e.fidelity for e in ledger.evaluations()}
        assert all(e.metrics["steps_here"] == e.fidelity - below.get(e.continues, 0) for e in rows)
        assert {e.fidelity for e in rows} == {1, 3, 9}


@pytest.mark.parametrize("mode", ["refined", "refined-steady-state"])
def test_refinement_killed_at_any_write_ends_as_undisturbed(mode: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "tests.integration.kill_at_write", str(tmp_path), mode, "127"]
    done = subprocess.run(arguments, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_ladder_is_the_same_with_any_number_of_workers(tmp_path: Path) -> None:
    for workers in (1, 3):
        search(tmp_path / str(workers), 8, workers=workers, surrogate="gp")
    assert whole_ledger(tmp_path / "1") == whole_ledger(tmp_path / "3")
    assert front_of(tmp_path / "1") == front_of(tmp_path / "3")


def test_the_front_holds_full_evaluations_and_their_means(tmp_path: Path) -> None:
    result = search(tmp_path / "r", 30)
    assert result.front and all(e.status == "ok" and e.fidelity == 9 and not e.replicate for e in result.front)
    repeated = [e for e in result.evaluations if e.replicate and e.status == "ok"]
    means = {e.id: e.metrics["loss"] for e in result.front}
    for again in repeated:
        if again.continues in means:
            (first,) = [e for e in result.evaluations if e.id == again.continues]
            assert means[first.id] == pytest.approx((first.metrics["loss"] + again.metrics["loss"]) / 2)
            assert result.spread[first.id]["loss"] == pytest.approx(
                abs(first.metrics["loss"] - again.metrics["loss"]) / 2**0.5
            )
    assert {e.continues for e in repeated} & means.keys()
    assert "sd.loss" in (tmp_path / "r" / "front.csv").read_text()
    with reading(tmp_path / "r") as ledger:
        assert 29 < ledger.cost() <= 30
        for _, _, population, _ in ledger.generations():
            members = ledger.of_ids(population)
            assert all(e.fidelity == 9 or e.status == "infeasible" for e in members)


def test_full_evaluation_equals_that_of_a_search_without_rungs(tmp_path: Path) -> None:
    result = search(None, 12, refinement={})
    assert result.front
    for e in result.front:
        plain = evo_moo.search(
            LADDER, termination=("n_evals", 4), pop_size=4, seed=3, workers=1, start=[e.configuration]
        )
        assert plain.evaluations[0].seed == e.seed
        assert plain.evaluations[0].metrics["loss"] == e.metrics["loss"]


def test_a_run_goes_on_to_a_larger_budget_as_one_of_that_budget(tmp_path: Path) -> None:
    search(tmp_path / "a", 7)
    with pytest.raises(JobError, match=r"`budget.n_evals` must be at least"):
        evo_moo.resume(tmp_path / "a", n_evals=3)
    evo_moo.resume(tmp_path / "a", n_evals=12)
    search(tmp_path / "b", 12)
    assert whole_ledger(tmp_path / "a") == whole_ledger(tmp_path / "b")


def test_show_draws_how_candidates_rose(tmp_path: Path) -> None:
    search(tmp_path / "r", 30)
    shown = command("show", "r", "--rungs", cwd=tmp_path).stdout
    assert "tau" in shown and " -> " in shown and "at 9:" in shown
    report = json.loads(command("show", "r", "--rungs", "--json", cwd=tmp_path).stdout)
    assert [rung["fidelity"] for rung in report["rungs"]] == [1, 3, 9]
    assert report["rungs"][0]["rose"] == report["rungs"][1]["asked"]
    assert report["rungs"][1]["tau_full"] == report["rungs"][1]["tau"]
    assert report["rungs"][2]["tau_full"] == {} and report["spared"] == {"n": 0, "on_front": 0}
    assert 29 < report["cost"] <= 30
    for climb in report["climbs"]:
        assert [step["fidelity"] for step in climb] == [1, 3, 9]
    assert "rose from" in command("show", "r", "--id", report["climbs"][0][1]["id"], cwd=tmp_path).stdout


def test_every_reader_takes_a_ladder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(tmp_path / "r", 30)
    assert all(finding.sound for finding in examine(tmp_path / "r"))
    evo_moo.export_run(tmp_path / "r", "csv", tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text().splitlines()[0].endswith("fidelity,continues,replicate,cost")
    print_runs(tmp_path)
    assert "/30" in capsys.readouterr().out
    earlier = evo_moo.search(LADDER, termination=("n_evals", 6), pop_size=6, workers=1, from_runs=[tmp_path / "r"])
    known = [e for e in earlier.evaluations if "taken from" in e.reason]
    assert known and all(e.metrics["steps_here"] == 6 or e.metrics["steps_here"] == 9 for e in known)
    evo_moo.search("pymoo:bnh", termination=("n_evals", 100), run_dir=tmp_path / "plain", workers=1)
    with reading(tmp_path / "plain") as ledger, pytest.raises(UsageError, match="had refinement"):
        rung_report(ledger)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (
            {"rungs": [3, 9, 27]},
            "must end at the problem's full evaluation, 9 steps, but ends at 27",
        ),
        ({"rungs": [9]}, "`refinement.rungs` must give at least two rungs"),
        ({"rungs": [3, 1, 9]}, "each higher than the one before, but gives [3, 1, 9]"),
        ({"min": 4, "max": 6}, "`refinement.max` must end at"),
        ({"rungs": [1, 9], "min": 1}, "`refinement.min` must not go with `rungs`"),
        ({"metric": "epochs"}, "`refinement.metric` must be the problem's fidelity, 'steps', but is 'epochs'"),
        ({"eta": 1}, "`refinement.eta` must be at least 2"),
        ({"rung": [1]}, "rungs"),
    ],
)
def test_a_wrong_ladder_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(JobError) as raised:
        search(None, refinement=section)
    assert words in str(raised.value)


def test_a_problem_without_fidelities_is_refused_a_ladder() -> None:
    with pytest.raises(JobError, match=r"`refinement` must go with a problem .* Golden declares no `fidelity`"):
        evo_moo.search(Golden(), refinement={"rungs": [1, 9]})


def test_weights_are_pruned(tmp_path: Path) -> None:
    search(tmp_path / "r", 10, refinement={"weights_mb": 0})
    search(tmp_path / "kept", 10, refinement={})
    assert len(list((tmp_path / "r" / "weights").glob("*"))) < len(list((tmp_path / "kept" / "weights").glob("*"))) < 10
    with reading(tmp_path / "r") as ledger:
        assert any(kind == "weights dropped" for _, kind, _ in ledger.events())
