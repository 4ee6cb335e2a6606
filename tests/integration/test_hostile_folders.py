"""A run folder from anywhere is looked at without running anything in it."""

import base64
import contextlib
import json
import os
import pickle
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import typer

import evo_moo
from evo_moo.cli.main import resume
from evo_moo.cli.runs import doctor, list_runs, report, show
from evo_moo.errors import EvoMooError
from tests.golden import make_golden
from tests.integration.running import evo_moo as command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NASTY = "[red]mark[/red] [link=http://x]y[/link] \x1b[2J\x1b]0;title\x07\r\b\x9b31m"


@pytest.fixture(autouse=True)
def problem_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_golden.make("stopped", tmp_path / "r")
    return tmp_path / "r"


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    make_golden.make("finished", tmp_path / "r")
    return tmp_path / "r"


def page(run: Path) -> None:
    evo_moo.write_report(run, with_importances=False)


def change(run: Path, sql: str, *values: Any) -> None:
    with sqlite3.connect(run / "run.sqlite") as db:
        db.execute(sql, values)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def all_commands(run: Path, allowed: tuple[int, ...] = (0, 1)) -> str:
    told = ""
    for arguments in (["show", run], ["show", run, "--json"], ["show", run, "--id", 3], ["list", "."], ["doctor", run]):
        done = command(*arguments, cwd=run.parent, code=None)
        assert done.returncode in allowed and "Traceback" not in done.stderr, done.stderr
        told += done.stdout + done.stderr
    return told


