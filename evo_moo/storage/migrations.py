"""The ledger's tables, and how a ledger of an older format becomes one of the present format.

A step from one format to the next only adds: what an older version recorded is kept as it was, and what it did not
record stays empty.
"""

import contextlib
import re
import sqlite3
from collections.abc import Callable
from typing import Any

from evo_moo.storage.database import in_memory

FORMAT = 7
CHECKSUM = ", checksum INTEGER"


def _from_4(db: sqlite3.Connection) -> None:
    """Keep what evaluations return beside numbers."""
    db.execute("ALTER TABLE evaluations ADD COLUMN facts TEXT NOT NULL DEFAULT '{}'")


def _from_5(db: sqlite3.Connection) -> None:
    """Keep the checksums of what is written from now on."""
    for table in TABLES:
        if table != "points":
            db.execute(f"ALTER TABLE {table} ADD COLUMN {CHECKSUM[2:]}")


def _from_6(db: sqlite3.Connection) -> None:
    """Keep the points that trainings offer."""
    db.execute("ALTER TABLE evaluations ADD COLUMN n_points INTEGER NOT NULL DEFAULT 0")
    db.execute(POINTS)


STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {4: _from_4, 5: _from_5, 6: _from_6}
"""An older format to the step that makes the next one of it; formats before these were never released."""

POINTS = """CREATE TABLE points (
    evaluation INTEGER NOT NULL,
    point INTEGER NOT NULL,
    choices TEXT NOT NULL,
    metrics TEXT NOT NULL,
    violation REAL,
    fault TEXT NOT NULL DEFAULT '',
    checksum INTEGER,
    PRIMARY KEY (evaluation, point)
) STRICT;
"""
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER) STRICT;
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    configuration TEXT NOT NULL,
    x BLOB NOT NULL,
    seed INTEGER NOT NULL,
    asked_at REAL NOT NULL,
    status TEXT NOT NULL DEFAULT 'asked',
    metrics TEXT NOT NULL DEFAULT '{}',
    violation REAL,
    reason TEXT NOT NULL DEFAULT '',
    traceback TEXT NOT NULL DEFAULT '',
    output TEXT NOT NULL DEFAULT '',
    started_at REAL,
    duration_s REAL,
    worker INTEGER,
    attempts INTEGER,
    origin TEXT NOT NULL DEFAULT '',
    parents TEXT NOT NULL DEFAULT '[]',
    prediction TEXT,
    fidelity INTEGER,
    replicate INTEGER NOT NULL DEFAULT 0,
    continues INTEGER,
    cost REAL NOT NULL DEFAULT 1,
    facts TEXT NOT NULL DEFAULT '{}',
    n_points INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER
) STRICT;
CREATE TABLE generations (
    generation INTEGER PRIMARY KEY,
    n_asked INTEGER NOT NULL,
    population TEXT NOT NULL,
    optimum TEXT NOT NULL,
    finished_at REAL NOT NULL,
    checksum INTEGER
) STRICT;
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL, checksum INTEGER) STRICT;
CREATE TABLE curves (evaluation INTEGER PRIMARY KEY, curve TEXT NOT NULL, checksum INTEGER) STRICT;
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    checksum INTEGER
) STRICT;
"""
SCHEMA += POINTS
TABLES = ("meta", "evaluations", "generations", "checkpoint", "curves", "events", "points")


def foreign_parts(db: sqlite3.Connection) -> list[str]:
    """List what a file holds beside the tables of a ledger, which could run for ever or write where it is read.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as new:
        create(new)
        ours, columns, _ = _described(new)
    found, of_tables, texts = _described(db)
    parts = [f"{kind} {name}" for kind, name in found - ours if not (kind == "index" and name.startswith("sqlite_"))]
    parts += [f"column {column[1]} of {column[0]}" for column in of_tables - columns if column[0] in TABLES]
    # A rule is code of the file as well; ours are known by their text, in each format.
    ruled = [(name, text.replace(CHECKSUM, "")) for name, text in texts if re.search(r"\bcheck\b", text, re.I)]
    parts += [f"rule of {name}" for name, text in ruled if text not in SCHEMA.replace(CHECKSUM, "")]
    return sorted(parts, reverse=True)


def _described(db: sqlite3.Connection) -> tuple[set[tuple[str, str]], set[tuple[Any, ...]], list[tuple[str, str]]]:
    """Return kinds and names of what a file holds, its tables' columns, and the text of each table."""
    texts = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    virtual = {name for name, text in texts if "virtual" in text.lower().split()[:2]}
    kinds = {(kind, name) for kind, name in db.execute("SELECT type, name FROM sqlite_master")}
    columns = db.execute(
        "SELECT t.name, c.name, c.type, c.'notnull', c.dflt_value, c.pk, c.hidden "
        "FROM sqlite_master t, pragma_table_xinfo(t.name) c WHERE t.type = 'table'"
    )
    return kinds | {("virtual table", name) for name in virtual}, set(columns), texts


def format_of(db: sqlite3.Connection) -> int:
    """Read a ledger's format; 0 of a file that is none."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def create(db: sqlite3.Connection) -> None:
    """Make the tables of the present format, in one transaction."""
    db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")


def migrate(db: sqlite3.Connection) -> None:
    """Bring a ledger of an older format to the present one, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in range(format_of(db), FORMAT):
            STEPS[step](db)
        db.execute(f"PRAGMA user_version = {FORMAT}")
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.OperationalError):
            db.execute("ROLLBACK")
        raise


def is_known(found: int) -> bool:
    """Return whether a format is the present one or an older one that can become it."""
    return found == FORMAT or found in STEPS


def in_present_format(db: sqlite3.Connection) -> sqlite3.Connection:
    """Return a reader's connection to the same ledger in the present format: to a copy in memory of an older one.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    if format_of(db) == FORMAT:
        return db
    with contextlib.closing(db):
        copy = in_memory(db)
    migrate(copy)
    return copy
