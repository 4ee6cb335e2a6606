"""The checksum of each row of a ledger, by which a byte that flipped is found where the row still makes sense.

Each row holds the CRC-32 of its values as they were written, that of an evaluation since it ended. Rows of a format
before 6 have none until they are written again, and are believed. A checksum finds what a disk does to a ledger, not
what a person does.
"""

import sqlite3
import zlib
from collections.abc import Iterable
from typing import Any

SHOWN = {"reason", "traceback", "output", "worker"}
"""Columns that nothing but a reader's eye depends on; no checksum counts them."""
COMPARED = {"n_points"}
"""Columns that no checksum counts, since they are compared with the rows that they count."""
COUNTED = {
    "meta": ("key", "value"),
    "evaluations": (
        *("id", "generation", "configuration", "x", "seed", "asked_at", "status", "metrics", "violation"),
        *("started_at", "duration_s", "attempts", "origin", "parents", "prediction", "fidelity", "replicate"),
        *("continues", "cost", "facts"),
    ),
    "points": ("evaluation", "point", "choices", "metrics", "violation", "fault"),
    "generations": ("generation", "n_asked", "population", "optimum", "finished_at"),
    "checkpoint": ("one", "state"),
    "curves": ("evaluation", "curve"),
    "events": ("id", "at", "kind", "detail"),
}
"""Table to the columns that its checksum counts; the first is its key, of points that of all of an evaluation."""
_SUM = {table: f"row_checksum({', '.join(columns)})" for table, columns in COUNTED.items()}


def teach_checksums(db: sqlite3.Connection) -> None:
    """Let a connection know the function of SQL ``row_checksum``."""
    db.create_function("row_checksum", -1, _checksum, deterministic=True)


def seal(db: sqlite3.Connection, table: str, keys: Iterable[int | str]) -> None:
    """Write the checksums of rows as they stand; part of each transaction that writes rows."""
    query = f"UPDATE {table} SET checksum = {_SUM[table]} WHERE {COUNTED[table][0]} = ?"
    db.executemany(query, ((key,) for key in keys))


def in_doubt(table: str) -> str:
    """Return the condition of SQL that a row of a table is not as it was written."""
    return f"checksum != {_SUM[table]}"


def keys_in_doubt(db: sqlite3.Connection, table: str, among: Iterable[int | str] | None = None) -> list[Any]:
    """Return the keys of the rows of a table, or of some of them, that are not as they were written."""
    key = COUNTED[table][0]
    query = f"SELECT {key} FROM {table} WHERE {in_doubt(table)}"
    if among is None:
        return [value for (value,) in db.execute(query)]
    return [value for each in among for (value,) in db.execute(f"{query} AND {key} = ?", (each,))]


def _checksum(*values: Any) -> int:
    return zlib.crc32(ascii(values).encode())  # the same text of the same values in every version of Python
