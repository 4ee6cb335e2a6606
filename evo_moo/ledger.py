"""The ledger: one SQLite file that holds everything a run asked, measured and decided.

Tables (format 1; times are Unix seconds):

- ``meta(key, value)``: facts on the run as JSON: ``format``, ``goals``, ``metrics``, ``state`` and so on.
- ``evaluations``: one row per evaluation. ``id`` counts from 1 in the order of asking; ``configuration`` and
  ``metrics`` are JSON objects; ``x`` is the encoded row, little-endian float64; ``status`` is ``asked`` until
  the evaluation ends and then ``ok``, ``infeasible``, ``failed``, ``timeout`` or ``crashed`` with its
  ``reason``; ``output`` is the last of what it printed; ``violation`` is the sum by which limits are exceeded,
  0 when feasible.
- ``generations``: one row per finished generation: the ids of its population, and pymoo's optimum of it.
- ``checkpoint``: one row, the optimizer's state after the last outcome that it selected upon.
- ``events``: decisions and incidents of the run.

Only SQLite and JSON are read, so that a ledger from anywhere can be opened without running its code.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from evo_moo.errors import RunFolderError

FORMAT = 1

_SCHEMA = """
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
    attempts INTEGER
) STRICT;
CREATE TABLE generations (
    generation INTEGER PRIMARY KEY,
    n_asked INTEGER NOT NULL,
    population TEXT NOT NULL,
    optimum TEXT NOT NULL,
    finished_at REAL NOT NULL
) STRICT;
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL) STRICT;
CREATE TABLE events (id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
"""


class Evaluation(NamedTuple):
    """A row of the ledger; see the module for its fields. ``configuration_json`` is the column as it stands."""

    id: int
    generation: int
    configuration_json: str
    seed: int
    status: str
    metrics: dict[str, float]
    violation: float | None
    reason: str
    traceback: str
    output: str
    started_at: float | None
    duration_s: float | None
    worker: int | None
    attempts: int | None
    x: bytes

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row as SQLite gives it."""
        values = list(row)
        values[5] = orjson.loads(values[5])
        return cls(*values)

    @property
    def configuration(self) -> dict[str, Any]:
        """Names to values, active variables only."""
        return dict(orjson.loads(self.configuration_json))

    @property
    def feasible(self) -> bool:
        """Whether it was evaluated and keeps every limit."""
        return self.status == "ok" and self.violation == 0


_COLUMNS = (
    "id, generation, configuration, seed, status, metrics, violation, reason, traceback, output, "
    "started_at, duration_s, worker, attempts, x"
)


class Ledger:
    """A connection to a ledger.

    Args:
        path: The file; None keeps it in memory.
        writable: Whether to open it for writing; it is then created if it does not exist.

    Raises:
        RunFolderError: The file is missing, cannot be opened, or is no ledger of a known format.
    """

    def __init__(self, path: Path | None = None, *, writable: bool = True) -> None:
        self.path, self._writable = path, writable
        try:
            self._db = self._connect(path, writable)
            is_new = writable and not self._tables()
            found = FORMAT if is_new else self._db.execute("PRAGMA user_version").fetchone()[0]
            if writable and found == FORMAT:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.execute("PRAGMA wal_autocheckpoint = 8000")
            if is_new:
                self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        except sqlite3.Error as error:
            raise RunFolderError(f"`{path}` must be a ledger that can be opened, but: {error}") from error
        if found == 0 and not self._tables():
            raise RunFolderError(f"`{path}` must be a ledger, but holds none; `run` or `resume` begins it anew")
        if found != FORMAT:
            raise RunFolderError(
                f"`{path}` must be a ledger of format {FORMAT}, but is of format {found}; "
                "read it with the version of evo-moo that wrote it"
            )

    @staticmethod
    def _connect(path: Path | None, writable: bool) -> sqlite3.Connection:
        if path is None:
            return sqlite3.connect(":memory:", isolation_level=None)
        if not writable:
            if not path.is_file():
                raise RunFolderError(f"`{path}` must be a ledger, but there is no such file")
            return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        return sqlite3.connect(path, isolation_level=None)

    def _tables(self) -> list[str]:
        return [name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]

    def close(self) -> None:
        """Close the connection; a writer leaves one plain file behind, without a journal beside it."""
        if self._writable and self.path is not None:
            with contextlib.suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything written inside the block at once, or nothing of it; an inner block joins the outer.

        Raises:
            RunFolderError: The file cannot be written, for instance because the disk is full.
        """
        if self._db.in_transaction:
            yield
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with contextlib.suppress(sqlite3.OperationalError):
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise RunFolderError(
                f"the ledger must be writable, but writing `{self.path}` fails: {error}; what it held before is kept"
            ) from error

    def set_meta(self, **facts: Any) -> None:
        """Write facts on the run, each as JSON."""
        rows = [(key, _json(value)) for key, value in facts.items()]
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def meta(self) -> dict[str, Any]:
        """Read all facts on the run."""
        return {key: orjson.loads(value) for key, value in self._db.execute("SELECT key, value FROM meta")}

    def record_asked(self, rows: Iterable[tuple[int, int, Mapping[str, Any], bytes, int]]) -> None:
        """Record candidates before they are evaluated.

        Args:
            rows: Tuples of id, generation, configuration, encoded row and seed.
        """
        now = time.time()
        self._db.executemany(
            "INSERT INTO evaluations (id, generation, configuration, x, seed, asked_at) VALUES (?, ?, ?, ?, ?, ?)",
            ((i, generation, _json(config), x, seed, now) for i, generation, config, x, seed in rows),
        )

    def record_outcomes(self, outcomes: Iterable[tuple[Any, float | None]]) -> None:
        """Record how evaluations ended.

        Args:
            outcomes: Pairs of an ``Outcome`` and its constraint violation (None if it has no metrics).
        """
        self._db.executemany(
            "UPDATE evaluations SET status = ?, metrics = ?, reason = ?, traceback = ?, output = ?, violation = ?, "
            "started_at = ?, duration_s = ?, worker = ?, attempts = ? WHERE id = ?",
            (
                (*_ending(o), violation, o.started_at, o.duration_s, o.worker, o.attempts, o.id)
                for o, violation in outcomes
            ),
        )

    def record_generation(self, generation: int, n_asked: int, population: list[int], optimum: list[int]) -> None:
        """Record a finished generation."""
        self._db.execute(
            "INSERT INTO generations VALUES (?, ?, ?, ?, ?)",
            (generation, n_asked, _json(population), _json(optimum), time.time()),
        )

    def record_checkpoint(self, state: str) -> None:
        """Replace the checkpoint by the optimizer's present state."""
        self._db.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?)", (state,))

    def record_event(self, kind: str, **detail: Any) -> None:
        """Record a decision or an incident."""
        self._db.execute("INSERT INTO events (at, kind, detail) VALUES (?, ?, ?)", (time.time(), kind, _json(detail)))

    def checkpoint(self) -> str | None:
        """Read the optimizer's last state."""
        row = self._db.execute("SELECT state FROM checkpoint").fetchone()
        return row[0] if row else None

    def last_generation(self) -> dict[str, Any] | None:
        """Read the last finished generation: its number, and the ids of its population and optimum."""
        row = self._db.execute(
            "SELECT generation, n_asked, population, optimum FROM generations ORDER BY generation DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        generation, n_asked, population, optimum = row
        return {
            "generation": generation,
            "n_asked": n_asked,
            "population": orjson.loads(population),
            "optimum": orjson.loads(optimum),
        }

    def generations(self, after: int = 0) -> Iterator[tuple[int, int, list[int], list[int]]]:
        """Read the finished generations after one: number, ``n_asked``, and the ids of population and optimum."""
        rows = self._db.execute("SELECT * FROM generations WHERE generation > ? ORDER BY generation", (after,))
        for number, n_asked, population, optimum, _ in rows.fetchall():
            yield number, n_asked, orjson.loads(population), orjson.loads(optimum)

    def evaluations(self, where: str = "1", parameters: tuple[Any, ...] = ()) -> Iterator[Evaluation]:
        """Read evaluations in the order of asking, those for which the SQL condition holds."""
        return map(Evaluation.of_row, self._select(where, parameters))

    def rows(self) -> list[tuple[Any, ...]]:
        """Read all evaluations as they stand, for ``Evaluation.of_row``."""
        return self._select("1", ()).fetchall()

    def _select(self, where: str, parameters: tuple[Any, ...]) -> sqlite3.Cursor:
        return self._db.execute(f"SELECT {_COLUMNS} FROM evaluations WHERE {where} ORDER BY id", parameters)

    def encoded_rows(self, up_to: int) -> list[bytes]:
        """Read the encoded rows of the first ``up_to`` evaluations."""
        return [x for (x,) in self._db.execute("SELECT x FROM evaluations WHERE id <= ? ORDER BY id", (up_to,))]

    def counts(self) -> dict[str, int]:
        """Count the evaluations by status."""
        return dict(self._db.execute("SELECT status, count(*) FROM evaluations GROUP BY status").fetchall())

    def events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Read the events: time, kind, detail."""
        rows = self._db.execute("SELECT at, kind, detail FROM events ORDER BY id")
        return [(at, kind, orjson.loads(detail)) for at, kind, detail in rows]


def _ending(outcome: Any) -> tuple[str, ...]:
    # File names that are no text reach messages as lone surrogates, which SQLite refuses.
    texts = (outcome.reason, outcome.traceback, outcome.output)
    return outcome.status, _json(outcome.metrics), *(t and t.encode("utf-8", "replace").decode() for t in texts)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
