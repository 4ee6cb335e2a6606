"""How a ledger of an older format becomes one of the present format, by a step that stands here for the next one."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evo_moo.errors import RunFolderError
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.migrations import FORMAT, STEPS, format_of

GOLDEN = Path(__file__).parents[2] / "golden" / f"format_{FORMAT}" / "stopped" / "run.sqlite"


@pytest.fixture
def old(tmp_path):
    """A ledger of a format without learning curves."""
    file = tmp_path / "run.sqlite"
    shutil.copyfile(GOLDEN, file)
    with closing(sqlite3.connect(file)) as db:
        db.execute("DROP TABLE curves")
        db.execute(f"PRAGMA user_version = {FORMAT - 1}")
    return file


def add_curves(db):
    db.execute("CREATE TABLE curves (evaluation INTEGER PRIMARY KEY, curve TEXT NOT NULL, checksum INTEGER) STRICT")


def found_format(file):
    with closing(sqlite3.connect(file)) as db:
        return format_of(db)


def test_an_older_ledger_is_read_from_a_copy(old, monkeypatch):
    monkeypatch.setitem(STEPS, FORMAT - 1, add_curves)
    before = old.read_bytes()
    with closing(Ledger(old, writable=False)) as ledger:
        assert ledger.curves() == {} and ledger.counts()["ok"] > 0
    assert old.read_bytes() == before


def test_an_older_ledger_is_migrated_by_its_writer(old, monkeypatch):
    monkeypatch.setitem(STEPS, FORMAT - 1, add_curves)
    with closing(Ledger(old)) as ledger:
        assert ledger.curves() == {} and ledger.counts()["ok"] > 0
    assert found_format(old) == FORMAT


def test_a_migration_is_done_whole_or_not_at_all(old, monkeypatch):
    def interrupted(db):
        add_curves(db)
        raise KeyboardInterrupt

    monkeypatch.setitem(STEPS, FORMAT - 1, interrupted)
    with pytest.raises(KeyboardInterrupt):
        Ledger(old)
    assert found_format(old) == FORMAT - 1
    monkeypatch.setitem(STEPS, FORMAT - 1, add_curves)
    Ledger(old).close()
    assert found_format(old) == FORMAT


@pytest.mark.parametrize("writable", [True, False])
def test_a_format_without_a_step_is_refused(old, writable, monkeypatch):
    monkeypatch.delitem(STEPS, FORMAT - 1)
    with pytest.raises(RunFolderError, match=f"must be a ledger of format {FORMAT}, but is of format {FORMAT - 1}"):
        Ledger(old, writable=writable)
