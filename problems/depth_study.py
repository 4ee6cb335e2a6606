"""The study that one begins with: shallow and deep networks for handwritten digits, each trained with several seeds."""

import statistics
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from evo_moo.errors import ProblemError
from evo_moo.problem import Configuration, Metric, SearchProblem
from evo_moo.space import Choice
from evo_moo.toolkit.classifiers import trained_classifier
from evo_moo.toolkit.datasets import digits_in_three

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evo_moo.problem import TrainedModel

BLOCKS = {"shallow": 1, "deep": 3}


class DepthStudy(SearchProblem):
    """A convolutional network, shallow or deep, for scikit-learn's 1,797 digits of 8 x 8 pixels.

    Every configuration is trained once with each seed: ``accuracy`` is the mean, ``accuracy_sd`` the standard
    deviation, and ``accuracy_seed_42`` and so on are what
    ``evo_moo.analysis.statistics.significance`` pairs. The data are split once and for all into 60 % training, 20 %
    validation and 20 % test.

    Args:
        epochs: Number of epochs of each training.
        seeds: Seeds of initial weights and of the order of the samples, at least two.

    Raises:
        ProblemError: An option is out of range.
    """

    variables = {
        "depth": Choice(["shallow", "deep"]),
        "width": Choice([8, 16, 32], ordered=True),
        "lr": Choice([0.003, 0.01], ordered=True),
    }
    architecture = ["depth", "width"]
    objectives = {"accuracy": "max", "latency_ms": "min"}

    def __init__(self, epochs: int = 8, seeds: Sequence[int] = (42, 43, 44)) -> None:
        if epochs < 1:
            raise ProblemError(f"`epochs` must be at least 1, but is {epochs}")
        if len(set(seeds)) < 2 or len(set(seeds)) < len(seeds):
            raise ProblemError(f"`seeds` must be at least two different ones, but are {list(seeds)}")
        self.epochs, self.seeds = epochs, tuple(seeds)
        self.metrics = {
            "accuracy": Metric(description="share of the validation digits classified correctly, mean of the seeds"),
            "accuracy_sd": Metric(description="standard deviation over the seeds"),
            **{f"accuracy_seed_{seed}": Metric(description=f"of seed {seed}") for seed in self.seeds},
            "latency_ms": Metric("ms", "forward pass of 64 digits, freed from drift", log=True, timed=True, cheap=True),
            "n_params": Metric(description="trainable parameters", log=True, cheap=True),
            "flops": Metric(description="operations of one forward pass of one digit", log=True, cheap=True),
            "train_s": Metric("s", "time of all trainings", timed=True),
            "test_accuracy": Metric(
                description="share of the test digits, mean of the seeds", held_out=True, test_of="accuracy"
            ),
        }

    def profile(self, config: Configuration) -> dict[str, float]:
        """Build the network and measure what needs no training."""
        from evo_moo.toolkit.latency import Effort, model_latency
        from evo_moo.toolkit.network_metrics import count_flops, count_parameters

        network, batch = self.network(config)
        return {
            "latency_ms": model_latency(network, batch, effort=Effort(limit_s=0.2)).corrected_ms,
            "n_params": count_parameters(network),
            "flops": count_flops(network, batch[:1]),
        }

    def network(self, config: Configuration) -> tuple["nn.Module", "Tensor"]:
        """Build the network, and a batch ``(64, 1, 8, 8)`` whose latency is measured."""
        import torch

        return build_network(config), torch.ones(64, 1, 8, 8)

    def evaluate(self, config: Configuration, *, replicate: int = 0) -> dict[str, float]:
        """Train the network once with each seed, on one thread; a repetition takes seeds that come after all others."""
        from evo_moo.toolkit.training import train_and_test

        shift = replicate * (max(self.seeds) - min(self.seeds) + 1)
        settings = {"epochs": self.epochs, "batch_size": 64, "lr": config["lr"]}
        trained = {
            seed: train_and_test(lambda: build_network(config), **self.data, seed=seed, **settings)[1]
            for seed in (seed + shift for seed in self.seeds)
        }
        accuracies = {f"accuracy_seed_{seed}": metrics["accuracy"] for seed, metrics in trained.items()}
        return {
            "accuracy": statistics.fmean(accuracies.values()),
            "accuracy_sd": statistics.stdev(accuracies.values()),
            **accuracies,
            "train_s": sum(metrics["train_s"] for metrics in trained.values()),
            "test_accuracy": statistics.fmean(metrics["test_accuracy"] for metrics in trained.values()),
        }

    def model(self, config: Configuration, *, seed: int) -> "TrainedModel":
        """Train the network once with a seed, and give it to be kept."""
        from evo_moo.toolkit.training import train_and_test

        settings = {"epochs": self.epochs, "batch_size": 64, "lr": config["lr"]}
        network, metrics = train_and_test(lambda: build_network(config), **self.data, seed=seed, **settings)
        del metrics["accuracy"], metrics["test_accuracy"]  # those of an evaluation are means over seeds
        inputs = "Digits of 16 grey levels and 8 x 8 pixels, divided by 16, less 0.3."
        return trained_classifier(network, self.data, metrics, inputs=inputs, data="scikit-learn's digits (CC BY 4.0)")

    @cached_property
    def data(self) -> dict[str, tuple["Tensor", "Tensor"]]:
        """Digits ``(n, 1, 8, 8)`` and labels ``(n,)`` by the name of their part; loaded once per process."""
        return digits_in_three(lambda images, train: images / 16 - 0.3)


def build_network(config: Configuration) -> "nn.Module":
    """Build an untrained network that takes ``(n, 1, 8, 8)`` digits and gives ``(n, 10)`` logits."""
    from torch import nn

    layers: list[nn.Module] = []
    channels = 1
    for _ in range(BLOCKS[config["depth"]]):
        layers += [nn.Conv2d(channels, config["width"], 3, padding=1, bias=False), nn.BatchNorm2d(config["width"])]
        layers.append(nn.ReLU())
        channels = config["width"]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 10))
