"""The files that a run keeps in its folder, and how a run that never began takes them away again."""

import contextlib
import fnmatch
from collections.abc import Iterator
from pathlib import Path

from evo_moo.errors import EvoMooError, RunStoppedError
from evo_moo.storage.run_folder import RunFolder

PATTERNS = (
    "run.sqlite*",
    "job.toml*",
    "environment.json*",
    "log.txt",
    "audit.jsonl",
    "front.csv*",
    "front.png",
    "surrogate.png",
    "report.html",
    "writer.json*",
    ".lock",
    ".seal*",
)


def is_own_file(path: Path) -> bool:
    """Return whether a path is that of a file which a run keeps in its folder, whether it is there yet or not."""
    name = path.name.lower()  # some disks do not tell cases apart
    return (path.parent / "run.sqlite").exists() and any(fnmatch.fnmatchcase(name, own) for own in PATTERNS)


def names_in(path: Path | None) -> frozenset[str]:
    """Return the names of what is in a folder; none where there is no folder that can be read."""
    with contextlib.suppress(OSError):
        return frozenset(entry.name for entry in path.iterdir()) if path else frozenset()
    return frozenset()


@contextlib.contextmanager
def taken_away_if_refused(folder: RunFolder, before: frozenset[str]) -> Iterator[None]:
    """Leave no folder behind of a run that is refused before it asks for an evaluation.

    Only what this process wrote is taken away, and only while it still holds the folder.

    Args:
        folder: The run's folder, held.
        before: Names of what was in it before it was opened.
    """
    try:
        yield
    except EvoMooError as error:
        path, is_new = folder.path, "run.sqlite" not in before
        if path is not None and is_new and not isinstance(error, RunStoppedError) and not folder.ledger.counts():
            new = [path / name for name in names_in(path) - before if is_own_file(path / name)]
            with contextlib.suppress(OSError):
                for file in new:
                    file.unlink()
                path.rmdir()
        raise
