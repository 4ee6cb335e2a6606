"""The exact Pareto front: where it is known, and how much of it a run has reached."""

import json
import logging

import numpy as np
import pytest
from pymoo.problems import get_problem
from typer.testing import CliRunner

import evo_moo
from evo_moo.cli.main import app
from evo_moo.pareto import share_of_front
from evo_moo.problem.goals import Goals
from evo_moo.problem.pymoo_problem import as_search_problem


class Known(evo_moo.SearchProblem):
    variables = {"x": evo_moo.Integer(0, 10)}
    objectives = {"a": "min", "b": "min"}
    metrics = {"c": evo_moo.Metric()}

    def evaluate(self, config):
        return {"a": config["x"], "b": (10 - config["x"]), "c": 1.0}

    def _calc_pareto_front(self):
        return np.array([[x, 10 - x] for x in range(11)])


class Broken(Known):
    def pareto_front(self, goals=None, **options):
        raise KeyError("front")


def search(problem, tmp_path, n_evals=5, **options):
    return evo_moo.search(problem, "random", termination=("n_evals", n_evals), workers=1, run_dir=tmp_path, **options)


def test_show_states_the_share_and_json_has_it(tmp_path):
    share = search(Known(), tmp_path / "r").share_of_true_hypervolume()
    assert 0 < share < 1
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "r")]).stdout
    assert f"Hypervolume: {share:.2%} of that of the true front (11 points)" in shown
    as_json = json.loads(CliRunner().invoke(app, ["show", str(tmp_path / "r"), "--json"]).stdout)
    assert as_json["share_of_true_hypervolume"] == pytest.approx(share)


def test_grid_reaches_the_whole_true_front(tmp_path):
    result = evo_moo.search(Known(), "grid", termination=("n_evals", 50), workers=1)
    assert len(result.evaluations) == 11 and result.share_of_true_hypervolume() == 1


def test_goals_of_the_job_have_another_front(tmp_path):
    assert search(Known(), tmp_path, objectives={"a": "min", "c": "max"}).true_front is None
    same = {"a": {"direction": "min", "goal": 3}, "b": "min"}
    assert search(Known(), None, objectives=same).true_front.shape == (11, 2)


def test_a_front_that_fails_stops_no_search(caplog):
    with caplog.at_level(logging.WARNING, "evo_moo"):
        assert search(Broken(), None).true_front is None
    assert "`pareto_front` of `Broken` failed: KeyError: 'front'" in caplog.text


def test_pymoos_fronts_are_known_but_none_is_downloaded(monkeypatch):
    monkeypatch.setattr("pymoo.util.remote.os.makedirs", lambda path: None)
    assert as_search_problem(get_problem("zdt3")).pareto_front().shape == (100, 2)
    assert as_search_problem(get_problem("tnk")).pareto_front() is None
    assert as_search_problem(get_problem("dtlz2", n_obj=5)).pareto_front() is None
    other = Goals.declared({"f2": "min"}, {})
    assert as_search_problem(get_problem("zdt3")).pareto_front(other) is None


@pytest.mark.parametrize("front", [[[1.0]], [[0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0, 2.0], [1.0, 0.0, 2.0]]])
def test_share_needs_a_scale(front):
    assert share_of_front(np.array(front), np.array(front)) is None
