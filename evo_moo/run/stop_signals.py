"""Requests from outside to stop a search: signals and a deadline."""

import datetime
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self, TypeVar

from evo_moo.errors import StopNow

# SIGUSR1 is what SLURM's --signal is commonly set to; Windows has none.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]

T = TypeVar("T")


class _Interrupted(StopNow):
    """Leaves work that a request may interrupt."""


class StopRequests:
    """Turns the first signal, or the deadline, into a request to stop; the second signal acts at once.

    Signals reach the main thread only. In another thread only the deadline is heeded.

    Args:
        deadline: Unix time in seconds at which to stop.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._deadline, self._received, self._interruptible = deadline, "", False
        moment = deadline and datetime.datetime.fromtimestamp(deadline).astimezone().isoformat(timespec="seconds")
        self._deadline_words = f"the deadline {moment}"
        self._previous: dict[int, Any] = {}
        self._timer: threading.Timer | None = None

    @property
    def reason(self) -> str:
        """What asks to stop; empty if nothing does."""
        if not self._received and self._deadline is not None and time.time() >= self._deadline:
            return self._deadline_words
        return self._received

    def interruptible(self, work: Callable[[], T], otherwise: T) -> T:
        """Return the result of some work; ``otherwise`` where something asks to stop before it is done.

        The work is left by an exception that is no ``Exception``, so that no problem catches it.
        """
        self._interruptible = True
        try:
            return otherwise if self.reason else work()
        except _Interrupted:
            return otherwise
        finally:
            self._interruptible = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._note)
            if self._deadline is not None and hasattr(signal, "pthread_kill"):
                left_s = min(max(self._deadline - time.time(), 0.0), threading.TIMEOUT_MAX)
                self._timer = threading.Timer(left_s, self._wake)
                self._timer.daemon = True
                self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _wake(self) -> None:
        """Interrupt the main thread at the deadline, whatever it does."""
        self._deadline = min(self._deadline or 0.0, time.time())  # the two clocks may differ a little
        if self._interruptible:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            raise StopNow
        self._received = self.reason or signal.Signals(number).name
        if self._interruptible:
            raise _Interrupted


def stop_at_once_on_signals() -> None:
    """Let every signal to stop raise ``StopNow`` from now on, wherever ``StopRequests`` does not heed it."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise StopNow

    for number in SIGNALS:
        signal.signal(number, stop)


def end_with_stdin(code: int) -> None:
    """End this process when the standard input ends, so that it does not outlive the process that started it.

    Evaluations get an empty standard input instead.
    """
    kept, empty = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)

    def follow() -> None:
        while os.read(kept, 1024):
            pass
        os._exit(code)

    threading.Thread(target=follow, daemon=True).start()
