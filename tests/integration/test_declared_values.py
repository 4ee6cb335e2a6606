"""What a problem declares is what comes back: from the ledger, from tables, from jobs and from earlier runs."""

import contextlib
import csv
import io
import json
import re
import shutil
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pymoo.core import variable as pymoo_variable
from pymoo.core.problem import ElementwiseProblem

import evo_moo
from evo_moo import Choice, FunctionProblem, Integer, Optimizer, Real, Result, search
from evo_moo.errors import RunFolderError
from evo_moo.job.start import read_known
from evo_moo.report.content import read_report
from evo_moo.report.export import export_run
from evo_moo.run.doctor import examine
from evo_moo.run.repair import repair
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.values import value_text

KERNELS: list[Any] = [(3, 3), (5, 5), [1, (2,)], {"a": (1, None)}, None, True, 1, 1.0, "1", "a"]
VARIABLES = {
    "id": Integer(1, 9),
    "loss": Real(0, 1),
    "kernel": Choice(KERNELS),
    "norm": Choice([None, "batch"], when={"kernel": [(3, 3), None, True, "a"]}),
}
OBJECTIVES = {"loss": "min", "id": "max"}


def evaluate(config: dict[str, Any]) -> dict[str, float]:
    kernel = next(i for i, option in enumerate(KERNELS) if repr(option) == repr(config["kernel"]))
    return {
        "loss": config["id"] + config["loss"],
        "id": kernel + config["loss"],
        "kernel": 100.0 + kernel,
        "status": 7.0,
    }


def run(run_dir: Path | None = None, n_evals: int = 40, **options: Any) -> Result:
    terms = {"pop_size": 10, "variables": VARIABLES, "objectives": OBJECTIVES, "surrogate": "none", "workers": 1}
    return search(evaluate, termination=("n_evals", n_evals), run_dir=run_dir, **terms | options)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "r"
    run(path)
    return path


def kernel_of(row: Evaluation) -> int:
    return int(row.metrics["kernel"]) - 100


def test_configurations_are_as_they_were_declared(run_dir: Path) -> None:
    evaluations = Result.read(run_dir).evaluations
    assert {kernel_of(e) for e in evaluations} == set(range(len(KERNELS)))
    for e in evaluations:
        assert repr(e.configuration["kernel"]) == repr(KERNELS[kernel_of(e)])


@pytest.mark.parametrize("declared", ["5", '[{"tuple": 5}]', '[{"x": 1}]'])
def test_damaged_options_are_found_and_written_anew(run_dir: Path, tmp_path: Path, declared: str) -> None:
    copy = Path(shutil.copytree(run_dir, tmp_path / "r"))
    with contextlib.closing(sqlite3.connect(copy / "run.sqlite")) as db, db:
        (space,) = db.execute("SELECT value FROM meta WHERE key = 'space'").fetchone()
        damaged = json.loads(space)
        damaged["kernel"]["declared"] = "damaged"
        text = json.dumps(damaged).replace('"damaged"', declared)
        db.execute("UPDATE meta SET value = ? WHERE key = 'space'", (text,))
    with pytest.raises(RunFolderError, match="evo-moo doctor"):
        _ = [e.configuration for e in Result.read(copy).evaluations]
    assert [finding.what for finding in examine(copy) if not finding.sound] == ["facts"]
    assert "meta: damaged space removed" in repair(copy)
    assert repr(run(copy).configurations) == repr(Result.read(run_dir).configurations)


def test_tuples_of_an_older_run_come_back_once_it_goes_on(run_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run_dir, tmp_path / "r"))
    with contextlib.closing(sqlite3.connect(copy / "run.sqlite")) as db, db:
        db.execute("UPDATE meta SET value = json_remove(value, '$.kernel.declared') WHERE key = 'space'")
    assert [3, 3] in [e.configuration["kernel"] for e in Result.read(copy).evaluations]
    again = run(copy, 50)
    assert (3, 3) in [e.configuration["kernel"] for e in again.evaluations]


