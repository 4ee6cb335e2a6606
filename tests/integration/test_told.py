"""What was measured elsewhere is told: it counts as told everywhere, and as evaluated nowhere."""

import csv
import inspect
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import evo_moo
from evo_moo import Fidelity, Real, SearchProblem
from evo_moo.errors import RunFolderError, RunStoppedError
from evo_moo.report.content import read_report
from evo_moo.report.export import export_run
from evo_moo.storage.reading import reading
from tests.integration.running import evo_moo as command
from tests.integration.running import ledger_of


class Two(SearchProblem):
    variables = {"x": Real(0, 1), "y": Real(0, 1)}
    objectives = {"f": "min", "g": "min"}

    def evaluate(self, config: Any) -> dict[str, float]:
        return {"f": config["x"] + config["y"], "g": (config["x"] - 1) ** 2 + config["y"]}


class Trained(Two):
    fidelity = Fidelity("epochs", 1, 9)

    def evaluate(self, config: Any, *, fidelity: int) -> dict[str, float]:  # type: ignore[override]
        return {"f": config["x"] + config["y"] + 1 / fidelity, "g": (config["x"] - 1) ** 2 + config["y"]}


KNOWN = [{"configuration": {"x": i / 8, "y": 0.0}, "metrics": {"f": i / 8, "g": (i / 8 - 1) ** 2}} for i in range(9)]
WAYS = [
    pytest.param({"surrogate": "none"}, id="none"),
    pytest.param({"surrogate": "none", "mode": "steady-state"}, id="steady-state"),
    pytest.param({"surrogate": "rf"}, id="rf", marks=pytest.mark.slow),
    pytest.param({"surrogate": "none", "algorithm": "random"}, id="random"),
]


class StopAt(evo_moo.Callback):
    """Stops a search after some evaluations."""

    def __init__(self, n: int) -> None:
        self.n = n

    def on_evaluation(self, run: Any, evaluation: Any) -> None:
        if evaluation.id == self.n and not run.is_replay:
            raise RunStoppedError("enough")


def search(run_dir: Path, n_evals: int = 12, **options: Any) -> evo_moo.Result:
    settings = {"pop_size": 6, "workers": 1, "run_dir": run_dir, "start": KNOWN, "termination": ("n_evals", n_evals)}
    return evo_moo.search(Two(), **{**settings, **options})


@pytest.mark.parametrize("way", WAYS)
def test_told_rows_cost_nothing_and_resume_is_exact(tmp_path: Path, way: dict[str, Any]) -> None:
    result = search(tmp_path / "whole", **way)
    assert (result.n_evaluations, result.n_told, len(result.evaluations)) == (12, 9, 21)
    assert [e.id for e in result.evaluations if e.is_told] == list(range(1, 10))
    with pytest.raises(RunStoppedError):
        search(tmp_path / "parts", callbacks=[StopAt(14)], **way)
    search(tmp_path / "parts", **way)
    assert ledger_of(tmp_path / "parts") == ledger_of(tmp_path / "whole")
    with reading(tmp_path / "whole") as ledger:
        assert (ledger.cost(), sum(ledger.counts().values()), ledger.n_told()) == (12, 12, 9)


def test_told_rows_are_told_again_where_the_checkpoint_is_lost(tmp_path: Path) -> None:
    search(tmp_path / "whole", surrogate="none")
    with pytest.raises(RunStoppedError):
        search(tmp_path / "parts", surrogate="none", callbacks=[StopAt(14)])
    with sqlite3.connect(tmp_path / "parts" / "run.sqlite") as db:
        db.execute("DELETE FROM checkpoint")
        db.execute("DELETE FROM generations")
    search(tmp_path / "parts", surrogate="none")
    assert ledger_of(tmp_path / "parts") == ledger_of(tmp_path / "whole")


def test_a_ladder_takes_told_rows_as_full_evaluations(tmp_path: Path) -> None:
    def search_ladder(name: str, **options: Any) -> evo_moo.Result:
        ladder = {"refinement": {"eta": 3}, "pop_size": 6, "workers": 1, "surrogate": "none", "start": KNOWN}
        settings = {**ladder, "termination": ("n_evals", 8), "run_dir": tmp_path / name, **options}
        return evo_moo.search(Trained(), **settings)

    result = search_ladder("whole")
    told = [e for e in result.evaluations if e.is_told]
    assert len(told) == 9 and {e.fidelity for e in told} == {9} and {e.cost for e in told} == {0}
    assert sum(e.cost for e in result.evaluations) <= 8
    assert {e.id for e in told} & {e.id for e in result.front}
    with pytest.raises(RunStoppedError):
        search_ladder("parts", callbacks=[StopAt(25)])
    search_ladder("parts")
    assert ledger_of(tmp_path / "parts") == ledger_of(tmp_path / "whole")


def test_show_report_and_export_tell_both_apart(tmp_path: Path) -> None:
    search(tmp_path / "r", surrogate="none")
    assert "of 12 evaluations and 9 told" in command("show", "r", cwd=tmp_path).stdout
    assert "12/12" in command("list", ".", cwd=tmp_path).stdout
    story = json.loads(command("show", "r", "--id", 3, "--json", cwd=tmp_path).stdout)
    assert story["why"].startswith("told with its metrics") and story["cost"] == 0
    facts = read_report(tmp_path / "r").facts
    assert facts["Evaluations"] == "12: 12 ok; 9 more were told with their metrics"
    export_run(tmp_path / "r", "csv", tmp_path / "r.csv")
    with (tmp_path / "r.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["cost"] for row in rows] == ["0.0"] * 9 + ["1.0"] * 12


@pytest.mark.slow
def test_an_exported_run_is_a_table_to_begin_with(tmp_path: Path) -> None:
    search(tmp_path / "r", start=[], surrogate="none")
    export_run(tmp_path / "r", "csv", tmp_path / "t.csv")
    (tmp_path / "p.py").write_text(f"from typing import Any\nfrom evo_moo import *\n\n{inspect.getsource(Two)}")
    run = ("run", "p.py:Two", "--known", "t.csv", "--set", "search.pop_size=6", "--run-dir", "n")
    command(*run, "--n-evals", 4, "--workers", 1, "--surrogate", "none", cwd=tmp_path)
    (tmp_path / "t.csv").rename(tmp_path / "moved.csv")
    command("resume", "n", "--n-evals", 6, cwd=tmp_path)
    result = evo_moo.Result.read(tmp_path / "n")
    assert (result.n_evaluations, result.n_told) == (6, 12)


def test_other_told_rows_are_another_job(tmp_path: Path) -> None:
    search(tmp_path / "r", surrogate="none")
    with pytest.raises(RunFolderError, match="was made for another"):
        search(tmp_path / "r", start=KNOWN[:-1], surrogate="none")


def test_told_rows_do_not_hide_that_all_evaluations_fail(tmp_path: Path) -> None:
    class Broken(Two):
        def evaluate(self, config: Any) -> dict[str, float]:
            raise ValueError("never")

    with pytest.raises(evo_moo.errors.SearchFailedError, match="all of the first"):
        evo_moo.search(Broken(), start=KNOWN, pop_size=6, workers=1, termination=("n_evals", 30), surrogate="none")
