"""Small convolutional networks for handwritten digits: how accurate can they be, and how fast?"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from evo_moo.problem import Configuration, Fidelity, Metric, SearchProblem
from evo_moo.space import Boolean, Choice, Integer, Real
from evo_moo.toolkit.checks import require_at_least_one
from evo_moo.toolkit.classifier_metrics import classifier_metrics
from evo_moo.toolkit.datasets import digits_in_three

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evo_moo.problem import Report, Weights

TWO_OR_MORE = {"n_blocks": {"at_least": 2}}
THREE = {"n_blocks": {"at_least": 3}}


class DigitsCNN(SearchProblem):
    """Architecture and training of a network for scikit-learn's 1,797 digits of 8 x 8 pixels.

    The data are split once and for all into 60 % training, 20 % validation and 20 % test. The search sees the
    validation data only; ``test_accuracy`` is for the final report.

    Args:
        epochs: Trains every configuration for so many epochs instead of searching their number; they are the fidelity
            then, and a shorter training is the beginning of the full one, with its learning rates.
        latency_batch: Number of digits in the batch whose latency is measured.

    Raises:
        ValueError: An option is below 1.
    """

    variables = {
        "n_blocks": Integer(1, 3),
        "width_1": Integer(4, 64, log=True),
        "width_2": Integer(4, 64, log=True, when=TWO_OR_MORE),
        "width_3": Integer(4, 64, log=True, when=THREE),
        "kernel_1": Choice([1, 3, 5], ordered=True),
        "kernel_2": Choice([1, 3, 5], ordered=True, when=TWO_OR_MORE),
        "kernel_3": Choice([1, 3, 5], ordered=True, when=THREE),
        "dense": Boolean(),
        "dense_units": Integer(8, 128, log=True, when={"dense": True}),
        "activation": Choice(["relu", "silu", "gelu", "tanh"]),
        "dropout": Real(0.0, 0.5),
        "optimizer": Choice(["adam", "adamw", "sgd"]),
        "lr": Real(1e-3, 1e-1, log=True),
        "batch_size": Choice([16, 32, 64, 128], ordered=True),
        "weight_decay": Real(1e-6, 1e-2, log=True),
        "epochs": Integer(4, 24),
    }
    architecture = [name for name in variables if name.startswith(("n_", "width", "kernel", "dense", "activation"))]
    objectives = {"accuracy": "max", "latency_ms": "min"}
    metrics = classifier_metrics("digits") | {
        "latency_ms": Metric("ms", "forward pass of a batch, freed from drift", log=True, timed=True, cheap=True),
        "latency_raw_ms": Metric("ms", "the same as the clock showed it", log=True, timed=True, cheap=True),
    }

    def __init__(self, epochs: int | None = None, latency_batch: int = 64) -> None:
        require_at_least_one(epochs=epochs, latency_batch=latency_batch)
        self.epochs, self.latency_batch = epochs, latency_batch
        if epochs is not None:
            self.fidelity = Fidelity("epochs", 1, epochs)
            self.variables = {name: v for name, v in self.variables.items() if name != "epochs"}

    def compute(self, config: Configuration) -> dict[str, float]:
        """Count the trainable parameters and operations of the network without building it."""
        channels, size, n_params, flops = 1, 8, 0, 0
        for block in range(1, config["n_blocks"] + 1):
            width = config[f"width_{block}"]
            weights = channels * width * config[f"kernel_{block}"] ** 2
            n_params += weights + 2 * width
            flops += 2 * weights * size**2
            channels, size = width, max(size // 2, 2)
        features = channels * size**2
        if config["dense"]:
            n_params += (features + 1) * config["dense_units"]
            flops += 2 * features * config["dense_units"]
            features = config["dense_units"]
        return {"n_params": n_params + (features + 1) * 10, "flops": flops + 2 * features * 10}

    def profile(self, config: Configuration) -> dict[str, float]:
        """Build the network and measure its latency."""
        from evo_moo.toolkit.latency import Effort, model_latency

        network, batch = self.network(config)
        latency = model_latency(network, batch, effort=Effort(limit_s=0.2))
        return {"latency_ms": latency.corrected_ms, "latency_raw_ms": latency.median_ms}

    def network(self, config: Configuration) -> tuple["nn.Module", "Tensor"]:
        """Build the network, and a batch ``(latency_batch, 1, 8, 8)`` whose latency is measured."""
        import torch

        return build_network(config), torch.ones(self.latency_batch, 1, 8, 8)

    def evaluate(
        self,
        config: Configuration,
        *,
        seed: int,
        fidelity: int | None = None,
        weights: "Weights | None" = None,
        report: "Report | None" = None,
    ) -> dict[str, float]:
        """Train the network on one thread; the same seed gives the same metrics, ``train_s`` aside."""
        from evo_moo.toolkit.training import train_and_test

        settings = {name: config[name] for name in ("optimizer", "lr", "batch_size", "weight_decay")}
        settings |= {"epochs": self.epochs or config["epochs"], "until": fidelity, "weights": weights, "report": report}
        _, metrics = train_and_test(lambda: build_network(config), **self.data, seed=seed, **settings)
        return metrics

    @cached_property
    def data(self) -> dict[str, tuple["Tensor", "Tensor"]]:
        """Digits ``(n, 1, 8, 8)`` and labels ``(n,)`` by the name of their part; loaded once per process."""
        return digits_in_three(lambda images, train: (images - train.mean()) / train.std())


def build_network(config: Configuration) -> "nn.Module":
    """Build an untrained network that takes ``(n, 1, 8, 8)`` digits and gives ``(n, 10)`` logits."""
    from torch import nn

    activation = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU, "tanh": nn.Tanh}[config["activation"]]
    layers: list[Any] = []
    channels, size = 1, 8
    for block in range(1, config["n_blocks"] + 1):
        width, kernel = config[f"width_{block}"], config[f"kernel_{block}"]
        layers += [
            nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            activation(),
        ]
        channels = width
        if size > 2:
            layers.append(nn.MaxPool2d(2))
            size //= 2
    layers.append(nn.Flatten())
    features = channels * size**2
    if config["dense"]:
        layers += [nn.Linear(features, config["dense_units"]), activation()]
        features = config["dense_units"]
    return nn.Sequential(*layers, nn.Dropout(config["dropout"]), nn.Linear(features, 10))
