import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from evo_moo.errors import EvoMooError  # noqa: E402
from evo_moo.plugins import load_problem  # noqa: E402
from evo_moo.toolkit.conditioned.model import ConditionedModel  # noqa: E402
from evo_moo.toolkit.conditioned.training import outputs_along  # noqa: E402
from evo_moo.toolkit.network_metrics import count_parameters  # noqa: E402

REFERENCE = f"{Path(__file__).parents[3] / 'problems' / 'cosmos_fair.py'}:CosmosFair"
CONFIG = {
    **{"width_1": 16, "width_2": 8, "epochs": 30, "batch_size": 16, "lr": 0.01, "penalty": 0.01},
    **{"alpha_accuracy": 0.5, "alpha_fairness": 0.5, "sharpness": 1.0},
}


@pytest.fixture(scope="module")
def problem():
    return load_problem(REFERENCE, {"n_rays": 9})


@pytest.fixture(scope="module")
def points(problem):
    return problem.evaluate(CONFIG, seed=1)


def test_one_training_offers_a_point_for_each_preference(problem, points):
    preferences = [point.choices["preference"] for point in points]
    assert len(points) == 9 and preferences == sorted(preferences, reverse=True)
    assert all(0 < preference < 1 for preference in preferences)
    assert set(points[0].metrics) == set(problem.known_metrics) - {"n_params"}
    assert problem.evaluate(CONFIG, seed=1) == points
    assert problem.evaluate(CONFIG, seed=2) != points


def test_preferences_trade_accuracy_for_fairness(points):
    accurate, fair = points[0].metrics, points[-1].metrics
    assert accurate["preference_effect"] > 0.5
    assert accurate["accuracy"] > fair["accuracy"]
    assert accurate["equal_opportunity_difference"] > fair["equal_opportunity_difference"] + 0.1


def test_metrics_are_those_of_fairlearn(problem):
    pytest.importorskip("fairlearn")
    from evo_moo.toolkit.fairness import group_metrics

    model, samples = problem.train(CONFIG, seed=1), problem.parts["validation"]
    logits = outputs_along(model.network, samples.X, torch.tensor(model.rays, dtype=torch.float32)).numpy()
    for scores, metrics in zip(logits, model.metrics, strict=True):
        expected = group_metrics(samples.y.numpy(), scores, scores > 0, samples.group.numpy())
        for name in ("accuracy", "balanced_accuracy", "equal_opportunity_difference", "demographic_parity_difference"):
            assert metrics[name] == pytest.approx(expected[name])


def test_a_trained_model_is_saved_and_asked_for_a_preference(problem, points, tmp_path):
    problem.train(CONFIG, seed=1).save(tmp_path)
    at = ConditionedModel.load(tmp_path).at(0.9)
    assert at.metrics == points[0].metrics
    decided = at.network(problem.parts["test"].X) > 0
    right = (decided == problem.parts["test"].y.bool()).float().mean().item()
    assert right == pytest.approx(at.metrics["test_accuracy"], abs=0.03)  # the ray is at 0.909


def test_parameters_are_counted_without_the_network(problem):
    network, inputs = problem.network(CONFIG)
    assert problem.compute(CONFIG)["n_params"] == count_parameters(network)
    assert network(*inputs).shape == (1,)


def test_the_fairness_loss_decides_the_objective(problem):
    assert problem.objectives == {"accuracy": "max", "equal_opportunity_difference": "min"}
    other = load_problem(REFERENCE, {"fairness": "dp_rate", "n_rays": 2})
    assert other.objectives == {"accuracy": "max", "demographic_parity_difference": "min"}
    first, second = (each.evaluate(CONFIG | {"epochs": 5}, seed=1)[-1].metrics for each in (problem, other))
    assert first != second


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "adults"}, "`data` must be one of demo, adult, compas, compas_leak, credit, but is 'adults'"),
        ({"fairness": "deo_count"}, "`fairness` must be one of eo_rate, dp_rate, but is 'deo_count'"),
        ({"n_rays": 0}, "`n_rays` must be at least 1, but is 0"),
        ({"data": "adult"}, "`data` = 'adult' must have its file, but none is named"),
    ],
)
def test_wrong_options_are_refused(options, message, monkeypatch):
    monkeypatch.delenv("EVO_MOO_DATA", raising=False)
    with pytest.raises(EvoMooError, match=message):
        load_problem(REFERENCE, options)


@pytest.mark.slow
@pytest.mark.skipif("EVO_MOO_DATA" not in os.environ, reason="EVO_MOO_DATA names no folder of data files")
@pytest.mark.parametrize(("data", "least"), [("adult", 0.84), ("compas", 0.64), ("credit", 0.785)])
def test_real_tables_are_learnt_within_some_epochs(data, least):
    problem = load_problem(REFERENCE, {"data": data, "n_rays": 5})
    points = problem.evaluate(CONFIG | {"epochs": 5, "batch_size": 512}, seed=1)
    assert points[0].metrics["test_accuracy"] > least
    assert points[0].metrics["preference_effect"] > 0.01
