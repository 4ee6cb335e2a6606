"""A search that starts from earlier runs takes their best, and reuses what is known of it."""

import json
import shutil
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evo_moo
from evo_moo import Result
from evo_moo.errors import JobError, RunFolderError
from evo_moo.pareto import pareto_rows
from tests.integration.running import USER_FILE, ledger_of
from tests.integration.running import evo_moo as command

pytestmark = pytest.mark.slow

POP_SIZE = 16
PROBLEM = """
import os
from evo_moo import Integer, Metric, Real, SearchProblem


class Lens(SearchProblem):
    variables = {"x": Real(0, 1), "n": Integer(1, 5)}
    objectives = {"f": "min", "g": "min"}
    metrics = {"t_ms": Metric(unit="ms", timed=True)}

    def evaluate(self, config, *, seed):
        with open(os.environ["EVALUATED"], "a") as file:
            file.write(f"{seed}\\n")
        noise = seed % 100 / 1e4
        return {"f": config["x"] * config["n"] + noise, "g": (1 - config["x"]) ** 2 / config["n"], "t_ms": 1 + noise}
"""

OTHER = """
from evo_moo import Integer, Real, SearchProblem


class Other(SearchProblem):
    variables = {"x": Real(0, 1), "z": Real(0, 1)}
    objectives = {"g": "min", "h": "min"}

    def evaluate(self, config):
        return {"g": 100 * (1 - config["x"]) ** 2 + config["z"], "h": config["x"]}
"""


