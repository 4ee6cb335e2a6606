"""What can be asked of a ledger."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from evo_moo.problem.goals import ROWS_AT_A_TIME
from evo_moo.problem.learning_curve import LearningCurve
from evo_moo.problem.measurements import Measurement, Pooled
from evo_moo.problem.points import Key, evaluation_of, key_of
from evo_moo.storage.evaluation_row import COLUMNS, FAILED, TOLD, Evaluation, PointRow, declared_options
from evo_moo.storage.facts import EventKind, RunFacts


class Generation(NamedTuple):
    """A finished generation: its number, how many evaluations were asked for by then, and keys of its members."""

    number: int
    n_asked: int
    population: list[Key]
    optimum: list[Key]


class Queries:
    """Reads the tables of a ledger; evaluations come in the order of asking.

    Args:
        db: The connection.
        path: The ledger's file; None where it is in memory.
    """

    def __init__(self, db: sqlite3.Connection, path: Path | None) -> None:
        self._db, self.path = db, path

    def facts(self) -> RunFacts:
        """Read all facts on the run."""
        texts = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        return RunFacts(self.path and self.path.parent.absolute(), texts)

    def evaluations(self) -> Iterator[Evaluation]:
        """Read all evaluations."""
        return self._evaluations("1")

    def ended(self) -> Iterator[Evaluation]:
        """Read the evaluations that have ended, well or not."""
        return self._evaluations("status != 'asked'")

    def ok(self) -> Iterator[Evaluation]:
        """Read what the full evaluations offer that ended well: themselves, or each point."""
        return (each for e in self._evaluations("status = 'ok'") for each in e.offers())

    def feasible(self) -> Iterator[Evaluation]:
        """Read what the full evaluations offer that keeps every limit."""
        return (
            each for e in self._evaluations("status = 'ok' AND violation = 0") for each in e.offers() if each.feasible
        )

    def failed(self) -> Iterator[Evaluation]:
        """Read the evaluations that failed, crashed or ran too long."""
        return self._evaluations(f"status IN {FAILED}")

    def predicted(self) -> Iterator[Evaluation]:
        """Read the evaluations of which a surrogate model expected something."""
        return self._evaluations("prediction IS NOT NULL")

    def up_to(self, n_asked: int) -> Iterator[Evaluation]:
        """Read the first ``n_asked`` evaluations."""
        return self._evaluations("id <= ?", n_asked)

    def open_after(self, n_asked: int) -> Iterator[Evaluation]:
        """Read what a checkpoint after ``n_asked`` evaluations does not know: later ones, and those not ended."""
        return self._evaluations("id > ? OR status = 'asked'", n_asked)

    def with_replicates(self, member: Evaluation) -> Iterator[Evaluation]:
        """Read a full evaluation, or a point of one, and its replicates that ended well, of a point by its choices."""
        same = "id = ?1 OR (replicate > 0 AND continues = ?1)"
        rows = self._evaluations(f"status = 'ok' AND ({same})", member.training_id)
        return (each for e in rows for each in e.offers() if each.choices_json == member.choices_json)

    def of_ids(self, ids: Sequence[Key]) -> list[Evaluation]:
        """Read evaluations, and points of some, in the order of ``ids``; those that are not there are left out."""
        wanted = str(sorted({evaluation_of(key) for key in ids}))
        rows = list(self._evaluations("id IN (SELECT value FROM json_each(?))", wanted))
        by_key = {each.id: each for e in rows for each in (e, *e.offers())}
        return [by_key[key] for key in ids if key in by_key]

    def _evaluations(self, where: str, *parameters: Any) -> Iterator[Evaluation]:
        space = self._column("SELECT value FROM meta WHERE key = 'space'")
        declared = declared_options(orjson.loads(space[0])) if space else {}
        rows = self._in_parts(COLUMNS, "evaluations", where, *parameters)
        return (Evaluation.of_row((*row, declared, self._points(row[0]) if row[-1] else ())) for row in rows)

    def has_points(self) -> bool:
        """Return whether some training offers points."""
        return bool(self._column("SELECT 1 FROM points LIMIT 1"))

    def point_faults(self) -> dict[str, int]:
        """Count the points that could not be made by why."""
        query = "SELECT fault, count(*) FROM points WHERE fault != '' GROUP BY 1 ORDER BY min(evaluation)"
        return dict(self._db.execute(query).fetchall())

    def _points(self, evaluation_id: int) -> tuple[PointRow, ...]:
        columns = ", ".join(name.removesuffix("_json") for name in PointRow._fields)
        query = f"SELECT {columns} FROM points WHERE evaluation = ? ORDER BY point"
        return tuple(map(PointRow.of_row, self._db.execute(query, (evaluation_id,)).fetchall()))

    def between(self, start: int, stop: int) -> list[Evaluation]:
        """Read the evaluations from one place in the order of asking, counted from 0, to before another one."""
        here = "id IN (SELECT id FROM evaluations ORDER BY id LIMIT ? OFFSET ?)"
        return list(self._evaluations(here, max(stop - start, 0), start))

    def n_up_to(self, evaluation_id: int) -> int:
        """Count the evaluations up to an id, and what was told with its metrics."""
        return int(self._column("SELECT count(*) FROM evaluations WHERE id <= ?", evaluation_id)[0])

    def last_id(self) -> int:
        """Return the highest id; 0 without an evaluation."""
        return int(self._column("SELECT coalesce(max(id), 0) FROM evaluations")[0])

    def encoded_rows(self, up_to: int) -> Iterator[bytes]:
        """Read the encoded rows of the first ``up_to`` evaluations."""
        return (x for _, x in self._in_parts("x", "evaluations", "id <= ?", up_to))

    def best_by_limits(self) -> Iterator[tuple[Key, dict[str, float]]]:
        """Read keys and metrics of what the full evaluations offer that keeps the limits; of all, where none does."""
        keeps = "status = 'ok' AND violation = 0"
        is_kept = bool(self._column(f"SELECT 1 FROM evaluations WHERE {keeps} LIMIT 1"))
        if self.has_points():
            return ((e.id, e.metrics) for e in (self.feasible() if is_kept else self.ok()))
        rows = self._in_parts("metrics", "evaluations", keeps if is_kept else "status = 'ok'")
        return ((key, orjson.loads(metrics)) for key, metrics in rows)

    def _in_parts(self, columns: str, table: str, where: str = "1", *parameters: Any) -> Iterator[tuple[Any, ...]]:
        """Select ids and columns by id, some rows at a time: however many, they take little memory and hold up nobody.

        What a writer adds meanwhile is seen, unless a transaction of the reader's is open.
        """
        query = f"SELECT id, {columns} FROM {table} WHERE ({where}) AND id > ? ORDER BY id LIMIT {ROWS_AT_A_TIME}"
        last, is_more = -(2**63), True
        while is_more:
            rows = self._db.execute(query, (*parameters, last)).fetchall()
            yield from rows
            is_more = len(rows) == ROWS_AT_A_TIME
            last = rows[-1][0] if rows else last

    def children(self, evaluation_id: int) -> list[int]:
        """Return the ids of the evaluations that were bred from one."""
        bred = "SELECT DISTINCT e.id FROM evaluations e, json_each(e.parents) p WHERE p.value = ? ORDER BY e.id"
        return self._column(bred, evaluation_id)

    def memberships(self, key: Key) -> list[int]:
        """Return the generations in whose population a point, or an evaluation or one of its points, was."""
        of_it = "CAST(p.value AS TEXT) = ?1 OR p.value LIKE ?1 || '.%'"
        members = f"SELECT DISTINCT g.generation FROM generations g, json_each(g.population) p WHERE {of_it} ORDER BY 1"
        return self._column(members, str(key))

    def _column(self, query: str, *parameters: Any) -> list[Any]:
        return [value for (value,) in self._db.execute(query, parameters)]

    def counts(self) -> dict[str, int]:
        """Count the evaluations of the run by status."""
        query = f"SELECT status, count(*) FROM evaluations WHERE origin != '{TOLD}' GROUP BY status"
        return dict(self._db.execute(query).fetchall())

    def n_told(self) -> int:
        """Count what was measured elsewhere, and told with its metrics."""
        (count,) = self._column(f"SELECT count(*) FROM evaluations WHERE origin = '{TOLD}'")
        return int(count)

    def endings(self) -> dict[tuple[str, str], int]:
        """Count the evaluations of the run by status and reason."""
        rows = self._db.execute(
            f"SELECT status, reason, count(*) FROM evaluations WHERE origin != '{TOLD}' GROUP BY 1, 2 ORDER BY min(id)"
        )
        return {(status, reason): n for status, reason, n in rows}

    def has_replicates(self, after: int = 0) -> bool:
        """Return whether an evaluation with an id above ``after`` is one repeated with another seed."""
        return bool(self._column("SELECT 1 FROM evaluations WHERE replicate > 0 AND id > ? LIMIT 1", after))

    def cost(self) -> float:
        """Return what all evaluations cost that were asked for, in full evaluations."""
        return self._cost("1")

    def cost_of_ended(self) -> float:
        """Return what the evaluations cost that have ended, in full evaluations."""
        return self._cost("status != 'asked'")

    def _cost(self, where: str) -> float:
        (total,) = self._column(f"SELECT coalesce(sum(cost), 0) FROM evaluations WHERE {where}")
        return round(float(total), 6)

    def n_refined(self) -> int:
        """Count the evaluations of a search with refinement: those that have a fidelity."""
        return int(self._column("SELECT count(fidelity) FROM evaluations")[0])

    def curves(self) -> dict[int, LearningCurve]:
        """Read the learning curves: id of an evaluation to what it reported."""
        rows = self._db.execute("SELECT evaluation, curve FROM curves ORDER BY evaluation").fetchall()
        return {key: LearningCurve(**orjson.loads(curve)) for key, curve in rows}

    def checkpoint(self) -> str | None:
        """Read the optimizer's last state."""
        return next(iter(self._column("SELECT state FROM checkpoint")), None)

    def generations(self, after: int = 0) -> Iterator[Generation]:
        """Read the finished generations after one."""
        return self._generations("WHERE generation > ? ORDER BY generation", after)

    def last_generation(self) -> Generation | None:
        """Read the last finished generation."""
        return next(self._generations("ORDER BY generation DESC LIMIT 1"), None)

    def _generations(self, which: str, *parameters: int) -> Iterator[Generation]:
        query = f"SELECT generation, n_asked, population, optimum FROM generations {which}"
        rows = self._db.execute(query, parameters).fetchall()
        return (Generation(n, n_asked, orjson.loads(ids), orjson.loads(optimum)) for n, n_asked, ids, optimum in rows)

    def measured(self) -> list[tuple[Key, list[Measurement]]]:
        """Read what was measured: the id of an evaluation or of its point, and the measurements."""
        return [
            (
                key_of(detail["evaluation"], detail.get("point")),
                list(map(Measurement.of_record, detail["measurements"])),
            )
            for kind, detail in self._on_measurements()
            if kind == "measured"
        ]

    def said(self) -> dict[Key, Pooled]:
        """Read what the measurements say of evaluations and points: id to intervals and doubts, without the values."""
        said = dict[Key, Pooled]()
        for _, detail in self._on_measurements():
            intervals = {name: (low, high) for name, (low, high) in detail["intervals"].items()}
            for key in detail["evaluations"] if "evaluations" in detail else [_key(detail)]:
                if isinstance(key, str):  # what was said of the training before is of no point any more
                    said.pop(evaluation_of(key), None)
                said[key] = Pooled({}, intervals, detail["in_doubt"])
        return said

    def _on_measurements(self) -> Iterator[tuple[str, dict[str, Any]]]:
        rows = self._in_parts("kind, detail", "events", "kind IN ('profile reused', 'measured', 'measured again')")
        return ((kind, detail) for _, kind, text in rows if "in_doubt" in (detail := orjson.loads(text)))

    def last_event_at(self) -> float:
        """Return the time of the last event; 0 without any."""
        return float(self._column("SELECT coalesce(max(at), 0) FROM events")[0])

    def events(self, kind: EventKind | None = None) -> Iterator[tuple[float, EventKind, dict[str, Any]]]:
        """Read the events, all or those of one kind: time, kind, detail."""
        rows = self._in_parts("at, kind, detail", "events", "?1 IN (kind, '')", kind or "")
        return ((at, kind, orjson.loads(detail)) for _, at, kind, detail in rows)


def _key(detail: dict[str, Any]) -> Key:
    """Return what an event is about: an evaluation, or one of its points."""
    return key_of(detail["evaluation"], detail.get("point"))
