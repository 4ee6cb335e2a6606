"""What an evaluation returns that no goal needs: it never costs the evaluation."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

import evo_moo
from evo_moo import Real
from evo_moo.report.export import export_run
from tests.integration.running import evo_moo as command

PROBLEM = """
from evo_moo import Metric, Real, SearchProblem

class P(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"f": "min", "g": "max"}
    metrics = {"auc": Metric(), "size": Metric()}

    def profile(self, config):
        return {"size": float("nan"), "device": "cpu"}

    def evaluate(self, config, *, report):
        report(1, {"f": config["x"], "auc": None})
        path = f"weights/{config['x']:.3f}.pt"
        return {"f": config["x"], "g": 1 - config["x"], "auc": None, "path": path, "classes": [0.5, 1]}
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_side_metrics_are_notes_or_facts_of_each_evaluation(tmp_path: Path, workers: int) -> None:
    (tmp_path / "p.py").write_text(PROBLEM)
    options = (
        "--n-evals",
        6,
        "--surrogate",
        "none",
        "--set",
        "search.pop_size=4",
        "--workers",
        workers,
        "--run-dir",
        "r",
    )
    shown = command("run", "p.py:P", *options, cwd=tmp_path).stdout
    assert "6 ok: no `size`: it must be finite, but is nan; no `auc`: it must be a number" in " ".join(shown.split())
    story = json.loads(command("show", "r", "--id", 2, "--json", cwd=tmp_path).stdout)
    x = story["configuration"]["x"]
    assert story["status"] == "ok" and story["metrics"] == {"f": x, "g": 1 - x}
    assert story["facts"] == {"device": "cpu", "path": f"weights/{x:.3f}.pt", "classes": [0.5, 1]}
    assert f"path=weights/{x:.3f}.pt" in command("show", "r", "--id", 2, cwd=tmp_path).stdout.replace(" ", "")
    export_run(tmp_path / "r", "csv", tmp_path / "r.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text())))
    assert rows[1]["facts.path"] == f"weights/{x:.3f}.pt" and rows[1]["facts.classes"] == "[0.5, 1]"


def test_a_goal_without_a_number_fails_and_keeps_the_facts() -> None:
    def f(config: dict[str, Any]) -> dict[str, Any]:
        return {"f": config["x"], "g": math.nan if config["x"] < 0.5 else 1, "log": "a line"}

    result = evo_moo.search(
        f,
        variables={"x": Real(0, 1)},
        objectives={"f": "min", "g": "max"},
        termination=("n_evals", 12),
        pop_size=6,
        workers=1,
        surrogate="none",
    )
    for e in result.evaluations:
        assert e.status == ("failed" if e.configuration["x"] < 0.5 else "ok") and e.facts == {"log": "a line"}
    assert {e.reason.partition(" (")[0] for e in result.evaluations} == {"", "metric `g` must be finite, but is nan"}


def test_a_vectorised_problem_fails_by_its_goals_alone() -> None:
    import numpy as np
    from pymoo.core.problem import Problem

    class Two(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=1, n_obj=2, xl=0.0, xu=1.0)

        def _evaluate(self, X: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            out["F"] = np.hstack([X, np.where(X < 0.5, np.nan, 1 - X)])

    result = evo_moo.search(Two(), objectives={"f1": "min"}, termination=("n_evals", 16), pop_size=8)
    assert {e.status for e in result.evaluations} == {"ok"}
    failed = evo_moo.search(Two(), termination=("n_evals", 16), pop_size=8)
    assert {e.status for e in failed.evaluations} == {"ok", "failed"}
