"""The whole state of a training, so that another one goes on from it bit for bit."""

from typing import Any

import torch
from torch import Generator, nn

from evo_moo.problem.weights import Weights


def save_training(
    weights: Weights,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: Generator,
    epochs: int,
    train_s: float,
) -> None:
    """Save a training between two epochs.

    Args:
        weights: Where to.
        model: The network.
        optimizer: Its optimizer; the learning rate is not part of it, as it follows from the number of epochs.
        generator: Source of the order of the samples.
        epochs: Number of epochs that are done.
        train_s: Seconds that they took.
    """
    device = next(model.parameters()).device
    weights.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "order": generator.get_state(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            "epochs": epochs,
            "train_s": train_s,
        }
    )


def restored_training(
    weights: Weights, model: nn.Module, optimizer: torch.optim.Optimizer, generator: Generator
) -> tuple[int, float]:
    """Put a training into the state that a shorter one saved, torch's random state included.

    Returns:
        The number of epochs that are done, and the seconds that they took; zeros where nothing was saved.
    """
    state: dict[str, Any] | None = weights.load()
    if state is None:
        return 0, 0.0
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["order"])
    torch.set_rng_state(state["random"])
    if state["random_cuda"] is not None:
        torch.cuda.set_rng_state(state["random_cuda"], next(model.parameters()).device)
    return int(state["epochs"]), float(state["train_s"])
