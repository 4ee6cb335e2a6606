import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from evo_moo.errors import EvoMooError  # noqa: E402
from evo_moo.plugins import load_problem  # noqa: E402

REFERENCE = f"{Path(__file__).parents[3] / 'problems' / 'cosmos_digits.py'}:CosmosDigits"
CONFIG = {
    **{"conditioning": "film", "channels_1": 8, "channels_2": 16, "units": 40},
    **{"epochs": 10, "batch_size": 64, "lr": 0.005, "penalty": 1.0, "alpha": 1.2},
}
PLACES = ("accuracy_top_left", "accuracy_bottom_right")


@pytest.fixture(scope="module")
def problem():
    return load_problem(REFERENCE, {"n_pairs": 2000, "n_rays": 3})


@pytest.mark.slow
def test_the_digit_of_the_larger_weight_is_read_better(problem):
    first, middle, last = problem.evaluate(CONFIG, seed=1)
    assert set(first.metrics) == set(problem.known_metrics)
    assert [point.choices["preference"] for point in (first, middle, last)] == pytest.approx(
        [0.909, 0.5, 0.091], abs=1e-3
    )
    for prefix in ("", "test_"):
        left, right = (prefix + place for place in PLACES)
        assert first.metrics[left] > last.metrics[left] + 0.05
        assert first.metrics[right] < last.metrics[right] - 0.05
    assert min(middle.metrics[place] for place in PLACES) > 0.7
    assert problem.evaluate(CONFIG, seed=1) == [first, middle, last]


def test_published_maps_are_not_learnt_so_soon_and_warned_of(problem):
    config = CONFIG | {"conditioning": "tconv", "epochs": 1, "lr": 3e-4, "penalty": 0.01}
    with pytest.warns(UserWarning, match="outputs must depend on the preference, but differ by"):
        points = problem.evaluate(config, seed=1)
    assert points[0].metrics["preference_effect"] < 0.01


def test_pairs_of_all_parts_are_of_disjoint_digits(problem):
    parts = problem.parts
    assert [part.X.shape for part in parts.values()] == [(2000, 1, 12, 12), (500, 1, 12, 12), (500, 1, 12, 12)]
    # Of a canvas, the first four rows and columns show the top left digit alone: no two of the digits are alike there.
    seen = [{tuple(x.flatten().tolist()) for x in part.X[:, 0, :4, :8]} for part in parts.values()]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_networks_have_the_size_of_their_images(problem):
    network, inputs = problem.network(CONFIG)
    assert network(*inputs).shape == (1, 2, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_pairs": 0}, "`n_pairs` must be at least 1, but is 0"),
        ({"data": "nowhere.npz"}, "`data` must be one of digits, mnist"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(EvoMooError, match=message):
        load_problem(REFERENCE, options)


@pytest.mark.slow
@pytest.mark.skipif("EVO_MOO_DATA" not in os.environ, reason="EVO_MOO_DATA names no folder of data files")
def test_mnist_lies_on_canvases_of_36_pixels():
    problem = load_problem(REFERENCE, {"data": "mnist_6k.npz", "n_pairs": 400, "n_rays": 2})
    assert problem.parts["test"].X.shape == (100, 1, 36, 36)
    published = {"conditioning": "tconv", "channels_1": 10, "channels_2": 20, "units": 50}
    network, _ = problem.network(published)
    assert sum(parameter.numel() for parameter in network.parameters()) == 43058
    assert len(problem.evaluate(CONFIG | {"epochs": 1}, seed=1)) == 2
