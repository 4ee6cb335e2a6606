import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from evo_moo.errors import ProgramError
from evo_moo.problem.command.program import run_program


def run(script: str, folder: Path, take: Any = lambda read: None) -> Any:
    return run_program(["bash", "-c", script], folder, dict(os.environ), take)


def test_objects_come_at_once_and_output_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program waits until its first object was taken."""
    script = """echo '{"a": 1}'; while [ ! -e go ]; do sleep 0.01; done; echo '{"err": 1}' >&2; printf '{"a": 2}'"""
    taken = []

    def take(read: dict[str, Any]) -> None:
        taken.append(read)
        (tmp_path / "go").touch()

    assert run(script, tmp_path, take).last == {"a": 2}
    assert taken == [{"a": 1}, {"a": 2}]
    shown = capsys.readouterr()
    assert shown.out == '{"a": 1}\n{"a": 2}' and shown.err == '{"err": 1}\n'


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo fine; echo 'Traceback' >&2; echo 'ValueError: no luck' >&2; exit 3",
            "exit code 3; it said: ValueError: no luck",
        ),
        ("echo only this; exit 1", "exit code 1; it said: only this"),
        ("exit 7", "the command ended with exit code 7"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ("exec ./none", "No such file"),
    ],
)
def test_bad_endings_say_how_and_the_last_words(script: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramError) as error:
        run(script, tmp_path)
    assert words in str(error.value)
    if "fine" in script:
        assert error.value.output == "fine\nTraceback\nValueError: no luck"


def test_programs_that_cannot_start_are_errors(tmp_path: Path) -> None:
    for arguments, folder in ((["no-such-program"], tmp_path), (["true"], tmp_path / "none"), (["a\0"], tmp_path)):
        with pytest.raises(ProgramError, match="could not be started"):
            run_program(arguments, folder, dict(os.environ), print)


def runs(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def left_of(folder: Path) -> list[int]:
    """Processes that a script in this folder has left behind; those that were killed have time to end."""
    left, deadline = [int(pid) for pid in (folder / "pids").read_text().split()], time.monotonic() + 60
    while (left := [pid for pid in left if runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


FORKS = "sleep 600 & echo $! >> pids; (trap '' TERM HUP; sleep 600) & echo $! >> pids; "


def test_processes_left_running_end_and_hold_up_nothing(tmp_path: Path) -> None:
    printed = run(FORKS + """echo '{"a": 1}'""", tmp_path)
    assert printed.last == {"a": 1}
    assert left_of(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_ends_the_program_and_what_it_started(error: Any, tmp_path: Path) -> None:
    def take(read: Any) -> None:
        raise error

    with pytest.raises(error):
        run(FORKS + """echo '{"a": 1}'; sleep 600""", tmp_path, take)
    assert left_of(tmp_path) == []


def test_a_signal_ends_the_program(tmp_path: Path) -> None:
    """As the time limit of an evaluation does."""

    def interrupt(*_: object) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGUSR2, interrupt)
    try:
        with pytest.raises(TimeoutError):
            run(FORKS + f"kill -USR2 {os.getpid()}; sleep 600", tmp_path)
    finally:
        signal.signal(signal.SIGUSR2, previous)
    assert left_of(tmp_path) == []


def test_floods_are_read_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sink:
        size = longest = 0

        def write(self, text: str) -> None:
            self.size, self.longest = self.size + len(text), max(self.longest, len(text))

    monkeypatch.setattr(sys, "stdout", sink := Sink())
    printed = run("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo '{\"a\": 1}'", tmp_path)
    assert printed.last == {"a": 1}
    assert sink.size > 20_000_000 and sink.longest <= 1 << 16
