"""image_classifier and flops_mlp: what a configuration builds, and what an evaluation of it gives."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from evo_moo.errors import EvoMooError  # noqa: E402
from evo_moo.plugins import load_problem  # noqa: E402
from evo_moo.threads import one_thread  # noqa: E402
from evo_moo.toolkit.network_metrics import count_flops, count_parameters  # noqa: E402

FOLDER = Path(__file__).parents[3] / "problems"
CLASSIFIER, MLP = f"{FOLDER}/image_classifier.py:ImageClassifier", f"{FOLDER}/flops_mlp.py:FlopsMLP"
TRAINING = {
    "optimizer": "adamw",
    "lr": 0.01,
    "weight_decay": 1e-4,
    "batch_size": 32,
    "augmentation": 0.2,
    "label_smoothing": 0.05,
}
BLOCKS = {
    "network": "blocks",
    "depth": 2,
    "width_1": 8,
    "kernel_1": 3,
    "shrink_1": "pool",
    "width_2": 12,
    "kernel_2": 3,
    "shrink_2": "stride",
    "block": "plain",
    "norm": "batch",
    "activation": "relu",
    "head_grid": 4,
    "dense": True,
    "dense_units": 16,
    "dropout": 0.1,
    **TRAINING,
}
BACKBONE = {"network": "resnet18", "width": 0.125, "resolution": 16, **TRAINING}
LAYERS = {"n_layers": 2, "units_1": 60, "dropout_1": 0.2, "units_2": 20, "dropout_2": 0.3, "lr": 0.01}


@pytest.fixture(autouse=True, scope="module")
def single_thread():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def classifier():
    return load_problem(CLASSIFIER, {"epochs": 3, "robustness": ["noise", "fgsm"], "device": "cpu"})


def timeless(problem, metrics):
    return {name: value for name, value in metrics.items() if not problem.known_metrics[name].timed}


def test_classifier_learns_and_returns_every_declared_metric(classifier):
    profile, metrics = classifier.profile(BLOCKS), classifier.evaluate(BLOCKS, seed=1)
    assert sorted([*profile, *metrics]) == sorted(classifier.known_metrics)
    assert set(profile) == {name for name, metric in classifier.known_metrics.items() if metric.cheap}
    assert metrics["accuracy"] > 0.75 and metrics["test_accuracy"] > 0.75
    assert 0 < metrics["calibration_error"] < 0.3
    assert metrics["accuracy_worst"] == min(metrics["accuracy_noise"], metrics["accuracy_fgsm"]) < metrics["accuracy"]
    assert classifier.known_metrics["test_accuracy"].held_out
    assert timeless(classifier, metrics) == timeless(classifier, classifier.evaluate(BLOCKS, seed=1))


def test_the_classifiers_profile_is_that_of_a_hand_count(classifier):
    profile = classifier.profile(BLOCKS)
    weights = 8 * 9, 8 * 12 * 9, 12 * 4 * 16, 16 * 10
    assert profile["n_params"] == sum(weights) + 2 * (8 + 12) + (16 + 10)
    assert profile["flops"] == 2 * (64 * weights[0] + 4 * weights[1] + weights[2] + weights[3])
    assert profile["throughput_per_s"] == pytest.approx(16 / profile["latency_ms"] * 1e3)


@pytest.mark.parametrize("block", ["residual", "depthwise"])
def test_compressed_points_give_every_declared_metric(block):
    pytest.importorskip("torch_pruning")
    compress = {"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.5]}
    options = {"epochs": 1, "n_images": 400, "robustness": ["noise", "fgsm"], "device": "cpu", "compress": compress}
    problem, config = load_problem(CLASSIFIER, options), BLOCKS | {"block": block}
    problem.check()
    points = problem.call_training(config, seed=1)
    profiles = [problem.call_profile(config | point.choices).metrics for point in points]
    for point, profile in zip(points, profiles, strict=True):
        assert sorted([*profile, *point.returned.metrics]) == sorted(problem.known_metrics), point.fault
    assert len(points) == 4 and profiles[0]["flops"] == profiles[1]["flops"] > profiles[2]["flops"]
    again = problem.call_training(config, seed=1)
    first, second = ([timeless(problem, p.returned.metrics) for p in each] for each in (points, again))
    assert first == second


def test_classifiers_learn_from_a_teacher():
    problem = load_problem(CLASSIFIER, {"epochs": 1, "n_images": 300, "device": "cpu", "teachers": [BLOCKS]})
    problem.check()
    taught, alone = (problem.evaluate(BLOCKS | {"teacher_weight": w, "temperature": 4.0}, seed=0) for w in (1.0, 0.0))
    assert taught["loss"] != alone["loss"] and set(problem.variables) - set(problem.architecture) > {"temperature"}


@pytest.mark.slow
def test_every_configuration_of_every_network_has_a_network():
    problem = load_problem(CLASSIFIER, {"networks": ["blocks", "resnet18", "mobilenet_v3"], "device": "cpu"})
    names = set()
    for config in problem.space.decode(problem.space.sample(12, np.random.default_rng(0))):
        names.add(config["network"])
        network, batch = problem.network(config)
        assert network(batch).shape == (16, 10)
        assert ("depth" in config) == (config["network"] == "blocks") != ("width" in config)
        assert sum(name.startswith("kernel") for name in config) == config.get("depth", 0)
    assert len(names) == 3


def test_only_the_architecture_decides_the_untrained_network():
    problem = load_problem(CLASSIFIER, {"networks": ["blocks", "resnet18"], "device": "cpu"})
    others = set(problem.variables) - set(problem.architecture)
    assert others == {*TRAINING, "dropout"}


def test_a_backbone_trains():
    problem = load_problem(CLASSIFIER, {"networks": ["resnet18"], "n_images": 300, "epochs": 1, "device": "cpu"})
    assert "depth" not in problem.variables
    metrics = problem.evaluate(BACKBONE, seed=0)
    assert metrics["loss"] > 0 and 0 <= metrics["accuracy"] <= 1


def test_images_of_any_size_and_channels_are_classified(tmp_path):
    draw = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (draw.integers(0, 100, (60, 13, 9, 3)) + 50 * y[:, None, None, None]).astype(np.uint8)
    np.savez(tmp_path / "colours.npz", x=x, y=y.astype(str))
    options = {"data": "colours.npz", "root": str(tmp_path), "epochs": 6, "patience": 4, "device": "cpu"}
    problem = load_problem(CLASSIFIER, options)
    assert problem.network(BLOCKS)[1].shape == (16, 3, 13, 9)
    assert problem.evaluate(BLOCKS | {"batch_size": 8}, seed=0)["accuracy"] > 0.6
    mlp = load_problem(MLP, {"data": "colours.npz", "root": str(tmp_path), "epochs": 1})
    assert mlp.compute(LAYERS)["flops"] == 2 * (13 * 9 * 3 * 60 + 60 * 20 + 20 * 3)


@pytest.mark.parametrize(
    ("reference", "options", "message"),
    [
        (CLASSIFIER, {"networks": ["vgg"]}, r"`networks` must be a list of some of blocks, resnet18, .*\['vgg'\]"),
        (CLASSIFIER, {"epochs": 0}, "`epochs` must be at least 1, but is 0"),
        (CLASSIFIER, {"robustness": ["fog"]}, "`perturbations` must be a list of some of noise"),
        (CLASSIFIER, {"data": "mnist", "root": "/nowhere"}, "must lie in /nowhere/MNIST/raw, but is not there; set"),
        (CLASSIFIER, {"compress": {"precision": ["int4", "int8"]}}, "`compress.precision` must be a list of some of"),
        (MLP, {"data": "fashion_mnist", "root": "/nowhere"}, "must lie in /nowhere/FashionMNIST/raw"),
        (MLP, {"epochs": 0}, "`epochs` must be at least 1, but is 0"),
    ],
)
def test_wrong_options_are_refused_before_a_search(reference, options, message):
    with pytest.raises(EvoMooError, match=message):
        load_problem(reference, options)


def test_the_mlp_is_that_of_the_tutorial():
    problem = load_problem(MLP)
    assert set(problem.variables) == {"n_layers", "lr", *(f"{n}_{i}" for n in ("units", "dropout") for i in (1, 2, 3))}
    network, image = problem.network(LAYERS)
    assert [type(layer).__name__ for layer in network] == [
        "Flatten", *["Linear", "ReLU", "Dropout"] * 2, "Linear"
    ]  # fmt: skip
    computed = problem.compute(LAYERS)
    assert computed["flops"] == count_flops(network, image) == 2 * (64 * 60 + 60 * 20 + 20 * 10)
    assert computed["n_params"] == count_parameters(network)
    first, again = (problem.evaluate(LAYERS, seed=3) for _ in range(2))
    assert timeless(problem, first) == timeless(problem, again) and first["accuracy"] > 0.8
    assert sorted([*computed, *first]) == sorted(problem.known_metrics)


def test_they_can_be_listed_without_torch():
    code = f"""
import sys
from evo_moo.plugins import load_problem
load_problem({CLASSIFIER!r}, {{"robustness": ["pgd"]}}).check()
load_problem({MLP!r}).check()
sys.exit(any(name in sys.modules for name in ("torch", "sklearn", "torchvision")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("EVO_MOO_DATA" not in os.environ, reason="EVO_MOO_DATA names no folder with real data")
def test_a_network_learns_real_digits():
    problem = load_problem(CLASSIFIER, {"data": "mnist_6k.npz", "n_images": 2000, "epochs": 5, "device": "cpu"})
    assert problem.evaluate(BLOCKS, seed=0)["test_accuracy"] > 0.8
