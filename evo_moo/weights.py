"""What trainings save so that a longer one can go on from a shorter one.

In the run folder each evaluation that may be continued has a folder of its own below ``weights/``. The engine alone
removes them (``WeightStore``); a problem reads and writes them through ``Weights``.
"""

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
        """Give what the shorter training saved; None where this one begins anew.

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
        temporary = self.own / f"{FILE}.{os.getpid()}"
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.own / FILE)


class WeightStore:
    """The saved states of a run, kept below a size.

    Args:
        root: The folder of all of them.
        most_mb: The size to keep to, in MiB.
    """

    def __init__(self, root: Path, most_mb: float) -> None:
        self.root, self._most_bytes = root, most_mb * 2**20

    def folder(self, evaluation_id: int) -> str:
        """Name the folder of an evaluation's state."""
        return str(self.root / str(evaluation_id))

    def prune(self, needed: Sequence[int], wanted: Sequence[int], n_asked: int) -> list[int]:
        """Remove what no training will go on from, and what is beyond the size.

        Args:
            needed: Evaluations whose folder stays in any case: those that run, and those that they go on from.
            wanted: Others that a training may go on from, the likeliest first.
            n_asked: Later evaluations are not judged: a run that is resumed has yet to ask for them again.

        Returns:
            Those of ``wanted`` that were removed for their size: trainings that go on from them begin anew.
        """
        there = {int(p.name) for p in self.root.glob("*") if p.name.isdigit()} if self.root.is_dir() else set()
        for key in there - {*needed, *wanted}:
            if key <= n_asked:
                self._remove(key)
        left, dropped = self._most_bytes - sum(self._size(key) for key in needed if key in there), []
        for key in wanted:
            if key not in there or key in needed:
                continue
            left -= self._size(key)
            if left < 0:
                self._remove(key)
                dropped.append(key)
        return dropped

    def _remove(self, key: int) -> None:
        shutil.rmtree(self.folder(key), ignore_errors=True)

    def _size(self, key: int) -> int:
        size = 0
        for path in (self.root / str(key)).rglob("*"):
            with contextlib.suppress(OSError):  # a worker may just rename it
                size += path.stat().st_size
        return size