def test_pickles_in_a_run_folder_are_never_read(run: Path, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    bomb = pickle.dumps(Bomb(marker))
    (run / "work" / "1").mkdir(parents=True)
    for name in ("model.pt", "state.pkl", "model.joblib"):
        (run / "work" / "1" / name).write_bytes(bomb)
    np.save(run / "work" / "1" / "X.npy", np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    all_commands(run, allowed=(0,))
    evo_moo.resume(run)
    assert not marker.exists()


@pytest.mark.parametrize(
    "state",
    [
        lambda bomb: bomb.decode("latin-1"),
        lambda bomb: base64.b64encode(bomb).decode(),
        lambda bomb: json.dumps({"kind": [2], "py/reduce": base64.b64encode(bomb).decode()}),
        lambda bomb: json.dumps({"__array__": "|O", "shape": [1], "base64": base64.b64encode(bomb).decode()}),
        lambda bomb: "[" * 100_000,
    ],
)
def test_a_hostile_checkpoint_runs_nothing(run: Path, tmp_path: Path, state: Any) -> None:
    marker = tmp_path / "executed"
    change(run, "UPDATE checkpoint SET state = ?", state(pickle.dumps(Bomb(marker), protocol=0)))
    all_commands(run)
    refused = command("resume", run, cwd=tmp_path, code=2).stderr
    assert "Traceback" not in refused and "doctor" in refused
    assert not marker.exists()


def test_a_hostile_encoded_row_runs_nothing(run: Path, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    change(run, "UPDATE evaluations SET x = ?", pickle.dumps(Bomb(marker)))
    assert "damaged" in all_commands(run)
    assert "Traceback" not in command("resume", run, cwd=tmp_path, code=2).stderr
    assert not marker.exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("metrics", '{"loss": "text", "speed": [1]}'),
        ("metrics", "[1]"),
        ("configuration", "3"),
        ("parents", '{"a": 1}'),
        ("prediction", '{"loss": "x"}'),
        ("metrics", '{"loss": NaN}'),
        ("started_at", 1e300),
        ("duration_s", float("inf")),
    ],
)
def test_values_of_the_wrong_kind_are_one_clear_message(run: Path, tmp_path: Path, column: str, value: Any) -> None:
    change(run, f"UPDATE evaluations SET {column} = ?", value)
    all_commands(run)
    with contextlib.suppress(EvoMooError):
        report(run)
    assert "Traceback" not in command("resume", run, cwd=tmp_path, code=None).stderr


@pytest.mark.parametrize("key", ["goals", "metrics", "job", "front", "state"])
@pytest.mark.parametrize("value", ["3", "null", '{"objectives": 1}', "[[1]]", '"x"'])
def test_facts_of_the_wrong_kind_are_one_clear_message(run: Path, key: str, value: str) -> None:
    change(run, "UPDATE meta SET value = ? WHERE key = ?", value, key)
    refused = {}
    # A sound run would be resumed to its end: once for each key is enough.
    for look in (show, page, list_runs, doctor, *([resume] if key not in ("front", "state") or value == "3" else [])):
        with contextlib.suppress(typer.Exit):
            try:
                look(run.parent if look is list_runs else run)
            except EvoMooError as error:
                refused[look.__name__] = str(error)
    assert "resume" in refused or key in ("front", "state")  # which are written anew
    for message in refused.values():
        assert message.startswith(f"`{run}` must hold a sound ledger, but ")
        assert message.endswith(f"; `evo-moo doctor {run}` says what can be saved") and "\n" not in message


@pytest.mark.parametrize("job", ["problem = 3\nbudget = 4", "[problem]\nuse = 3", "", "[problem]\noptions = 3"])
def test_a_hostile_job_file_is_one_clear_message(run: Path, tmp_path: Path, job: str) -> None:
    (run / "job.toml").write_text(job)
    assert "Traceback" not in command("resume", run, "--n-evals", 50, cwd=tmp_path, code=2).stderr
    all_commands(run)


def test_looking_at_a_folder_does_not_import_its_problem(run: Path, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    evil = tmp_path / "evil.py"
    evil.write_text(f"import pathlib\npathlib.Path({str(marker)!r}).mkdir()\nraise SystemExit(3)\n")
    job = (run / "job.toml").read_text().replace("tests.golden.problem:Golden", f"{evil}:Evil")
    (run / "job.toml").write_text(job)
    with sqlite3.connect(run / "run.sqlite") as db:
        changed = "value = replace(value, 'tests.golden.problem:Golden', ?), checksum = NULL"
        db.execute(f"UPDATE meta SET {changed} WHERE key = 'job'", (f"{evil}:Evil",))
    all_commands(run, allowed=(0,))
    for options in (["--repair"], ["--unlock"]):
        command("doctor", run, *options, cwd=tmp_path)
    evo_moo.Result.read(run)
    assert not marker.exists()
    resumed = command("resume", run, "--trust", cwd=tmp_path, code=2)
    assert marker.exists()
    assert resumed.stderr.splitlines()[0] == f"evo-moo: loads the problem {evil}:Evil"


def test_text_from_a_ledger_commands_no_terminal(finished: Path) -> None:
    run = finished
    words = json.dumps(NASTY)[1:-1]
    change(run, "UPDATE evaluations SET reason = ?1, output = ?1, traceback = ?1, origin = ?1", NASTY)
    change(run, "UPDATE evaluations SET configuration = json_set(configuration, '$.kind', ?)", NASTY)
    change(run, "UPDATE meta SET value = replace(value, 'tests.golden.problem:Golden', ?)", words)
    change(run, "UPDATE meta SET value = ? WHERE key = 'state'", json.dumps(NASTY))
    change(run, "UPDATE evaluations SET metrics = json_set(metrics, '$.' || json_quote(?), 1)", NASTY)
    for name in ("writer.json", "front.csv"):
        (run / name).write_text(json.dumps({"pid": NASTY, "host": NASTY, "process_started": 1}))
    told = all_commands(run)
    assert "[red]mark" in told
    assert not {c for c in told if not c.isprintable()} - {"\n"}


BOMBS = {
    "job.toml": "a = " + "[" * 100_000,
    "environment.json": "[" * 100_000,
    "writer.json": '{"pid":' * 5000,
    "front.csv": "id\n" + "[" * 100_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_deep_nesting_is_one_short_message(run: Path, tmp_path: Path, name: str) -> None:
    (run / name).write_text(BOMBS[name])
    (run / "weights" / "\u00b2").mkdir(parents=True)
    told = all_commands(run)
    done = command("resume", run, cwd=tmp_path, code=None)
    assert "Traceback" not in done.stderr and len(told + done.stderr) < 20_000


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "[problem]\nuse = '" + "x" * 20_000 + "'", "[problem]\noptions = " + "{a=" * 400]
)
def test_a_job_file_of_a_stranger_is_one_short_message(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.toml").write_text(text)
    told = command("run", "job.toml", cwd=tmp_path, code=2).stderr
    assert "Traceback" not in told and len(told) < 5000


EVIL = "import pathlib\npathlib.Path({marker!r}).mkdir()\nraise SystemExit(3)\n"


@pytest.mark.parametrize(("what", "keys"), [("problem", "problem.use"), ("model", "surrogate.model")])
def test_code_that_this_user_never_ran_is_named_and_not_loaded(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, keys: str
) -> None:
    run, evil, marker = finished, tmp_path / "evil.py", tmp_path / "executed"
    evil.write_text(EVIL.format(marker=str(marker)))
    section, key = keys.split(".")
    job = tomllib.loads((run / "job.toml").read_text())
    job.setdefault(section, {})[key] = f"{evil}:Evil"
    (run / "job.toml").write_text(tomli_w.dumps(job))
    change(run, "UPDATE meta SET value = ? WHERE key = 'job'", json.dumps(job))
    for arguments in (["resume", run, "--n-evals", 60], ["confirm", run]):
        told = command(*arguments, cwd=tmp_path, code=2).stderr
        assert (
            f"evo-moo: loads the {what} {evil}:Evil" in told
            and f"{evil}:Evil; look at it, then load it by --trust" in told
        )
        assert not marker.exists()
    command("resume", run, "--n-evals", 60, "--trust", cwd=tmp_path, code=2)
    assert marker.exists()


def test_a_run_of_another_user_is_trusted_once(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("resume", run, cwd=tmp_path).returncode == 0
    monkeypatch.setenv("EVO_MOO_STATE_DIR", str(tmp_path / "another"))
    more = ["resume", run, "--n-evals", 48]
    assert "--trust" in command(*more, cwd=tmp_path, code=2).stderr
    command(*more, "--trust", cwd=tmp_path)
    command("resume", run, "--n-evals", 56, cwd=tmp_path)
    monkeypatch.setenv("EVO_MOO_STATE_DIR", "/proc/no/such")  # no key can be kept: as one who never ran it
    assert "--trust" in command("resume", run, "--n-evals", 64, cwd=tmp_path, code=2).stderr


def test_a_class_that_is_no_problem_is_never_made(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(
        '[problem]\nuse = "subprocess:Popen"\noptions = { args = ["touch", "executed"] }\n'
    )
    told = command("run", "job.toml", cwd=tmp_path, code=2).stderr
    assert "`subprocess:Popen`: a problem must be a SearchProblem or a pymoo Problem, but is the class Popen" in told
    assert not (tmp_path / "executed").exists()
