"""Run folders that older versions left are read without a trace, and resumed as if nothing had happened."""

import contextlib
import hashlib
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import evo_moo
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.migrations import FORMAT, STEPS
from evo_moo.storage.reading import reading
from tests.golden import make_golden
from tests.integration.running import evo_moo as command
from tests.integration.running import ledger_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "tests" / "golden").glob("format_*/*"))
NAMES = [f"{path.parent.name}-{path.name}" for path in GOLDEN]
every_folder = pytest.mark.parametrize("golden", GOLDEN, ids=NAMES)


@pytest.fixture(autouse=True)
def problem_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {p.name: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mount a folder over itself so that nobody, root included, can write to it."""
    for mount in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]):
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("this machine lets nobody mount")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_golden_folders_are_of_every_known_format() -> None:
    assert {path.parent.name for path in GOLDEN} == {f"format_{number}" for number in (*STEPS, FORMAT)}
    for path in GOLDEN:
        with sqlite3.connect(f"file:{path}/run.sqlite?mode=ro", uri=True) as db:
            assert f"format_{db.execute('PRAGMA user_version').fetchone()[0]}" == path.parent.name


@every_folder
def test_an_old_folder_is_read_without_a_trace(golden: Path, tmp_path: Path) -> None:
    shutil.copytree(golden, tmp_path / "r")
    before = contents(tmp_path / "r")
    with reading(tmp_path / "r") as ledger:
        evaluations = list(ledger.evaluations())
        assert ledger.facts().state == golden.name.partition("-")[0]
    assert {e.status for e in evaluations} >= {"ok", "failed", "infeasible"}
    result = evo_moo.Result.read(tmp_path / "r")
    assert len(result.evaluations) == sum(len(e.offers()) for e in evaluations) and result.feasible
    assert "Pareto front" in command("show", "r", cwd=tmp_path).stdout
    assert golden.name.partition("-")[0] in command("list", ".", cwd=tmp_path).stdout
    assert contents(tmp_path / "r") == before


def test_an_old_folder_is_read_from_a_read_only_medium(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN[0], tmp_path / "r")
    with read_only(tmp_path / "r"):
        assert "Pareto front" in command("show", "r", cwd=tmp_path).stdout
        refused = command("run", "pymoo:bnh", "--n-evals", 9, "--run-dir", "r", cwd=tmp_path, code=1)
        assert "must be writable" in refused.stderr


def test_a_killed_run_is_read_from_a_read_only_medium(tmp_path: Path) -> None:
    """Its journal lies beside it still, and holds all there is."""
    ledger = Ledger(tmp_path / "run.sqlite")
    ledger.set_meta(state="running")
    (tmp_path / "r").mkdir()
    for name in ("run.sqlite", "run.sqlite-wal"):
        shutil.copyfile(tmp_path / name, tmp_path / "r" / name)
    ledger.close()
    with read_only(tmp_path / "r"), reading(tmp_path / "r") as copy:
        assert copy.facts().state == "running"


@every_folder
def test_an_old_run_goes_on_as_one_of_today_would(golden: Path, tmp_path: Path) -> None:
    shutil.copytree(golden, tmp_path / "r")
    make_golden.search(golden.name, tmp_path / "twin")
    evo_moo.resume(tmp_path / "r")
    assert ledger_of(tmp_path / "r") == ledger_of(tmp_path / "twin")
    assert (tmp_path / "r" / "front.csv").read_bytes() == (tmp_path / "twin" / "front.csv").read_bytes()
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (FORMAT,)
