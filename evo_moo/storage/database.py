"""SQLite files, opened for their one writer, or for readers that change nothing."""

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any, Literal

from evo_moo.files import sync_file, sync_folder
from evo_moo.storage.checksums import teach_checksums

Journal = Literal["wal", "delete"]
BESIDE = ("-wal", "-journal")
"""What SQLite may keep beside a file, and needs for reading it."""
WAIT_S = 60.0
"""How long a reader and the writer wait for each other, where they cannot work at the same time."""


MOST_STEPS = 1_000_000_000
"""Steps of SQLite's machine that one query may take: a query of a million rows takes some ten million."""
_EVERY = 1_000_000


class Bounded(sqlite3.Connection):
    """A connection whose queries end: one that takes over ``MOST_STEPS`` raises ``sqlite3.OperationalError``.

    Functions that a file's schema names are not trusted.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._n_looks = 0
        self.set_progress_handler(self._is_too_long, _EVERY)
        self.execute("PRAGMA trusted_schema = OFF")
        teach_checksums(self)

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Begin a query, which has all its steps before it."""
        self._n_looks = 0
        return super().execute(*arguments)

    def _is_too_long(self) -> bool:
        self._n_looks += 1
        return self._n_looks * _EVERY > MOST_STEPS


def open_to_write(path: Path | None) -> sqlite3.Connection:
    """Open a file, which is made if there is none, or a database in memory."""
    return sqlite3.connect(":memory:" if path is None else path, isolation_level=None, timeout=WAIT_S, factory=Bounded)


def set_journal(db: sqlite3.Connection, journal: Journal) -> None:
    """Set how a writer keeps transactions whole.

    Args:
        db: The connection.
        journal: ``"wal"``: readers and the writer never wait for each other; needs memory that processes share,
            so no network disk; what is committed survives a power failure once ``sync_wal`` is called.
            ``"delete"``: works on every disk, and what is committed survives a power failure.
    """
    db.execute(f"PRAGMA journal_mode = {journal}")
    # EXTRA: a journal whose removal was not synced would undo what was committed (https://sqlite.org/pragma.html).
    db.execute(f"PRAGMA synchronous = {'NORMAL' if journal == 'wal' else 'EXTRA'}")
    if journal == "wal":
        db.execute("PRAGMA wal_autocheckpoint = 8000")


def sync_wal(path: Path) -> None:
    """Let everything that was committed to a file be on the disk, if its journal is not yet.

    Raises:
        OSError: The disk fails.
    """
    with contextlib.suppress(FileNotFoundError):  # it was merged into the file, which is synced by that
        sync_file(path.with_name(f"{path.name}-wal"))
        sync_folder(path.parent)


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file for reading; where SQLite would have to write beside it and cannot, read a copy.

    Raises:
        sqlite3.Error: It cannot be opened, or is no database.
        OSError: It cannot be copied.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=WAIT_S, factory=Bounded)
    try:
        db.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        db.close()
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.closing(sqlite3.connect(copy_into(Path(folder), path), isolation_level=None)) as copy,
        ):
            return in_memory(copy)
    return db


def copy_into(folder: Path, path: Path) -> Path:
    """Copy a file into a folder, with what SQLite keeps beside it; return the copy's path."""
    for end in ("", *BESIDE):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path.with_name(path.name + end), folder / (path.name + end))
    return folder / path.name


def in_memory(db: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy of a whole database in memory."""
    copy = sqlite3.connect(":memory:", isolation_level=None, factory=Bounded)
    db.backup(copy)
    return copy
