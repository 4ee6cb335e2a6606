"""Finding, measuring and ending the processes that evaluations start."""

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping

import psutil

# In the environment of every worker, and so of all that it starts, even of what breaks away from it.
MARK = "EVO_MOO_WORKER"
_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def adopt_orphans() -> None:
    """Let every descendant whose parent ends become this process's own child; has no effect but on Linux."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Hold SIGUSR1 back from threads and processes that start within the block.

    A scheduler sends it to every process, to announce the end of a job's time; helpers without a handler would die.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def own_children() -> set[int]:
    """Return the ids of this process's children; a microsecond where there are none."""
    if hasattr(os, "waitid"):
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return set()
    return {process.pid for process in psutil.Process().children()}


def end_children(keep: Collection[int] = ()) -> None:
    """Kill this process's children, but for those in ``keep``; then what they leave to it as orphans."""
    for _ in range(100):
        pids = own_children().difference(keep)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def end_with_parent(parent: int) -> None:
    """End this process and its children when a parent is gone, so that a killed run leaves no training behind."""

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        end_children()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def parents() -> dict[int, int]:
    """Return the parent of every process of this host."""
    return {process.pid: process.info["ppid"] for process in psutil.process_iter(["ppid"])}


def family(roots: Collection[int], parent_of: Mapping[int, int]) -> set[int]:
    """Return the ids of processes with all their descendants."""
    members = set(roots)
    while more := {pid for pid, parent in parent_of.items() if parent in members} - members:
        members |= more
    return members


def end_marked(marks: Collection[str]) -> None:
    """Kill every process of this host whose environment has one of the marks, with all descendants."""
    for _ in range(100):
        marked = [process.pid for process in psutil.process_iter() if _mark_of(process) in marks]
        if not marked:
            return
        for pid in family(marked, parents()):
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).kill()
        time.sleep(0.005)


def memory_mb(pids: Collection[int], limit: float) -> float:
    """Return the resident memory that processes use together, in MB of 10^6 bytes.

    Pages that forked processes share are in the resident memory of each. Where that sum is above the limit, the
    proportional shares are added up instead, which takes longer (on Linux; elsewhere the sum stands).
    """
    resident = _sum_mb(pids, lambda process: process.memory_info().rss)
    if resident <= limit or len(pids) == 1 or not psutil.LINUX:
        return resident
    return _sum_mb(pids, lambda process: process.memory_full_info().pss)


def _sum_mb(pids: Collection[int], size_of: Callable[[psutil.Process], int]) -> float:
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error, OSError):
            total += size_of(psutil.Process(pid))
    return total / 1e6


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)  # type: ignore[no-any-return]
    except (psutil.Error, OSError):
        return None
