import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")
pytest.importorskip("onnxruntime")
from torch import nn  # noqa: E402

from evo_moo.errors import ProblemError  # noqa: E402
from evo_moo.problem import SearchProblem  # noqa: E402
from evo_moo.toolkit.compression.compression import Compression, Parts  # noqa: E402
from evo_moo.toolkit.network_metrics import count_parameters  # noqa: E402
from evo_moo.toolkit.robustness import Robustness  # noqa: E402
from evo_moo.toolkit.training import accuracy_and_loss, set_determinism, train_classifier  # noqa: E402

SETTINGS = {"lr": 0.05, "batch_size": 32}


@pytest.fixture(scope="module")
def parts():
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(240) % 4
    X = torch.rand(240, 1, 6, 6, generator=draw) * 0.5
    X[torch.arange(240), 0, y, y] += 0.5
    return Parts((X[:160], y[:160]), (X[160:200], y[160:200]), (X[200:], y[200:]))


@pytest.fixture(scope="module")
def network(parts):
    set_determinism(0)
    layers = nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten(), nn.Linear(192, 16), nn.ReLU()
    model = nn.Sequential(*layers, nn.Linear(16, 4))
    train_classifier(model, parts.train, parts.validation, epochs=6, seed=0, **SETTINGS)
    return model


def points_of(options, network, parts, **more):
    made = Compression.of(options).points(network, {"train_s": 1.0}, parts, seed=1, **SETTINGS, **more)
    return {tuple(point.choices.values()): point for point in made}


def timeless(point):
    return {name: value for name, value in point.metrics.items() if name != "train_s"}


def test_each_combination_is_judged_by_itself(network, parts):
    options = {"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.5], "sparsity": [0.0, 0.9]}
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    points = points_of(options, network, parts)
    assert len(points) == 8 and not any(point.fault for point in points.values())
    assert len({tuple(timeless(point).values()) for point in points.values()}) == 8
    accuracy, loss = accuracy_and_loss(network, *parts.validation)
    plain = points["float32", 0.0, 0.0].metrics
    assert plain["accuracy"] == accuracy and plain["loss"] == pytest.approx(loss, rel=1e-4)
    assert plain["test_accuracy"] == accuracy_and_loss(network, *parts.test)[0]
    sizes = {choices: point.metrics["size_on_disk_mb"] for choices, point in points.items()}
    assert sizes["int8", 0.0, 0.0] < sizes["float32", 0.0, 0.0] == sizes["float32", 0.0, 0.9]
    assert sizes["float32", 0.5, 0.0] < sizes["float32", 0.0, 0.0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_points_do_not_depend_on_the_others(network, parts):
    options = {"pruned_channels": [0.0, 0.25, 0.5], "fine_tune_epochs": 1}
    many = points_of(options, network, parts)
    few = points_of(options | {"pruned_channels": [0.0, 0.5]}, network, parts)
    assert {choices: timeless(many[choices]) for choices in few} == {c: timeless(p) for c, p in few.items()}


def test_fine_tuning_wins_accuracy_back(network, parts):
    options = {"pruned_channels": [0.0, 0.75]}
    plain, tuned = (points_of(options | {"fine_tune_epochs": n}, network, parts) for n in (0, 8))
    assert tuned[(0.75,)].metrics["loss"] < plain[(0.75,)].metrics["loss"]
    assert tuned[(0.75,)].metrics["train_s"] > plain[(0.75,)].metrics["train_s"] == 1.0
    assert timeless(tuned[(0.0,)]) == timeless(plain[(0.0,)])


def test_robustness_is_that_of_the_served_model(network, parts):
    robustness = Robustness(["noise", "fgsm"], epsilon=0.1)
    points = points_of({"precision": ["float32", "int8"]}, network, parts, robustness=robustness)
    expected = robustness(network, *parts.validation, seed=1)
    assert expected.items() <= points[("float32",)].metrics.items()
    assert points[("int8",)].metrics.keys() >= expected.keys()


def test_a_step_that_fails_costs_its_own_points_only(network, parts):
    shallow = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    points = points_of({"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.5]}, shallow, parts)
    assert [choices for choices, point in points.items() if point.fault] == [("float32", 0.5), ("int8", 0.5)]
    assert points["int8", 0.5].fault == "no layer has a channel that can go with a share of 0.5"
    assert points["int8", 0.0].metrics["accuracy"] > 0

    diverged = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    nn.init.constant_(diverged[1].weight, float("nan"))
    for point in points_of({"precision": ["float32", "int8"]}, diverged, parts).values():
        assert point.fault == "the weights must be finite, but are not: the training diverged" and not point.metrics
    nn.init.constant_(diverged[1].weight, 1e38)
    huge = points_of({"precision": ["float32", "int8"]}, diverged, parts)[("float32",)]
    assert huge.fault == "the outputs must be finite, but are not: the precision is too low"

    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x[:, 0])[:, :4]

    (fault,) = {point.fault for point in points_of({"precision": ["float32", "int8"]}, Odd(), parts).values()}
    assert "svd" in fault and "\n" not in fault


def test_a_network_without_training_tells_latency_and_size(network, parts):
    compression = Compression.of({"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.5]})
    for choices in ({"precision": "float32", "pruned_channels": 0.5}, {"precision": "int8", "pruned_channels": 0.0}):
        served = compression.untrained(network, torch.ones(3, 1, 6, 6), choices)
        trained = points_of({"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.5]}, network, parts)
        size = trained[tuple(choices.values())].metrics["size_on_disk_mb"]
        assert served.size_on_disk_mb == pytest.approx(size, rel=0.01)
    assert count_parameters(compression.pruned(network, parts.train[0], {})) == count_parameters(network)


def test_choices_are_what_has_two_values():
    compression = Compression.of({"precision": ["int8"], "pruned_channels": [0.0, 0.5], "sparsity": [0.2, 0.4]})
    assert list(compression.variables) == ["pruned_channels", "sparsity"]
    assert compression.architecture == ["pruned_channels"]

    class Problem(SearchProblem):
        post_training, metrics = compression.variables, compression.metrics

    assert Problem.post_training and all(metric.description for metric in Problem.metrics.values())


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({}, ["`compress` must list two values or more of one of precision, pruned_channels, sparsity"]),
        (
            {"precision": ["int4"], "bits": 3},
            ["`compress` has no 'bits'", "`compress.precision` must be a list of some"],
        ),
        (
            {"sparsity": [0.0, 1.0]},
            ["`compress.sparsity` must be a list of shares from 0 to below 1, each once, but is"],
        ),
        ({"pruned_channels": [0.5, 0.5]}, ["`compress.pruned_channels` must be a list of shares"]),
        ({"pruned_channels": 0.5}, ["`compress.pruned_channels` must be a list of shares"]),
        ({"sparsity": [0, 0.5], "fine_tune_epochs": -1}, ["`compress.fine_tune_epochs` must be a whole number"]),
    ],
)
def test_wrong_options_are_all_named(options, faults):
    with pytest.raises(ProblemError) as error:
        Compression.of(options)
    assert len(str(error.value).splitlines()) == len(faults)
    assert all(fault in str(error.value) for fault in faults)


def test_a_missing_package_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch_pruning" else name)
    with pytest.raises(ProblemError, match="needs torch_pruning, not installed here: pip install"):
        Compression.of({"sparsity": [0.0, 0.5]})


def test_options_are_read_without_torch():
    code = """
import sys
from evo_moo.toolkit.compression.compression import Compression
Compression.of({"precision": ["float32", "int8"]}).variables
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
