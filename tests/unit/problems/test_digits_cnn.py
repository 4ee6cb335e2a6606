import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("onnxruntime")

from evo_moo.errors import EvoMooError  # noqa: E402
from evo_moo.plugins import load_problem  # noqa: E402
from evo_moo.toolkit.datasets import digits_in_three  # noqa: E402
from evo_moo.toolkit.network_metrics import count_flops, count_parameters  # noqa: E402

FILE = Path(__file__).parents[3] / "problems" / "digits_cnn.py"
REFERENCE = f"{FILE}:DigitsCNN"
TINY = {
    "n_blocks": 1,
    "width_1": 8,
    "kernel_1": 3,
    "dense": False,
    "activation": "relu",
    "dropout": 0.1,
    "optimizer": "adamw",
    "lr": 0.02,
    "batch_size": 64,
    "weight_decay": 1e-4,
    "epochs": 4,
}


@pytest.fixture(scope="module")
def problem():
    return load_problem(REFERENCE, {"copies": 1})


def without_times(metrics):
    return {name: value for name, value in metrics.items() if name != "train_s"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_metrics(problem):
    a, b, c = (without_times(problem.evaluate(TINY, seed=seed)) for seed in (1, 1, 2))
    assert a == b != c


def test_a_tiny_network_learns_in_a_few_epochs(problem):
    metrics = problem.evaluate(TINY, seed=0)
    assert metrics["accuracy"] > 0.5 and metrics["test_accuracy"] > 0.5


def test_the_profile_is_that_of_a_hand_count(problem):
    profile = problem.call_profile(TINY).metrics
    assert profile["n_params"] == 8 * 9 + 2 * 8 + (8 * 6 * 6 * 10 + 10)
    assert profile["flops"] == 2 * (6 * 6 * 9 * 8 + 8 * 6 * 6 * 10)
    assert profile["latency_ms"] > 0 and profile["latency_raw_ms"] > 0


def test_computed_metrics_equal_those_of_the_network(problem):
    for config in problem.space.decode(problem.space.sample(20, np.random.default_rng(2))):
        network, batch = problem.network(config)
        counted = {"n_params": count_parameters(network), "flops": count_flops(network, batch[:1])}
        assert problem.compute(config) == counted


def test_untrained_network_depends_on_the_architecture_alone(problem):
    network_of = problem.network
    rng = np.random.default_rng(1)
    for config, other in zip(*(problem.space.decode(problem.space.sample(20, rng)) for _ in range(2)), strict=True):
        training = {name: value for name, value in other.items() if name not in problem.architecture}
        names = set(problem.architecture) & set(config)
        mixed = {name: config[name] for name in names} | training
        layers = [str(module) for module in network_of(config)[0].modules() if "Dropout" not in str(module)]
        assert layers == [str(module) for module in network_of(mixed)[0].modules() if "Dropout" not in str(module)]
    assert set(problem.variables) - set(problem.architecture) == {
        "dropout", "optimizer", "lr", "batch_size", "weight_decay", "epochs"
    }  # fmt: skip


def test_a_network_comes_with_the_batch_that_is_measured():
    network, batch = load_problem(REFERENCE, {"latency_batch": 3}).network(TINY)
    assert batch.shape == (3, 1, 12, 12) and network(batch).shape == (3, 10)


def test_every_declared_metric_is_returned_once(problem):
    profile, metrics = problem.call_profile(TINY).metrics, problem.evaluate(TINY, seed=0)
    assert sorted([*profile, *metrics]) == sorted(problem.known_metrics)
    assert set(profile) == {name for name, metric in problem.known_metrics.items() if metric.cheap}


def test_compressed_points_give_every_declared_metric():
    pytest.importorskip("torch_pruning")
    compress = {"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.5], "fine_tune_epochs": 1}
    problem = load_problem(REFERENCE, {"copies": 1, "compress": compress})
    problem.check()
    assert problem.is_profiled_by_point
    points = problem.call_training(TINY, seed=0)
    assert [point.choices for point in points] == [
        {"precision": precision, "pruned_channels": share} for share in (0.0, 0.5) for precision in ("float32", "int8")
    ]
    for point in points:
        profile = problem.call_profile(TINY | point.choices).metrics
        assert sorted([*profile, *point.returned.metrics]) == sorted(problem.known_metrics) and not point.fault
    again = problem.call_training(TINY, seed=0)
    assert [without_times(p.returned.metrics) for p in points] == [without_times(p.returned.metrics) for p in again]


def test_networks_learn_from_teachers():
    large = TINY | {"width_1": 16}
    problem = load_problem(REFERENCE, {"copies": 1, "teachers": [large, large]})
    problem.check()
    assert len({str(list(network.parameters())) for network in problem.teacher_networks}) == 2
    alone, taught = (problem.evaluate(TINY | {"teacher_weight": w, "temperature": 4.0}, seed=0) for w in (0.0, 0.9))
    assert without_times(alone) == without_times(load_problem(REFERENCE, {"copies": 1}).evaluate(TINY, seed=0))
    assert alone["loss"] != taught["loss"] and taught["accuracy"] > 0.5
    with pytest.raises(EvoMooError, match="`teachers` must be configurations of the problem, but number 1"):
        load_problem(REFERENCE, {"teachers": [{"n_blocks": 1}]})


def test_computed_metrics_equal_those_of_the_pruned_network():
    pytest.importorskip("torch_pruning")
    problem = load_problem(REFERENCE, {"compress": {"pruned_channels": [0.0, 0.35, 0.9]}})
    for config in problem.space.decode(problem.space.sample(8, np.random.default_rng(3))):
        network, batch = problem.network(config)
        for share in (0.0, 0.35, 0.9):
            smaller = problem.compress.pruned(network, batch, {"pruned_channels": share})
            counted = {"n_params": count_parameters(smaller), "flops": count_flops(smaller, batch[:1])}
            assert problem.compute(config | {"pruned_channels": share}) == counted


def test_a_search_cannot_see_the_test_data(problem):
    assert problem.known_metrics["test_accuracy"].held_out


@pytest.mark.slow
def test_every_configuration_has_a_network(problem):
    build_network = sys.modules[type(problem).__module__].build_network
    for config in problem.space.decode(problem.space.sample(40, np.random.default_rng(0))):
        assert build_network(config)(torch.zeros(2, 1, 12, 12)).shape == (2, 10)


def test_the_parts_are_stratified_and_share_no_digit():
    parts = digits_in_three(lambda images, train: images)
    assert {name: len(y) for name, (_, y) in parts.items()} == {"train": 1078, "validation": 359, "test": 360}
    for _, y in parts.values():
        shares = torch.bincount(y, minlength=10) / len(y)
        assert (shares - 0.1).abs().max() < 0.01
    digits = [{tuple(row) for row in X.flatten(1).tolist()} for X, _ in parts.values()]
    assert len(set.union(*digits)) == sum(len(part) for part in digits)


def test_copies_are_of_the_digits_of_their_own_part():
    parts, distorted = digits_in_three(lambda images, train: images), load_problem(REFERENCE, {"copies": 2}).data
    for name, (X, y) in parts.items():
        copies, labels = distorted[name]
        assert copies.shape == (2 * len(X), 1, 12, 12) and torch.equal(labels, torch.cat([y, y]))
        assert len(torch.unique(copies.flatten(1), dim=0)) == 2 * len(X)
        originals = torch.nn.functional.pad(X, [2] * 4).repeat(2, 1, 1, 1).flatten(1)
        own, other = (torch.cosine_similarity(copies.flatten(1), X) for X in (originals, originals.roll(1, 0)))
        assert (own > other).float().mean() > 0.7


def test_distortions_are_the_same_each_time(problem):
    again = load_problem(REFERENCE, {"copies": 1}).data
    assert all(torch.equal(X, again[name][0]) for name, (X, _) in problem.data.items())


def test_the_number_of_epochs_can_be_fixed():
    problem = load_problem(REFERENCE, {"epochs": 1, "copies": 1})
    config = {name: value for name, value in TINY.items() if name != "epochs"}
    assert "epochs" not in problem.space.names
    assert problem.evaluate(config, seed=0)["accuracy"] > 0.1
    with pytest.raises(EvoMooError, match="`epochs` must be at least 1, but is 0"):
        load_problem(REFERENCE, {"epochs": 0})


def test_problem_can_be_listed_without_torch():
    code = f"""
import sys
from evo_moo.plugins import load_problem
load_problem({REFERENCE!r}).check()
sys.exit(any(name in sys.modules for name in ("torch", "sklearn", "torchvision")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
