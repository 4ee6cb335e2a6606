"""What of a ledger is intact; nothing in it is trusted."""

import contextlib
import csv
import itertools
import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from evo_moo.errors import EvoMooError
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import evaluation_of, read_key
from evo_moo.storage.checkpoint import from_json
from evo_moo.storage.checksums import in_doubt, keys_in_doubt
from evo_moo.storage.evaluation_row import STATUSES, declared_options
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.migrations import FORMAT, TABLES
from evo_moo.storage.reading import WHAT_DAMAGE_RAISES

WHAT_READING_RAISES = (*WHAT_DAMAGE_RAISES, EvoMooError, csv.Error, OSError)


class SuspectLedger(Ledger):
    """A ledger that may be damaged: what is wrong with it, and a way to drop that."""

    @contextlib.contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Read one state of the ledger inside the block, whatever a writer adds meanwhile."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def checks(self) -> dict[str, Callable[[], str]]:
        """Return a check for each part of the ledger.

        A check describes its part in a few words; where that is damaged, it raises one of ``WHAT_READING_RAISES``.
        """
        return {
            "ledger": self._check_integrity,
            "facts": self._check_facts,
            "evaluations": self._check_evaluations,
            "generations": self._check_generations,
            "points": self._check_points,
            "checkpoint": self._check_checkpoint,
            "curves": self._check_curves,
            "events": self._check_events,
        }

    def check_front(self, file: Path) -> str:
        """Check that a front's file can be read and knows only evaluations that there are; describe it.

        Raises:
            ValueError: It knows others.
            OSError: It cannot be read.
        """
        if not file.exists():
            return "not there; `evo-moo resume` writes it"
        with file.open(newline="") as lines:
            members = [evaluation_of(read_key(row["id"])) for row in csv.DictReader(lines, strict=True)]
        _require(members, self._ids())
        return f"{len(members)} members"

    def is_as_written(self, fact: str) -> bool:
        """Return whether a fact is as it was written, by its checksum."""
        return not keys_in_doubt(self._db, "meta", [fact])

    def mend(self) -> list[str]:
        """Drop what contradicts itself, so that the search does it again.

        Returns:
            What was done, a line for each thing.
        """
        with self.transaction():
            self._db.create_function("is_json", 1, _is_json)
            beside = {
                *self._removed("curves", "evaluation", "curve"),
                *self._removed("points", "evaluation", "metrics"),
            }
            wrong = sorted({*dict(self._wrong_evaluations()), *beside})
            for table, column in (("evaluations", "id"), ("points", "evaluation")):
                self._db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(key,) for key in wrong])
            done = [f"evaluations: damaged {_named(wrong, len(wrong))} removed"] if wrong else []
            for table, key, column in (("meta", "key", "value"), ("events", "id", "detail")):
                done += [f"{table}: damaged {name} removed" for name in self._removed(table, key, column)]
            if self._has_broken_space():
                self._db.execute("DELETE FROM meta WHERE key = 'space'")
                done.append("meta: damaged space removed")
            is_broken = self._is_broken()
            if is_broken:
                had_checkpoint = self._db.execute("DELETE FROM checkpoint").rowcount
                self._db.execute("DELETE FROM generations")
                reused = "checkpoint: removed; a resume asks from the start and reuses every outcome"
                done.append(reused if had_checkpoint else "generations: removed")
            n = len(self._ids())
            n_lost, is_finished = self._n_asked() - n, self.facts().state == "finished"
            if self._missing_facts():
                self._db.execute("DELETE FROM meta WHERE key = 'job'")
                done.append("facts: incomplete; a resume writes them anew from job.toml")
            elif is_broken or wrong or n_lost > 0 or (is_finished and n < self._budget()):
                self.set_meta(state="stopped")
                if n_lost > 0 and is_finished:
                    # What is lost costs its share of the time again; a spent time would end the search at once.
                    self.set_meta(elapsed_s=self.facts().elapsed_s * n / (n + n_lost))
            if n_lost > 0:
                done.append(f"evaluations: {n_lost} missing; `evo-moo resume` evaluates them again")
        return done

    def _removed(self, table: str, key: str, column: str) -> list[Any]:
        """Remove the rows of a table whose column is no JSON, or which are not as written; return the keys."""
        is_damaged = f"NOT is_json(CAST({column} AS BLOB)) OR {in_doubt(table)}"
        return [
            name for (name,) in self._db.execute(f"DELETE FROM {table} WHERE {is_damaged} RETURNING {key}").fetchall()
        ]

    def columns(self) -> set[tuple[str, str]]:
        """Return the pairs of a table and one of its columns."""
        return set(self._db.execute("SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c"))

    def _check_integrity(self) -> str:
        if (faults := self._column("PRAGMA integrity_check(5)")) != ["ok"]:
            raise ValueError("; ".join(faults))
        with contextlib.closing(SuspectLedger()) as new:
            lacking = {table for table, _ in new.columns() - self.columns()}
        if lacking:
            raise ValueError(f"lacks tables or columns of them: {', '.join(sorted(lacking))}")
        for table in TABLES:  # SQLite takes any bytes for text; reading them does not
            for _ in self._db.execute(f"SELECT * FROM {table}"):
                pass
        return f"format {FORMAT} or brought to it"

    def _check_facts(self) -> str:
        if not self.facts().texts and not self._ids():
            return "the run has not begun yet"
        self._require_as_written("meta")
        values = {key: orjson.loads(text) for key, text in self.facts().texts.items()}
        Goals.from_json(values["goals"])
        if missing := self._missing_facts():
            raise ValueError(f"lack {', '.join(sorted(missing))}")
        if self._has_broken_space():
            raise ValueError("hold a space whose options cannot be read")
        return f"state {values['state']}"

    def _missing_facts(self) -> set[str]:
        facts = self.facts()
        needed = {"goals", "metrics", "space", "front", "state", "confirmation" if facts.is_confirmation else "job"}
        return needed - facts.texts.keys()

    def _has_broken_space(self) -> bool:
        facts = self.facts()
        try:
            declared_options(facts.space if "space" in facts.texts else {})
        except WHAT_READING_RAISES:
            return True
        return False

    def _check_evaluations(self) -> str:
        if wrong := dict(self._wrong_evaluations()):
            (key, fault), *others = wrong.items()
            more = f"; likewise damaged: {_named((key for key, _ in others), len(others))}" if others else ""
            raise ValueError(f"evaluation {key} has {fault}{more}")
        ids, wanted = self._ids(), range(1, self._n_asked() + 1)
        n_lost = len(wanted) - sum(key in wanted for key in ids)
        if n_lost:
            is_ready = self.checkpoint() is None and self.facts().state != "finished"
            again = "`evo-moo resume` evaluates" if is_ready else "`--repair` lets a resume evaluate"
            missing = _named((key for key in wanted if key not in ids), n_lost)
            raise ValueError(f"{len(ids)} there, missing: {missing}; {again} them again")
        return f"{len(ids)}"

    def _check_generations(self) -> str:
        ids, n = self._ids(), 0
        self._require_as_written("generations")
        for n, generation in enumerate(self.generations(after=-1), 1):
            if generation.number != n:
                raise ValueError(f"generation {n} is not there")
            _require(map(evaluation_of, (*generation.population, *generation.optimum)), ids, f"generation {n} ")
        return f"{n}"

    def _check_checkpoint(self) -> str:
        self._require_as_written("checkpoint")
        text, last = self.checkpoint(), self.last_generation()
        if text is None:
            return "none yet; a resume asks from the start and reuses every outcome"
        state = from_json(text)
        known = [state["n_asked"]] if state["n_asked"] else []
        if "steps" not in state:  # on a ladder the ids of the optimizer's own candidates are others
            known += map(int, state["told"])
            for algorithm in _populations(state["algorithm"]):
                if "ids" in algorithm:  # the state of an algorithm of pymoo's own is what it was told
                    known += map(int, algorithm["ids"])
                    continue
                population = algorithm["population"] or {"id": []}
                known += [*map(int, population["id"]), *map(evaluation_of, algorithm["optimum"])]
        _require(known, self._ids())
        recorded = last.number if last else 0
        if state["generation"] != recorded:
            raise ValueError(f"is of generation {state['generation']}, but the last one recorded is {recorded}")
        return f"after {state['n_asked']} evaluations"

    def _check_curves(self) -> str:
        self._require_as_written("curves")
        return f"{len(self.curves())}"

    def _check_points(self) -> str:
        self._require_as_written("points")
        (n,) = self._column("SELECT count(*) FROM points")
        return f"{n}"

    def _check_events(self) -> str:
        self._require_as_written("events")
        return f"{sum(1 for _ in self.events())}"

    def _require_as_written(self, table: str) -> None:
        if keys := keys_in_doubt(self._db, table):
            which = "" if table == "checkpoint" else f": {_named(keys, len(keys))}"
            raise ValueError(f"not as written, by the checksum{which}")

    def _is_broken(self) -> bool:
        """Return whether an evaluation is missing before the last one, or a generation or the checkpoint is damaged."""
        try:
            self._check_generations()
            self._check_checkpoint()
        except WHAT_READING_RAISES:
            return True
        ids = self._ids()
        return len(ids) != max(ids, default=0)

    def _wrong_evaluations(self) -> Iterator[tuple[int, str]]:
        """Read the evaluations that cannot be: the id, and what is wrong."""
        (length,) = self._column("SELECT length(x) FROM evaluations GROUP BY 1 ORDER BY count(*) DESC LIMIT 1") or [0]
        for row in self._db.execute(
            "SELECT id, status, x, continues, configuration, metrics, coalesce(prediction, '{}'), facts, parents, "
            "n_points - (SELECT count(*) FROM points WHERE evaluation = id), "
            f"{in_doubt('evaluations')} FROM evaluations ORDER BY id"
        ):
            if fault := _fault(row[:-2], length if length % 8 == 0 else 0):
                yield row[0], fault
            elif row[-2]:
                yield row[0], f"{abs(row[-2])} points too {'few' if row[-2] > 0 else 'many'}"
            elif row[-1]:
                yield row[0], "another checksum than when it ended: its configuration, metrics or times are in doubt"

    def _ids(self) -> set[int]:
        return set(self._column("SELECT id FROM evaluations"))

    def _n_asked(self) -> int:
        """Return the number of evaluations that the run has asked for, as far as its ledger knows."""
        known = [max(self._ids(), default=0)]
        with contextlib.suppress(sqlite3.Error):
            known += self._column(
                "SELECT coalesce(CAST(json_extract(detail, '$.n_asked') AS INTEGER), 0) FROM events "
                "WHERE json_valid(detail) AND kind IN ('running', 'stopped', 'finished', 'failed') "
                "ORDER BY id DESC LIMIT 1"
            )
        return max(known)

    def _budget(self) -> int:
        """Return the job's limit on the number of evaluations; 0 where there is none."""
        limit = "coalesce(CAST(json_extract(value, '$.budget.n_evals') AS INTEGER), 0)"
        return sum(self._column(f"SELECT {limit} FROM meta WHERE key = 'job'"))


