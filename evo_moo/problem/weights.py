"""What a training saves so that a longer one can continue from it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.errors import StateError
from evo_moo.files import make_folder, write_whole

FILE = "state.safetensors"


class Weights:
    """What ``evaluate`` gets by its keyword ``weights``: what a shorter training left, and a place for its own state.

    A state is kept as safetensors, its tensors as such and the rest as JSON in the header: to read it runs no code.

    Args:
        previous: Folder of the training to go on from; None where there is none.
        own: Folder for the state of this training; None where nothing can go on from it.
    """

    def __init__(self, previous: Path | str | None = None, own: Path | str | None = None) -> None:
        self.previous = Path(previous) if previous is not None else None
        self.own = Path(own) if own is not None else None

    def load(self) -> dict[str, Any] | None:
        """Return what the shorter training saved, its tensors on the CPU; None where this one begins anew.

        Raises:
            StateError: The file is damaged.
        """
        if self.previous is None or not (self.previous / FILE).is_file():
            return None
        from safetensors import SafetensorError, safe_open

        file = self.previous / FILE
        try:
            with safe_open(file, framework="pt", device="cpu") as opened:
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
                return dict(_joined(json.loads(opened.metadata()["state"]), tensors))
        except (SafetensorError, ValueError, TypeError, LookupError, RecursionError) as error:
            raise StateError(
                f"`{file}` must be what a training saved, but is damaged: {error}; without it the training begins anew"
            ) from error

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state of tensors, numbers, texts, lists, tuples and dicts; a kill leaves it whole or not there.

        Raises:
            StateError: It holds something else.
        """
        if self.own is None:
            return
        from safetensors.torch import save

        tensors: dict[str, Any] = {}
        header = {"state": json.dumps(_parted(state, tensors))}
        make_folder(self.own)
        write_whole(self.own / FILE, save(tensors, header))


def _parted(value: Any, tensors: dict[str, Any]) -> Any:
    """Return a value as JSON from which ``_joined`` makes it again, and put its tensors into ``tensors``."""
    import torch

    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)  # no two share memory
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_parted(key, tensors), _parted(each, tensors)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__ if type(value) in (list, tuple) else "list": [_parted(e, tensors) for e in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    raise StateError(
        "a state must hold tensors, numbers, texts, lists, tuples and dicts, but holds a "
        f"{type(value).__name__}; save what it is made of"
    )


def _joined(record: Any, tensors: dict[str, Any]) -> Any:
    match record:
        case {"tensor": name}:
            return tensors[name]
        case {"dict": pairs}:
            return {_joined(key, tensors): _joined(each, tensors) for key, each in pairs}
        case {"list": values}:
            return [_joined(each, tensors) for each in values]
        case {"tuple": values}:
            return tuple(_joined(each, tensors) for each in values)
        case dict() | list():
            raise ValueError("it holds what no training saves")
    return record
