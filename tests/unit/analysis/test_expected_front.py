import json

import numpy as np
import pytest

import evo_moo
from evo_moo.analysis.expected_front import expected_front
from evo_moo.cli.model_tables import print_expected


class Lucky(evo_moo.SearchProblem):
    """The true loss falls along x, the size rises; the noise is larger than what many steps of x gain."""

    variables = {"x": evo_moo.Real(0, 1)}
    objectives = {"loss": "min", "size": "min"}
    metrics = {"loss": evo_moo.Metric(noisy=True)}

    def evaluate(self, config, *, seed):
        noise = np.random.default_rng(seed).normal(0, 0.15)
        return {"loss": 2 - config["x"] + noise, "size": config["x"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "lucky"
    evo_moo.search(Lucky(), "random", termination=("n_evals", 60), seed=1, workers=1, run_dir=folder, surrogate="none")
    return folder


def test_expected_front_is_nearer_the_truth_than_the_measured(run):
    told = expected_front(run)
    assert told["objectives"]["loss"]["model"] and told["objectives"]["size"]["why"] == "it is not declared noisy"

    def misses(value):
        return [m["metrics"]["loss"][value] - (2 - m["configuration"]["x"]) for m in told["front"]]

    assert np.abs(misses("expected")).mean() < 0.5 * np.abs(misses("measured")).mean()
    assert all(m["metrics"]["size"]["expected"] == m["metrics"]["size"]["measured"] for m in told["front"])
    # Every configuration is on the true front, but the measured one keeps the lucky ones only.
    lucky = evo_moo.Result.read(run)
    assert len(told["front"]) > 2 * len(lucky.front)


def test_expected_front_is_plain_data_and_printed(run, capsys):
    told = json.loads(json.dumps(expected_front(run)))
    print_expected(told)
    text = capsys.readouterr().out
    assert "size: as measured: it is not declared noisy" in text and "loss: expected by the model" in text


def test_metric_without_a_model_is_taken_as_measured(tmp_path):
    class Noise(Lucky):
        def evaluate(self, config, *, seed):
            return {"loss": np.random.default_rng(seed).normal(), "size": config["x"]}

    evo_moo.search(Noise(), "random", termination=("n_evals", 30), workers=1, run_dir=tmp_path / "r", surrogate="none")
    told = expected_front(tmp_path / "r")
    assert "noise" in told["objectives"]["loss"]["why"] and told["objectives"]["loss"]["model"] == ""
    assert {m["id"] for m in told["front"]} == {e.id for e in evo_moo.Result.read(tmp_path / "r").front}
