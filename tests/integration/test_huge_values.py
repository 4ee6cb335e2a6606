"""Objectives as large as numbers can be: every place computes with them, and none warns."""

import warnings

import numpy as np
import pytest

import evo_moo
from evo_moo.report.paper_figures import write_figures

pytestmark = pytest.mark.slow

HUGE = 1.7e308


class Huge(evo_moo.SearchProblem):
    variables = {"x": evo_moo.Real(0, 1), "y": evo_moo.Real(0, 1)}
    objectives = {"a": "min", "b": "max"}
    constraints = {"b": {"at_least": -1.6e308}}

    def evaluate(self, config):
        x, y = config["x"], config["y"]
        return {"a": HUGE * (2 * x - 1) * (1 - y / 10), "b": HUGE * (2 * x * x - 1) * (1 - y / 10)}


@pytest.mark.parametrize(
    ("algorithm", "surrogate"), [("nsga2", "none"), ("nsga3", "none"), ("tchebycheff", "none"), ("nsga2", "rf")]
)
def test_huge_objectives_are_searched_without_a_warning(tmp_path, algorithm, surrogate):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = evo_moo.search(Huge(), algorithm, 8, ("n_evals", 24), 1, 1, surrogate, tmp_path / "r")
        assert [e.status for e in run.evaluations] == ["ok"] * 24 and run.feasible
        assert 0 < run.hypervolume() < 10 and np.isfinite(run.F).all()
        best = min((e for e in run.evaluations if e.feasible), key=lambda e: e.metrics["a"])
        assert run.front[0].metrics["a"] == best.metrics["a"]
        evo_moo.pick(run, weights={"a": 1, "b": 2})
        run.plot(tmp_path / "front.png")
        evo_moo.write_report(tmp_path / "r", with_importances=False)
        write_figures(tmp_path / "r", tmp_path / "figures")


def test_one_value_that_stands_for_failure_changes_no_other_rank():
    def evaluate(config):
        return {"a": 1e308 if config["x"] > 0.8 else config["x"], "b": 1 - config["x"]}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space = {"x": evo_moo.Real(0, 1)}
        goals = {"a": "min", "b": "min"}
        run = evo_moo.search(evaluate, "nsga2", 8, ("n_evals", 32), 1, 1, "none", variables=space, objectives=goals)
    assert any(e.metrics["a"] == 1e308 for e in run.evaluations)
    assert len([e for e in run.front if e.metrics["a"] <= 0.8]) > 8
