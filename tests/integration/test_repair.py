"""A repair says what is lost, lets a resume search it again, and throws nothing away."""

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import typer

import evo_moo
from evo_moo.cli.problems import check
from evo_moo.cli.runs import export, list_runs, show
from evo_moo.errors import RunFolderError, StopNow
from evo_moo.run.doctor import examine
from evo_moo.run.repair import repair
from evo_moo.storage.folder_lock import unlock
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import read_job
from tests.golden import make_golden
from tests.integration.running import ledger_of


@pytest.fixture(autouse=True)
def problem_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "r"
    make_golden.search("finished", folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "r"))


def change(run: Path, sql: str, *values: Any) -> None:
    with contextlib.closing(sqlite3.connect(run / "run.sqlite", isolation_level=None)) as db:
        db.execute(sql, values)


def seen(run: Path, what: str) -> str:
    return next(finding.detail for finding in examine(run) if finding.what == what)


def test_evaluations_lost_in_a_repair_are_searched_again(run: Path, finished: Path) -> None:
    with (run / "run.sqlite").open("r+b") as file:
        file.seek(12288)
        file.write(b"\xa5" * 9000)
    done = repair(run)
    assert "evaluations: 32 missing; `evo-moo resume` evaluates them again" in done
    assert seen(run, "facts") == "state stopped"
    assert "missing: 1, 2, 3, 4, 5 and 27 more; `evo-moo resume` evaluates them again" in seen(run, "evaluations")
    assert (run / "front.csv.damaged").read_bytes() == (finished / "front.csv").read_bytes()
    evo_moo.resume(run)
    assert ledger_of(run) == ledger_of(finished) and all(finding.sound for finding in examine(run))
    assert (run / "front.csv").read_bytes() == (finished / "front.csv").read_bytes()


def test_lost_evaluations_are_named_with_their_way_out(run: Path, finished: Path) -> None:
    change(run, "DELETE FROM evaluations WHERE id IN (5, 32)")
    assert "30 there, missing: 5, 32; `--repair` lets" in seen(run, "evaluations")
    repair(run)
    assert "30 there, missing: 5, 32; `evo-moo resume` evaluates them again" in seen(run, "evaluations")
    evo_moo.resume(run)
    assert ledger_of(run) == ledger_of(finished)


def test_lost_time_is_given_back_in_its_share(run: Path) -> None:
    with contextlib.closing(Ledger(run / "run.sqlite")) as ledger:
        ledger.set_meta(elapsed_s=100.0)
    change(run, "DELETE FROM evaluations WHERE id > 8")
    repair(run)
    repair(run)
    with contextlib.closing(Ledger(run / "run.sqlite", writable=False)) as ledger:
        assert ledger.facts().elapsed_s == 25.0


def test_a_ledger_that_is_not_there_is_one_clear_message(run: Path) -> None:
    (run / "run.sqlite").unlink()
    with pytest.raises(RunFolderError, match=r"is not there; put a backup in its place, or `evo-moo resume .*anew"):
        repair(run)
    (run / "run.sqlite").mkdir()
    with pytest.raises(RunFolderError, match="is a folder; move it away"):
        repair(run)
    assert "is a folder" in seen(run, "ledger")


def test_target_that_cannot_be_written_is_one_clear_message(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    (run / "writer.json").write_text("{}")
    (run / "job.toml").unlink()
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RunFolderError, match=r"must be writable, .*Read-only.*unlock the copy"):
        unlock(run)
    monkeypatch.setattr("evo_moo.storage.folder_lock.FolderLock.__init__", refuse)
    with pytest.raises(RunFolderError, match=r"must be writable, .*Read-only.*repair a copy"):
        repair(run)


def test_a_job_file_that_is_not_the_ledgers_is_found(run: Path) -> None:
    written = (run / "job.toml").read_text()
    (run / "job.toml").write_text(written.replace("n_evals = 32", "n_evals = 64"))
    assert all(finding.sound for finding in examine(run))
    (run / "job.toml").write_text(written.replace("seed = 3", "seed = 77"))
    assert "differs from the ledger's job in search" in seen(run, "job.toml")
    assert "job.toml: written anew from the ledger" in repair(run)
    assert (run / "job.toml").read_text() == written


