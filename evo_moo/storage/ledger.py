"""The ledger: one SQLite file that holds everything a run asked, measured and decided.

Tables (format 4; times are Unix seconds, and nothing depends on them):

- ``meta(key, value)``: facts on the run as JSON: ``format``, ``goals``, ``metrics``, ``state`` and so on.
- ``evaluations``: one row per evaluation. ``id`` counts from 1 in the order of asking; ``configuration`` and
  ``metrics`` are JSON objects; ``x`` is the encoded row, little-endian float64; ``status`` is ``asked`` until
  the evaluation ends and then ``ok``, ``partial`` (well, at less than the full fidelity), ``stopped`` (early),
  ``infeasible``, ``failed``, ``timeout`` or ``crashed`` with its ``reason``; ``output`` is the last of what it
  printed; ``violation`` is the sum
  by which limits are exceeded, 0 when feasible; ``origin`` says how the configuration came about (``start``,
  ``sample``, ``mating``), ``parents`` are the ids of the evaluations that it was bred
  from, and ``prediction`` what a surrogate expected of it: metric names to ``[mean, std]``. With refinement a
  configuration has a row for each rung that it reached: ``fidelity`` is the rung, ``continues`` the id of the
  evaluation below that it rose from, ``replicate`` the number of the repetition with another seed; ``cost`` is in full
  evaluations.
- ``generations``: one row per finished generation: the ids of its population, and pymoo's optimum of it.
- ``checkpoint``: one row, the optimizer's state after the last outcome that it selected upon.
- ``curves``: what evaluations reported while they ran, at up to 100 epochs each: JSON objects of ``epochs``,
  ``metrics`` and so on, as in ``LearningCurve``.
- ``events``: decisions and incidents of the run.

Only SQLite and JSON are read, so that a ledger from anywhere can be opened without running its code.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from evo_moo.errors import RunFolderError
from evo_moo.problem.learning_curve import LearningCurve
from evo_moo.storage.database import Journal, open_to_read, open_to_write, set_journal
from evo_moo.storage.evaluation_row import COLUMNS, Evaluation
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.migrations import FORMAT, create, format_of, in_present_format, is_known, migrate


class Ledger:
    """A connection to a ledger.

    A file of an older format is migrated by its writer; a reader migrates a copy in memory.

    Args:
        path: The file; None keeps it in memory.
        writable: Whether to open it for writing; it is then created if it does not exist.
        journal: How a writer keeps transactions whole; see ``database.set_journal``.

    Raises:
        RunFolderError: The file is missing, cannot be opened, or is no ledger of a known format.
    """

    def __init__(self, path: Path | None = None, *, writable: bool = True, journal: Journal = "wal") -> None:
        self.path, self._writable = path, writable
        if path is not None and not writable and not path.is_file():
            raise RunFolderError(f"`{path}` must be a ledger, but there is no such file")
        try:
            self._db = open_to_write(path) if writable or path is None else open_to_read(path)
            self._prepare(journal)
        except (sqlite3.Error, OSError) as error:
            if hasattr(self, "_db"):
                self._db.close()
            if isinstance(error, RunFolderError):
                raise
            way_out = f"; `evo-moo doctor {path.parent}` says what can be saved" if path and path.is_file() else ""
            raise RunFolderError(f"`{path}` must be a ledger that can be opened, but: {error}{way_out}") from error
        self._file = _identity(path)

    def _prepare(self, journal: Journal) -> None:
        """Check the format, and bring a new or an older ledger to the present one."""
        found = format_of(self._db)
        is_new = found == 0 and not self._tables()
        if is_new and not self._writable:
            raise RunFolderError(f"`{self.path}` must be a ledger, but holds none; {begun_anew(self.path)}")
        if not is_new and not is_known(found):
            raise unknown_format(self.path, found)
        if self._writable:
            set_journal(self._db, journal)
        if is_new:
            create(self._db)
        elif not self._writable:
            self._db = in_present_format(self._db)
        elif found < FORMAT:
            migrate(self._db)

    def _tables(self) -> list[str]:
        return [name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]

    def close(self) -> None:
        """Close the connection; a writer leaves one plain file behind, without a journal beside it."""
        if self._writable and self.path is not None:
            with contextlib.suppress(sqlite3.Error):
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
                if _identity(self.path) != self._file:
                    raise RunFolderError(f"the ledger must stay where it is, but `{self.path}` was removed or replaced")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise RunFolderError(
                f"the ledger must be writable, but writing `{self.path}` fails: {error}; what it held before is kept: "
                "make room or mend the disk, then `evo-moo resume` goes on"
            ) from error

    def mended(self, mend: Callable[[sqlite3.Connection], list[str]]) -> list[str]:
        """Let a repair change the tables, in one transaction; give what it says it did."""
        with self.transaction():
            return mend(self._db)

    def set_meta(self, **facts: Any) -> None:
        """Write facts on the run, each as JSON."""
        rows = [(key, _json(value)) for key, value in facts.items()]
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def facts(self) -> RunFacts:
        """Read all facts on the run."""
        texts = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        return RunFacts(self.path and self.path.parent.absolute(), texts)

    def meta(self) -> dict[str, Any]:
        """Read all facts on the run."""
        return {key: orjson.loads(value) for key, value in self._db.execute("SELECT key, value FROM meta")}

    def record_asked(self, candidates: Iterable[tuple[Any, int]]) -> None:
        """Record candidates before they are evaluated.

        Args:
            candidates: Pairs of a ``Candidate`` and the seed of its evaluation.
        """
        now = time.time()
        self._db.executemany(
            "INSERT INTO evaluations (id, generation, configuration, x, seed, asked_at, origin, parents, prediction, "
            "fidelity, replicate, continues, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (c.id, c.generation, _json(c.configuration), c.x.tobytes(), seed, now, *_coming(c), *_rung(c))
                for c, seed in candidates
            ),
        )

    def record_outcomes(self, outcomes: Iterable[tuple[Any, float | None]]) -> None:
        """Record how evaluations ended.

        Args:
            outcomes: Pairs of an ``Outcome`` and its constraint violation (None if it has no metrics).
        """
        outcomes = list(outcomes)
        curves = [(o.id, _json(o.curve.to_record())) for o, _ in outcomes if o.curve is not None]
        self._db.executemany("INSERT OR REPLACE INTO curves VALUES (?, ?)", curves)
        stopped = [(o.cost, o.id) for o, _ in outcomes if o.status == "stopped"]
        self._db.executemany("UPDATE evaluations SET cost = ? WHERE id = ?", stopped)
        self._db.executemany(
            "UPDATE evaluations SET status = ?, metrics = ?, reason = ?, traceback = ?, output = ?, violation = ?, "
            "started_at = ?, duration_s = ?, worker = ?, attempts = ? WHERE id = ?",
            (
                (*_ending(o), violation, o.started_at, o.duration_s, o.worker, o.attempts, o.id)
                for o, violation in outcomes
            ),
        )

    def record_generation(self, generation: int, n_asked: int, population: list[int], optimum: list[int]) -> None:
        """Record a finished generation; one that is replayed without its checkpoint takes its old place."""
        self._db.execute(
            "INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?)",
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

    def curves(self) -> dict[int, LearningCurve]:
        """Read the learning curves: id of an evaluation to what it reported."""
        rows = self._db.execute("SELECT evaluation, curve FROM curves ORDER BY evaluation").fetchall()
        return {key: LearningCurve.of_record(orjson.loads(curve)) for key, curve in rows}

    def rows(self) -> list[tuple[Any, ...]]:
        """Read all evaluations as they stand, for ``Evaluation.of_row``."""
        return self._select("1", ()).fetchall()

    def _select(self, where: str, parameters: tuple[Any, ...]) -> sqlite3.Cursor:
        return self._db.execute(f"SELECT {COLUMNS} FROM evaluations WHERE {where} ORDER BY id", parameters)

    def encoded_rows(self, up_to: int) -> list[bytes]:
        """Read the encoded rows of the first ``up_to`` evaluations."""
        return [x for (x,) in self._db.execute("SELECT x FROM evaluations WHERE id <= ? ORDER BY id", (up_to,))]

    def asked_times(self) -> dict[int, float]:
        """Read when each evaluation was asked for: its id to Unix seconds."""
        return dict(self._db.execute("SELECT id, asked_at FROM evaluations").fetchall())

    def counts(self) -> dict[str, int]:
        """Count the evaluations by status."""
        return dict(self._db.execute("SELECT status, count(*) FROM evaluations GROUP BY status").fetchall())

    def has_replicates(self) -> bool:
        """Return whether an evaluation was repeated with another seed."""
        return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM evaluations WHERE replicate > 0)").fetchone()[0])

    def cost(self, where: str = "1") -> float:
        """Return what the evaluations for which the SQL condition holds cost, in full evaluations."""
        (total,) = self._db.execute(f"SELECT coalesce(sum(cost), 0) FROM evaluations WHERE {where}").fetchone()
        return round(float(total), 6)

    def children(self, evaluation_id: int) -> list[int]:
        """Return the ids of the evaluations that were bred from one."""
        rows = self._db.execute(
            "SELECT DISTINCT e.id FROM evaluations e, json_each(e.parents) p WHERE p.value = ? ORDER BY e.id",
            (evaluation_id,),
        )
        return [key for (key,) in rows]

    def memberships(self, evaluation_id: int) -> list[int]:
        """Return the generations in whose population an evaluation was."""
        rows = self._db.execute(
            "SELECT g.generation FROM generations g, json_each(g.population) p WHERE p.value = ? ORDER BY 1",
            (evaluation_id,),
        )
        return [generation for (generation,) in rows]

    def of_ids(self, ids: list[int]) -> list[Evaluation]:
        """Read evaluations in the order of ``ids``; those that are not there are left out."""
        by_id = (
            {e.id: e for e in self.evaluations("id IN (SELECT value FROM json_each(?))", (_json(ids),))} if ids else {}
        )
        return [by_id[key] for key in ids if key in by_id]

    def least_violating(self) -> list[tuple[int, dict[str, float]]]:
        """Read ids and metrics of the evaluations that ended well and violate the limits least, in order."""
        rows = self._db.execute(
            "SELECT id, metrics FROM evaluations WHERE status = 'ok' AND violation = "
            "(SELECT min(violation) FROM evaluations WHERE status = 'ok') ORDER BY id"
        )
        return [(key, orjson.loads(metrics)) for key, metrics in rows]

    def endings(self) -> dict[tuple[str, str], int]:
        """Count the evaluations by status and reason."""
        rows = self._db.execute("SELECT status, reason, count(*) FROM evaluations GROUP BY 1, 2 ORDER BY min(id)")
        return {(status, reason): n for status, reason, n in rows}

    def events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Read the events: time, kind, detail."""
        rows = self._db.execute("SELECT at, kind, detail FROM events ORDER BY id")
        return [(at, kind, orjson.loads(detail)) for at, kind, detail in rows]


