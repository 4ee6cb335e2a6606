"""The whole state of a training, so that another one goes on from it bit for bit."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, nn

from evo_moo.problem.weights import Weights


@dataclass(frozen=True)
class Training:
    """What a training changes.

    Attributes:
        model: The network.
        optimizer: Its optimizer; the learning rate is not saved, as it follows from the number of epochs.
        generator: Source of the order of the samples.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    generator: Generator

    def save(self, weights: Weights, epochs: int, train_s: float) -> None:
        """Save the state between two epochs, with their number so far and the seconds that they took."""
        device = next(self.model.parameters()).device
        weights.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "order": self.generator.get_state(),
                "random": torch.get_rng_state(),
                "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
                "epochs": epochs,
                "train_s": train_s,
            }
        )

    def restore(self, weights: Weights) -> tuple[int, float]:
        """Take over the state that a shorter training saved, torch's random state included.

        Returns:
            The number of epochs that are done, and the seconds that they took; zeros where nothing was saved.
        """
        state: dict[str, Any] | None = weights.load()
        if state is None:
            return 0, 0.0
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["order"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], next(self.model.parameters()).device)
        return int(state["epochs"]), float(state["train_s"])
