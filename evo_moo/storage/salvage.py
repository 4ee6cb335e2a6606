"""Saves what is readable of a damaged ledger, and drops of it what contradicts itself."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from evo_moo.errors import RunFolderError
from evo_moo.storage.damage import (
    EVALUATION_COLUMNS,
    WHAT_READING_RAISES,
    check_checkpoint,
    check_generations,
    evaluation_fault,
    facts,
    n_asked,
    row_length,
)
from evo_moo.storage.database import BESIDE
from evo_moo.storage.ledger import begun_anew
from evo_moo.storage.migrations import TABLES, create

MOST_TIMES = 1000
"""A header that claims to be of a file so many times as large is itself damaged."""


NEEDED = ("goals", "metrics", "front", "state", "job")


def salvage(file: Path) -> list[str]:
    """Put a new ledger with what is readable of a damaged one in its place, and keep the damaged one beside it.

    Returns:
        What was done, in one line.

    Raises:
        RunFolderError: Nothing of it is readable.
    """
    if not file.is_file():
        what = "is a folder; move it away and" if file.exists() else "is not there;"
        raise RunFolderError(f"`{file}` must be a ledger, but {what} put a backup in its place, or {begun_anew(file)}")
    fresh, kept = file.with_name(file.name + ".new"), free_name(file.with_name(file.name + ".damaged"))
    fresh.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as new,
        tempfile.TemporaryDirectory() as folder,
    ):
        create(new)
        readable = _readable_copy(file, Path(folder))
        counts = {table: _copy(readable, table, new) for table in TABLES}
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
    rows = ", ".join(f"{n} of {table}" for table, n in counts.items())
    return [f"ledger: made anew of what is readable, {rows}; the old file is {kept.name}"]


def _readable_copy(file: Path, folder: Path) -> Path:
    """Copy a database, and give a truncated one its length back, without which SQLite reads nothing of it."""
    for end in ("", *BESIDE):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(file.with_name(file.name + end), folder / (file.name + end))
    copy = folder / file.name
    header = copy.read_bytes()[:32]
    # The header holds the size of a page and their number: https://www.sqlite.org/fileformat2.html#the_database_header
    size = int.from_bytes(header[16:18], "big") * int.from_bytes(header[28:32], "big")
    if header.startswith(b"SQLite format 3") and copy.stat().st_size < size <= MOST_TIMES * copy.stat().st_size:
        os.truncate(copy, size)
    return copy


def _copy(file: Path, table: str, new: sqlite3.Connection) -> int:
    """Copy the readable rows of a table; give their number."""
    columns = [name for _, name, *_ in new.execute(f"PRAGMA table_info({table})")]
    n = 0
    try:
        old = sqlite3.connect(file, isolation_level=None)
        with contextlib.closing(old):
            there = {name for _, name, *_ in old.execute(f"PRAGMA table_info({table})")}
            names = ", ".join(name for name in columns if name in there)
            marks = ", ".join("?" for name in columns if name in there)
            new.execute("BEGIN")
            for row in _readable(old, table, names):
                with contextlib.suppress(sqlite3.Error):
                    n += new.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", row).rowcount
            new.execute("COMMIT")
    except sqlite3.Error:
        if new.in_transaction:
            new.execute("COMMIT")
    return n


def _readable(db: sqlite3.Connection, table: str, names: str) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a table from its beginning and from its end until a page cannot be read, then each between."""
    ends = [0, 1 << 40]
    for i, order in enumerate(("ASC", "DESC")):
        try:
            for row in db.execute(f"SELECT rowid, {names} FROM {table} ORDER BY rowid {order}"):
                ends[i] = row[0]
                yield row[1:]
            if order == "ASC":
                return
        except (sqlite3.Error, OverflowError):
            continue
    largest = db.execute("PRAGMA page_count").fetchone()[0] * 500
    for rowid in range(ends[0] + 1, min(ends[1], ends[0] + largest)):
        with contextlib.suppress(sqlite3.Error):
            yield from db.execute(f"SELECT {names} FROM {table} WHERE rowid = ?", (rowid,))


def mend(db: sqlite3.Connection) -> list[str]:
    """Drop what contradicts itself, so that the search does it again.

    Returns:
        What was done, a line for each thing.
    """
    done = []
    n_bytes = row_length(db)
    wrong = [
        row[0] for row in db.execute(f"SELECT {EVALUATION_COLUMNS} FROM evaluations") if evaluation_fault(row, n_bytes)
    ]
    db.executemany("DELETE FROM evaluations WHERE id = ?", [(key,) for key in wrong])
    if wrong:
        done.append(f"evaluations: {len(wrong)} unreadable removed")
    for table in ("meta", "events"):
        column, key = ("value", "key") if table == "meta" else ("detail", "id")
        for name, text in db.execute(f"SELECT {key}, {column} FROM {table}").fetchall():
            if not _is_json(text):
                db.execute(f"DELETE FROM {table} WHERE {key} = ?", (name,))
                done.append(f"{table}: unreadable {name} removed")
    n, last = db.execute("SELECT count(*), coalesce(max(id), 0) FROM evaluations").fetchone()
    has_checkpoint = db.execute("SELECT count(*) FROM checkpoint").fetchone()[0]
    try:
        check_generations(db)
        check_checkpoint(db)
        broken = n != last
    except WHAT_READING_RAISES:
        broken = True
    if broken:
        db.execute("DELETE FROM checkpoint")
        db.execute("DELETE FROM generations")
        done.append(
            "checkpoint: removed; a resume asks from the start and reuses every outcome"
            if has_checkpoint
            else "generations: removed"
        )
    meta = facts(db)
    n_lost = n_asked(db) - n
    if any(name not in meta for name in NEEDED):
        db.execute("DELETE FROM meta WHERE key = 'job'")
        done.append("facts: incomplete; a resume writes them anew from job.toml")
    elif broken or wrong or n_lost > 0 or n < _budgeted(meta):
        db.execute("UPDATE meta SET value = '\"stopped\"' WHERE key = 'state'")
        if n_lost > 0 and meta["state"] == "finished":
            # What is lost costs its share of the time again; a spent time would end the search at once.
            db.execute("UPDATE meta SET value = value * ? WHERE key = 'elapsed_s'", (n / (n + n_lost),))
    if n_lost > 0:
        done.append(f"evaluations: {n_lost} missing; `evo-moo resume` evaluates them again")
    return done


def _budgeted(meta: dict[str, Any]) -> int:
    """Return the number of evaluations that a finished run was to have; 0 where its job does not tell."""
    try:
        n_evals = meta["job"]["budget"]["n_evals"]
    except (LookupError, TypeError):
        return 0
    return n_evals if isinstance(n_evals, int) and meta.get("state") == "finished" else 0


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def free_name(path: Path) -> Path:
    """Return a name that is not taken yet, as near to a path's as can be."""
    names = (path, *(path.with_name(f"{path.name}-{i}") for i in range(2, 1000)))
    return next(name for name in names if not name.exists())