@pytest.fixture
def lens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A noisy problem in a file that says which seeds it was evaluated with."""
    monkeypatch.setenv("EVALUATED", str(tmp_path / "evaluated.txt"))
    (tmp_path / "lens.py").write_text(PROBLEM)
    return f"{tmp_path / 'lens.py'}:Lens"


def evaluated(tmp_path: Path) -> list[int]:
    """The seeds of the evaluations that took place since the last call."""
    text = (tmp_path / "evaluated.txt").read_text()
    (tmp_path / "evaluated.txt").write_text("")
    return [int(line) for line in text.splitlines()]


def search(problem: Any, run_dir: Path, n_evals: int = POP_SIZE, **options: Any) -> Result:
    settings = {"pop_size": POP_SIZE, "workers": 1, "seed": 1, "surrogate": "none"} | options
    return evo_moo.search(problem, termination=("n_evals", n_evals), run_dir=run_dir, **settings)


def taken(result: Result) -> list[Any]:
    return [e for e in result.evaluations if e.reason.startswith("taken from")]


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_first_population_is_as_good_as_the_earlier_run(lens: str, tmp_path: Path, mode: str) -> None:
    before = search(lens, tmp_path / "a", 64, pop_size=8)
    evaluated(tmp_path)
    size = 2 * len(before.front)
    after = search(lens, tmp_path / "b", size, pop_size=size, seed=9, mode=mode, from_runs=[tmp_path / "a"])
    assert len(after.evaluations) == size
    assert [e.seed for e in after.evaluations if e not in taken(after)] == evaluated(tmp_path)
    assert {e.configuration_json: (e.metrics, e.seed) for e in taken(after)} == {
        e.configuration_json: (e.metrics, e.seed) for e in before.front
    }
    both = np.vstack([before.F, after.F])
    assert set(pareto_rows(both, np.zeros(len(both)))) >= set(range(len(before.F), len(both)))
    by_id = {e.id: e.configuration for e in before.evaluations}
    for e in taken(after):
        assert by_id[int(e.reason.removeprefix("taken from a, evaluation "))] == e.configuration
        assert e.status == "ok" and e.attempts == 0 and e.duration_s == 0


def test_earlier_runs_fill_half_a_population_after_the_start(lens: str, tmp_path: Path) -> None:
    search(lens, tmp_path / "a", 60)
    given = {"x": 0.5, "n": 5}
    after = search(lens, tmp_path / "b", start=[given], from_runs=[tmp_path / "a"])
    assert len(taken(after)) == POP_SIZE // 2
    assert after.evaluations[0].configuration == given
    assert len({e.configuration_json for e in after.evaluations}) == POP_SIZE
    again = search(lens, tmp_path / "c", from_runs=[tmp_path / "a", tmp_path / "b", tmp_path / "a"])
    assert len(taken(again)) == POP_SIZE // 2
    assert len({e.configuration_json for e in again.evaluations}) == POP_SIZE


def test_a_changed_problem_gives_configurations_but_no_values(lens: str, tmp_path: Path) -> None:
    before = search(lens, tmp_path / "a", 40)
    evaluated(tmp_path)
    (tmp_path / "lens.py").write_text(PROBLEM + "CHANGED = True\n")
    after = search(lens, tmp_path / "b", seed=2, from_runs=[tmp_path / "a"])
    assert taken(after) == [] and len(evaluated(tmp_path)) == POP_SIZE
    old = {e.configuration_json for e in before.evaluations}
    assert len(old & {e.configuration_json for e in after.evaluations}) == POP_SIZE // 2


def test_run_resumed_with_a_changed_problem_has_no_version(lens: str, tmp_path: Path) -> None:
    search(lens, tmp_path / "a", 20)
    (tmp_path / "lens.py").write_text(PROBLEM + "CHANGED = True\n")
    evo_moo.resume(tmp_path / "a", n_evals=40, accept_changes=True)
    after = search(lens, tmp_path / "b", seed=2, from_runs=[tmp_path / "a"])
    assert taken(after) == []


def test_measured_times_count_only_on_the_same_machine(lens: str, tmp_path: Path) -> None:
    search(lens, tmp_path / "a", 40)
    environment = json.loads((tmp_path / "a" / "environment.json").read_text())
    here = search(lens, tmp_path / "b", from_runs=[tmp_path / "a"])
    assert all("t_ms" in e.metrics for e in taken(here)) and taken(here)
    (tmp_path / "a" / "environment.json").write_text(json.dumps(environment | {"processor": "another"}))
    there = search(lens, tmp_path / "c", from_runs=[tmp_path / "a"])
    assert all("t_ms" not in e.metrics for e in taken(there)) and len(taken(there)) == POP_SIZE // 2
    goals = {"f": "min", "t_ms": "min"}
    assert taken(search(lens, tmp_path / "d", from_runs=[tmp_path / "a"], objectives=goals)) == []
    (tmp_path / "a" / "environment.json").unlink()
    assert taken(search(lens, tmp_path / "e", from_runs=[tmp_path / "a"], objectives=goals)) == []


def test_new_goals_rank_the_old_evaluations(lens: str, tmp_path: Path) -> None:
    before = search(lens, tmp_path / "a", 60)
    after = search(lens, tmp_path / "b", from_runs=[tmp_path / "a"], objectives={"g": "max"})
    best = sorted((e.metrics["g"] for e in before.evaluations), reverse=True)[: POP_SIZE // 2]
    assert sorted((e.metrics["g"] for e in taken(after)), reverse=True) == best


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3"])
def test_a_plain_pymoo_problem_starts_from_a_run_too(tmp_path: Path, algorithm: str) -> None:
    before = search("pymoo:bnh", tmp_path / "a", 10 * POP_SIZE)
    options = {"algorithm": algorithm, "workers": None, "from_runs": [tmp_path / "a"]}
    after = search("pymoo:bnh", tmp_path / "b", 3 * POP_SIZE, seed=4, **options)
    assert len(taken(after)) == POP_SIZE // 2 and {e.generation for e in taken(after)} == {1}
    known = {e.configuration_json: e.metrics for e in before.evaluations}
    assert all(known[e.configuration_json] == e.metrics for e in taken(after))


def test_failed_evaluations_are_not_started_from(tmp_path: Path) -> None:
    before = search(f"{USER_FILE}:Small", tmp_path / "a", 60)
    after = search(f"{USER_FILE}:Small", tmp_path / "b", seed=2, from_runs=[tmp_path / "a"])
    unusable = {e.configuration_json for e in before.evaluations if e.status != "ok"}
    assert unusable and not unusable & {json.dumps(c) for c in after.configurations}
    assert len(taken(after)) == POP_SIZE // 2
    assert {e.metrics["size"] for e in taken(after)} <= set(range(8))


@pytest.mark.parametrize(("mode", "workers"), [("generational", 2), ("steady-state", 1)])
def test_killed_warm_start_ends_alike_without_the_earlier_run(tmp_path: Path, mode: str, workers: int) -> None:
    turns = tmp_path / "turns.txt"
    turns.write_text("")
    job = tmp_path / "job.toml"
    job.write_text(
        f'[problem]\nuse = "{USER_FILE}:KillsItsRun"\noptions = {{ turns = "{turns}" }}\n'
        f'[search]\npop_size = 12\nseed = 3\nmode = "{mode}"\nfrom = ["first"]\n'
        f'[surrogate]\nmodel = "none"\n[budget]\nn_evals = 40\n[evaluation]\nworkers = {workers}\n'
    )
    command("run", job, "--set", "search.from=[]", "--seed", 1, "--run-dir", "first", cwd=tmp_path)
    (tmp_path / "elsewhere").mkdir()
    command("run", job, "--run-dir", "../peace", cwd=tmp_path / "elsewhere")
    turns.write_text("0.9 0.7")
    command("run", job, "--run-dir", "war", cwd=tmp_path, code=-9)
    shutil.rmtree(tmp_path / "first")
    while turns.read_text():
        command("run", job, "--run-dir", "war", cwd=tmp_path, code=-9)
    command("resume", "war", cwd=tmp_path)
    assert len(taken(Result.read(tmp_path / "peace"))) == 6
    assert ledger_of(tmp_path / "war") == ledger_of(tmp_path / "peace")
    assert len(tomllib.loads((tmp_path / "war" / "job.toml").read_text())["search"]["start"]) == 6


def test_models_taught_by_earlier_runs_go_on_without_them(lens: str, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(OTHER)
    search(f"{tmp_path / 'other.py'}:Other", tmp_path / "old", 60)
    search(lens, tmp_path / "a", 30)
    options = {"surrogate": "gp", "from_runs": [tmp_path / "old", tmp_path / "a"]}
    peace = search(lens, tmp_path / "peace", 36, **options)
    search(lens, tmp_path / "war", 24, **options)
    shutil.rmtree(tmp_path / "old")
    shutil.rmtree(tmp_path / "a")
    evo_moo.resume(tmp_path / "war", n_evals=30)
    evo_moo.resume(tmp_path / "war", n_evals=36)
    assert ledger_of(tmp_path / "war") == ledger_of(tmp_path / "peace")
    assert not [e for e in peace.evaluations if e.reason.startswith("taken from old")]
    data = json.loads(command("show", "peace", "--surrogate", "--json", cwd=tmp_path).stdout)
    assert data["earlier"][0].startswith("60 outcomes of old, without: ")
    assert "z, which this space does not have; n, which that run did not have" in data["earlier"][0]
    weights = {name: metric["earlier"] for name, metric in data["metrics"].items()}
    assert weights.keys() == {"f", "g"} and weights["g"].keys() == {"old", "a"} and weights["f"].keys() == {"a"}
    text = command("show", "peace", "--surrogate", cwd=tmp_path).stdout
    assert "f: begins from" in text and "Models learn 30 outcomes of a" in text


def test_a_run_begun_by_a_warm_start_belongs_to_its_job(lens: str, tmp_path: Path) -> None:
    search(lens, tmp_path / "a", 40)
    first = search(lens, tmp_path / "b", from_runs=[tmp_path / "a"])
    shutil.rmtree(tmp_path / "a")
    again = search(lens, tmp_path / "b", from_runs=[tmp_path / "a"])
    assert again.evaluations == first.evaluations
    for other in ({"from_runs": []}, {"from_runs": [tmp_path / "a"], "start": [{"x": 0.5, "n": 1}]}):
        with pytest.raises(RunFolderError, match="belongs to one job"):
            search(lens, tmp_path / "b", **other)


def test_the_command_line_takes_runs_by_name(lens: str, tmp_path: Path) -> None:
    search(lens, tmp_path / "runs" / "a", 40)
    common = ("run", lens, "--n-evals", 10, "--set", "search.pop_size=10", "--workers", 1)
    command(*common, "--from", "a", "--from", "runs/a", "--run-dir", "b", cwd=tmp_path)
    assert len(taken(Result.read(tmp_path / "b"))) == 5


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM meta", "has begun"),
        ("DROP TABLE evaluations", "damaged"),
        ("UPDATE meta SET value = '[]' WHERE key = 'goals'", "damaged"),
        ("UPDATE evaluations SET metrics = '[]'", "damaged"),
        ("UPDATE evaluations SET metrics = '{}'", "damaged"),
        ('UPDATE evaluations SET metrics = \'{"f": "1", "g": 2}\'', "damaged"),
        ("UPDATE evaluations SET configuration = '7'", "damaged"),
        ("UPDATE evaluations SET status = 'failed'", "of 16 evaluations none is one"),
        ("DELETE FROM evaluations", "of 0 evaluations none is one"),
    ],
)
def test_an_earlier_run_that_is_of_no_use_is_one_message(
    lens: str, tmp_path: Path, statement: str, message: str
) -> None:
    search(lens, tmp_path / "a")
    with sqlite3.connect(tmp_path / "a" / "run.sqlite") as db:
        db.execute(statement)
    with pytest.raises(JobError, match=message) as raised:
        search(lens, tmp_path / "b", from_runs=[tmp_path / "a"])
    assert str(raised.value).startswith("`search.from`")
    assert not (tmp_path / "b").exists()


def test_hostile_configurations_are_translated_or_passed_over(lens: str, tmp_path: Path) -> None:
    search(lens, tmp_path / "a")
    odd = ['{"x": "=1", "n": [1]}', '{"x": 1e300, "n": -5, "__class__": {}}', '{"x": true, "n": 2.5}', "{}"]
    with sqlite3.connect(tmp_path / "a" / "run.sqlite") as db:
        for i, text in enumerate(odd):
            db.execute("UPDATE evaluations SET configuration = ? WHERE id = ?", (text, i + 1))
        db.execute("DELETE FROM evaluations WHERE id > ?", (len(odd),))
    after = search(lens, tmp_path / "b", from_runs=[tmp_path / "a"])
    assert taken(after) == []
    assert {"x": 1.0, "n": 1} in [e.configuration for e in after.evaluations]


def test_folder_without_a_run_is_refused(lens: str, tmp_path: Path) -> None:
    for runs in (["none"], [tmp_path]):
        with pytest.raises(JobError, match=r"search\.from.*no run\.sqlite"):
            search(lens, tmp_path / "b", from_runs=runs)
    done = command("run", lens, "--n-evals", 8, "--set", "search.from=none", cwd=tmp_path, code=2)
    assert "`search.from` must be a list, but is 'none'" in done.stderr
    assert "no run.sqlite" in command("run", lens, "--n-evals", 8, "--from", "none", cwd=tmp_path, code=2).stderr
