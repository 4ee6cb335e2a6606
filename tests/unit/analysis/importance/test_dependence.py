import numpy as np
import pytest

import evo_moo
from evo_moo.analysis.importance.dependence import dependence_columns, partial_dependence
from evo_moo.analysis.importance.local_changes import change_columns, changes_around
from evo_moo.analysis.run_table import RunTable
from evo_moo.errors import JobError, UsageError
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Choice, Integer, Real

SPACE = SearchSpace(
    {
        "n": Integer(1, 3),
        "w1": Integer(4, 64, log=True),
        "w2": Integer(4, 64, log=True, when={"n": {"at_least": 2}}),
        "act": Choice(["a", "b", "c"]),
        "size": Choice([8, 16, 32], ordered=True),
        "drop": Real(0.0, 1.0),
    }
)


def cost(config):
    return 3 * np.log2(config["w1"]) + 2 * np.log2(config.get("w2", 1)) + 4 * (config["act"] == "b")


@pytest.fixture(scope="module")
def table():
    X = SPACE.sample(110, np.random.default_rng(1), "lhs")
    X = X[(X[:, 3] != 2) & (X[:, 5] < 0.7)]  # the option "c" and the end of `drop` were never tried
    y = np.array([cost(config) for config in SPACE.decode(X)])
    ids = {i + 1: i for i in range(len(X))}
    goals = Goals.declared({"cost": "min", "gain": "max"}, {})
    values = {"cost": y, "gain": -y, "noise": np.random.default_rng(2).normal(size=len(X))}
    return RunTable(SPACE, goals, {"cost": Metric("ms")}, X, values, np.zeros(len(X)), ids, {}, 1)


def test_curves_are_means_over_the_evaluated_configurations(table):
    told = partial_dependence(table)
    curve = told["cost"]["curves"]["w1"]
    others = np.mean([cost(config) - 3 * np.log2(config["w1"]) for config in SPACE.decode(table.X)])
    np.testing.assert_allclose(curve["mean"], others + 3 * np.log2(curve["value"]), atol=0.3)
    assert all(low < mean < high for low, mean, high in zip(curve["low"], curve["mean"], curve["high"], strict=True))
    assert sum(curve["n_near"]) == curve["n"] == len(table.X) and curve["untried"] == ""
    # A conditional variable's curve is over the configurations in which it exists.
    its = [config for config in SPACE.decode(table.X) if "w2" in config]
    curve = told["cost"]["curves"]["w2"]
    others = np.mean([cost(config) - 2 * np.log2(config["w2"]) for config in its])
    np.testing.assert_allclose(curve["mean"], others + 2 * np.log2(curve["value"]), atol=0.3)
    assert curve["n"] == len(its)
    np.testing.assert_allclose(told["gain"]["curves"]["drop"]["mean"], -table.values["cost"].mean(), atol=0.5)


def test_only_tried_values_are_drawn_and_the_rest_is_stated(table):
    curves = partial_dependence(table, ["cost"], ["act", "drop"])["cost"]["curves"]
    assert list(curves) == ["act", "drop"]
    assert curves["act"]["value"] == ["a", "b"] and curves["act"]["untried"] == "c"
    assert max(curves["drop"]["value"]) < 0.7 and curves["drop"]["untried"].startswith("above 0.6")
    columns = dependence_columns(partial_dependence(table, ["cost"], ["act", "drop"]))
    assert {len(column) for column in columns.values()} == {2 + len(curves["drop"]["value"])}
    with pytest.raises(JobError, match=r"a variable must be one of n, w1, .*, but is depth"):
        partial_dependence(table, variables=["depth"])


def test_changes_are_predicted_with_what_they_bring_and_take(table):
    row = int(np.flatnonzero((table.X[:, 0] == 2) & (table.X[:, 3] == 0) & (table.X[:, 5] > 0.62))[0])
    told = changes_around(table, row + 1, ["cost", "noise"])
    (here,) = SPACE.decode(table.X[[row]])
    assert told["configuration"] == here and told["nothing"].keys() == {"noise"}
    assert told["metrics"]["cost"]["measured"] == pytest.approx(cost(here))
    assert told["metrics"]["cost"]["predicted"] == pytest.approx(cost(here), abs=0.3)
    by_end = {(change["variable"], change["becomes"]): change for change in told["changes"]}
    for change in told["changes"]:
        there = {name: value for name, value in here.items() if name not in change["gone"]}
        there |= {change["variable"]: change["becomes"], **change["new"]}
        effect = change["effects"]["cost"]
        assert effect["low"] <= effect["change"] + 0.2 and effect["change"] - 0.2 <= effect["high"]
        if change["becomes"] != "c":
            assert effect["change"] == pytest.approx(cost(there) - cost(here), abs=0.5)
    assert by_end["n", 1]["gone"] == ["w2"] and not by_end["act", "c"]["tried"] and by_end["act", "b"]["tried"]
    assert by_end["act", "b"]["effects"]["cost"]["p_more"] > 0.95
    assert {end for name, end in by_end if name == "act"} == {"b", "c"}
    assert {end for name, end in by_end if name == "w1"} == _halved_and_doubled(here["w1"])
    assert not next(change for (name, end), change in by_end.items() if name == "drop" and end > here["drop"])["tried"]
    columns = change_columns(told)
    assert {len(column) for column in columns.values()} == {len(told["changes"])}


def _halved_and_doubled(value):
    return {int(end) for end in np.rint(np.clip([value / 2, 2 * value], 4, 64)) if end != value}


def test_change_adds_a_conditional_variable_at_its_median(table):
    row = int(np.flatnonzero(table.X[:, 0] == 1)[0])
    told = changes_around(table, row + 1, ["cost"])
    change = next(change for change in told["changes"] if (change["variable"], change["becomes"]) == ("n", 2))
    tried = sorted(config["w2"] for config in SPACE.decode(table.X) if "w2" in config)
    assert change["new"] == {"w2": tried[len(tried) // 2]}
    with pytest.raises(UsageError, match="`--around` must be an evaluation of the run, from 1 to"):
        changes_around(table, 0)


def test_table_averages_replicates_and_has_cheap_partial_ones(tmp_path):
    class Net(evo_moo.SearchProblem):
        variables = {"x": Real(0, 1), "y": Real(0, 1)}
        objectives = {"loss": "min", "size": "min"}
        metrics = {"size": Metric(cheap=True), "loss": Metric(noisy=True)}
        fidelity = evo_moo.Fidelity("epochs", 1, 4)

        def evaluate(self, config, *, fidelity, seed):
            return {"loss": config["x"] + seed % 7 + 1 / fidelity, "size": config["y"]}

    refinement = {"rungs": [1, 4], "replicates": 2}
    evo_moo.search(Net(), termination=("n_evals", 12), refinement=refinement, workers=1, run_dir=tmp_path / "r")
    table = RunTable.read(tmp_path / "r")
    evaluations = evo_moo.Result.read(tmp_path / "r").evaluations
    assert len(table.X) == len({e.configuration_json for e in evaluations})
    assert np.isfinite(table.values["size"]).all() and not np.isfinite(table.values["loss"]).all()
    repeated = next(e.continues for e in evaluations if e.replicate)
    its = [e.metrics["loss"] for e in evaluations if e.id == repeated or (e.replicate and e.continues == repeated)]
    assert len(its) > 1 and table.values["loss"][table.ids[repeated]] == pytest.approx(np.mean(its))
    assert np.isfinite(table.rank).sum() == np.isfinite(table.values["loss"]).sum()
