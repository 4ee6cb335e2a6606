"""A row that is not as it was written is found, whatever changed of it."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from evo_moo.evaluation.task import Outcome
from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.learning_curve import LearningCurve
from evo_moo.storage.checksums import COMPARED, COUNTED, SHOWN, keys_in_doubt
from evo_moo.storage.database import open_to_write
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.migrations import TABLES, create


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.sqlite"
    with closing(Ledger(path)) as ledger, ledger.transaction():
        ledger.set_meta(goals={"é": 1}, state="new")
        ledger.record_asked([(Candidate(i, 1, {"lr": 0.1}, np.array([0.1])), i) for i in (1, 2)])
        curve = LearningCurve([1], {"loss": [0.5]})
        ledger.record_outcomes([Outcome(1, "ok", {"loss": 0.1}, "é\x80", worker=3, curve=curve)], lambda metrics: 0.0)
        ledger.record_generation(1, 2, [1], [1])
        ledger.record_checkpoint("{}")
        ledger.record_event("running", n_asked=2)
    return path


def in_doubt(path):
    with closing(open_to_write(path)) as db:
        return {table: keys for table in TABLES if (keys := keys_in_doubt(db, table))}


def change(path, sql):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(sql)


def test_every_column_is_counted_or_only_shown():
    with closing(sqlite3.connect(":memory:")) as db:
        create(db)
        for table in TABLES:
            columns = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
            assert columns - {"checksum"} - SHOWN - COMPARED == set(COUNTED[table])


def test_written_rows_are_not_in_doubt(file):
    assert in_doubt(file) == {}


@pytest.mark.parametrize(
    ("table", "change_to", "key"),
    [
        ("meta", "value = '\"old\"' WHERE key = 'state'", "state"),
        ("evaluations", "metrics = '{\"loss\":0.3}'", 1),
        ("evaluations", "x = x'00'", 1),
        ("evaluations", "seed = seed + 1", 1),
        ("evaluations", "violation = NULL", 1),
        ("evaluations", "checksum = checksum - 1", 1),
        ("generations", "population = '[2]'", 1),
        ("checkpoint", "state = '[]'", 1),
        ("curves", "curve = replace(curve, '0.5', '0.7')", 1),
        ("events", "kind = 'finished'", 1),
    ],
)
def test_a_value_that_changed_is_found(file, table, change_to, key):
    change(file, f"UPDATE {table} SET {change_to}")
    assert in_doubt(file) == {table: [key]}


def test_shown_columns_are_not_counted(file):
    change(file, "UPDATE evaluations SET reason = 'x', output = 'y', traceback = 'z', worker = 4")
    assert in_doubt(file) == {}


def test_rows_without_a_checksum_are_believed(file):
    change(file, "UPDATE evaluations SET checksum = NULL, seed = 7")
    assert in_doubt(file) == {}


def test_a_row_in_doubt_stays_so_when_it_is_revised(file):
    change(file, "UPDATE evaluations SET seed = 7 WHERE id = 1")
    with closing(Ledger(file)) as ledger, ledger.transaction():
        ledger.revise({1: ({"loss": 0.4}, 0.0)})
    assert in_doubt(file) == {"evaluations": [1]}


def test_a_revised_row_is_as_written(file):
    with closing(Ledger(file)) as ledger, ledger.transaction():
        ledger.revise({1: ({"loss": 0.4}, 0.0)})
    assert in_doubt(file) == {}
