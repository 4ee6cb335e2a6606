"""Convolutional networks that share the weights of one supernet: which are worth a training of their own?"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evo_moo.errors import ProblemError
from evo_moo.problem import Configuration, Fidelity, Metric, SearchProblem
from evo_moo.toolkit.checks import require_at_least_one
from evo_moo.toolkit.classifiers import classifier_metrics, trained_classifier
from evo_moo.toolkit.datasets import find_images
from evo_moo.toolkit.supernet.space import ElasticSpace

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evo_moo.problem import Report, TrainedModel, Weights
    from evo_moo.toolkit.supernet.supernet import Supernet
    from evo_moo.toolkit.training import Data

TRAINING: dict[str, Any] = {"batch_size": 128, "lr": 1e-2, "optimizer": "adamw", "weight_decay": 1e-4}
LATENCIES = ("latency_ms", "latency_raw_ms")


class SupernetCNN(SearchProblem):
    """The architecture of a network for small images, out of five million that share the weights of one supernet.

    Images are split once and for all into training, validation and test. Copies of each one lie on canvases that are
    four pixels larger, each moved, turned, zoomed and noisy in its own way. Every configuration is trained by itself,
    from its own first weights. At the lowest fidelity, 1, nothing is trained: the network inherits the weights of a
    supernet, with running statistics of its own, and its accuracy is a first guess. The supernet is trained once, by
    the first evaluation that needs it, and kept for all runs in the cache folder; no budget counts it.

    Args:
        data, root, download, n_images, image_size: As in ``evo_moo.toolkit.datasets.find_images``: ``"digits"``,
            ``"mnist"``, ``"fashion_mnist"``, ``"cifar10"``, ``"cifar100"``, an ``.npz`` file or a folder of images.
        epochs: Passes over the training images in a full training.
        copies: Number of distorted copies of each image; 1 is enough for large sets.
        inherit: Whether fidelity 1 judges inherited weights; if not, it is a training of one epoch.
        supernet_epochs: Passes over the training images that train the supernet; with 0 it keeps its first weights,
            which shows what a bad one does.
        supernet_seed: Seed of the supernet.
        latency_batch: Number of images in the batch whose latency is measured; 0 measures none, and ``flops`` takes
            the place of the latency among the objectives.

    Raises:
        ValueError: An option is out of range.
        ProblemError: The images are missing, or not square.
    """

    variables = ElasticSpace().variables
    objectives = {"accuracy": "max", "latency_ms": "min"}
    metrics = classifier_metrics("images") | {
        "latency_ms": Metric("ms", "a batch in ONNX Runtime, freed from drift", log=True, timed=True, cheap=True),
        "latency_raw_ms": Metric("ms", "the same as the clock showed it", log=True, timed=True, cheap=True),
    }

    def __init__(
        self,
        data: str = "digits",
        root: str | None = None,
        download: bool = False,
        n_images: int | None = None,
        image_size: int = 32,
        epochs: int = 9,
        copies: int = 6,
        inherit: bool = True,
        supernet_epochs: int = 30,
        supernet_seed: int = 0,
        latency_batch: int = 64,
    ) -> None:
        require_at_least_one(epochs=epochs, copies=copies)
        for name, value in (("supernet_epochs", supernet_epochs), ("latency_batch", latency_batch)):
            if value < 0:
                raise ValueError(f"`{name}` must be at least 0, but is {value}")
        self.where = find_images(data, root=root, download=download, n_images=n_images, image_size=image_size)
        self.version, self.copies, self.epochs = self.where.version, copies, epochs
        self.fidelity = Fidelity("epochs", 1, epochs)
        self.inherit, self.supernet_epochs, self.supernet_seed = inherit, supernet_epochs, supernet_seed
        self.latency_batch = latency_batch
        if not latency_batch:
            self.objectives = {"accuracy": "max", "flops": "min"}
            self.metrics = {name: metric for name, metric in self.metrics.items() if name not in LATENCIES}

    def compute(self, config: Configuration) -> dict[str, float]:
        """Count the trainable parameters and operations of the network without building it."""
        return {"n_params": self.elastic.n_params(config), "flops": 2 * sum(self.elastic.macs(config))}

    def profile(self, config: Configuration) -> dict[str, float]:
        """Build the network and measure its latency."""
        from evo_moo.toolkit.latency import Effort, model_latency

        if not self.latency_batch:
            return {}
        latency = model_latency(*self.network(config), runtime="onnxruntime", effort=Effort(limit_s=0.2))
        return {"latency_ms": latency.corrected_ms, "latency_raw_ms": latency.median_ms}

    def network(self, config: Configuration) -> "tuple[nn.Module, Tensor]":
        """Build the untrained network, and a batch ``(latency_batch, channels, side, side)``."""
        import torch

        from evo_moo.toolkit.supernet.networks import plain_network

        channels, side = self.elastic.channels, self.elastic.side
        return plain_network(self.elastic, config), torch.ones(self.latency_batch or 1, channels, side, side)

    def evaluate(
        self,
        config: Configuration,
        *,
        seed: int,
        fidelity: int | None = None,
        weights: "Weights | None" = None,
        report: "Report | None" = None,
    ) -> dict[str, float]:
        """Train the network on one thread, or at fidelity 1 judge it with the weights of the supernet."""
        if self.inherit and fidelity == 1 < self.epochs:
            return self.inherited(config)
        return self._trained(config, self.parts, seed=seed, until=fidelity, weights=weights, report=report)[1]

    def model(self, config: Configuration, *, seed: int, all_data: bool = False) -> "TrainedModel":
        """Train the network by itself, as the full ``evaluate`` does, and give it to be kept.

        Of each test image only the first copy counts there: copies of one image are no independent samples.
        """
        from evo_moo.toolkit.training import with_all_data

        parts = with_all_data(self.parts) if all_data else self.parts
        network, metrics = self._trained(config, parts, seed=seed)
        (X, y), inputs = parts["test"], "Images in [0, 1], the channels first, on canvases four pixels larger."
        parts = {**parts, "test": (X[: len(y) // self.copies], y[: len(y) // self.copies])}
        return trained_classifier(network, parts, metrics, inputs=inputs, data=self.where.data)

    def _trained(
        self, config: Configuration, parts: "Mapping[str, Data]", **settings: Any
    ) -> tuple["nn.Module", dict[str, float]]:
        from evo_moo.toolkit.supernet.networks import plain_network
        from evo_moo.toolkit.training import train_and_test

        settings = {**TRAINING, "epochs": self.epochs, **settings}
        data = [parts[name] for name in ("train", "validation", "test")]
        return train_and_test(lambda: plain_network(self.elastic, config), *data, **settings)

    def inherited(self, config: Configuration) -> dict[str, float]:
        """Judge a network with the weights of the supernet; no seed changes the metrics."""
        from evo_moo.threads import one_thread
        from evo_moo.toolkit.supernet.training import FOR_STATISTICS
        from evo_moo.toolkit.training import accuracy_and_loss

        with one_thread():
            network = self.supernet.inherited(config, self.parts["train"][0][:FOR_STATISTICS])
            accuracy, loss = accuracy_and_loss(network, *self.parts["validation"])
            test_accuracy = accuracy_and_loss(network, *self.parts["test"])[0]
        return {"accuracy": accuracy, "loss": loss, "test_accuracy": test_accuracy, "train_s": 0.0}

    @cached_property
    def elastic(self) -> ElasticSpace:
        """Which networks there are, for images of this form."""
        channels, side = self.parts["train"][0].shape[1:3]
        return ElasticSpace(channels, side, self.where.load().n_classes)

    @cached_property
    def supernet(self) -> "Supernet":
        """The trained supernet, read or made once per process."""
        from evo_moo.toolkit.supernet.keeping import kept_supernet
        from evo_moo.toolkit.supernet.training import Settings

        settings = Settings(epochs=self.supernet_epochs)
        data = f"{self.where.data} {self.where.n_images} {self.where.image_size} {self.version} {self.copies}"
        return kept_supernet(self.elastic, self.parts["train"], settings, seed=self.supernet_seed, data=data)

    @cached_property
    def parts(self) -> "dict[str, Data]":
        """Canvases and labels by the name of their part; made once per process."""
        from evo_moo.toolkit.augmentation import distorted

        images = self.where.load()
        if images.shape[1] != images.shape[2]:
            raise ProblemError(f"`data` must be square images, but they are {images.shape}")
        return {name: distorted(*part, self.copies, seed) for seed, (name, part) in enumerate(images.parts.items())}
