"""No command that reads a stranger's folder runs code of it, or changes a byte outside of it."""

import contextlib
import hashlib
import importlib
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evo_moo.cli.main import main
from evo_moo.storage.own_files import PATTERNS
from tests.golden import make_golden
from tests.integration.fuzz import outcome_of

pytestmark = pytest.mark.slow

EVIL = "import pathlib\npathlib.Path({marker!r}).mkdir()\n"
WRITTEN = (
    "importance.png",
    "dependence.png",
    "sweep.png",
    "confirmation.png",
    "run.sqlite.damaged",
    "front.csv.damaged",
)
RUNS_CODE = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pickle.find_class"}
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with precious files, and a stranger's run beside it, most of whose files are links to them."""
    home, run = tmp_path / "home", tmp_path / "away" / "r"
    for name in ("precious", "precious/folder"):
        (home / name).mkdir(parents=True)
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    make_golden.make("finished", run)
    shutil.rmtree(tmp_path / "away" / "r" / "weights", ignore_errors=True)
    for name in ("HOME", "EVO_MOO_STATE_DIR", "EVO_MOO_SLOT_DIR"):
        monkeypatch.setenv(name, str(home))
    for name in ("TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR", "EVO_MOO_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "evil.py").write_text(EVIL.format(marker=str(tmp_path / "executed")))
    job = json.dumps({"problem": {"use": f"{tmp_path}/evil.py:Evil"}, "surrogate": {"model": f"{tmp_path}/evil.py:E"}})
    with contextlib.closing(sqlite3.connect(run / "run.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = ?, checksum = NULL WHERE key = 'job'", (job,))
        db.execute('UPDATE evaluations SET prediction = \'{"loss": [0.5, 0.1], "speed": [1.0, 0.1]}\', checksum = NULL')
    names = {name.rstrip("*") for name in PATTERNS} | {
        f"{name}.new" for name in ("job.toml", "run.sqlite", "front.csv")
    }
    for name in sorted({*names, *WRITTEN, "weights", "work", "confirmation", "figures"} - {"run.sqlite"}):
        with contextlib.suppress(FileNotFoundError):
            (run / name).unlink()
        target = home / "precious" / (name.strip(".") if "." in name else "folder")
        if "." in name:
            target.write_text(f"precious {name}")
        (run / name).symlink_to(target)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    """Digests of everything below a folder, which is no link."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def watched(place: Path, *arguments: Any) -> str:
    """Run a command; return what it did that no reader of a folder may do."""

    def act() -> None:
        seen: list[str] = []
        allowed = [str((place / name).resolve()) for name in ("away", "cache")]

        def is_outside(path: Any, follows: bool = False, folder: int = -1) -> bool:
            if not isinstance(path, str | bytes | os.PathLike):
                return False
            name = Path(Path(f"/proc/self/fd/{folder}").resolve() if folder >= 0 else "", os.fsdecode(path))
            name = name.resolve() if follows else name.parent.resolve() / name.name
            return not str(name).startswith(("/dev/", "/proc/", *allowed))

        def watch(event: str, details: tuple[Any, ...]) -> None:
            if event in RUNS_CODE:
                seen.append(f"{event} {details}")
            if event in CHANGES:
                folder = details[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
                seen.extend(f"{event} {details}" for path in details[:2] if is_outside(path, folder=folder))
            if event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                seen.extend([f"open {details}"] if is_outside(details[0], not details[2] & os.O_NOFOLLOW) else [])
            if event == "exec" and "evil" in getattr(details[0], "co_filename", ""):
                seen.append(f"{event} {details}")

        # What the first import of a module does, whoever imports it: keep its compiled code, look for fonts.
        sys.dont_write_bytecode = True
        importlib.import_module("matplotlib.font_manager")
        sys.addaudithook(watch)
        sys.argv = ["evo-moo", *map(str, arguments)]
        try:
            main()
        finally:
            assert not seen, seen

    return outcome_of(act)


def commands(run: Path) -> Iterator[list[Any]]:
    yield ["show", run]
    yield ["show", run, "--json"]
    yield ["show", run, "--id", 3]
    yield ["show", run, "--surrogate", "--plot"]
    yield ["show", run, "--expected"]
    yield ["show", run, "--rungs"]
    yield ["list", run.parent]
    yield ["report", run]
    yield ["report", run, "--figures", run / "drawn"]
    yield ["doctor", run]
    yield ["export", run, "--to", "csv", "--output", run / "a.csv"]
    yield ["export", run, "--to", "json", "--output", run / "a.json"]
    yield ["export", run, "--to", "optuna", "--output", run / "a.db"]
    yield ["pick", run]
    yield ["pick", run, "--sweep"]
    yield ["compare", run, run]
    yield ["compare", f"{run}:1", f"{run}:2"]
    yield ["importance", run, "--plot"]
    yield ["importance", run, "--dependence", "--plot"]
    yield ["resume", run]
    yield ["confirm", run]
    yield ["doctor", run, "--unlock"]
    yield ["doctor", run, "--repair"]
    yield ["resume", run]


@pytest.mark.parametrize("damage", ["", "UPDATE evaluations SET metrics = '{' WHERE id = 3", "DROP TABLE events"])
def test_a_strangers_folder_changes_nothing_outside_of_it(place: Path, damage: str) -> None:
    run, before = place / "away" / "r", contents(place / "home")
    if damage:
        with contextlib.closing(sqlite3.connect(run / "run.sqlite", isolation_level=None)) as db:
            db.execute(damage)
        (run / ".lock").unlink()  # a link, by which each repair is refused
    for arguments in (
        list(commands(run)) if not damage else [["doctor", run, "--repair"], ["show", run], ["resume", run]]
    ):
        assert watched(place, *arguments) == "", arguments
        assert contents(place / "home") == before, arguments
    assert not (place / "executed").exists()


@pytest.mark.parametrize("name", ["run.sqlite", "run.sqlite-wal", "run.sqlite-journal"])
def test_a_link_in_place_of_the_ledger_is_not_written(place: Path, name: str) -> None:
    run, own = place / "away" / "r", place / "home" / "own"
    make_golden.make("stopped", own)
    (run / ".lock").unlink()
    if name == "run.sqlite":
        (run / name).unlink()
        (run / name).symlink_to(own / name)
    else:
        (run / name).unlink(missing_ok=True)
        (own / name).write_bytes(b"")
        (run / name).symlink_to(own / name)
    with contextlib.closing(sqlite3.connect(own / "run.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE evaluations SET metrics = '{' WHERE id = 3")
    before = contents(place / "home")
    for arguments in (
        ["doctor", run],
        ["doctor", run, "--repair"],
        ["show", run],
        ["resume", run],
        ["list", run.parent],
    ):
        assert watched(place, *arguments) == "", arguments
        assert contents(place / "home") == before, arguments
