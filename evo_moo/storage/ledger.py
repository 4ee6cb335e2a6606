"""The ledger: one SQLite file that holds everything a run asked, measured and decided.

Tables (format 7; times are Unix seconds, and nothing depends on them):

- ``meta(key, value)``: facts on the run as JSON: ``format``, ``goals``, ``metrics``, ``state`` and so on.
- ``evaluations``: one row per evaluation. ``id`` counts from 1 in the order of asking; ``configuration`` and
  ``metrics`` are JSON objects; ``x`` is the encoded row, little-endian float64; ``status`` is ``asked`` until
  the evaluation ends and then ``ok``, ``partial`` (well, at less than the full fidelity), ``stopped`` (early),
  ``infeasible``, ``failed``, ``timeout`` or ``crashed`` with its ``reason``, which may also say what has no number;
  ``facts`` is a JSON object of what it returned beside numbers; ``output`` is the last of what it printed;
  ``violation`` says by how much limits are missed in all, 0 when feasible, see ``objectives.total_violation``;
  ``origin`` says how the configuration came about (``start``, ``sample``, ``mating`` and so on; ``told`` where it was
  measured elsewhere, at no cost), ``parents`` are the ids of the evaluations that it was bred from, and
  ``prediction`` what a surrogate expected of it: metric names to ``[mean, std]``, or of one of its points the
  ``choices`` and these ``metrics``. With refinement a configuration has a row for each rung that it reached:
  ``fidelity`` is the rung, ``continues`` the id of the evaluation below that it rose from, ``replicate`` the number
  of the repetition with another seed; ``cost`` is in full evaluations.
- ``points``: one row for each point that a training offers, ``evaluations.n_points`` in all, of a problem with
  post-training variables: ``evaluation``
  and ``point``, counted from 1, which together name it, as ``12.3``; ``choices`` and ``metrics`` are JSON objects, and
  ``fault`` says why the point could not be made. Its evaluation has no metrics of its own, and the smallest violation
  of its points.
- ``generations``: one row per finished generation: the ids of its population, or the names of its points as texts, and
  pymoo's optimum of it.
- ``checkpoint``: one row, the optimizer's state after the last outcome that it selected upon.
- ``curves``: what evaluations reported while they ran, at up to 100 epochs each: JSON objects of ``epochs``,
  ``metrics`` and so on, as in ``LearningCurve``.
- ``events``: decisions and incidents of the run. ``measured`` holds what an evaluation measured of its architecture,
  ``measured again`` the evaluations whose metrics were replaced by what all measurements of it say since.

Each row has a ``checksum``, that of an evaluation since it ended; see ``checksums``.

Only SQLite and JSON are read, so that a ledger from anywhere can be opened without running its code.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from evo_moo.errors import RunFolderError
from evo_moo.problem.points import Key, evaluation_of, place_of_key
from evo_moo.storage.checksums import keys_in_doubt, seal
from evo_moo.storage.database import Journal, open_to_read, open_to_write, set_journal, sync_wal
from evo_moo.storage.facts import EventKind
from evo_moo.storage.migrations import FORMAT, create, foreign_parts, format_of, in_present_format, is_known, migrate
from evo_moo.storage.queries import Queries
from evo_moo.storage.recorded import Asked, Ended

WORTH_S = 1.0
"""What is recorded goes to the disk at once where so many seconds, of evaluations or of a search, would be lost."""


class Ledger(Queries):
    """A connection to a ledger.

    A file of an older format is migrated by its writer; a reader migrates a copy in memory.

    Args:
        path: The file; None keeps it in memory.
        writable: Whether to open it for writing; it is then created if it does not exist.
        journal: How a writer keeps transactions whole; see ``database.set_journal``.
        guard: Called within each transaction, which what it raises undoes.

    Raises:
        RunFolderError: The file is missing, cannot be opened, or is no ledger of a known format.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        writable: bool = True,
        journal: Journal = "wal",
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self._writable, self._guard = writable, guard
        self._unsynced_s, self._synced_at = 0.0, time.monotonic()
        if path is not None and not writable and not path.is_file():
            what = "is a folder" if path.is_dir() else "there is no such file"
            raise RunFolderError(f"`{path}` must be a ledger, but {what}")
        if path is not None and writable and path.is_symlink():
            raise RunFolderError(
                f"`{path}` must be a file of its folder to be written, but is a link to another; copy that in its place"
            )
        try:
            super().__init__(open_to_write(path) if writable or path is None else open_to_read(path), path)
            self._prepare(journal)
        except (sqlite3.Error, OSError, UnicodeError) as error:  # SQLite names damaged text in its messages
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
        is_new = found == 0 and self._db.execute("SELECT 1 FROM sqlite_master").fetchone() is None
        if is_new and not self._writable:
            raise RunFolderError(f"`{self.path}` must be a ledger, but holds none; {begun_anew(self.path)}")
        if not is_new and not is_known(found):
            raise unknown_format(self.path, found)
        if parts := foreign_parts(self._db):
            raise RunFolderError(
                f"`{self.path}` must hold the tables of a ledger alone, but holds {', '.join(parts[:5])}; "
                f"`evo-moo doctor {self.path and self.path.parent} --repair` keeps the rows and drops the rest"
            )
        if self._writable:
            set_journal(self._db, journal)
        if is_new:
            create(self._db)
        elif not self._writable:
            self._db = in_present_format(self._db)
        elif found < FORMAT:
            migrate(self._db)

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
                self._guard()
                if _identity(self.path) != self._file:
                    raise RunFolderError(f"the ledger must stay where it is, but `{self.path}` was removed or replaced")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            if max(self._unsynced_s, time.monotonic() - self._synced_at) >= WORTH_S:
                self.sync()
        except (sqlite3.OperationalError, OSError) as error:
            if isinstance(error, RunFolderError):
                raise
            raise RunFolderError(
                f"the ledger must be writable, but writing `{self.path}` fails: {error}; what it held before is kept: "
                "make room or mend the disk, then `evo-moo resume` goes on"
            ) from error

    def sync(self) -> None:
        """Let everything that was recorded be on the disk, so that a power failure loses nothing of it.

        Raises:
            OSError: The disk fails.
        """
        if self.path is not None:
            sync_wal(self.path)
        self._unsynced_s, self._synced_at = 0.0, time.monotonic()

    def set_meta(self, **facts: Any) -> None:
        """Write facts on the run, each as JSON."""
        rows = [(key, _json(value)) for key, value in facts.items()]
        self._db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", rows)
        seal(self._db, "meta", facts)

    def record_asked(self, candidates: Iterable[tuple[Asked, int]]) -> None:
        """Record candidates before they are evaluated.

        Args:
            candidates: Pairs of a candidate and the seed of its evaluation.
        """
        now = time.time()
        self._db.executemany(
            "INSERT INTO evaluations (id, generation, configuration, x, seed, asked_at, origin, parents, prediction, "
            "fidelity, replicate, continues, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (c.id, c.generation, _json(c.configuration), c.x.tobytes(), seed, now, *_descent(c))
                for c, seed in candidates
            ),
        )

    def record_outcomes(self, outcomes: Sequence[Ended], violation: Callable[[Mapping[str, float]], float]) -> None:
        """Record how evaluations ended.

        Args:
            outcomes: How they ended.
            violation: Returns the constraint violation of metrics.
        """
        self._unsynced_s += sum(o.duration_s for o in outcomes)
        curves = [(o.id, _json(o.curve.to_record())) for o in outcomes if o.curve is not None]
        self._db.executemany("INSERT OR REPLACE INTO curves (evaluation, curve) VALUES (?, ?)", curves)
        seal(self._db, "curves", (key for key, _ in curves))
        stopped = [(o.cost, o.id) for o in outcomes if o.status == "stopped"]
        self._db.executemany("UPDATE evaluations SET cost = ? WHERE id = ?", stopped)
        least = {o.id: violation(o.metrics) if o.metrics else None for o in outcomes}
        for o in (o for o in outcomes if o.points):
            missed = [None if point.fault else violation(point.metrics) for point in o.points]
            least[o.id] = min(by for by in missed if by is not None)
            numbered = enumerate(zip(o.points, missed, strict=True), 1)
            self._db.executemany(
                "INSERT INTO points (evaluation, point, choices, metrics, violation, fault) VALUES (?, ?, ?, ?, ?, ?)",
                ((o.id, n, _json(p.choices), _json(p.metrics), by, _plain_text(p.fault)) for n, (p, by) in numbered),
            )
        seal(self._db, "points", (o.id for o in outcomes if o.points))
        self._db.executemany(
            "UPDATE evaluations SET status = ?, metrics = ?, reason = ?, traceback = ?, output = ?, violation = ?, "
            "started_at = ?, duration_s = ?, worker = ?, attempts = ?, facts = ?, n_points = ? "
            "WHERE id = ?",
            (
                (*_ending(o), least[o.id], o.started_at, o.duration_s, o.worker, o.attempts, *_offered(o), o.id)
                for o in outcomes
            ),
        )
        seal(self._db, "evaluations", (o.id for o in outcomes))

    def revise(self, revised: Mapping[Key, tuple[Mapping[str, float], float]]) -> None:
        """Replace the metrics, and the violation, of evaluations and points whose architecture was measured again."""
        ids = {evaluation_of(key) for key in revised}
        as_written = {table: ids - set(keys_in_doubt(self._db, table, ids)) for table in ("evaluations", "points")}
        for key, (metrics, violation) in revised.items():
            evaluation, point = place_of_key(key)
            table, where = ("points", "evaluation = ? AND point = ?") if point else ("evaluations", "id = ?")
            row = [_json(metrics), violation, *([evaluation, point] if point else [evaluation])]
            self._db.execute(f"UPDATE {table} SET metrics = ?, violation = ? WHERE {where}", row)
        least = "(SELECT min(violation) FROM points WHERE evaluation = id)"
        changed = f"UPDATE evaluations SET violation = {least} WHERE id = ? AND n_points > 0"
        self._db.executemany(changed, [(key,) for key in ids])
        for table, keys in as_written.items():
            seal(self._db, table, keys)

    def record_generation(
        self, generation: int, n_asked: int, population: Sequence[Key], optimum: Sequence[Key]
    ) -> None:
        """Record a finished generation; one that is replayed without its checkpoint takes its old place."""
        self._db.execute(
            "INSERT OR REPLACE INTO generations (generation, n_asked, population, optimum, finished_at) "
            "VALUES (?, ?, ?, ?, ?)",
            (generation, n_asked, _json(population), _json(optimum), time.time()),
        )
        seal(self._db, "generations", [generation])

    def record_checkpoint(self, state: str) -> None:
        """Replace the checkpoint by the optimizer's present state."""
        self._db.execute("INSERT OR REPLACE INTO checkpoint (one, state) VALUES (1, ?)", (state,))
        seal(self._db, "checkpoint", [1])

    def record_event(self, kind: EventKind, **detail: Any) -> None:
        """Record a decision or an incident."""
        event = time.time(), kind, _json(detail)
        new = self._db.execute("INSERT INTO events (at, kind, detail) VALUES (?, ?, ?)", event).lastrowid
        seal(self._db, "events", [new or 0])


