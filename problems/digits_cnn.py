"""Small convolutional networks for handwritten digits: how accurate can they be, and how fast?"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any

from evo_moo.problem import Configuration, Fidelity, Metric, SearchProblem
from evo_moo.space import Boolean, Choice, Integer, Real
from evo_moo.toolkit.checks import require_at_least_one
from evo_moo.toolkit.classifiers import classifier_metrics, trained_classifier
from evo_moo.toolkit.compression.choices import n_kept
from evo_moo.toolkit.compression.compression import Compression, Parts
from evo_moo.toolkit.compression.distillation import DISTILLATION, Distillation, checked_teachers
from evo_moo.toolkit.datasets import digits_in_three

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evo_moo.problem import Point, Report, TrainedModel, Weights

    Data = Mapping[str, tuple[Tensor, Tensor]]

SIZE = 12
"""Pixels along one side of a canvas."""

TWO_OR_MORE = {"n_blocks": {"at_least": 2}}
THREE = {"n_blocks": {"at_least": 3}}


class DigitsCNN(SearchProblem):
    """Architecture and training of a network for scikit-learn's 1,797 digits, distorted so that capacity counts.

    The digits are split once and for all into 60 % training, 20 % validation and 20 % test. Copies of each one lie on
    canvases of 12 x 12 pixels, each moved, turned, zoomed and noisy in its own way. The search sees the validation
    data only; ``test_accuracy`` is for the final report. The latency is that of ONNX Runtime on one thread.

    Args:
        epochs: Trains every configuration for so many epochs instead of searching their number; they are the fidelity
            then, and a shorter training is the beginning of the full one, with its learning rates.
        latency_batch: Number of digits in the batch whose latency is measured.
        copies: Number of distorted copies of each digit; fewer make trainings shorter and less accurate.
        compress: What is offered of each trained network, as in ``evo_moo.toolkit.compression.compression``, such as
            ``{"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.5]}``.
        teachers: Configurations of networks from which all others learn, as in
            ``evo_moo.toolkit.compression.distillation``; each process trains them once. How much is searched.

    Raises:
        ValueError: An option is below 1, or ``compress`` or ``teachers`` are wrong.
    """

    variables = {
        "n_blocks": Integer(1, 3),
        "width_1": Integer(4, 32, log=True),
        "width_2": Integer(4, 32, log=True, when=TWO_OR_MORE),
        "width_3": Integer(4, 32, log=True, when=THREE),
        "kernel_1": Choice([3, 5], ordered=True),
        "kernel_2": Choice([3, 5], ordered=True, when=TWO_OR_MORE),
        "kernel_3": Choice([3, 5], ordered=True, when=THREE),
        "dense": Boolean(),
        "dense_units": Integer(8, 128, log=True, when={"dense": True}),
        "activation": Choice(["relu", "silu", "gelu", "tanh"]),
        "dropout": Real(0.0, 0.5),
        "optimizer": Choice(["adam", "adamw", "sgd"]),
        "lr": Real(1e-3, 1e-1, log=True),
        "batch_size": Choice([64, 128, 256], ordered=True),
        "weight_decay": Real(1e-6, 1e-2, log=True),
        "epochs": Integer(1, 4),
    }
    architecture = [name for name in variables if name.startswith(("n_", "width", "kernel", "dense", "activation"))]
    objectives = {"accuracy": "max", "latency_ms": "min"}
    metrics = classifier_metrics("digits") | {
        "latency_ms": Metric("ms", "a batch in ONNX Runtime, freed from drift", log=True, timed=True, cheap=True),
        "latency_raw_ms": Metric("ms", "the same as the clock showed it", log=True, timed=True, cheap=True),
    }

    def __init__(
        self,
        epochs: int | None = None,
        latency_batch: int = 64,
        copies: int = 6,
        compress: Mapping[str, Any] | None = None,
        teachers: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        require_at_least_one(epochs=epochs, latency_batch=latency_batch, copies=copies)
        self.epochs, self.latency_batch, self.copies = epochs, latency_batch, copies
        if epochs is not None:
            self.fidelity = Fidelity("epochs", 1, epochs)
            self.variables = {name: v for name, v in self.variables.items() if name != "epochs"}
        self.teachers = checked_teachers(teachers, self.variables)
        self.variables = {**self.variables, **(DISTILLATION if self.teachers else {})}
        self.compress = None if compress is None else Compression.of(compress)
        if self.compress:
            self.post_training, self.metrics = self.compress.variables, self.metrics | self.compress.metrics
            self.architecture = [*self.architecture, *self.compress.architecture]

    def compute(self, config: Configuration) -> dict[str, float]:
        """Count the trainable parameters and operations of the network without building it."""
        pruned = self.compress.share_pruned(config) if self.compress else 0.0
        channels, size, n_params, flops = 1, SIZE, 0, 0
        for block in range(1, config["n_blocks"] + 1):
            width = n_kept(config[f"width_{block}"], pruned)
            weights = channels * width * config[f"kernel_{block}"] ** 2
            channels, size = width, ceil(size / 2)
            n_params += weights + 2 * width
            flops += 2 * weights * size**2
        features = channels * size**2
        if config["dense"]:
            units = n_kept(config["dense_units"], pruned)
            n_params += (features + 1) * units
            flops += 2 * features * units
            features = units
        return {"n_params": n_params + (features + 1) * 10, "flops": flops + 2 * features * 10}

    def profile(self, config: Configuration) -> dict[str, float]:
        """Build the network and measure its latency."""
        from evo_moo.toolkit.latency import Effort, model_latency

        (network, batch), effort = self.network(config), Effort(limit_s=0.2)
        if self.compress:
            latency = self.compress.untrained(network, batch, config).latency(batch, effort=effort)
        else:
            latency = model_latency(network, batch, runtime="onnxruntime", effort=effort)
        return {"latency_ms": latency.corrected_ms, "latency_raw_ms": latency.median_ms}

    def network(self, config: Configuration) -> tuple["nn.Module", "Tensor"]:
        """Build the network, and a batch ``(latency_batch, 1, 12, 12)`` whose latency is measured."""
        import torch

        return build_network(config), torch.ones(self.latency_batch, 1, SIZE, SIZE)

    def evaluate(
        self,
        config: Configuration,
        *,
        seed: int,
        fidelity: int | None = None,
        weights: "Weights | None" = None,
        report: "Report | None" = None,
    ) -> "dict[str, float] | list[Point]":
        """Train the network on one thread; the same seed gives the same metrics, ``train_s`` aside."""
        distil = Distillation.of(self.teacher_networks, config)
        network, metrics, settings = self._trained(
            config, seed, until=fidelity, weights=weights, report=report, distil=distil
        )
        if self.compress:
            return self.compress.points(network, metrics, Parts(**self.data), seed=seed, **settings)
        return metrics

    def model(self, config: Configuration, *, seed: int, all_data: bool = False) -> "TrainedModel":
        """Train the network as ``evaluate`` does, or with the validation digits too, and give it to be kept.

        Of each test digit only the first copy counts there: copies of one digit are no independent samples.
        """
        from evo_moo.toolkit.training import with_all_data

        data = with_all_data(self.data) if all_data else self.data
        distil, served = Distillation.of(self.teacher_networks, config), None
        network, metrics, settings = self._trained(config, seed, data=data, distil=distil)
        if self.compress:
            network, served = self.compress.model(network, Parts(**data), config, seed=seed, **settings)
        X, y = data["test"]
        return trained_classifier(
            network,
            {**data, "test": (X[: len(y) // self.copies], y[: len(y) // self.copies])},
            {} if self.compress else metrics,
            inputs=f"Digits of 16 grey levels, divided by 16, on canvases of {SIZE} x {SIZE} pixels.",
            data="copies of scikit-learn's digits (UCI, Alpaydin and Kaynak 1998; CC BY 4.0)",
            onnx=served,
        )

    def _trained(
        self, config: Configuration, seed: int, data: "Data | None" = None, **settings: Any
    ) -> tuple["nn.Module", dict[str, float], dict[str, Any]]:
        """Train a network, by default with ``data`` of the problem; return it with its metrics and all settings."""
        from evo_moo.toolkit.training import train_and_test

        settings |= {name: config[name] for name in ("optimizer", "lr", "batch_size", "weight_decay")}
        settings["epochs"] = self.epochs or config["epochs"]
        data = self.data if data is None else data
        return *train_and_test(lambda: build_network(config), **data, seed=seed, **settings), settings

    @cached_property
    def teacher_networks(self) -> list["nn.Module"]:
        """The trained networks of ``teachers``; made once per process."""
        return [self._trained(config, seed)[0] for seed, config in enumerate(self.teachers)]

    @cached_property
    def data(self) -> dict[str, tuple["Tensor", "Tensor"]]:
        """Digits ``(n, 1, 12, 12)`` and labels ``(n,)`` by the name of their part; made once per process."""
        from evo_moo.toolkit.augmentation import distorted

        parts = digits_in_three(lambda images, train: images / 16)
        return {name: distorted(*part, self.copies, seed) for seed, (name, part) in enumerate(parts.items())}


def build_network(config: Configuration) -> "nn.Module":
    """Build an untrained network from digits ``(n, 1, 12, 12)`` to logits ``(n, 10)``; each block halves the sides."""
    from torch import nn

    activation = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU, "tanh": nn.Tanh}[config["activation"]]
    layers: list[Any] = []
    channels, size = 1, SIZE
    for block in range(1, config["n_blocks"] + 1):
        width, kernel = config[f"width_{block}"], config[f"kernel_{block}"]
        layers += [
            nn.Conv2d(channels, width, kernel, stride=2, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            activation(),
        ]
        channels, size = width, ceil(size / 2)
    layers.append(nn.Flatten())
    features = channels * size**2
    if config["dense"]:
        layers += [nn.Linear(features, config["dense_units"]), activation()]
        features = config["dense_units"]
    return nn.Sequential(*layers, nn.Dropout(config["dropout"]), nn.Linear(features, 10))
