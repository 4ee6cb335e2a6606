"""All that reads a run whose trainings offer points: it names them, counts them, and adds each training up once."""

import csv
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

import evo_moo
from evo_moo import Choice, Point, Real, SearchProblem
from evo_moo.analysis.confirmation_ledger import read_confirmation
from evo_moo.analysis.result import Result
from evo_moo.analysis.surrogate_quality import surrogate_quality
from evo_moo.cli.main import app
from evo_moo.errors import JobError
from evo_moo.problem.points import evaluation_of
from evo_moo.report.content import read_report
from evo_moo.storage.reading import reading
from tests.integration.running import ledger_of

SERVED = f"{Path(__file__).with_name('served.py')}:Served"


def command(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("points") / "r"
    models = {"model": "gp", "batch": 8, "repeats": False}
    evo_moo.search(SERVED, pop_size=8, termination=("n_evals", 16), workers=1, surrogate=models, run_dir=path)
    return path


@pytest.fixture(scope="module")
def incomplete(run: Path) -> int:
    """The id of a training one of whose points could not be made."""
    with sqlite3.connect(run / "run.sqlite") as db:
        return int(db.execute("SELECT evaluation FROM points WHERE fault != '' LIMIT 1").fetchone()[0])


def test_headings_count_points_of_evaluations(run: Path) -> None:
    result = Result.read(run)
    shown = command("show", run)
    assert f"Pareto front: {len(result.front)} points of 16 evaluations" in shown
    assert f"{sum(result.point_faults.values())} points not made: a narrow network" in shown
    assert f"front of {len(result.front)} points among 16 evaluations" in result._repr_html_()
    assert "16/16" in command("list", run.parent)


def test_story_of_a_training_lists_all_its_points(run: Path, incomplete: int) -> None:
    story = json.loads(command("show", run, "--id", incomplete, "--json"))
    assert [p["id"] for p in story["points"]] == [f"{incomplete}.{n}" for n in range(1, 7)]
    on_front = {e.id for e in Result.read(run).front}
    assert [p["on_front"] for p in story["points"]] == [p["id"] in on_front for p in story["points"]]
    words = command("show", run, "--id", incomplete)
    assert "a narrow network cannot lose" in words and "of 6 points are on it" in words
    one = json.loads(command("show", run, "--id", f"{incomplete}.2", "--json"))
    assert one["configuration"] == story["configuration"] | story["points"][1]["choices"]
    assert (one["metrics"], one["points"], one["fault"]) == (story["points"][1]["metrics"], [], "")


def test_story_of_a_point_that_is_not_there_says_why(run: Path, incomplete: int) -> None:
    assert "a narrow network cannot lose" in command("show", run, "--id", f"{incomplete}.6")
    refused = CliRunner().invoke(app, ["show", str(run), "--id", f"{incomplete}.9"])
    assert f"which has the points {incomplete}.1, " in str(refused.exception)


def test_choices_show_what_they_gained_and_cost(run: Path) -> None:
    effects = {(e["variable"], e["value"]): e for e in json.loads(command("show", run, "--json"))["choices"]}
    assert json.loads(command("show", run, "--choices", "--json")) == list(effects.values())
    ok = sum(e.status == "ok" for e in {e.training_id: e for e in Result.read(run).evaluations}.values())
    small = effects["precision", "int8"]
    assert (small["n_trainings"], effects["precision", "float32"]["n_first"]) == (ok, ok)
    assert small["changes"]["size"]["share"] == pytest.approx(-0.75)
    assert small["changes"]["error"]["median"] == pytest.approx(0.06)
    n_front = len(Result.read(run).front)
    assert sum(e["n_on_front"] for (name, _), e in effects.items() if name == "precision") == n_front
    assert "first point" in command("show", run, "--choices")
    assert [(e.variable, e.value) for e in read_report(run, with_importances=False).choices] == list(effects)
    assert 'id="s-choices"' in evo_moo.write_report(run, with_importances=False).read_text()


def test_report_counts_a_training_once(run: Path) -> None:
    report = read_report(run, with_importances=False)
    assert report.members == "points" and f"{len(report.result.front)} points" in report.facts["Front"]
    n = report.history.n.tolist()
    assert n == sorted(set(n)) and n[-1] <= 16  # one look after each evaluation, whatever it offers
    assert report.history.volume[-1] == pytest.approx(report.result.hypervolume(), rel=1e-4)
    assert max(entry.n for entry in report.timeline.entries) == 16
    assert [str(key) for key in report.columns.id] == [str(e.id) for e in report.result.evaluations]
    best = {o.name: o.best_id for o in report.objectives}
    assert best["error"] == report.result.front[0].id and "Cost" not in report.facts


@pytest.mark.parametrize("to", ["csv", "json", "parquet", "optuna"])
def test_exports_name_points_and_add_up(run: Path, tmp_path: Path, to: str) -> None:
    pytest.importorskip({"parquet": "pyarrow", "optuna": "optuna"}.get(to, "json"))
    file, result = tmp_path / "out", Result.read(run)
    evo_moo.export_run(run, to, file)
    if to == "optuna":
        import optuna

        study = optuna.load_study(study_name="r", storage=f"sqlite:///{file}")
        best = {trial.user_attrs["evo_moo.id"] for trial in study.best_trials}
        assert len(study.trials) == len(result.evaluations) and best == {e.id for e in result.front}
        return
    if to == "csv":
        rows = list(csv.DictReader(file.open()))
    elif to == "json":
        rows = json.loads(file.read_text())["evaluations"]
    else:
        import pyarrow.parquet as pq

        rows = pq.read_table(file).to_pylist()
    assert [str(row["id"]) for row in rows] == [str(e.id) for e in result.evaluations]
    assert sum(float(row["cost"]) for row in rows) == 16
    points = [row for row in rows if row["point"] not in (None, "")]
    assert [f"{row['evaluation']}.{row['point']}" for row in points] == [row["id"] for row in points]
    assert {int(row["evaluation"]) for row in rows} == set(range(1, 17))


def test_rows_of_the_front_have_the_parts_of_their_names(run: Path) -> None:
    result = Result.read(run)
    for row in result.rows():
        assert f"{row['evaluation']}.{row['point']}" == row["id"] and "config.precision" in row
    frame = pytest.importorskip("pandas") and result.to_dataframe()
    assert frame["on_front"].sum() == len(result.front)
    assert result.best_under(size=9.0).configuration.keys() == {"width", "rate", "precision", "sparsity"}


def test_pick_names_a_point_and_takes_the_earlier_of_equals() -> None:
    class Flat(SearchProblem):
        variables = {"x": Real(0, 1)}
        post_training = {"kind": Choice(["a", "b"])}
        objectives = {"f": "min", "g": "min"}

        def evaluate(self, config):
            return [Point({"kind": kind}, {"f": 1.0, "g": 1.0}) for kind in "ab"]

    result = evo_moo.search(Flat(), pop_size=4, termination=("n_evals", 12), workers=1, surrogate="none")
    decision = evo_moo.pick(result, weights={"f": 1})
    assert decision.chosen.id == "1.1" and "point 1.2 is its equal" in decision.why
    assert [e.id for _, e in decision.ranking][-1] == "12.2"


def test_predictions_stand_beside_their_own_point(run: Path) -> None:
    with reading(run) as ledger:
        quality = surrogate_quality(ledger)
        predicted = {e.training_id: e for e in ledger.predicted()}
    assert predicted and quality.learnt == "points"
    measured = {e.id: e for e in Result.read(run).evaluations}
    for key, _, _, value in quality.metrics["size"].pairs:
        training = predicted[evaluation_of(key)]
        assert measured[key].choices == training.predicted_choices and measured[key].metrics["size"] == value
    assert len(quality.metrics["size"].pairs) == sum(e.as_predicted() is not None for e in predicted.values())


def test_importances_hold_trainings_out_whole(run: Path, incomplete: int) -> None:
    data = json.loads(command("importance", run, "--metric", "size", "--json"))["metrics"]["size"]
    assert {row["variable"] for row in data["variables"]} == {"width", "rate", "precision", "sparsity"}
    around = json.loads(command("importance", run, "--around", f"{incomplete}.1", "--json"))
    assert {"precision", "sparsity"} <= {change["variable"] for change in around["changes"]}
    refused = CliRunner().invoke(app, ["importance", str(run), "--around", str(incomplete)])
    assert f"a point of evaluation {incomplete} ({incomplete}.1, " in str(refused.exception)


def test_members_of_one_training_are_confirmed_by_the_same_seeds(run: Path, incomplete: int, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "r")
    confirmation = evo_moo.confirm(copy, SERVED, seeds=2, ids=[incomplete], workers=1)
    assert [member.id for member in confirmation.members] == [f"{incomplete}.{n}" for n in range(1, 6)]
    assert len(Result.read(copy / "confirmation").evaluations) == 2 * 5
    with sqlite3.connect(copy / "confirmation" / "run.sqlite") as db:
        assert db.execute("SELECT count(*) FROM evaluations").fetchone() == (2,)
    compared = json.loads(command("compare", f"{copy}:{incomplete}.1", f"{copy}:{incomplete}.4", "--json"))
    assert all(test["paired"] and test["n"] == 2 for test in compared["comparisons"])
    refused = CliRunner().invoke(app, ["compare", f"{copy}:{incomplete}", f"{copy}:{incomplete}.1"])
    assert f"offers {incomplete}.1, {incomplete}.2" in str(refused.exception)


def test_repetition_without_a_member_is_said_to_lack_it(run: Path, incomplete: int, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "r")
    evo_moo.confirm(copy, SERVED, seeds=2, ids=[f"{incomplete}.1"], workers=1)
    with sqlite3.connect(copy / "confirmation" / "run.sqlite") as db:
        db.execute(
            "UPDATE points SET fault = 'no kernel', metrics = '{}', violation = NULL WHERE evaluation = 2 AND point = 1"
        )
    confirmation = read_confirmation(copy, [f"{incomplete}.1"])
    assert "1 of 2 repetitions did not end well, and are left out: 1 failed: no kernel" in confirmation.notes


def test_check_tries_every_point() -> None:
    words = command("check", SERVED, code=1)  # one of its configurations fails
    assert "Chosen after the training" in words and "17 of 18 could be made" in words
    assert "note: points could not be made, 1 by 'a narrow network cannot lose so much'" in words
    assert "`error` must be the same" not in words


class Blind(SearchProblem):
    """The same space without choices after the training."""

    variables = {"width": Real(0, 1), "rate": Real(0, 1)}
    objectives = {"error": "min", "size": "min"}

    def evaluate(self, config):
        return {"error": 0.1 + (1 - config["width"]) ** 2 / 2, "size": 0.1 + config["width"]}


def test_earlier_trainings_are_taken_over_with_their_points(run: Path, tmp_path: Path) -> None:
    options = {"pop_size": 8, "termination": ("n_evals", 8), "workers": 1, "surrogate": "none", "seed": 2}
    result = evo_moo.search(SERVED, from_runs=[run], run_dir=tmp_path / "again", **options)
    taken = {e.training_id: e.reason for e in result.evaluations if e.reason.startswith("taken from r, evaluation")}
    assert len(taken) == 4  # half of the population
    before = {e.id: e for e in Result.read(run).evaluations}
    for e in result.evaluations:
        if e.training_id in taken:
            old = before[f"{taken[e.training_id].split()[-1]}.{str(e.id).partition('.')[2]}"]
            assert (e.metrics, e.choices) == (old.metrics, old.choices)
    plain = evo_moo.search(Blind(), from_runs=[run], run_dir=tmp_path / "plain", **options)
    assert not any(isinstance(e.id, str) for e in plain.evaluations)
    back = evo_moo.search(SERVED, from_runs=[tmp_path / "plain"], **options)
    assert sum(e.origin == "start" for e in back.evaluations if str(e.id).endswith(".1")) > 0


def test_exported_table_tells_trainings_with_their_points(run: Path, tmp_path: Path) -> None:
    evo_moo.export_run(run, "csv", tmp_path / "known.csv")
    options = ["--n-evals", 4, "--workers", 1, "--surrogate", "none", "--set", "search.pop_size=24"]
    command("run", SERVED, "--known", tmp_path / "known.csv", "--run-dir", tmp_path / "t", *options)
    result = Result.read(tmp_path / "t")
    told = [e for e in result.evaluations if e.is_told]
    ended = [e for e in Result.read(run).evaluations if e.status == "ok"]
    assert [(e.configuration, e.metrics) for e in told] == [(e.configuration, e.metrics) for e in ended]
    lacking = {"configuration": {"width": 0.5, "rate": 0.5}, "metrics": {"error": 1.0, "size": 1.0}}
    with pytest.raises(JobError, match="`precision`: must be given"):
        evo_moo.search(SERVED, start=[lacking], workers=1, termination=("n_evals", 4))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE points SET metrics = replace(metrics, '0.', '1.') WHERE evaluation = 3 AND point = 2",
        "DELETE FROM points WHERE evaluation = 3 AND point = 2",
    ],
)
def test_damaged_point_is_found_and_its_training_evaluated_again(run: Path, tmp_path: Path, damage: str) -> None:
    copy = shutil.copytree(run, tmp_path / "r")
    with sqlite3.connect(copy / "run.sqlite") as db:
        db.execute(damage)
    assert "damaged" in command("doctor", copy, code=1)
    assert "damaged 3 removed" in command("doctor", copy, "--repair", code=1)  # until it is evaluated again
    command("resume", copy)
    command("doctor", copy)
    assert ledger_of(copy) == ledger_of(run)


def test_writer_for_tensorboard_writes_each_point(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from evo_moo.report.tensorboard_writer import TensorBoardWriter

    options = {"pop_size": 4, "termination": ("n_evals", 4), "workers": 1, "surrogate": "none"}
    evo_moo.search(SERVED, callbacks=[TensorBoardWriter()], run_dir=tmp_path / "r", **options)
    assert "callback" not in (tmp_path / "r" / "log.txt").read_text()
    (file,) = (tmp_path / "r" / "tensorboard").iterdir()
    assert b"point_6/size" in file.read_bytes() and b"search/best.error" in file.read_bytes()
