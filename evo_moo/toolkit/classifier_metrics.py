"""What problems that train a classifier declare of it."""

from evo_moo.problem.metrics import Metric


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
