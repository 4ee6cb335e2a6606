"""The ledger's tables, and how a ledger of an older format becomes one of the present format.

A step from one format to the next only adds: what an older version recorded is kept as it was, and what it did not
record stays empty.
"""

import contextlib
import json
import sqlite3

FORMAT = 4

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
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
    cost REAL NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE generations (
    generation INTEGER PRIMARY KEY,
    n_asked INTEGER NOT NULL,
    population TEXT NOT NULL,
    optimum TEXT NOT NULL,
    finished_at REAL NOT NULL
) STRICT;
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL) STRICT;
CREATE TABLE curves (evaluation INTEGER PRIMARY KEY, curve TEXT NOT NULL) STRICT;
CREATE TABLE events (id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
"""
TABLES = ("meta", "evaluations", "generations", "checkpoint", "curves", "events")


def format_of(db: sqlite3.Connection) -> int:
    """Read a ledger's format; 0 of a file that is none."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def create(db: sqlite3.Connection) -> None:
    """Make the tables of the present format, in one transaction."""
    db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")


def migrate(db: sqlite3.Connection) -> int:
    """Bring a ledger of an older format to the present one, in one transaction.

    Returns:
        The format that it had.
    """
    found = format_of(db)
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in range(found, FORMAT):
            _STEPS[step](db)
        db.execute(f"PRAGMA user_version = {FORMAT}")
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.OperationalError):
            db.execute("ROLLBACK")
        raise
    return found


def is_known(found: int) -> bool:
    """Return whether a format is the present one or an older one that can become it."""
    return found == FORMAT or found in _STEPS


def _from_1(db: sqlite3.Connection) -> None:
    """Add where each configuration came from, also to the candidates that the checkpoint holds."""
    db.execute("ALTER TABLE evaluations ADD COLUMN origin TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE evaluations ADD COLUMN parents TEXT NOT NULL DEFAULT '[]'")
    db.execute("ALTER TABLE evaluations ADD COLUMN prediction TEXT")
    for (text,) in db.execute("SELECT state FROM checkpoint").fetchall():
        # One that is damaged is left to whoever reads it.
        with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
            state = json.loads(text)
            state["kind"][0] = 2
            state["open"] = [[key, generation, "", [], None] for key, generation in state["open"]]
            db.execute("UPDATE checkpoint SET state = ?", (json.dumps(state),))


def _from_2(db: sqlite3.Connection) -> None:
    """Add how thorough each evaluation was: all were full ones."""
    db.execute("ALTER TABLE evaluations ADD COLUMN fidelity INTEGER")
    db.execute("ALTER TABLE evaluations ADD COLUMN replicate INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE evaluations ADD COLUMN continues INTEGER")
    db.execute("ALTER TABLE evaluations ADD COLUMN cost REAL NOT NULL DEFAULT 1")


def _from_3(db: sqlite3.Connection) -> None:
    """Add learning curves: there were none."""
    db.execute("CREATE TABLE curves (evaluation INTEGER PRIMARY KEY, curve TEXT NOT NULL) STRICT")


_STEPS = {1: _from_1, 2: _from_2, 3: _from_3}
