"""What problems that train a classifier declare of it, and give of it to be kept."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evo_moo.problem.metrics import Metric
from evo_moo.problem.optional_methods import TrainedModel

if TYPE_CHECKING:
    from torch import Tensor, nn

N_EXAMPLES = 64


def classifier_metrics(samples: str) -> dict[str, Metric]:
    """Return the metrics of a classifier's size and of what ``evo_moo.toolkit.training.train_and_test`` returns.

    Args:
        samples: What is classified, such as ``"images"``.
    """
    test = f"share of the test {samples} classified correctly"
    return {
        "accuracy": Metric(description=f"share of the validation {samples} classified correctly", noisy=True),
        "loss": Metric(description=f"cross-entropy on the validation {samples}", log=True, noisy=True),
        "n_params": Metric(description="trainable parameters", log=True, cheap=True),
        "flops": Metric(description=f"operations of one forward pass of one {samples[:-1]}", log=True, cheap=True),
        "train_s": Metric("s", "time of the training", timed=True),
        "test_accuracy": Metric(description=test, noisy=True, held_out=True, test_of="accuracy"),
    }


def trained_classifier(
    network: "nn.Module",
    parts: "Mapping[str, tuple[Tensor, Tensor]]",
    metrics: Mapping[str, float],
    *,
    inputs: str,
    data: str,
    onnx: bytes | None = None,
) -> TrainedModel:
    """Return a trained classifier to be kept.

    Args:
        network: The network, giving ``(n, n_classes)`` logits.
        parts: ``"train"``, ``"validation"`` and ``"test"`` to inputs and labels.
        metrics: What the training measured.
        inputs: How inputs are made, in words.
        data: Name and licence of the data.
        onnx: Its file of ONNX, where that is of another precision than the network.
    """
    n_classes = int(max(int(labels.max()) for _, labels in parts.values())) + 1
    counts = {part: f"{len(labels):,} samples" for part, (_, labels) in parts.items()}
    return TrainedModel(
        network,
        parts["validation"][0][:N_EXAMPLES],
        test=parts["test"],
        metrics=metrics,
        onnx=onnx,
        inputs=inputs,
        classes=range(n_classes),
        data={"data": data, **counts},
    )
