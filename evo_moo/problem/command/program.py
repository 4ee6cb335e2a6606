"""The process of a program: what it prints is read while it runs, and nothing that it started outlives it."""

import codecs
import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from evo_moo.errors import ProgramError
from evo_moo.problem.command.printed import PrintedObjects

PIECE = 1 << 16
MOST_AFTER_END = 1 << 26
"""Bytes that are read once the program has ended; only what it started could have written more."""
KEPT = 4096
"""Characters of its output that are kept where it fails."""
_HANDLED = [
    getattr(signal, f"SIG{name}")
    for name in ("ALRM", "INT", "TERM", "HUP", "USR1", "USR2")
    if hasattr(signal, f"SIG{name}")
]
"""Signals whose handlers may raise."""
_LOOK_S = 0.02
"""How often the program is looked for, where the system does not tell when it ends."""


def run_program(
    arguments: Sequence[str], directory: Path, environment: Mapping[str, str], take: Callable[[dict[str, Any]], None]
) -> PrintedObjects:
    """Run a program to its end, and show what it prints in this process's own output.

    It runs in a session of its own. Whatever ends this function, an error in ``take`` or a signal's too, ends the
    program with all processes of that session; what has left it is up to the worker (``adopt_orphans``).

    Args:
        arguments: The program, which is looked for in the ``PATH`` of ``environment``, and its arguments.
        directory: Its working directory.
        environment: All its environment variables.
        take: Called with each JSON object that it prints, at once.

    Returns:
        What it printed to standard output.

    Raises:
        ProgramError: It could not be started, ended with another exit code than 0, or was killed.
    """
    process: subprocess.Popen[bytes] | None = None
    output, errors = _Stream("stdout"), _Stream("stderr")
    try:
        with _signals_held_back():
            process = _started(arguments, directory, environment)
        output.open(process.stdout)
        errors.open(process.stderr)
        _follow(process.pid, output, errors, take)
    except BaseException as error:
        error.add_note(_said(output, errors))
        raise
    finally:
        code = 0 if process is None else _end(process)
    if code:
        raise _error_of(code, output, errors)
    return output.objects


def _started(arguments: Sequence[str], directory: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            arguments,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ProgramError(f"the command could not be started: {error}") from None


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let signals of this process wait for the end of the block.

    What one raises while a process starts would lose the process: nobody would know its id yet. They are not blocked,
    as the process would inherit that.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread runs handlers
        yield
        return
    held: list[int] = []
    handlers = {number: handler for number in _HANDLED if callable(handler := signal.getsignal(number))}
    try:
        for number in handlers:
            signal.signal(number, lambda number, frame: held.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for each in held:
            signal.raise_signal(each)


def _end(process: "subprocess.Popen[bytes]") -> int:
    """End a program with all of its session, and return its exit code."""
    _end_session(process.pid)
    code = process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    return code


class _Stream:
    """One of the two outputs of a program.

    Attributes:
        pipe: Where it is read.
        is_open: Whether more may come.
        objects: The objects and the last line in it.
        kept: The last of it.
    """

    def __init__(self, name: str) -> None:
        self._name, self.is_open = name, False
        self.objects, self.kept = PrintedObjects(), ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def open(self, pipe: IO[bytes] | None) -> None:
        """Begin to read a pipe."""
        if pipe is None:
            raise ProgramError("the command must have an output that can be read, but has none")
        self.pipe, self.is_open = pipe, True
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> Iterator[dict[str, Any]]:
        """Read one piece, show it, and return the objects that it completes.

        Raises:
            BlockingIOError: There is nothing to read now.
        """
        piece = os.read(self.pipe.fileno(), PIECE)
        text = self._decoder.decode(piece, final=not piece)
        self.kept = (self.kept + text)[-KEPT:]
        with contextlib.suppress(OSError, ValueError, AttributeError):  # a process may have no output
            getattr(sys, self._name).write(text)
        yield from self.objects.feed(text)
        if not piece:
            self.is_open = False
            yield from self.objects.end()


def _follow(pid: int, output: _Stream, errors: _Stream, take: Callable[[dict[str, Any]], None]) -> None:
    """Read both outputs until the program has ended; its end counts, as what it started may hold them open."""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for stream in (output, errors):
            selector.register(stream.pipe, selectors.EVENT_READ, stream)
        look_s: float | None = _LOOK_S
        with contextlib.suppress(AttributeError, OSError):  # Linux only
            watch = os.pidfd_open(pid)
            stack.callback(os.close, watch)
            selector.register(watch, selectors.EVENT_READ)
            look_s = None
        while not _has_ended(pid):
            for key, _ in selector.select(look_s):
                if key.data is not None:
                    _read_once(key.data, take if key.data is output else _nothing)
                    if not key.data.is_open:
                        selector.unregister(key.data.pipe)
    _end_session(pid)
    for stream, taken in ((output, take), (errors, _nothing)):
        left = MOST_AFTER_END
        while stream.is_open and left > 0 and _read_once(stream, taken):
            left -= PIECE
        for read in stream.objects.end():
            taken(read)


def _read_once(stream: _Stream, take: Callable[[dict[str, Any]], None]) -> bool:
    """Read one piece; return whether there was any."""
    try:
        for read in stream.read():
            take(read)
    except BlockingIOError:
        return False
    return True


def _nothing(read: dict[str, Any]) -> None:
    """Take an object that is not looked at."""


def _has_ended(pid: int) -> bool:
    """Return whether a child has ended; it stays until it is waited for, so that its id is not given anew."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # another thread of this process has waited for it
        return True


def _end_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _error_of(code: int, output: _Stream, errors: _Stream) -> ProgramError:
    """Return the error of a program that ended badly, with the last line that it said, if it can of its errors."""
    how = f"ended with exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = f"was killed by {signal.Signals(-code).name}"
    said = errors.objects.last_line or output.objects.last_line
    words = f"the command {how}" + (f"; it said: {said}" if said else "")
    return ProgramError(words, _said(output, errors))


def _said(output: _Stream, errors: _Stream) -> str:
    return "\n".join(filter(None, [output.kept.rstrip(), errors.kept.rstrip()]))