def unknown_format(path: Path | None, found: int) -> RunFolderError:
    """Return the error that a ledger is of a format that this version does not know."""
    return RunFolderError(
        f"`{path}` must be a ledger of format {FORMAT}, but is of format {found}; "
        "read it with the version of evo-moo that wrote it"
    )


def begun_anew(path: Path | None) -> str:
    """Say which command begins a run anew whose ledger is lost: one that has its job."""
    folder = path.parent if path else Path()
    command = f"resume {folder}" if (folder / "job.toml").is_file() else f"run JOB --run-dir {folder}"
    return f"`evo-moo {command}` begins it anew"


def _coming(candidate: Any) -> tuple[str, str, str | None]:
    prediction = candidate.prediction
    return candidate.origin, _json(candidate.parents), None if prediction is None else _json(prediction)


def _rung(candidate: Any) -> tuple[int | None, int, int | None, float]:
    return candidate.fidelity, candidate.replicate, candidate.continues, candidate.cost


def _ending(outcome: Any) -> tuple[str, ...]:
    # File names that are no text reach messages as lone surrogates, which SQLite refuses.
    texts = (outcome.reason, outcome.traceback, outcome.output)
    return outcome.status, _json(outcome.metrics), *(t and t.encode("utf-8", "replace").decode() for t in texts)


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Tell a file from another one of the same name; None where there is none."""
    if path is None:
        return None
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
