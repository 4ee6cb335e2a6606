"""Exports are read back by the programs that they are for."""

import csv
import datetime
import io
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

import evo_moo
from evo_moo import Boolean, Choice, Integer, Real, Result, export_run
from evo_moo.errors import RunFolderError, UsageError
from evo_moo.storage.ledger import Ledger
from tests.integration.running import USER_FILE
from tests.integration.running import evo_moo as command

pytestmark = pytest.mark.slow

N_EVALS = 70
FORMULA = "=1+1"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with conditional variables, a limit, failures and infeasible ones."""
    path = tmp_path_factory.mktemp("runs") / "small"
    evo_moo.search(f"{USER_FILE}:Small", "nsga2", 10, ("n_evals", N_EVALS), 2, 1, "none", path)
    return path


@pytest.fixture(scope="module")
def odd_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose options are of every JSON type, and whose limit is kept by its metrics alone."""

    def odd(config: dict[str, Any]) -> dict[str, float]:
        return {
            "word": len(config["word"]) + 9 * config["x"],
            "kind": config["kind"] == 1,
            "odd one": -7.5,
            "x": config["x"],
        }

    path = tmp_path_factory.mktemp("runs") / "odd"
    variables = {
        "word": Choice([FORMULA, "@a", "plain", "-3"]),
        "kind": Choice([1, True, "1", None, [1, 2], {"a": 1.0}]),
        "x": Real(1e-5, 1, log=True),
        "flag": Boolean(),
        "depth": Integer(1, 3, when={"flag": True}),
    }
    evo_moo.search(
        odd,
        "nsga2",
        40,
        ("n_evals", 60),
        workers=1,
        surrogate="none",
        run_dir=path,
        variables=variables,
        objectives={"x": "min", "word": "max"},
        constraints={"kind": {"equals": 0}, "x": {"at_most": 0.5}},
    )
    return path


def csv_rows(run_dir: Path, **options: Any) -> list[dict[str, str]]:
    export_run(run_dir, "csv", path := run_dir.parent / "out.csv", force=True, **options)
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_a_table_has_every_evaluation_and_marks_the_front(run_dir: Path) -> None:
    result, rows = Result.read(run_dir), csv_rows(run_dir)
    assert [int(row["id"]) for row in rows] == list(range(1, N_EVALS + 1))
    assert {int(row["id"]) for row in rows if row["on_front"] == "true"} == {e.id for e in result.front}
    assert {row["status"] for row in rows} == {"ok", "failed", "infeasible"}
    for row, e in zip(rows, result.evaluations, strict=True):
        assert (row["config.bend"] == "") == ("bend" not in e.configuration)
        assert float(row["config.rate"]) == e.configuration["rate"]
        assert (row["metrics.loss"] == "") == (e.status != "ok")
        assert row["reason"] == e.reason
    front = csv_rows(run_dir, front_only=True)
    assert {int(row["id"]) for row in front} == {e.id for e in result.front}


def test_texts_never_begin_as_formulas_and_numbers_stay_numbers(odd_dir: Path) -> None:
    rows = csv_rows(odd_dir)
    assert {row["config.word"] for row in rows} == {f"'{FORMULA}", "'@a", "plain", '"-3"'}
    assert {float(row["metrics.odd one"]) for row in rows} == {-7.5}