def unknown_format(path: Path | None, found: int) -> RunFolderError:
    """Return the error that a ledger is of a format that this version does not know."""
    return RunFolderError(
        f"`{path}` must be a ledger of format {FORMAT}, but is of format {found}; "
        "read it with the version of evo-moo that wrote it"
    )


def begun_anew(path: Path | None) -> str:
    """Name the command that begins a run anew whose ledger is lost."""
    folder = path.parent if path else Path()
    command = f"resume {folder}" if (folder / "job.toml").is_file() else f"run JOB --run-dir {folder}"
    return f"`evo-moo {command}` begins it anew"


def _descent(c: Asked) -> tuple[Any, ...]:
    prediction = None if c.prediction is None else _json(c.prediction)
    return c.origin, _json(c.parents), prediction, c.fidelity, c.replicate, c.continues, c.cost


def _ending(outcome: Ended) -> tuple[str, ...]:
    texts = (outcome.reason, outcome.traceback, outcome.output)
    return outcome.status, _json(outcome.metrics), *map(_plain_text, texts)


def _offered(outcome: Ended) -> tuple[str, int]:
    return _json(outcome.facts), len(outcome.points)


def _plain_text(text: str) -> str:
    """Return a text that SQLite takes: file names that are no text reach messages as lone surrogates."""
    return text and text.encode("utf-8", "replace").decode()


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name; None where there is none."""
    if path is not None:
        with contextlib.suppress(OSError):
            found = path.stat()
            return found.st_dev, found.st_ino
    return None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
