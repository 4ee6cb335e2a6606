"""A byte of a ledger that flips, and still makes sense, is told with its row; a repair and a resume undo it."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

import evo_moo
from evo_moo.cli.runs import show
from evo_moo.errors import EvoMooError
from evo_moo.run.doctor import examine
from evo_moo.run.repair import repair
from tests.golden import make_golden
from tests.integration.running import ledger_of

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def problem_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is finished, one that is stopped, and what becomes of that."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("finished", "stopped"):
        make_golden.make(name, folder / name)
    make_golden.search("finished", folder / "finished-twin")
    make_golden.search("stopped", folder / "stopped-twin")
    return folder


def flip(run: Path, table: str, column: str, where: str, old: str, new: str) -> None:
    """Change characters of one value to others that make sense there."""
    with contextlib.closing(sqlite3.connect(run / "run.sqlite", isolation_level=None)) as db:
        (text,) = db.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
        changed = text.replace(*((old, new) if isinstance(text, str) else (old.encode(), new.encode())), 1)
        assert changed != text
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (changed,))


def faults(run: Path) -> dict[str, str]:
    return {finding.what: finding.detail for finding in examine(run) if not finding.sound}


FLIPS = {
    "metrics": ("evaluations", "metrics", "id = 4", '"loss":', '"loss":1', "evaluations", "evaluation 4 has another"),
    "configuration": ("evaluations", "configuration", "id = 4", ":0.", ":0.1", "evaluations", "evaluation 4 has"),
    "status": ("evaluations", "status", "id = 4", "ok", "failed", "evaluations", "evaluation 4 has another checksum"),
    "goals": ("meta", "value", "key = 'goals'", "max", "min", "facts", "not as written, by the checksum: goals"),
    "seed": ("meta", "value", "key = 'job'", '"seed":3', '"seed":7', "facts", "not as written, by the checksum: job"),
    "checkpoint": ("checkpoint", "state", "one = 1", "A", "B", "checkpoint", "not as written, by the checksum"),
    "population": ("generations", "population", "generation = 1", "[5", "[6", "generations", "by the checksum: 1"),
    "event": ("events", "detail", "id = 1", "}", " }", "events", "not as written, by the checksum: 1"),
}


@pytest.mark.parametrize(("name", "flipped"), [*(("stopped", flip) for flip in FLIPS), ("finished", "metrics")])
def test_a_flipped_byte_is_told_and_undone(runs: Path, tmp_path: Path, name: str, flipped: str) -> None:
    run = Path(shutil.copytree(runs / name, tmp_path / "r"))
    *place, what, words = FLIPS[flipped]
    flip(run, *place)
    assert words in faults(run)[what]
    with contextlib.suppress(EvoMooError):
        show(run)
    repair(run)
    evo_moo.resume(run)
    assert ledger_of(run) == ledger_of(runs / f"{name}-twin") and faults(run) == {}


def test_all_rows_in_doubt_are_told(runs: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs / "finished", tmp_path / "r"))
    for key in (4, 5, 9):
        flip(run, "evaluations", "metrics", f"id = {key}", '"loss":', '"loss":1')
    assert faults(run)["evaluations"].endswith("are in doubt; likewise damaged: 5, 9")
    assert "evaluations: damaged 4, 5, 9 removed" in repair(run)


def test_a_job_in_doubt_does_not_replace_a_sound_file(runs: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs / "finished", tmp_path / "r"))
    written = (run / "job.toml").read_text()
    flip(run, "meta", "value", "key = 'job'", '"seed":3', '"seed":7')
    assert "job.toml" in faults(run)
    repair(run)
    assert (run / "job.toml").read_text() == written


def test_a_job_in_doubt_is_kept_where_there_is_no_other(runs: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs / "finished", tmp_path / "r"))
    flip(run, "meta", "value", "key = 'goals'", "max", "min")
    (run / "job.toml").unlink()
    repair(run)
    evo_moo.resume(run)
    assert ledger_of(run) == ledger_of(runs / "finished-twin") and faults(run) == {}


def test_a_curve_in_doubt_costs_its_evaluation(runs: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs / "finished", tmp_path / "r"))
    with contextlib.closing(sqlite3.connect(run / "run.sqlite", isolation_level=None)) as db:
        db.execute('INSERT INTO curves VALUES (3, \'{"epochs": [1], "metrics": {}}\', 1)')
    assert faults(run) == {"curves": "not as written, by the checksum: 3"}
    assert "evaluations: damaged 3 removed" in repair(run)
    evo_moo.resume(run)
    assert ledger_of(run) == ledger_of(runs / "finished-twin") and faults(run) == {}
