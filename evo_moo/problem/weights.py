"""What a training saves so that a longer one can continue from it."""

from pathlib import Path
from typing import Any

from evo_moo.files import whole_file

FILE = "state.pt"


class Weights:
    """What ``evaluate`` gets by its keyword ``weights``: what a shorter training left, and a place for its own state.

    Args:
        previous: Folder of the training to go on from; None where there is none.
        own: Folder for the state of this training; None where nothing can go on from it.
    """

    def __init__(self, previous: Path | str | None = None, own: Path | str | None = None) -> None:
        self.previous = Path(previous) if previous is not None else None
        self.own = Path(own) if own is not None else None

    def load(self) -> dict[str, Any] | None:
        """Return what the shorter training saved; None where this one begins anew.

        Only tensors, numbers, texts, lists and dicts are read (``torch.load(weights_only=True)``), onto the CPU.
        """
        if self.previous is None or not (self.previous / FILE).is_file():
            return None
        import torch

        state: dict[str, Any] = torch.load(self.previous / FILE, map_location="cpu", weights_only=True)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state of tensors, numbers, texts, lists and dicts; a kill leaves it whole or not there."""
        if self.own is None:
            return
        import torch

        self.own.mkdir(parents=True, exist_ok=True)
        with whole_file(self.own / FILE) as file:
            torch.save(state, file)