def test_changing_a_configuration_changes_no_other(run_dir: Path) -> None:
    result = Result.read(run_dir)
    for e in result.evaluations:
        if isinstance(kernel := e.configuration["kernel"], list):
            kernel.append(9)
            assert e.configuration["kernel"] == [1, (2,)]


def test_a_replayed_run_ends_alike(run_dir: Path, tmp_path: Path) -> None:
    twin = tmp_path / "r"
    run(twin, 20)
    with contextlib.closing(sqlite3.connect(twin / "run.sqlite")) as db, db:
        db.execute("DELETE FROM checkpoint")
        db.execute("UPDATE evaluations SET status = 'asked', metrics = '{}' WHERE id % 3 = 0")
    again, whole = run(twin), Result.read(run_dir)
    assert [(repr(e.configuration), e.metrics) for e in again.evaluations] == [
        (repr(e.configuration), e.metrics) for e in whole.evaluations
    ]


def test_any_configuration_can_be_a_start(run_dir: Path, tmp_path: Path) -> None:
    configurations = list({repr(e.configuration): e.configuration for e in Result.read(run_dir).evaluations}.values())
    path = tmp_path / "begun"
    begun = run(path, len(configurations), pop_size=len(configurations), start=configurations)
    assert repr([e.configuration for e in begun.evaluations]) == repr(configurations)
    # The job file that the run leaves says the same again.
    start = tomllib.loads((path / "job.toml").read_text())["search"]["start"]
    again = run(n_evals=len(start), pop_size=len(start), start=start)
    assert repr([e.configuration for e in again.evaluations]) == repr(configurations)
    # And the very same call is the same run.
    assert run(path, len(start), pop_size=len(start), start=configurations).configurations == begun.configurations


def test_numbers_of_numpy_and_rows_of_pandas_are_starts() -> None:
    row = pd.DataFrame({"id": [3], "loss": [0.25], "kernel": ["1"]}).loc[0]
    given = {"id": np.int64(4), "loss": np.float64(0.5), "kernel": np.bool_(True), "norm": np.str_("batch")}
    result = run(n_evals=10, start=[row, given])
    first, second = (e.configuration for e in result.evaluations[:2])
    assert first == {"id": 3, "loss": 0.25, "kernel": "1"}
    assert repr(second) == repr({"id": 4, "loss": 0.5, "kernel": True, "norm": "batch"})


def test_a_start_that_is_none_where_no_option_is_none_is_refused() -> None:
    with pytest.raises(
        evo_moo.EvoMooError, match=r"`search.start\[0\]`: `x`: must be one of \['none', 'a'\], but is None"
    ):
        run(variables={"x": Choice(["none", "a"])}, start=[{"x": None}])


@pytest.mark.parametrize("values", [np.array([0.25, 0.5]), pd.Series([0.25, 0.5]), (0.25, 0.5)])
def test_points_of_a_grid_come_from_numpy_and_pandas(values: Any) -> None:
    points = {"loss": values, "id": np.int64(2), "kernel": [(3, 3), None], "norm": [None]}
    result = run(n_evals=8, algorithm="grid", grid_points=points)
    kernels = {repr(e.configuration["kernel"]) for e in result.evaluations}
    assert len(result.evaluations) == 8 and kernels == {"(3, 3)", "None"}


def test_an_optimizer_is_told_values_of_numpy_and_pandas() -> None:
    problem = FunctionProblem(evaluate, VARIABLES, OBJECTIVES)
    optimizers = [Optimizer(problem, pop_size=4, seed=3) for _ in range(2)]
    for _ in range(3):
        for ours, theirs in zip(*(o.ask() for o in optimizers), strict=True):
            assert repr(ours.configuration) == repr(theirs.configuration)
            metrics = evaluate(ours.configuration)
            optimizers[0].tell(ours, metrics)
            optimizers[1].tell(np.int64(theirs.id), pd.Series(metrics))
    json.dumps(optimizers[1].dump(), default=np.ndarray.tolist)


