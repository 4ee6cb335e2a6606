"""Saves what is readable of a damaged ledger."""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evo_moo.errors import RunFolderError
from evo_moo.files import sync_folder
from evo_moo.storage.checksums import SHOWN
from evo_moo.storage.database import BESIDE, copy_into, open_to_write
from evo_moo.storage.ledger import Ledger, begun_anew
from evo_moo.storage.migrations import TABLES, create

MOST_TIMES = 1000
"""A header that claims to be of a file so many times as large is itself damaged."""


def salvage(file: Path) -> str:
    """Put a new ledger with what is readable of a damaged one in its place, and keep the damaged one beside it.

    Returns:
        What was done, in one line.

    Raises:
        RunFolderError: Nothing of it is readable, or the new one cannot be written.
    """
    if not file.is_file():
        what = "is a folder; move it away and" if file.exists() else "is not there;"
        raise RunFolderError(f"`{file}` must be a ledger, but {what} put a backup in its place, or {begun_anew(file)}")
    fresh, kept = file.with_name(file.name + ".new"), name_aside(file)
    fresh.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(_SalvagedLedger(fresh, journal="delete")) as new:
        counts = new.take_readable(_readable_copy(file, Path(folder)))
        if None in counts.values():  # the tables may be there, though what names them is not
            more = new.take_readable(_with_schema(Path(folder, file.name)))
            counts = {table: (n or 0) + (more[table] or 0) for table, n in counts.items()}
    if not counts["evaluations"] and not counts["meta"]:
        fresh.unlink()
        raise RunFolderError(
            f"`{file}` must be readable at least in parts, but nothing of it is; put a backup in its place, or remove "
            f"it, and {begun_anew(file)}"
        )
    for end in ("", *BESIDE):
        with contextlib.suppress(FileNotFoundError):
            file.with_name(file.name + end).rename(kept.with_name(kept.name + end))
    file.with_name(file.name + "-shm").unlink(missing_ok=True)
    fresh.rename(file)
    sync_folder(file.parent)
    rows = ", ".join(f"{n} of {table}" for table, n in counts.items())
    return f"ledger: made anew of what is readable, {rows}; the old file is {kept.name}"


def name_aside(file: Path) -> Path:
    """Return a name that is not taken yet, under which a damaged file is kept."""
    names = (file.with_name(f"{file.name}.damaged{end}") for end in ("", *(f"-{i}" for i in range(2, 1000))))
    return next(name for name in names if not name.exists())


class _SalvagedLedger(Ledger):
    def take_readable(self, file: Path) -> dict[str, int | None]:
        """Copy what is readable of a damaged ledger; return the number of new rows by table, None of no table."""
        with contextlib.closing(open_to_write(file)) as old, self.transaction():
            old.text_factory = bytes
            return {table: self._take(old, table) for table in TABLES}

    def _take(self, old: sqlite3.Connection, table: str) -> int | None:
        try:
            known, n = _columns(old, table), 0
        except (sqlite3.Error, UnicodeError):
            return None
        columns = [name for name in _columns(self._db, table) if name in known]
        names, marks = ", ".join(columns), ", ".join("?" for _ in columns)
        for row in _readable(old, table, names) if columns else []:
            with contextlib.suppress(sqlite3.IntegrityError, sqlite3.DataError, UnicodeError):
                values = [_text(name, value) for name, value in zip(columns, row, strict=True)]
                n += self._db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", values).rowcount
        return n if columns else None


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns of a plain table, none of anything else, without what is computed as it is read."""
    is_plain = "t.type = 'table' AND lower(t.sql) NOT LIKE 'create virtual %'"
    query = f"SELECT c.name FROM sqlite_master t, pragma_table_xinfo(t.name) c WHERE t.name = ? AND {is_plain}"
    names = [name for (name,) in db.execute(f"{query} AND c.hidden = 0", (table,))]
    return [name if isinstance(name, str) else name.decode() for name in names]


def _text(column: str, value: Any) -> Any:
    """Decode a value that is text; what is only shown may have lost characters, and all else must be whole."""
    is_text = isinstance(value, bytes) and column != "x"
    return value.decode(errors="replace" if column in SHOWN else "strict") if is_text else value


def _readable_copy(file: Path, folder: Path) -> Path:
    """Copy a database, and extend a truncated one to its length, without which SQLite reads nothing of it."""
    copy = copy_into(folder, file)
    header = copy.read_bytes()[:32]
    # The header holds the size of a page and their number: https://www.sqlite.org/fileformat2.html#the_database_header
    size = int.from_bytes(header[16:18], "big") * int.from_bytes(header[28:32], "big")
    if header.startswith(b"SQLite format 3") and copy.stat().st_size < size <= MOST_TIMES * copy.stat().st_size:
        os.truncate(copy, size)
    return copy


def _with_schema(copy: Path) -> Path:
    """Put the first page of a new ledger, which names the tables and their places, over that of a damaged one.

    Every ledger is made by the same statements, so that its tables begin at the same pages. The counts of pages in the
    header stay: https://www.sqlite.org/fileformat2.html#the_database_header
    """
    model = copy.with_name("model.sqlite")
    with contextlib.closing(sqlite3.connect(model, isolation_level=None)) as db:
        create(db)
    size = int.from_bytes(model.read_bytes()[16:18], "big")
    page, old = bytearray(model.read_bytes()[:size]), copy.read_bytes()
    page[24:40], page[92:96] = old[24:40], old[24:28]
    copy.write_bytes(page + old[size:])
    return copy


def _readable(db: sqlite3.Connection, table: str, names: str) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a table from its beginning and from its end until a page cannot be read, then each between."""
    ends = [0, 1 << 40]
    for i, order in enumerate(("ASC", "DESC")):
        with contextlib.suppress(sqlite3.Error, OverflowError):
            for row in db.execute(f"SELECT rowid, {names} FROM {table} ORDER BY rowid {order}"):
                ends[i] = row[0]
                yield row[1:]
            if order == "ASC":
                return
    with contextlib.suppress(sqlite3.Error):
        largest = db.execute("PRAGMA page_count").fetchone()[0] * 500
        for rowid in range(ends[0] + 1, min(ends[1], ends[0] + largest)):
            with contextlib.suppress(sqlite3.Error):
                yield from db.execute(f"SELECT {names} FROM {table} WHERE rowid = ?", (rowid,))
