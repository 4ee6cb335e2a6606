"""Whatever becomes of the disk: one clear message, no traceback, and what was recorded is kept."""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import evo_moo
from evo_moo.errors import RunFolderError, UsageError
from evo_moo.storage.database import Journal, open_to_write, set_journal
from evo_moo.storage.folder_lock import holder_of, on_network
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import reading
from evo_moo.storage.run_folder import RunFolder, journal_for
from tests.golden import make_golden
from tests.integration.running import evo_moo as command
from tests.integration.running import ledger_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
USE = "tests.golden.problem:Golden"
ARGUMENTS = (
    "run",
    USE,
    "--n-evals",
    400,
    "--set",
    "search.pop_size=8",
    "--set",
    "evaluation.pool=serial",
    "--surrogate",
    "none",
)


@pytest.fixture(autouse=True)
def problem_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped in the midst of a generation."""
    folder = tmp_path_factory.mktemp("sound") / "r"
    make_golden.make("stopped", folder)
    return folder


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """Let a folder be a small disk of its own."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_stops_the_run_and_costs_nothing_recorded(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "300k"):
        done = command(*ARGUMENTS, "--run-dir", "disk/r", cwd=tmp_path, code=1)
        assert "full" in done.stderr or "No space left" in done.stderr
        assert "Traceback" not in done.stderr and "Logging error" not in done.stderr
        with reading(tmp_path / "disk" / "r") as ledger:
            n_kept = sum(ledger.counts().values())
        assert 0 < n_kept < 400
        assert command("show", "disk/r", cwd=tmp_path).stdout
        subprocess.run(["mount", "-o", "remount,size=20m", tmp_path / "disk"], check=True)
        command("resume", "disk/r", cwd=tmp_path)
        command(*ARGUMENTS, "--run-dir", "twin", cwd=tmp_path)
        assert ledger_of(tmp_path / "disk" / "r") == ledger_of(tmp_path / "twin")


@pytest.mark.parametrize("size", ["0", "4k", "20k", "60k"])
def test_a_disk_that_is_full_from_the_start_is_one_message(tmp_path: Path, size: str) -> None:
    with mounted(tmp_path / "disk", "4k" if size == "0" else size):
        if size == "0":
            with contextlib.suppress(OSError):
                (tmp_path / "disk" / "filling").write_bytes(b"x" * 4096)
        done = command(*ARGUMENTS, "--run-dir", "disk/r", cwd=tmp_path, code=1)
        assert "Traceback" not in done.stderr and "evo-moo: " in done.stderr


def test_a_folder_removed_in_the_midst_of_a_run_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate, count = make_golden.Golden.evaluate, iter(range(1000))

    def removing(self: Any, config: dict[str, Any], *, seed: int) -> dict[str, float]:
        if next(count) == 10:
            shutil.rmtree(tmp_path / "r")
        return evaluate(self, config, seed=seed)

    monkeypatch.setattr(make_golden.Golden, "evaluate", removing)
    with pytest.raises(RunFolderError, match="was removed or replaced"):
        make_golden.search("finished", tmp_path / "r")
    assert next(count) == 11


def test_a_log_that_takes_no_more_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no disk that is always full")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "log.txt").symlink_to("/dev/full")
    make_golden.search("finished", tmp_path / "r")
    error = capsys.readouterr().err
    assert error.count("cannot be written") == 1 and "Logging error" not in error
    (tmp_path / "s" / "log.txt").mkdir(parents=True)
    with pytest.raises(RunFolderError, match="must be writable"):
        make_golden.search("finished", tmp_path / "s")


def test_a_clock_that_jumps_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_golden.search("stopped", tmp_path / "twin")
    now = iter(range(2_000_000_000, 0, -1_000_000))
    monkeypatch.setattr("time.time", lambda: float(next(now)))
    make_golden.make("stopped", tmp_path / "r")
    evo_moo.resume(tmp_path / "r")
    assert ledger_of(tmp_path / "r") == ledger_of(tmp_path / "twin")