def test_an_earlier_run_gives_what_was_declared(run_dir: Path) -> None:
    earlier = {repr(e.configuration) for e in Result.read(run_dir).evaluations}
    result = run(n_evals=10, from_runs=[run_dir])
    assert sum(repr(e.configuration) in earlier for e in result.evaluations) >= 5


def test_an_exported_table_is_read_back_as_it_was_declared(run_dir: Path, tmp_path: Path) -> None:
    export_run(run_dir, "csv", tmp_path / "r.csv")
    problem = FunctionProblem(evaluate, VARIABLES, OBJECTIVES)
    entries, faults = read_known(tmp_path / "r.csv", problem, problem.goals)
    recorded = [(repr(e.configuration), e.metrics) for e in Result.read(run_dir).evaluations]
    assert not faults and [(repr(e["configuration"]), e["metrics"]) for e in entries] == recorded


def test_tables_tell_variables_metrics_and_ids_apart(run_dir: Path) -> None:
    result = Result.read(run_dir)
    rows = list(csv.DictReader(io.StringIO((run_dir / "front.csv").read_text())))
    assert len(rows) == len(result.front) == len(result.rows())
    for row, flat, e in zip(rows, result.rows(), result.front, strict=True):
        assert int(row["id"]) == flat["id"] == e.id
        for name in ("loss", "id"):
            assert float(row[f"metrics.{name}"]) == flat[f"metrics.{name}"] == e.metrics[name]
            assert float(row[f"config.{name}"]) == flat[f"config.{name}"] == e.configuration[name]
        assert row["config.kernel"] == value_text(e.configuration["kernel"])
    head = re.findall("<th>(.*?)</th>", result._repr_html_())
    assert len(set(head)) == len(head) == 1 + len(result.metrics[0]) + len(VARIABLES)
    columns = read_report(run_dir).columns
    titles = [column.title for column in (*columns.variables, *columns.metrics)]
    assert len({"id", *titles}) == 1 + len(titles)


def test_none_is_one_word_that_is_not_inactive(run_dir: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    evaluations = Result.read(run_dir).evaluations
    wanted = [value_text(c["norm"]) if "norm" in (c := e.configuration) else None for e in evaluations]
    assert set(wanted) == {"none", "batch", None}
    export_run(run_dir, "csv", tmp_path / "r.csv")
    export_run(run_dir, "parquet", tmp_path / "r.parquet")
    table = pd.read_csv(tmp_path / "r.csv")
    assert [None if pd.isna(value) else value for value in table["config.norm"]] == wanted
    assert pq.read_table(tmp_path / "r.parquet").column("config.norm").to_pylist() == wanted
    frame = Result.read(run_dir).to_dataframe()["config.norm"]
    assert [None if pd.isna(value) else value for value in frame] == wanted
    (column,) = (c for c in read_report(run_dir).columns.variables if c.name == "norm")
    levels = [None if np.isnan(code) else (column.levels or [])[int(code)] for code in column.values]
    assert levels == wanted


class NamedAsMetrics(ElementwiseProblem):  # type: ignore[misc]
    """A plain pymoo problem whose variables have the names that its objectives get."""

    def __init__(self) -> None:
        super().__init__(
            vars={"f1": pymoo_variable.Real(bounds=(0, 1)), "id": pymoo_variable.Integer(bounds=(1, 9))}, n_obj=2
        )

    def _evaluate(self, X: dict[str, Any], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out["F"] = [10 + X["f1"], X["id"] - X["f1"]]


def test_variables_of_pymoo_may_be_named_as_objectives() -> None:
    for row in search(NamedAsMetrics(), "nsga2", 8, ("n_evals", 16), surrogate="none", workers=1).rows():
        assert row["metrics.f1"] == 10 + row["config.f1"] and row["config.id"] in range(1, 10)
