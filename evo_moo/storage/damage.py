"""What of a ledger is intact; nothing in it is trusted."""

import contextlib
import csv
import itertools
import math
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from evo_moo.errors import EvoMooError, RunFolderError
from evo_moo.problem.goals import Goals
from evo_moo.storage.checkpoint import from_json
from evo_moo.storage.database import open_to_read
from evo_moo.storage.evaluation_row import STATUSES
from evo_moo.storage.ledger import unknown_format
from evo_moo.storage.migrations import FORMAT, TABLES, create, format_of, in_present_format, is_known

WHAT_READING_RAISES = (
    *(EvoMooError, sqlite3.Error, csv.Error, OSError, ValueError),
    *(LookupError, TypeError, AttributeError, OverflowError, RecursionError),
)


def opened(file: Path) -> sqlite3.Connection:
    """Open a ledger for reading, without trusting anything in it.

    Raises:
        sqlite3.Error: It is no database, or its tables cannot be read.
        RunFolderError: It is missing, or no ledger of a known format.
    """
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "there is no such file"
        raise RunFolderError(f"`{file}` must be a ledger, but {what}")
    db = open_to_read(file)
    try:
        found = format_of(db)
        if not is_known(found):
            raise unknown_format(file, found)
        return in_present_format(db)
    except BaseException:
        db.close()
        raise


def facts(db: sqlite3.Connection) -> dict[str, Any]:
    """Read the facts on the run."""
    return {key: orjson.loads(value) for key, value in db.execute("SELECT key, value FROM meta")}


EVALUATION_COLUMNS = "id, configuration, x, status, metrics, parents, prediction, continues"


def evaluation_fault(row: tuple[Any, ...], n_bytes: int) -> str:
    """Say what is wrong with a row of ``EVALUATION_COLUMNS``; empty if nothing is.

    Args:
        row: The row.
        n_bytes: The length that encoded rows have.
    """
    key, configuration, x, status, metrics, parents, prediction, continues = row
    if key < 1:
        return "an id below 1"
    try:
        numbers = orjson.loads(metrics).values()
        if not isinstance(orjson.loads(configuration), dict) or not all(math.isfinite(v) for v in numbers):
            return "values that no evaluation has"
        if prediction is not None:
            orjson.loads(prediction).items()
        if not all(isinstance(parent, int) and 0 < parent < key for parent in orjson.loads(parents)):
            return "parents that cannot be"
    except (ValueError, TypeError, AttributeError):
        return "columns that are no JSON"
    if status not in STATUSES:
        return f"the unknown status {status!r}"
    if continues is not None and not 0 < continues < key:
        return "a rung below that cannot be"
    return "" if len(x) == n_bytes else f"{len(x)} bytes as its encoded row"


def row_length(db: sqlite3.Connection) -> int:
    """Return the length in bytes that most encoded rows have, 0 without rows."""
    row = db.execute("SELECT length(x) FROM evaluations GROUP BY 1 ORDER BY count(*) DESC LIMIT 1").fetchone()
    return int(row[0]) if row and row[0] % 8 == 0 else 0


def n_asked(db: sqlite3.Connection) -> int:
    """Return the number of evaluations that the run has asked for, as far as its ledger knows."""
    known: list[int] = [db.execute("SELECT coalesce(max(id), 0) FROM evaluations").fetchone()[0]]
    with contextlib.suppress(*WHAT_READING_RAISES):
        query = "SELECT kind, detail FROM events WHERE kind IN ('running', 'stopped', 'finished', 'failed')"
        recorded = [orjson.loads(detail)["n_asked"] for _, detail in db.execute(f"{query} ORDER BY id DESC LIMIT 1")]
        known += [n for n in recorded if isinstance(n, int)]
    return max(known)


def check_integrity(db: sqlite3.Connection) -> str:
    """Check that SQLite can read the file, and that all tables are there.

    Raises:
        ValueError: It is not so.
    """
    faults = [line for (line,) in db.execute("PRAGMA integrity_check(5)") if line != "ok"]
    if faults:
        raise ValueError("; ".join(faults))
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as new:
        create(new)
        if lacking := [table for table in TABLES if not _columns(new, table) <= _columns(db, table)]:
            raise ValueError(f"lacks tables or columns of them: {', '.join(lacking)}")
    return f"format {FORMAT} or brought to it"


def check_facts(db: sqlite3.Connection) -> str:
    """Check that a run recorded what it begins with.

    Raises:
        ValueError: Facts are missing.
    """
    meta = facts(db)
    Goals.from_json(meta["goals"])
    if missing := {"confirmation" if "confirmation" in meta else "job", "metrics", "front", "state"} - meta.keys():
        raise ValueError(f"lack {', '.join(sorted(missing))}")
    return f"state {meta['state']}"