def test_a_folder_in_place_of_a_file_is_set_aside(run: Path) -> None:
    for name in ("job.toml", "front.csv"):
        (run / name).unlink()
        (run / name).mkdir()
    repair(run)
    assert (run / "job.toml.damaged").is_dir() and (run / "front.csv.damaged").is_dir()
    assert all(finding.sound for finding in examine(run)) and read_job(run)


def test_a_ledger_of_a_newer_format_is_left_alone(run: Path) -> None:
    change(run, "PRAGMA user_version = 99")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(RunFolderError, match="is of format 99; read it with the version of evo-moo that wrote it"):
        repair(run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert "read it with the version" in seen(run, "ledger")


def test_a_missing_table_is_made_anew(run: Path, finished: Path) -> None:
    change(run, "DROP TABLE evaluations")
    assert "lacks tables or columns of them: evaluations" in seen(run, "ledger")
    repair(run)
    evo_moo.resume(run)
    assert ledger_of(run) == ledger_of(finished)


@pytest.mark.parametrize(
    ("broken", "done"),
    [("'{'", "events: damaged 1 removed; meta: damaged front"), ("CAST(x'ff' AS TEXT)", "32 of evaluations")],
)
def test_broken_text_is_removed(run: Path, finished: Path, broken: str, done: str) -> None:
    change(run, f"UPDATE events SET detail = {broken} WHERE id = 1")
    change(run, f"UPDATE meta SET value = {broken} WHERE key = 'front'")
    told = "; ".join(repair(run))
    assert all(part in told for part in done.split("; "))
    evo_moo.resume(run)
    assert ledger_of(run) == ledger_of(finished) and all(finding.sound for finding in examine(run))


def test_an_empty_ledger_names_the_command_that_can_begin_it(run: Path) -> None:
    (run / "run.sqlite").write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"`evo-moo resume .* begins it anew"):
        evo_moo.Result.read(run)
    (run / "job.toml").unlink()
    with pytest.raises(RunFolderError, match=r"`evo-moo run JOB --run-dir .* begins it anew"):
        evo_moo.resume(run)


@pytest.mark.parametrize(
    ("change_to", "rule"),
    [
        ("configuration = '3'", r"the configuration of evaluation \d+ must be a table, but is 3"),
        ("metrics = '[1]'", "damaged: holds a value of the wrong kind|must be a table"),
        ("status = 'odd'", "unknown status 'odd'|status of evaluation 1 must be one of"),
    ],
)
def test_rows_that_no_evaluation_has_are_not_shown_as_sound(run: Path, change_to: str, rule: str) -> None:
    change(run, f"UPDATE evaluations SET {change_to}")
    with pytest.raises(RunFolderError, match=rule):
        show(run)
    with pytest.raises(RunFolderError) as raised:
        export(run, "csv", "-")
    assert "Error(" not in str(raised.value)


def test_damage_is_said_in_words(run: Path) -> None:
    change(run, "DELETE FROM meta WHERE key = 'goals'")
    with pytest.raises(RunFolderError, match="but it is damaged: lacks 'goals'; "):
        evo_moo.Result.read(run)


def test_the_log_commands_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def evaluate(config: dict[str, Any]) -> dict[str, float]:
        if config["n"] % 2:
            raise ValueError("\x1b[2J\x07cleared")
        return {"loss": float(config["n"])}

    options = {"variables": {"n": evo_moo.Integer(0, 40)}, "objectives": {"loss": "min"}, "workers": 1, "pop_size": 8}
    evo_moo.search(evaluate, **options, termination=("n_evals", 16), run_dir=tmp_path / "r", verbose=True)
    for text in (capsys.readouterr().err, (tmp_path / "r" / "log.txt").read_text()):
        assert "\\x1b[2J\\x07cleared" in text and "\x1b[2J" not in text


