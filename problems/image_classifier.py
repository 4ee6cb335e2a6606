"""Image classifiers of every size, on digits, MNIST, CIFAR or images of your own: accurate, fast, small, robust?"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evo_moo.problem import Configuration, Metric, SearchProblem
from evo_moo.space import Boolean, Choice, Integer, Real, Variable
from evo_moo.toolkit.checks import require_at_least_one, require_some_of
from evo_moo.toolkit.classifiers import classifier_metrics, trained_classifier
from evo_moo.toolkit.compression.compression import Compression, Parts
from evo_moo.toolkit.compression.distillation import DISTILLATION, Distillation, checked_teachers
from evo_moo.toolkit.datasets import Images, find_images
from evo_moo.toolkit.robustness import Robustness

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evo_moo.problem import Point, Report, TrainedModel
    from evo_moo.toolkit.datasets import Part

NETWORKS = ("blocks", "resnet18", "mobilenet_v3")
MOST_BLOCKS = 6
TRAINING: dict[str, Variable] = {
    "optimizer": Choice(["adam", "adamw", "sgd"]),
    "lr": Real(3e-4, 1e-1, log=True),
    "weight_decay": Real(1e-6, 1e-2, log=True),
    "batch_size": Choice([32, 64, 128, 256], ordered=True),
    "augmentation": Real(0.0, 1.0),
    "label_smoothing": Real(0.0, 0.2),
}


def variables_of(networks: Sequence[str]) -> dict[str, Variable]:
    """Return the variables of these networks, and those of their training."""
    own, theirs = {"network": "blocks"}, {"network": [name for name in networks if name != "blocks"]}
    blocks: dict[str, Variable] = {"depth": Integer(1, MOST_BLOCKS, when=own)}
    for number in range(1, MOST_BLOCKS + 1):
        when = {"depth": {"at_least": number}}
        blocks[f"width_{number}"] = Integer(4, 64, log=True, when=when)
        blocks[f"kernel_{number}"] = Choice([1, 3, 5], ordered=True, when=when)
        blocks[f"shrink_{number}"] = Choice(["no", "stride", "pool"], when=when)
    blocks |= {
        "block": Choice(["plain", "residual", "depthwise"], when=own),
        "norm": Choice(["batch", "group", "none"], when=own),
        "activation": Choice(["relu", "silu", "gelu", "tanh"], when=own),
        "head_grid": Choice([1, 2, 4], ordered=True, when=own),
        "dense": Boolean(when=own),
        "dense_units": Integer(8, 128, log=True, when={"dense": True}),
        "dropout": Real(0.0, 0.5, when=own),
    }
    backbones: dict[str, Variable] = {
        "width": Choice([0.125, 0.25, 0.5, 1.0], ordered=True, when=theirs),
        "resolution": Choice([16, 32, 48, 64], ordered=True, when=theirs),
    }
    architecture = (blocks if "blocks" in networks else {}) | (backbones if theirs["network"] else {})
    return {"network": Choice(list(networks)), **architecture, **TRAINING}


class ImageClassifier(SearchProblem):
    """Architecture and training of an image classifier.

    The search sees the validation images only; ``test_accuracy`` is for the final report.

    Args:
        data, root, download, n_images, image_size: As in ``evo_moo.toolkit.datasets.find_images``: ``"digits"``,
            ``"mnist"``, ``"fashion_mnist"``, ``"cifar10"``, ``"cifar100"``, an ``.npz`` file or a folder of images.
        networks: Some of ``"blocks"``, ``"resnet18"`` and ``"mobilenet_v3"``.
        epochs, patience: Passes over the training images, and after how many without a lower loss it ends early.
        mirror: Whether augmentation mirrors images too: right for photographs, wrong for digits.
        robustness, epsilon: As in ``evo_moo.toolkit.robustness``: perturbations under which accuracy is measured too.
        latency_batch: Number of images in the batch whose latency is measured.
        device: Where it all runs, such as ``"cpu"``; by default on the GPU where there is one.
        compress: What is offered of each trained network, as in ``evo_moo.toolkit.compression.compression``, such as
            ``{"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.5]}``. Accuracies and latencies are then
            those of ONNX Runtime on one thread of the CPU, and ``peak_memory_mb``, which it does not tell, is left out.
        teachers: Configurations of networks from which all others learn, as in
            ``evo_moo.toolkit.compression.distillation``; each process trains them once. How much is searched.

    Raises:
        ValueError: An option is out of range, or the data are not there.
    """

    variables = variables_of(["blocks"])
    objectives = {"accuracy": "max", "latency_ms": "min"}
    metrics = classifier_metrics("images") | {
        "calibration_error": Metric(description="expected gap of confidence and accuracy", noisy=True),
        "latency_ms": Metric("ms", "forward pass of a batch, freed from drift", log=True, timed=True, cheap=True),
        "throughput_per_s": Metric("1/s", "images per second, batch by batch", log=True, timed=True, cheap=True),
        "peak_memory_mb": Metric("MB", "most memory of tensors in a forward pass of a batch", log=True, cheap=True),
        "size_on_disk_mb": Metric("MB", "file of the weights", log=True, cheap=True),
    }

    def __init__(
        self,
        data: str = "digits",
        root: str | None = None,
        download: bool = False,
        n_images: int | None = None,
        image_size: int = 32,
        networks: Sequence[str] = ("blocks",),
        epochs: int = 8,
        patience: int | None = None,
        mirror: bool = False,
        robustness: Sequence[str] = (),
        epsilon: float = 0.03,
        latency_batch: int = 16,
        device: str | None = None,
        compress: Mapping[str, Any] | None = None,
        teachers: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        require_some_of(NETWORKS, networks=networks)
        require_at_least_one(epochs=epochs, patience=patience, latency_batch=latency_batch)
        self.where = find_images(data, root=root, download=download, n_images=n_images, image_size=image_size)
        self.version, self.device, self.latency_batch = self.where.version, device, latency_batch
        self.epochs, self.patience, self.mirror = epochs, patience, mirror
        self.variables = variables_of(networks)
        self.architecture = [name for name in self.variables if name not in {*TRAINING, "dropout"}]
        self.teachers = checked_teachers(teachers, self.variables)
        self.variables |= DISTILLATION if self.teachers else {}
        self.robustness = Robustness(robustness, epsilon=epsilon, n_samples=500) if robustness else None
        self.metrics = self.metrics | (self.robustness.metrics if self.robustness else {})
        self.compress = None if compress is None else Compression.of(compress)
        if self.compress:
            self.post_training, self.metrics = self.compress.variables, self.metrics | self.compress.metrics
            self.metrics = {name: metric for name, metric in self.metrics.items() if name != "peak_memory_mb"}
            self.architecture += self.compress.architecture

    def profile(self, config: Configuration) -> dict[str, float]:
        """Build the network and measure what needs no training."""
        from evo_moo.toolkit.latency import Effort, model_latency
        from evo_moo.toolkit.network_metrics import network_metrics

        (network, batch), effort = self.network(config), Effort(limit_s=0.2)
        if self.compress:
            latency = self.compress.untrained(network, batch, config).latency(batch, effort=effort)
            network = self.compress.pruned(network, batch, config)
        else:
            latency = model_latency(network, batch, effort=effort)
        times = {"latency_ms": latency.corrected_ms, "throughput_per_s": latency.throughput_per_s}
        counts = network_metrics(network, batch)
        cheap = {name for name, metric in self.metrics.items() if metric.cheap}
        return times | {name: value for name, value in counts.items() if name in cheap}

    def network(self, config: Configuration) -> tuple["nn.Module", "Tensor"]:
        """Build the network, and a batch ``(latency_batch, channels, height, width)`` of images."""
        batch = self.images.train[0][:1].repeat(self.latency_batch, 1, 1, 1)
        return build_network(config, self.images).to(batch.device), batch

    def evaluate(
        self, config: Configuration, *, seed: int, report: "Report | None" = None
    ) -> "dict[str, float] | list[Point]":
        """Train the network; on a CPU the same seed gives the same metrics, ``train_s`` aside."""
        from evo_moo.threads import one_thread
        from evo_moo.toolkit.network_metrics import calibration_error
        from evo_moo.toolkit.training import predict

        parts, (X, y) = Parts(self.images.train, self.images.validation, self.images.test), self.images.validation
        distil = Distillation.of(self.teacher_networks, config)
        network, metrics, settings = self._trained(config, seed, report=report, distil=distil)
        if self.compress:
            return self.compress.points(network, metrics, parts, seed=seed, robustness=self.robustness, **settings)
        with one_thread():
            robust = self.robustness(network, X, y, seed=seed) if self.robustness else {}
            return robust | metrics | {"calibration_error": calibration_error(predict(network, X), y)}

    def model(self, config: Configuration, *, seed: int, all_data: bool = False) -> "TrainedModel":
        """Train the network as ``evaluate`` does, or with the validation images too, and give it to be kept."""
        from evo_moo.toolkit.training import with_all_data

        parts = with_all_data(self.images.parts) if all_data else self.images.parts
        distil, served = Distillation.of(self.teacher_networks, config), None
        network, metrics, settings = self._trained(config, seed, parts=parts, distil=distil)
        if self.compress:
            network, served = self.compress.model(network, Parts(**parts), config, seed=seed, **settings)
        inputs = "Images in [0, 1], the channels first."
        metrics = {} if self.compress else metrics
        return trained_classifier(network, parts, metrics, inputs=inputs, data=self.where.data, onnx=served)

    def _trained(
        self, config: Configuration, seed: int, parts: "Mapping[str, Part] | None" = None, **settings: Any
    ) -> tuple["nn.Module", dict[str, float], dict[str, Any]]:
        """Train a network, by default with the problem's parts; return it with its metrics and all settings."""
        from evo_moo.toolkit.augmentation import Augmentation
        from evo_moo.toolkit.training import train_and_test

        parts = parts or self.images.parts
        settings |= {n: config[n] for n in ("optimizer", "lr", "weight_decay", "batch_size", "label_smoothing")}
        settings |= {"epochs": self.epochs, "patience": self.patience}
        settings["augment"] = Augmentation(config["augmentation"], mirror=self.mirror, seed=seed)
        return *train_and_test(lambda: self.network(config)[0], **parts, seed=seed, **settings), settings

    @cached_property
    def teacher_networks(self) -> list["nn.Module"]:
        """The trained networks of ``teachers``; made once per process."""
        return [self._trained(config, seed)[0] for seed, config in enumerate(self.teachers)]

    @cached_property
    def images(self) -> Images:
        """The images, read once per process."""
        import torch

        return self.where.load(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def build_network(config: Configuration, images: Images) -> "nn.Module":
    """Build an untrained network that takes such images, ``(n, channels, height, width)``, and gives logits."""
    from torch import nn

    from evo_moo.toolkit.networks import Standardize, backbone, conv_block

    channels, size = images.shape[0], min(images.shape[1:])
    layers: list[Any] = [Standardize(images.mean, images.std)]
    if config["network"] != "blocks":
        resized = nn.Upsample((config["resolution"],) * 2, mode="bilinear")
        return nn.Sequential(*layers, resized, backbone(config["network"], channels, images.n_classes, config["width"]))
    activation = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU, "tanh": nn.Tanh}[config["activation"]]
    for block in range(1, config["depth"] + 1):
        width, kernel = config[f"width_{block}"], config[f"kernel_{block}"]
        shrink = config[f"shrink_{block}"] if size >= 4 else "no"
        settings = {"stride": 2 if shrink == "stride" else 1, "norm": config["norm"], "activation": activation}
        layers.append(conv_block(config["block"], channels, width, kernel, **settings))
        if shrink == "pool":
            layers.append(nn.MaxPool2d(2))
        channels, size = width, {"no": size, "stride": (size + 1) // 2, "pool": size // 2}[shrink]
    grid = min(config["head_grid"], size)
    layers += [nn.AdaptiveAvgPool2d(grid), nn.Flatten()]
    features = channels * grid**2
    if config["dense"]:
        layers += [nn.Linear(features, config["dense_units"]), activation()]
        features = config["dense_units"]
    return nn.Sequential(*layers, nn.Dropout(config["dropout"]), nn.Linear(features, images.n_classes))
