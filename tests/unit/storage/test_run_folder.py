import csv
import json
import logging
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from evo_moo.errors import EvoMooError, RunFolderError
from evo_moo.storage.folder_lock import holder_of
from evo_moo.storage.reading import read_job, reading
from evo_moo.storage.run_folder import RunFolder, new_run_dir, run_dirs

HOLDER = """
import sys
from pathlib import Path
from evo_moo.storage.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""
LOGGER = logging.getLogger("evo_moo")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "a run"


@pytest.fixture
def holder(path):
    """A process that holds the folder until its standard input is closed."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def test_a_folder_held_by_another_process_is_refused_naming_it(path, holder):
    with pytest.raises(RunFolderError, match=rf"is held by process {holder.pid} on {socket.gethostname()}; wait"):
        RunFolder(path)
    assert holder_of(path)["pid"] == holder.pid


def test_saved_weights_lie_in_the_run_folder(path):
    with RunFolder(path) as folder:
        assert folder.weights == path / "weights"


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_folder_is_free_again_when_its_process_is_gone(path, holder, end):
    holder.kill() if end == "kill" else holder.stdin.close()
    holder.wait()
    assert holder_of(path) is None
    with RunFolder(path) as folder:
        assert folder.ledger.facts().texts == {}
        assert holder_of(path)["pid"] == os.getpid()


def test_a_folder_is_held_against_its_own_process_too(path):
    with RunFolder(path), pytest.raises(RunFolderError, match=f"held by process {os.getpid()}"):
        RunFolder(path)
    with RunFolder(path):
        pass


def test_a_pid_that_was_given_to_another_process_holds_nothing(path):
    path.mkdir(parents=True)
    own = {"pid": os.getpid(), "host": socket.gethostname(), "process_started": psutil.Process().create_time()}
    (path / "writer.json").write_text(json.dumps(own))
    assert holder_of(path) == own
    (path / "writer.json").write_text(json.dumps(own | {"process_started": own["process_started"] - 100}))
    assert holder_of(path) is None


def test_a_holder_on_another_host_counts_as_alive(path):
    path.mkdir(parents=True)
    other = {"pid": 1, "host": "another-host", "process_started": 0.0}
    (path / "writer.json").write_text(json.dumps(other))
    assert holder_of(path) == other


@pytest.mark.parametrize(
    "text",
    [None, "", "{}", "[]"],
)
def test_a_missing_or_damaged_record_names_no_holder(path, text):
    path.mkdir(parents=True)
    if text is not None:
        (path / "writer.json").write_text(text)
    assert holder_of(path) is None


def test_a_closed_folder_has_no_holder(path):
    with RunFolder(path):
        pass
    assert holder_of(path) is None


def test_a_folder_that_cannot_be_made_is_refused_with_a_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"must be writable, but is not: .*; name another by --run-dir"):
        RunFolder(tmp_path / "file" / "run")
    with pytest.raises(RunFolderError, match="name another by --run-dir"):
        new_run_dir(tmp_path / "file", "p")


def test_the_log_belongs_to_the_folder_while_it_is_open(path):
    handlers = list(LOGGER.handlers)
    with RunFolder(path):
        LOGGER.info("inside")
    LOGGER.info("outside")
    assert LOGGER.handlers == handlers
    (line,) = (path / "log.txt").read_text().splitlines()
    assert line.endswith("INFO inside")


def test_a_refused_ledger_leaves_no_log_handler_and_no_lock(path):
    path.mkdir(parents=True)
    (path / "run.sqlite").write_bytes(b"no database at all" * 100)
    handlers, kept = list(LOGGER.handlers), []
    try:
        for _ in range(2):
            with pytest.raises(RunFolderError, match="must be a ledger") as error:
                RunFolder(path)
            kept.append(error)
        assert LOGGER.handlers == handlers
    finally:
        LOGGER.handlers[:] = handlers


def test_run_without_a_folder_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with RunFolder(None) as folder:
        folder.write_job({"a": 1})
        folder.write_environment(1)
        folder.write_front([{"a": 1}])
        folder.ledger.set_meta(state="new")
        assert folder.workspace(1) is None and folder.ledger.facts().state == "new"
    assert not list(tmp_path.iterdir())


def test_each_evaluation_has_a_workspace_of_its_own(path):
    with RunFolder(path) as folder:
        assert folder.workspace(1) != folder.workspace(2)
        assert folder.workspace(1).startswith(str(path))


def test_the_job_is_written_once_and_read_again(path):
    job = {"problem": {"use": "é", "options": {"deep": [1, 2.5]}}, "search": {"seed": 2**32 - 1}}
    with RunFolder(path) as folder:
        folder.write_job(job)
        folder.write_job({"another": 1})
        assert read_job(path) == job
        folder.write_job({"another": 1}, replace=True)
    assert read_job(path) == {"another": 1}


@pytest.mark.parametrize("read", [read_job, lambda path: reading(path).__enter__()])
def test_a_folder_without_a_run_is_refused(tmp_path, read):
    with pytest.raises(RunFolderError, match=r"must be a run folder.*; `evo-moo list` shows the runs"):
        read(tmp_path)


@pytest.mark.parametrize("damaged", [b"problem = ", b"\xff"])
def test_a_damaged_job_is_an_error_of_ours(tmp_path, damaged):
    (tmp_path / "job.toml").write_bytes(damaged)
    with pytest.raises(EvoMooError, match=r"job\.toml"):
        read_job(tmp_path)


def test_the_environment_is_recorded_once(path):
    with RunFolder(path) as folder:
        folder.write_environment(7)
        folder.write_environment(8)
    environment = json.loads((path / "environment.json").read_text())
    assert environment["seed"] == 7
    assert environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"numpy", "pymoo"} <= environment["packages"].keys()
    assert environment["cores"] >= 1 and environment["memory_gb"] > 0
    assert {"platform", "processor", "git_commit", "threads_per_worker"} <= environment.keys()


def test_the_front_is_a_table_of_every_column(path):
    with RunFolder(path) as folder:
        folder.write_front([{"a": 9}])
        folder.write_front([{"a": 1, "b": 'x,"y"'}, {"a": 2, "c": 3.5}])
    with (path / "front.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"a": "1", "b": 'x,"y"', "c": ""},
            {"a": "2", "b": "", "c": "3.5"},
        ]


def test_new_folders_never_collide(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: new_run_dir(tmp_path / "new", "zdt1"), range(40)))
    assert len(set(paths)) == 40 and all(path.is_dir() for path in paths)


@pytest.mark.parametrize(
    ("problem", "end"),
    [("digits_cnn", "-digits_cnn"), ("/a/b c.py:My", "-b-c-py-My"), ("pymoo:zdt1", "-pymoo-zdt1"), ("::", "-run")],
)
def test_a_new_folder_is_named_by_its_problem(tmp_path, problem, end):
    path = new_run_dir(tmp_path, problem)
    assert path.parent == tmp_path and path.name.endswith(end)


def test_run_folders_are_listed_oldest_first(tmp_path):
    for name in ("20240102-b", "20240101-z", "20240103-a"):
        RunFolder(tmp_path / name).close()
    (tmp_path / "notes").mkdir()
    assert [path.name for path in run_dirs(tmp_path)] == ["20240101-z", "20240102-b", "20240103-a"]


def test_a_ledger_can_be_read_while_the_run_goes_on(path, holder):
    with reading(path) as ledger:
        assert ledger.counts() == {}
