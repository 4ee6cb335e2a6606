"""The saved weights of a run, by which a longer training goes on from a shorter one.

In the run folder each evaluation that may be continued has a folder of its own below ``weights/``. The engine alone
removes them (``WeightStore``); a problem reads and writes them through ``Weights``.
"""

import contextlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path


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

    def prune(
        self, needed: Sequence[int], wanted: Sequence[int], n_asked: int, before: Callable[[], None] = lambda: None
    ) -> list[int]:
        """Remove what no training will go on from, and what is beyond the size.

        Args:
            needed: Evaluations whose folder stays in any case: those that run, and those that they go on from.
            wanted: Others that a training may go on from, the likeliest first.
            n_asked: Later evaluations are not judged: a run that is resumed has yet to ask for them again.
            before: Called before anything is removed: outcomes that need no weights any more must be on the disk.

        Returns:
            Those of ``wanted`` that were removed for their size: trainings that go on from them begin anew.
        """
        there = {int(p.name) for p in self.root.glob("*") if p.name.isdecimal()} if self.root.is_dir() else set()
        useless = [key for key in there - {*needed, *wanted} if key <= n_asked]
        left, dropped = self._most_bytes - sum(self._size(key) for key in needed if key in there), []
        for key in wanted:
            if key not in there or key in needed:
                continue
            left -= self._size(key)
            if left < 0:
                dropped.append(key)
        if useless or dropped:
            before()
        for key in (*useless, *dropped):
            self._remove(key)
        return dropped

    def _remove(self, key: int) -> None:
        shutil.rmtree(self.folder(key), ignore_errors=True)

    def _size(self, key: int) -> int:
        size = 0
        for path in (self.root / str(key)).rglob("*"):
            with contextlib.suppress(OSError):  # a worker may just rename it
                size += path.stat().st_size
        return size
