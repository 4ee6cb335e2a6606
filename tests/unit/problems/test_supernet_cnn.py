import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from evo_moo.errors import EvoMooError  # noqa: E402
from evo_moo.plugins import load_problem  # noqa: E402
from evo_moo.testing import check_problem  # noqa: E402
from evo_moo.toolkit.network_metrics import count_flops, count_parameters  # noqa: E402

FILE = Path(__file__).parents[3] / "problems" / "supernet_cnn.py"
REFERENCE = f"{FILE}:SupernetCNN"
QUICK = {"copies": 1, "epochs": 2, "supernet_epochs": 4, "latency_batch": 0}
SMALL = {"pool": 1, "depth": 1, "kernel_1": 3, "width_1": 8, "activation_1": "relu"}


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield load_problem(REFERENCE, QUICK)


@pytest.mark.slow
def test_suite_for_problems_passes(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path))
    assert check_problem(REFERENCE, {**QUICK, "latency_batch": 4}, n_evals=2).notes == []


def test_space_holds_five_million_networks(problem):
    by_depth = [(4 * 3 * 3) ** depth for depth in (1, 2, 3, 4)]
    assert 3 * sum(by_depth) == 5_182_812
    assert set(problem.variables) == set(problem.elastic.decisions)


def test_lowest_fidelity_needs_no_training(problem):
    network = problem.supernet.inherited(SMALL, problem.parts["train"][0])
    assert count_parameters(network) == problem.compute(SMALL)["n_params"]
    first, other = (problem.evaluate(SMALL, seed=seed, fidelity=1) for seed in (1, 2))
    assert first == other and first["train_s"] == 0 and first["accuracy"] > 0.15


def test_inherited_weights_are_no_beginning_of_a_training(problem):
    full = [problem.evaluate(SMALL, seed=1, **fidelity) for fidelity in ({}, {"fidelity": 2})]
    assert full[0]["loss"] == full[1]["loss"] and full[0]["train_s"] > 0


def test_lowest_fidelity_may_be_one_epoch_instead():
    problem = load_problem(REFERENCE, QUICK | {"inherit": False})
    first, other = (problem.evaluate(SMALL, seed=seed, fidelity=1) for seed in (1, 2))
    assert first["loss"] != other["loss"] and first["train_s"] > 0


def test_computed_metrics_equal_those_of_the_network(problem):
    for config in problem.space.decode(problem.space.sample(10, np.random.default_rng(2))):
        network, batch = problem.network(config)
        assert problem.compute(config) == {"n_params": count_parameters(network), "flops": count_flops(network, batch)}


def test_every_declared_metric_is_returned_once(problem):
    metrics = problem.evaluate(SMALL, seed=0, fidelity=1)
    assert sorted([*problem.call_profile(SMALL).metrics, *metrics]) == sorted(problem.known_metrics)


def test_wrong_options_are_refused():
    with pytest.raises(EvoMooError, match="`supernet_epochs` must be at least 0, but is -1"):
        load_problem(REFERENCE, {"supernet_epochs": -1})
    with pytest.raises(EvoMooError, match="`copies` must be at least 1, but is 0"):
        load_problem(REFERENCE, {"copies": 0})


def test_problem_can_be_listed_without_torch():
    code = f"""
import sys
from evo_moo.plugins import load_problem
load_problem({REFERENCE!r}).check()
sys.exit(any(name in sys.modules for name in ("torch", "sklearn", "torchvision")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