def changed(*statements: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with sqlite3.connect(folder / "run.sqlite") as db:
            for statement in statements:
                db.execute(statement)

    return change


without_checkpoint = changed("DELETE FROM checkpoint")
with_broken_checkpoint = changed("UPDATE checkpoint SET state = substr(state, 1, 900)")
with_another_checkpoint = changed("UPDATE checkpoint SET state = json_set(state, '$.n_asked', 999)")


def with_garbage_amid(folder: Path) -> None:
    """Overwrite one page in the midst of the evaluations."""
    with sqlite3.connect(folder / "run.sqlite") as db:
        query = "SELECT pageno FROM dbstat WHERE name = 'evaluations' AND pagetype = 'leaf' ORDER BY pageno"
        try:
            pages = [page for (page,) in db.execute(query)]
        except sqlite3.Error:
            pages = [5]
    with (folder / "run.sqlite").open("r+b") as file:
        file.seek((pages[len(pages) // 2] - 1) * 4096)
        file.write(b"\xa5" * 4096)


def truncated(folder: Path) -> None:
    os.truncate(folder / "run.sqlite", (folder / "run.sqlite").stat().st_size * 3 // 4 // 4096 * 4096)


def torn(folder: Path) -> None:
    os.truncate(folder / "run.sqlite", (folder / "run.sqlite").stat().st_size - 1500)


DAMAGES = {
    "no job": lambda folder: (folder / "job.toml").unlink(),
    "broken checkpoint": with_broken_checkpoint,
    "another checkpoint": with_another_checkpoint,
    "no evaluations 5 and 6": changed("DELETE FROM evaluations WHERE id IN (5, 6)"),
    "broken values": changed(
        "UPDATE evaluations SET metrics = '{\"loss\": ' WHERE id = 7",
        "UPDATE evaluations SET x = x'00' WHERE id = 9",
        "UPDATE generations SET population = '[1, 99]' WHERE generation = 1",
        "UPDATE events SET detail = 'x'",
    ),
    "no goals": changed("DELETE FROM meta WHERE key IN ('goals', 'front')"),
    "garbage amid": with_garbage_amid,
    "truncated": truncated,
    "torn": torn,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_reported_mended_and_searched_again(damage: Any, sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "r")
    assert command("doctor", "r", cwd=tmp_path).stdout.count("sound") > 6
    damage(tmp_path / "r")
    damaged = (tmp_path / "r" / "run.sqlite").read_bytes()
    assert "damaged" in command("doctor", "r", cwd=tmp_path, code=1).stdout
    assert (tmp_path / "r" / "run.sqlite").read_bytes() == damaged
    mended = command("doctor", "r", "--repair", cwd=tmp_path, code=None)
    for name in ("show", "list"):
        assert "Traceback" not in command(name, "r" if name == "show" else ".", cwd=tmp_path, code=None).stderr
    evo_moo.resume(tmp_path / "r")
    make_golden.search("stopped", tmp_path / "twin")
    assert ledger_of(tmp_path / "r") == ledger_of(tmp_path / "twin"), mended.stdout
    assert "damaged" not in command("doctor", "r", cwd=tmp_path).stdout
    if "old file is" in mended.stdout:
        assert (tmp_path / "r" / "run.sqlite.damaged").read_bytes() == damaged


def test_a_missing_checkpoint_is_no_damage(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "r")
    without_checkpoint(tmp_path / "r")
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as db:
        evaluated_before = db.execute("SELECT id, started_at FROM evaluations WHERE status != 'asked'").fetchall()
    evo_moo.resume(tmp_path / "r")
    make_golden.search("stopped", tmp_path / "twin")
    assert ledger_of(tmp_path / "r") == ledger_of(tmp_path / "twin")
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as db:
        assert (
            db.execute("SELECT id, started_at FROM evaluations").fetchall()[: len(evaluated_before)] == evaluated_before
        )


def test_a_repair_on_a_full_disk_leaves_the_ledger_in_its_place(sound: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "200k"):
        shutil.copytree(sound, tmp_path / "disk" / "r")
        with_garbage_amid(tmp_path / "disk" / "r")
        damaged = (tmp_path / "disk" / "r" / "run.sqlite").read_bytes()
        with contextlib.suppress(OSError):
            (tmp_path / "disk" / "filling").write_bytes(b"x" * 200_000)
        os.truncate(tmp_path / "disk" / "filling", (tmp_path / "disk" / "filling").stat().st_size - 40_000)
        refused = command("doctor", "disk/r", "--repair", cwd=tmp_path, code=1).stderr
        assert "disk is full" in refused and "Traceback" not in refused
        assert (tmp_path / "disk" / "r" / "run.sqlite").read_bytes() == damaged


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500])
def test_a_ledger_of_garbage_is_said_to_be_lost(content: bytes, sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "r")
    (tmp_path / "r" / "run.sqlite").write_bytes(content)
    assert "damaged" in command("doctor", "r", cwd=tmp_path, code=1).stdout
    lost = command("doctor", "r", "--repair", cwd=tmp_path, code=1).stderr
    assert "put a backup in its place" in lost and "Traceback" not in lost
    assert (tmp_path / "r" / "run.sqlite").read_bytes() == content
    (tmp_path / "r" / "run.sqlite").unlink()
    evo_moo.resume(tmp_path / "r")
    assert len(evo_moo.Result.read(tmp_path / "r").evaluations) == 40


def test_a_checkpoint_that_cannot_be_read_names_the_way_out(sound: Path, tmp_path: Path) -> None:
    for damage in (with_broken_checkpoint, with_another_checkpoint):
        shutil.rmtree(tmp_path / "r", ignore_errors=True)
        shutil.copytree(sound, tmp_path / "r")
        damage(tmp_path / "r")
        assert "--repair" in command("resume", "r", cwd=tmp_path, code=2).stderr


def test_folder_without_a_run_is_not_examined(tmp_path: Path) -> None:
    assert "must be a run folder" in command("doctor", ".", cwd=tmp_path, code=1).stderr


def test_a_lost_journal_loses_what_was_in_it_and_no_more(tmp_path: Path) -> None:
    """As when only run.sqlite of a killed run was copied."""
    make_golden.search("stopped", tmp_path / "twin")
    with contextlib.closing(sqlite3.connect(tmp_path / "twin" / "run.sqlite")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("UPDATE evaluations SET reason = 'never checkpointed'")
        db.commit()
        (tmp_path / "r").mkdir()
        for name in ("run.sqlite", "job.toml"):
            shutil.copyfile(tmp_path / "twin" / name, tmp_path / "r" / name)
        assert (tmp_path / "twin" / "run.sqlite-wal").stat().st_size > 0
    evo_moo.resume(tmp_path / "r")
    assert "never checkpointed" not in {e.reason for e in evo_moo.Result.read(tmp_path / "r").evaluations}


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let this test's folder be on a network disk, as far as anybody can tell."""
    found = psutil.disk_partitions(all=True)
    share = found[0]._replace(mountpoint=str(tmp_path), fstype="nfs4")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [*found, share])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let holders be touched and watched at short intervals."""
    monkeypatch.setattr("evo_moo.storage.folder_lock.TOUCH_S", 0.05)
    monkeypatch.setattr("evo_moo.storage.folder_lock.SILENT_S", 0.5)


def test_network_disks_are_recognised(network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_network(tmp_path / "any" / "run") and not on_network(tmp_path.parent)
    assert (journal_for(tmp_path / "r"), journal_for(tmp_path.parent)) == ("delete", "wal")
    monkeypatch.setenv("EVO_MOO_JOURNAL", "wal")
    assert journal_for(tmp_path / "r") == "wal"
    monkeypatch.setenv("EVO_MOO_JOURNAL", "off")
    with pytest.raises(UsageError, match="must be wal or delete, but is 'off'"):
        journal_for(tmp_path)


def test_journal_is_a_file_on_a_network_disk(network: None, tmp_path: Path) -> None:
    with RunFolder(tmp_path / "r") as folder, folder.ledger.transaction():
        folder.ledger.set_meta(a=1)
        assert {p.name for p in (tmp_path / "r").glob("run.sqlite*")} == {"run.sqlite", "run.sqlite-journal"}
    make_golden.search("finished", tmp_path / "s")
    make_golden.search("finished", None)


@pytest.mark.parametrize(("journal", "synchronous"), [("wal", 1), ("delete", 3)])
def test_a_commit_to_a_journal_file_is_on_the_disk(journal: Journal, synchronous: int, tmp_path: Path) -> None:
    with contextlib.closing(open_to_write(tmp_path / "run.sqlite")) as db:
        set_journal(db, journal)
        assert db.execute("PRAGMA journal_mode").fetchone() == (journal,)
        assert db.execute("PRAGMA synchronous").fetchone() == (synchronous,)


def record(folder: Path, **changes: Any) -> None:
    own = {"pid": os.getpid(), "host": socket.gethostname(), "process_started": psutil.Process().create_time()}
    folder.mkdir(exist_ok=True)
    (folder / "writer.json").write_text(json.dumps(own | changes))


def test_holder_on_another_host_is_alive_on_a_network_disk(network: None, tmp_path: Path) -> None:
    record(tmp_path / "r", host="another-host", pid=7)
    with pytest.raises(RunFolderError, match=r"held by process 7 on another-host; .*doctor .* --unlock"):
        RunFolder(tmp_path / "r")
    assert holder_of(tmp_path / "r")["pid"] == 7
    (tmp_path / "r" / "job.toml").write_text("[problem]\nuse = 'x'\n")
    assert "another-host" in command("doctor", "r", "--unlock", cwd=tmp_path, code=1).stdout
    RunFolder(tmp_path / "r").close()


def test_a_dead_holder_is_replaced_and_that_is_recorded(network: None, tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    record(tmp_path / "r", pid=int(gone.stdout))
    with RunFolder(tmp_path / "r") as folder:
        ((_, kind, detail),) = folder.ledger.events()
    assert (kind, detail["pid"]) == ("taken over", int(gone.stdout))
    assert "which is gone" in (tmp_path / "r" / "log.txt").read_text()


def test_a_silent_holder_on_another_host_is_replaced(network: None, tmp_path: Path, quick: None) -> None:
    record(tmp_path / "r", host="another-host", pid=7, is_touched=True)
    with RunFolder(tmp_path / "r") as folder:
        ((_, kind, detail),) = folder.ledger.events()
    assert (kind, detail["pid"]) == ("taken over", 7)


def test_a_holder_on_another_host_that_stirs_is_not_replaced(network: None, tmp_path: Path, quick: None) -> None:
    record(tmp_path / "r", host="another-host", pid=7, is_touched=True, address="tls://10.0.0.1:8786", token="t")
    is_over = threading.Event()

    def touch() -> None:
        while not is_over.wait(0.01):
            os.utime(tmp_path / "r" / "writer.json")

    with ThreadPoolExecutor(1) as executor:
        executor.submit(touch)
        try:
            with pytest.raises(RunFolderError, match=r"held by process 7 on another-host; `evo-moo work .*r` works"):
                RunFolder(tmp_path / "r")
        finally:
            is_over.set()
    assert holder_of(tmp_path / "r")["pid"] == 7


def test_a_holder_touches_its_record(network: None, tmp_path: Path, quick: None) -> None:
    with RunFolder(tmp_path / "r"):
        before = (tmp_path / "r" / "writer.json").stat().st_mtime_ns
        while (tmp_path / "r" / "writer.json").stat().st_mtime_ns == before:
            threading.Event().wait(0.01)


def test_a_holder_that_was_replaced_writes_no_more(network: None, tmp_path: Path) -> None:
    """As one that was suspended for long, on a host that was cut off."""
    with RunFolder(tmp_path / "r") as folder:
        folder.ledger.set_meta(a=1)
        record(tmp_path / "r", host="another-host", pid=7)
        refused = pytest.raises(RunFolderError, match="by process 7 on another-host; it took the run over")
        with refused, folder.ledger.transaction():
            folder.ledger.set_meta(a=2)
        assert folder.ledger.facts().texts["a"] == "1"
    assert holder_of(tmp_path / "r")["pid"] == 7


def test_a_live_holder_of_this_host_is_not_forgotten(network: None, tmp_path: Path) -> None:
    record(tmp_path / "r")
    with pytest.raises(RunFolderError, match=f"held by process {os.getpid()}"):
        RunFolder(tmp_path / "r")
    done = command("doctor", "r", "--unlock", cwd=tmp_path, code=1)
    assert "stop it first" in done.stderr and (tmp_path / "r" / "writer.json").exists()


def test_reader_sees_nothing_of_a_half_done_commit(tmp_path: Path) -> None:
    """What a kill leaves in the midst of a commit: changed pages, and the journal to undo them."""
    with contextlib.closing(Ledger(tmp_path / "run.sqlite", journal="delete")) as ledger:
        ledger.set_meta(a=1, filling="x" * 100_000)
        with ledger.transaction():
            ledger.set_meta(a=2, filling="y" * 100_000, more="z" * 8_000_000)  # more than SQLite keeps in memory
            (tmp_path / "r").mkdir()
            for name in ("run.sqlite", "run.sqlite-journal"):
                shutil.copyfile(tmp_path / name, tmp_path / "r" / name)
    assert (tmp_path / "r" / "run.sqlite").stat().st_size > 1_000_000
    with reading(tmp_path / "r") as copy:
        facts = copy.facts().texts
        assert facts["a"] == "1" and "more" not in facts