def _populations(algorithm: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the states of the populations, one for each context; none where nothing evolves."""
    return [algorithm, *algorithm.get("others", [])] if algorithm else []


def _fault(row: tuple[Any, ...], n_bytes: int) -> str:
    """Say what is wrong with an evaluation; empty if nothing is.

    Args:
        row: Its id, status, encoded row, rung below; as JSON its configuration, metrics, prediction, facts, parents.
        n_bytes: The length of an encoded row.
    """
    key, status, x, continues, *texts = row
    earlier = range(1, key)
    if key < 1:
        return "an id below 1"
    try:
        *tables, parents = map(orjson.loads, texts)
        if not all(isinstance(table, dict) for table in tables) or not all(map(math.isfinite, tables[1].values())):
            return "values that no evaluation has"
    except (ValueError, TypeError):
        return "columns that are no JSON"
    if not isinstance(parents, list) or not all(isinstance(parent, int) and parent in earlier for parent in parents):
        return "parents that cannot be"
    if status not in STATUSES:
        return f"the unknown status {status!r}"
    if continues is not None and continues not in earlier:
        return "a rung below that cannot be"
    return "" if len(x) == n_bytes else f"{len(x)} bytes as its encoded row"


def _is_json(text: bytes) -> bool:
    with contextlib.suppress(ValueError):
        orjson.loads(text)
        return True
    return False


def _require(ids: Iterable[int], there: set[int], who: str = "") -> None:
    """Raise ``ValueError`` where some ids are those of no evaluation."""
    if missing := set(ids) - there:
        raise ValueError(f"{who}knows evaluations that are not there: {_named(sorted(missing), len(missing))}")


def _named(ids: Iterable[int | str], n: int) -> str:
    """Name the first five of ``n`` ids, and the number of the others."""
    first = ", ".join(map(str, itertools.islice(ids, 5)))
    return f"{first} and {n - 5} more" if n > 5 else first