def test_a_document_has_goals_units_space_and_evaluations(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export_run(run_dir, "json", "-") == "-"
    document = json.loads(capsys.readouterr().out)
    result = Result.read(run_dir)
    assert document["space"]["bend"] == {"kind": "real", "when": {"kind": "bent"}, "low": 0, "high": 2}
    assert document["goals"] == json.loads(json.dumps(result.goals.to_json()))
    assert set(document["metrics"]) == {"loss", "speed", "size"}
    assert [row["metrics"] for row in document["evaluations"]] == [e.metrics for e in result.evaluations]
    assert [row["configuration"] for row in document["evaluations"]] == [e.configuration for e in result.evaluations]


def test_parquet_holds_types_and_nulls(run_dir: Path, odd_dir: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    export_run(run_dir, "parquet", tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types["config.n"] == "int64" and types["config.bend"] == "double" and types["config.kind"] == "string"
    assert types["feasible"] == "bool" and types["asked_at"] == "timestamp[us, tz=UTC]"
    result = Result.read(run_dir)
    assert table["config.bend"].to_pylist() == [e.configuration.get("bend") for e in result.evaluations]
    assert table["metrics.loss"].to_pylist() == [e.metrics.get("loss") for e in result.evaluations]
    export_run(odd_dir, "parquet", tmp_path / "b.parquet")
    odd = pq.read_table(tmp_path / "b.parquet")
    assert FORMULA in odd["config.word"].to_pylist()
    assert str(odd.schema.field("config.flag").type) == "bool"


@pytest.mark.parametrize("name", ["run_dir", "odd_dir"])
def test_optuna_finds_the_same_front(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    path = request.getfixturevalue(name)
    export_run(path, "optuna", tmp_path / "study.db")
    study = optuna.load_study(study_name=path.name, storage=f"sqlite:///{tmp_path / 'study.db'}")
    result = Result.read(path)
    assert result.feasible and len(result.front) > 1
    assert {trial.number + 1 for trial in study.best_trials} == {e.id for e in result.front}
    assert study.metric_names == [objective.metric for objective in result.goals.objectives]
    states = {"ok": "COMPLETE", "infeasible": "PRUNED"}
    assert len(study.trials) == len(result.evaluations)
    for trial, e in zip(study.trials, result.evaluations, strict=True):
        assert trial.state.name == states.get(e.status, "FAIL")
        assert set(trial.params) == set(e.configuration)
        assert trial.user_attrs["evo_moo.reason"] == e.reason
        start = datetime.datetime.fromtimestamp(e.started_at or 0)
        assert abs((trial.datetime_start - start).total_seconds()) < 1e-3
    if name == "run_dir":
        assert [t.params for t in study.trials] == [e.configuration for e in result.evaluations]
        rate = next(t.distributions["rate"] for t in study.trials)
        assert rate == optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)


def test_optuna_goes_on_from_an_exported_study(run_dir: Path, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    export_run(run_dir, "optuna", tmp_path / "study.db")
    sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=1)
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path / 'study.db'}", sampler=sampler)
    study.optimize(lambda t: (t.suggest_float("x", 0, 1), t.suggest_int("n", 1, 8)), n_trials=2)
    assert [t.state.name for t in study.trials[N_EVALS:]] == ["COMPLETE"] * 2


def test_unfinished_failed_and_empty_runs_are_exported(tmp_path: Path) -> None:
    def fails(config: dict[str, Any]) -> dict[str, float]:
        raise ArithmeticError("always")

    with pytest.raises(evo_moo.EvoMooError):
        evo_moo.search(
            fails, run_dir=tmp_path / "failed", workers=1, variables={"x": Real(0, 1)}, objectives={"f": "min"}
        )
    for state in ("unfinished", "empty"):
        (tmp_path / state).mkdir()
        (tmp_path / state / "run.sqlite").write_bytes((tmp_path / "failed" / "run.sqlite").read_bytes())
    with sqlite3.connect(tmp_path / "unfinished" / "run.sqlite") as db:
        db.execute("UPDATE evaluations SET status = 'asked', started_at = NULL, reason = '' WHERE id > 3")
    with sqlite3.connect(tmp_path / "empty" / "run.sqlite") as db:
        db.execute("DELETE FROM evaluations")
    for state, n_rows in (("failed", 20), ("unfinished", 20), ("empty", 0)):
        before = (tmp_path / state / "run.sqlite").read_bytes()
        for to in ("csv", "json", "parquet", "optuna"):
            export_run(tmp_path / state, to, tmp_path / f"{state}.{to}")
        with sqlite3.connect(tmp_path / f"{state}.optuna") as db:
            assert db.execute("SELECT count(*) FROM trials").fetchone() == (n_rows,)
        assert len((tmp_path / f"{state}.csv").read_text().splitlines()) == n_rows + 1
        assert (tmp_path / state / "run.sqlite").read_bytes() == before


def test_an_output_is_replaced_only_by_force_and_never_in_part(run_dir: Path, tmp_path: Path) -> None:
    for to in ("csv", "json", "parquet", "optuna"):
        (path := tmp_path / f"what? 100%.{to}").write_text("mine")
        with pytest.raises(UsageError, match=r"must not exist yet.*--force"):
            export_run(run_dir, to, path)
        assert path.read_text() == "mine"
        export_run(run_dir, to, path, force=True)
        assert path.read_bytes() != b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"what? 100%.{to}" for to in ("csv", "json", "optuna", "parquet")
    ]
    with pytest.raises(RunFolderError, match="must be writable"):
        export_run(run_dir, "csv", tmp_path / "absent" / "out.csv")
    with pytest.raises(UsageError, match="--output -"):
        export_run(run_dir, "parquet", "-")
    with pytest.raises(UsageError, match="must be one of csv, parquet"):
        export_run(run_dir, "xlsx")


@pytest.mark.parametrize(("to", "package"), [("parquet", "pyarrow"), ("optuna", "optuna"), ("mlflow", "mlflow")])
def test_a_missing_package_is_named_by_its_extra(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: Any, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"`--to {to}` must have packages .*; pip install .*'{package}"):
        export_run(run_dir, to, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM meta", "has begun"),
        ("UPDATE meta SET value = '3' WHERE key = 'goals'", "damaged"),
        ("UPDATE evaluations SET metrics = '[]' WHERE id = 3", "damaged"),
        ("UPDATE evaluations SET configuration = '7' WHERE id = 3", "damaged"),
        ("UPDATE evaluations SET metrics = '{\"loss\": \"=cmd\"}', status = 'failed' WHERE id = 3", "damaged"),
        ("UPDATE evaluations SET configuration = '{\"x\": 9}' WHERE id = 3", "damaged"),
    ],
)
def test_a_damaged_run_is_one_message(run_dir: Path, tmp_path: Path, statement: str, message: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.sqlite").write_bytes((run_dir / "run.sqlite").read_bytes())
    with sqlite3.connect(tmp_path / "bad" / "run.sqlite") as db:
        db.execute(statement)
    with pytest.raises(RunFolderError, match=message):
        export_run(tmp_path / "bad", "optuna", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_the_command_says_what_it_wrote(run_dir: Path, tmp_path: Path) -> None:
    assert command("export", run_dir, "--to", "csv", cwd=tmp_path).stdout == "small.csv is written\n"
    assert "--force" in command("export", run_dir, "--to", "csv", cwd=tmp_path, code=2).stderr
    done = command("export", run_dir, "--to", "json", "--output", "-", "--front", cwd=tmp_path)
    assert {row["on_front"] for row in json.loads(done.stdout)["evaluations"]} == {True}
    assert "no run.sqlite" in command("export", tmp_path / "none", "--to", "csv", cwd=tmp_path, code=1).stderr


def test_an_export_does_not_need_the_problem(tmp_path: Path) -> None:
    (tmp_path / "gone.py").write_text(
        "from evo_moo import Real, SearchProblem\n\n\nclass P(SearchProblem):\n"
        "    variables = {'x': Real(0, 1)}\n    objectives = {'f': 'min'}\n\n"
        "    def evaluate(self, config):\n        return {'f': config['x']}\n"
    )
    evo_moo.search(
        f"{tmp_path / 'gone.py'}:P", pop_size=4, termination=("n_evals", 4), workers=1, run_dir=tmp_path / "r"
    )
    (tmp_path / "gone.py").write_text("raise SystemExit('must not run')\n")
    command("export", "r", "--to", "csv", cwd=tmp_path)
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 5


def test_mlflow_export_has_a_parent_run_and_one_per_evaluation(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow keeps artifacts in the present folder
    mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert export_run(run_dir, "mlflow", uri) == uri
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("problem.py:Small").experiment_id
    result, runs = Result.read(run_dir), client.search_runs([experiment], max_results=1000)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {int(run.data.tags["evo_moo.id"]): run for run in runs if run is not parent}
    assert parent.data.params["search.pop_size"] == "10" and parent.data.tags["environment.seed"] == "2"
    assert {a.path for a in client.list_artifacts(parent.info.run_id)} >= {"job.toml", "front.csv"}
    assert sorted(children) == [e.id for e in result.evaluations]
    assert parent.info.end_time == max(child.info.end_time for child in children.values())
    for e in result.evaluations:
        assert children[e.id].data.metrics == e.metrics
        assert set(children[e.id].data.params) == set(e.configuration)
        assert children[e.id].data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert children[e.id].info.status == ("FAILED" if e.status == "failed" else "FINISHED")
    with pytest.raises(UsageError, match="--force"):
        export_run(run_dir, "mlflow", uri)
    export_run(run_dir, "mlflow", uri, force=True)
    assert len(client.search_runs([experiment], max_results=1000)) == len(runs)


def test_a_ledger_that_is_written_to_is_read_as_it_stands(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "run.sqlite").write_bytes((run_dir / "run.sqlite").read_bytes())
    writer = Ledger(tmp_path / "live" / "run.sqlite")
    with writer.transaction():
        writer.record_event("not committed yet")
        export_run(tmp_path / "live", "csv", tmp_path / "live.csv")
    writer.close()
    export_run(run_dir, "csv", tmp_path / "still.csv")
    assert (tmp_path / "live.csv").read_text() == (tmp_path / "still.csv").read_text()