def check_evaluations(db: sqlite3.Connection) -> str:
    """Check that each evaluation can be, and that none is missing.

    Raises:
        ValueError: It is not so.
    """
    n_bytes = row_length(db)
    for row in db.execute(f"SELECT {EVALUATION_COLUMNS} FROM evaluations ORDER BY id"):
        if fault := evaluation_fault(row, n_bytes):
            raise ValueError(f"evaluation {row[0]} has {fault}")
    ids = _ids(db)
    if lacking := _lacking(ids, n_asked(db)):
        (has_checkpoint,) = db.execute("SELECT count(*) FROM checkpoint").fetchone()
        ready = not has_checkpoint and facts(db).get("state") != "finished"
        way_out = "`evo-moo resume` evaluates them again" if ready else "`--repair` lets a resume evaluate them again"
        raise ValueError(f"{len(ids)} there, missing: {lacking}; {way_out}")
    return f"{len(ids)}"


def check_generations(db: sqlite3.Connection) -> str:
    """Check that generations follow each other and know only evaluations that there are.

    Raises:
        ValueError: They do not.
    """
    ids = _ids(db)
    n = 0
    for n, row in enumerate(db.execute("SELECT generation, population, optimum FROM generations ORDER BY 1"), 1):
        generation, *lists = row
        if generation != n:
            raise ValueError(f"generation {n} is not there")
        if missing := {key for text in lists for key in orjson.loads(text)} - ids:
            raise ValueError(f"generation {n} knows evaluations that are not there: {_some(missing)}")
    return f"{n}"


def check_checkpoint(db: sqlite3.Connection) -> str:
    """Check that the optimizer's state can be read and knows only evaluations that there are.

    Raises:
        ValueError: It cannot, or does not.
    """
    row = db.execute("SELECT state FROM checkpoint").fetchone()
    if row is None:
        return "none yet; a resume asks from the start and reuses every outcome"
    state = from_json(row[0])
    ids = _ids(db)
    if lacking := _lacking(ids, state["n_asked"]):
        raise ValueError(f"knows evaluations that are not there: {lacking}")
    if "steps" in state:  # on a ladder the ids of the optimizer's own candidates are others
        state = {**state, "algorithm": None, "told": {}}
    algorithm = state["algorithm"]
    members = [int(key) for key in (algorithm["population"] or {"id": []})["id"].tolist()] if algorithm else []
    optimum = map(int, algorithm["optimum"]) if algorithm else ()
    missing = {*members, *optimum, *map(int, state["told"])} - ids
    if missing:
        raise ValueError(f"knows evaluations that are not there: {_some(missing)}")
    (last,) = db.execute("SELECT coalesce(max(generation), 0) FROM generations").fetchone()
    if state["generation"] != last:
        raise ValueError(f"is of generation {state['generation']}, but the last one recorded is {last}")
    return f"after {state['n_asked']} evaluations"


def check_events(db: sqlite3.Connection) -> str:
    """Check that the events can be parsed.

    Raises:
        ValueError: One is no JSON.
    """
    rows = db.execute("SELECT detail FROM events").fetchall()
    for (detail,) in rows:
        orjson.loads(detail)
    return f"{len(rows)}"


CHECKS: dict[str, Callable[[sqlite3.Connection], str]] = {
    "ledger": check_integrity,
    "facts": check_facts,
    "evaluations": check_evaluations,
    "generations": check_generations,
    "checkpoint": check_checkpoint,
    "events": check_events,
}
"""Parts of a ledger to what raises one of ``WHAT_READING_RAISES`` where the part is damaged, else describes it."""


def unknown_ids(db: sqlite3.Connection, ids: Iterable[int]) -> str:
    """Name some of those ids that no evaluation has; empty where each has one."""
    return _some(set(ids) - _ids(db))


def _ids(db: sqlite3.Connection) -> set[int]:
    return {key for (key,) in db.execute("SELECT id FROM evaluations")}


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}


def _lacking(ids: set[int], last: int) -> str:
    """Name what is missing of the ids from 1 to ``last``; empty where nothing is."""
    n = last - sum(1 <= key <= last for key in ids)
    first = itertools.islice((key for key in range(1, last + 1) if key not in ids), 5)
    return "" if n == 0 else ", ".join(map(str, first)) + (f" and {n - 5} more" if n > 5 else "")


def _some(ids: set[int]) -> str:
    shown = ", ".join(map(str, sorted(ids)[:5]))
    return shown if len(ids) <= 5 else f"{shown} and {len(ids) - 5} more"
