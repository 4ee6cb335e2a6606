"""The multi-objective tutorial of Optuna: multilayer perceptrons for Fashion-MNIST, accurate against cheap."""

import itertools
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evo_moo.problem import Configuration, SearchProblem
from evo_moo.space import Integer, Real, Variable
from evo_moo.toolkit.checks import require_at_least_one
from evo_moo.toolkit.classifiers import classifier_metrics, trained_classifier
from evo_moo.toolkit.datasets import Images, find_images

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evo_moo.problem import Report, TrainedModel
    from evo_moo.toolkit.datasets import Part

MOST_LAYERS, BATCH_SIZE = 3, 128
N_TRAIN, N_VALIDATION = 30 * BATCH_SIZE, 10 * BATCH_SIZE


def _layer(number: int) -> dict[str, Variable]:
    when = {"n_layers": {"at_least": number}}
    return {f"units_{number}": Integer(4, 128, when=when), f"dropout_{number}": Real(0.2, 0.5, when=when)}


class FlopsMLP(SearchProblem):
    """The space and the training of that tutorial: Adam, 10 epochs of 30 batches of 128 images.

    Operations count as in ``evo_moo.toolkit.network_metrics.count_flops``: twice what the tutorial's counter
    gives, which takes a multiplication and its addition for one. Validation images come from the set's training part;
    ``test_accuracy`` is for the final report.

    Args:
        data, root, download: As in ``evo_moo.toolkit.datasets.find_images``: ``"fashion_mnist"`` for the tutorial's
            images; by default scikit-learn's digits, which need no files.
        epochs: Number of passes over the training images.

    Raises:
        ValueError: ``epochs`` is below 1, or the data are not there.
    """

    variables = {
        "n_layers": Integer(1, MOST_LAYERS),
        **_layer(1),
        **_layer(2),
        **_layer(3),
        "lr": Real(1e-5, 1e-1, log=True),
    }
    architecture = ["n_layers", *(f"units_{number}" for number in range(1, MOST_LAYERS + 1))]
    objectives = {"accuracy": "max", "flops": "min"}
    metrics = classifier_metrics("images")

    def __init__(self, data: str = "digits", root: str | None = None, download: bool = False, epochs: int = 10) -> None:
        require_at_least_one(epochs=epochs)
        self.epochs = epochs
        self.where = find_images(data, root=root, download=download)
        self.version = self.where.version

    def compute(self, config: Configuration) -> dict[str, float]:
        """Count operations and parameters without building the network."""
        n_layers, n_features = config["n_layers"], self.images.train[0][0].numel()
        sizes = [n_features, *(config[f"units_{n}"] for n in range(1, n_layers + 1)), self.images.n_classes]
        weights = sum(before * after for before, after in itertools.pairwise(sizes))
        return {"flops": 2 * weights, "n_params": weights + sum(sizes[1:])}

    def network(self, config: Configuration) -> tuple["nn.Module", "Tensor"]:
        """Build the network, and one image ``(1, channels, height, width)``."""
        from torch import nn

        image = self.images.train[0][:1]
        layers: list[Any] = [nn.Flatten()]
        features = image.numel()
        for number in range(1, config["n_layers"] + 1):
            units, dropout = config[f"units_{number}"], config[f"dropout_{number}"]
            layers += [nn.Linear(features, units), nn.ReLU(), nn.Dropout(dropout)]
            features = units
        return nn.Sequential(*layers, nn.Linear(features, self.images.n_classes)), image

    def evaluate(self, config: Configuration, *, seed: int, report: "Report | None" = None) -> dict[str, float]:
        """Train the network on one thread; the same seed gives the same metrics, ``train_s`` aside."""
        return self._trained(config, seed, self.parts, report)[1]

    def model(self, config: Configuration, *, seed: int, all_data: bool = False) -> "TrainedModel":
        """Train the network as ``evaluate`` does, or with the validation images too, and give it to be kept."""
        from evo_moo.toolkit.training import with_all_data

        parts = with_all_data(self.parts) if all_data else self.parts
        network, metrics = self._trained(config, seed, parts)
        inputs = "Images in [0, 1], the channels first."
        return trained_classifier(network, parts, metrics, inputs=inputs, data=self.where.data)

    def _trained(
        self, config: Configuration, seed: int, parts: "Mapping[str, Part]", report: "Report | None" = None
    ) -> tuple["nn.Module", dict[str, float]]:
        from evo_moo.toolkit.training import train_and_test

        settings = {"optimizer": "adam", "lr": config["lr"], "schedule": "constant", "batch_size": BATCH_SIZE}
        return train_and_test(
            lambda: self.network(config)[0], **parts, epochs=self.epochs, seed=seed, report=report, **settings
        )

    @property
    def parts(self) -> "dict[str, Part]":
        """As many images as the tutorial has, by the name of their part."""
        (X, y), (X_val, y_val) = self.images.train, self.images.validation
        few = {"train": (X[:N_TRAIN], y[:N_TRAIN]), "validation": (X_val[:N_VALIDATION], y_val[:N_VALIDATION])}
        return {**few, "test": self.images.test}

    @cached_property
    def images(self) -> Images:
        """The images, read once per process."""
        return self.where.load()
