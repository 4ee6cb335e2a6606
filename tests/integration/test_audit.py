"""Each evaluation's story can be told from the ledger alone."""

import json
import sqlite3
from pathlib import Path

import pytest

import evo_moo
from evo_moo.storage.migrations import FORMAT
from evo_moo.storage.reading import reading
from tests.integration.running import USER_FILE
from tests.integration.running import evo_moo as command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audited")
    start = [{"x": 0.25, "rate": 0.01, "n": 2, "kind": "plain"}]
    evo_moo.search(
        f"{USER_FILE}:Small",
        pop_size=8,
        termination=("n_evals", 48),
        seed=2,
        workers=1,
        start=start,
        run_dir=folder / "r",
        surrogate="none",
    )
    prediction = json.dumps({"loss": [0.5, 0.1], "speed": [1.0, 0.0]})
    with sqlite3.connect(folder / "r" / "run.sqlite") as db:
        db.execute("UPDATE evaluations SET prediction = ? WHERE id = 1", (prediction,))
    return folder / "r"


def story(run: Path, key: int) -> dict:
    return json.loads(command("show", run, "--id", key, "--json", cwd=run).stdout)


def test_parents_and_children_know_each_other(run: Path) -> None:
    with reading(run) as ledger:
        evaluations = list(ledger.evaluations())
        parents = {e.id: e.parents for e in evaluations}
        for e in evaluations:
            assert ledger.children(e.id) == [key for key, ids in parents.items() if e.id in ids]
            assert (e.origin == "mating") == bool(e.parents) == (e.generation > 1)
    assert [e.origin for e in evaluations][:8] == ["start"] + ["sample"] * 7
    child = next(e for e in evaluations if len(e.parents) == 2)
    told = story(run, child.id)
    assert [p["id"] for p in told["parents"]] == child.parents and told["why"] == "bred from its parents"
    assert all(p["status"] == "ok" and p["objectives"].keys() == {"loss", "speed"} for p in told["parents"])
    assert child.id in [c["id"] for c in story(run, child.parents[0])["children"]]


def test_a_story_agrees_with_the_result(run: Path) -> None:
    result = evo_moo.Result.read(run)
    front = {e.id for e in result.front}
    inside, outside = min(front), next(e.id for e in result.evaluations if e.id not in front)
    assert story(run, inside)["on_front"] and not story(run, outside)["on_front"]
    e, told = result.evaluations[inside - 1], story(run, inside)
    for name in ("seed", "worker", "attempts", "asked_at", "started_at", "duration_s", "status", "metrics", "origin"):
        assert told[name] == getattr(e, name)
    failed = next(e for e in result.evaluations if e.status == "failed")
    assert "no solution here" in story(run, failed.id)["traceback"] and story(run, failed.id)["survived"] == []


def test_a_prediction_is_put_beside_what_came(run: Path) -> None:
    told = story(run, 1)
    assert told["why"] == "the job names it among the configurations to start with"
    loss = told["metrics"]["loss"]
    assert told["prediction"]["loss"] == pytest.approx(
        {"mean": 0.5, "std": 0.1, "value": loss, "off_by_std": (loss - 0.5) / 0.1}
    )
    assert told["prediction"]["speed"]["off_by_std"] is None
    table = command("show", run, "--id", 1, cwd=run).stdout
    assert "0.5 +- 0.1 expected" in table and "standard deviations off" in table
    assert story(run, 2)["prediction"] is None


def test_a_number_that_no_evaluation_has_is_refused(run: Path) -> None:
    for key in (0, 49, 2**70, "49.1"):
        assert "from 1 to 48" in command("show", run, f"--id={key}", cwd=run, code=2).stderr
    for key in (-1, "1.", "a"):
        assert "must be that of an evaluation, as 12, or" in command("show", run, f"--id={key}", cwd=run, code=2).stderr


def test_events_of_a_run_are_recorded(tmp_path: Path) -> None:
    def crashing(config):
        import os

        if config["x"] > 0.5:
            os._exit(9)
        return {"a": config["x"]}

    space = {"variables": {"x": evo_moo.Real(0, 1)}, "objectives": {"a": "min"}}
    common = {**space, "pop_size": 4, "seed": 1, "workers": 2, "run_dir": tmp_path / "r", "surrogate": "none"}
    evo_moo.search(crashing, termination=("n_evals", 8), **common)
    evo_moo.search(crashing, termination=("n_evals", 12), **common)
    with reading(tmp_path / "r") as ledger:
        events = [(kind, detail) for _, kind, detail in ledger.events()]
        retried = {e.id for e in ledger.evaluations() if e.attempts and e.attempts > 1}
    kinds = [kind for kind, _ in events if kind != "retried"]
    assert kinds == ["running", "finished", "job changed", "running", "finished"]
    changed = next(detail for kind, detail in events if kind == "job changed")
    assert changed == {"budget.n_evals": [8, 12]}
    assert [detail for kind, detail in events if kind == "running"][1]["from_checkpoint"] is True
    assert retried and {detail["evaluation"] for kind, detail in events if kind == "retried"} == retried


def test_a_stop_is_recorded_with_its_signal() -> None:
    with reading(ROOT / "tests" / "golden" / f"format_{FORMAT}" / "stopped") as ledger:
        events = [(kind, detail.get("reason")) for _, kind, detail in ledger.events()]
    assert events == [("running", None), ("stopped", "SIGTERM")]