def test_options_command_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.py").write_text(
        "import evo_moo\n"
        "class P(evo_moo.SearchProblem):\n"
        "    variables = {'c': evo_moo.Choice(['\\x1b[2J', 'b'])}\n"
        "    objectives = {'loss': 'min'}\n"
        "    def evaluate(self, config):\n"
        "        return {'loss': 1.0}\n"
    )
    with contextlib.suppress(typer.Exit, evo_moo.errors.EvoMooError):
        check(f"{tmp_path / 'p.py'}:P", None, 2, None)
    told = capsys.readouterr().out
    assert "\\x1b[2J" in told and "\x1b" not in told


def test_csv_is_shown_as_it_is_in_the_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(run, "UPDATE evaluations SET configuration = json_set(configuration, '$.kind', ?)", "\x1b[31mred")
    (run / "front.csv").unlink()
    evo_moo.resume(run)
    capsys.readouterr()
    show(run, as_csv=True)
    assert capsys.readouterr().out == (run / "front.csv").read_text()
    assert "\x1b[31mred" in (run / "front.csv").read_text()


def test_a_run_that_was_stopped_at_once_is_listed_as_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise StopNow

    monkeypatch.setattr(make_golden.Golden, "evaluate", stop)
    with pytest.raises(StopNow):
        make_golden.search("finished", tmp_path / "r")
    list_runs(tmp_path)
    assert "stopped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("column", "n_lost"), [("reason", 0), ("output", 0), ("configuration", 1), ("metrics", 1), ("status", 1)]
)
def test_bytes_that_are_no_text_cost_their_row_alone(run: Path, finished: Path, column: str, n_lost: int) -> None:
    change(run, f"UPDATE evaluations SET {column} = CAST({column} || x'ff' AS TEXT) WHERE id = 7")
    assert "ledger" in {finding.what for finding in examine(run) if not finding.sound}
    done = "; ".join(repair(run))
    assert f"{32 - n_lost} of evaluations" in done and ("missing" in done) == bool(n_lost)
    evo_moo.resume(run)
    if n_lost:
        assert ledger_of(run) == ledger_of(finished)


@pytest.mark.parametrize("place", range(0, 1500, 97))
def test_schema_with_a_flipped_byte_costs_nothing(run: Path, finished: Path, place: int) -> None:
    with (run / "run.sqlite").open("r+b") as file:
        page = file.read(4096)
        file.seek(page.index(b"CREATE TABLE events") + place % 1500 if place < 100 else 4095 - place)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0x80]))
    if any(not finding.sound for finding in examine(run)):
        assert "32 of evaluations" in "; ".join(repair(run))
    evo_moo.resume(run)
    assert ledger_of(run) == ledger_of(finished)


ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT"


@pytest.mark.parametrize(
    ("what", "sql"),
    [
        (
            "view",
            f"DROP TABLE events; CREATE VIEW events AS {ENDLESS} n AS id, n AS at, '' AS kind, '' AS detail FROM r",
        ),
        ("trigger", "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN DELETE FROM evaluations; END"),
        ("index", "CREATE INDEX i ON evaluations (hex(zeroblob(status)))"),
        ("table mine", "CREATE TABLE mine (a)"),
        ("virtual table", "CREATE VIRTUAL TABLE words USING fts5(a)"),
        ("column", "ALTER TABLE events ADD COLUMN big TEXT AS (hex(zeroblob(400000000)))"),
        (
            "rule of curves",
            "DROP TABLE curves; CREATE TABLE curves (evaluation INTEGER PRIMARY KEY, "
            "curve TEXT NOT NULL CHECK (length(hex(zeroblob(400000000))) > 1)) STRICT",
        ),
    ],
)
def test_views_and_triggers_in_a_ledger_never_run(run: Path, finished: Path, what: str, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(run / "run.sqlite")) as db:
        db.executescript(sql)
    for look in (lambda: show(run), lambda: evo_moo.resume(run), lambda: evo_moo.Result.read(run)):
        with pytest.raises(RunFolderError, match=f"tables of a ledger alone, but holds .*{what}.*--repair"):
            look()
    assert "32 of evaluations" in "; ".join(repair(run))
    assert all(finding.sound for finding in examine(run))
    evo_moo.resume(run)
    assert ledger_of(run) == ledger_of(finished)
