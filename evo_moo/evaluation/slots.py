"""The host's measurement slot: while one process measures a latency, no training of this host computes.

A worker that is pinned to a GPU measures on it while no other worker pinned to that GPU computes; those on other GPUs
and on the CPUs go on, and so do trainings that are pinned to none: the reference beside a measurement shows what they
disturb. Where the process itself is not pinned, a measurement on a GPU waits for the whole host.

Two lock files in a folder that all processes of one user share, and two for each GPU. Every process passes the gate
first. A training then holds the compute lock shared with other trainings. A measurement keeps the gate shut while it
waits for the compute lock alone and until it is done, so trainings that come and go cannot starve it. ``flock`` locks
end with their process, so a kill leaves nothing stuck. A training that does not yield keeps a measurement waiting to
its end; the gate opens meanwhile every half minute, so that the others go on.

The folder is ``evo-moo-<uid>`` in the folder for temporary files, or what the environment variable
``EVO_MOO_SLOT_DIR`` names: set it where the jobs of one host have different temporary folders, or where
several users are to share one slot. A process holds one slot: its threads share it. Where the platform has no
``fcntl`` (Windows) nothing is excluded.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from evo_moo.evaluation.gpus import PINNED
from evo_moo.problem.measurements import Timing

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]


PATIENCE_S, GAP_S, POLL_S = 30.0, 1.0, 0.001


FOLDER = "EVO_MOO_SLOT_DIR"


class _Locks(NamedTuple):
    gate: int  # file descriptors
    compute: int


@dataclass
class _Slot:
    """Locks of the GPU that this process is pinned to, if any, then of the host; always taken in this order."""

    locks: list[_Locks]
    measuring: bool = False


@dataclass(eq=False)
class Listener:
    """Notes what happens to the measurements of this process within ``listening``.

    Attributes:
        on_wait: Called with True when the process begins to wait for others, and with False when it ceases.
        timings: What was measured, in its order.
        is_sound: Whether the machine was quiet whenever something was measured.
    """

    on_wait: Callable[[bool], None]
    timings: list[Timing] = field(default_factory=list)
    is_sound: bool = True


_held: _Slot | None = None
_listeners: list[Listener] = []


@contextmanager
def listening(on_wait: Callable[[bool], None] = lambda waiting: None) -> Iterator[Listener]:
    """Note waits and measurements as long as the block runs; ``on_wait`` as in ``Listener``."""
    listener = Listener(on_wait)
    _listeners.append(listener)
    try:
        yield listener
    finally:
        _listeners.remove(listener)


def note_timings(*timings: Timing, is_sound: bool) -> None:
    """Let every listener know what was measured, and whether the machine was quiet meanwhile."""
    for listener in _listeners:
        listener.timings += timings
        listener.is_sound &= is_sound


def holds_slot() -> bool:
    """Return whether this process holds the compute lock, alone or shared."""
    return _held is not None


@contextmanager
def compute_slot() -> Iterator[None]:
    """Hold this host's compute lock, shared with other trainings; wait while a measurement runs.

    Inside another slot of the same process it changes nothing.

    Raises:
        OSError: The lock files cannot be opened.
    """
    if fcntl is None or _held is not None:
        yield
        return
    with _opened() as slot:
        _share(slot)
        yield


@contextmanager
def measurement_slot(*, on_gpu: bool = False) -> Iterator[None]:
    """Hold this host's compute lock alone; wait until every training has yielded.

    Inside a ``compute_slot`` of the same process the shared lock is given up meanwhile. Inside another
    ``measurement_slot`` it changes nothing.

    Args:
        on_gpu: Whether what is measured runs on the GPU that this process is pinned to: then that GPU's lock is held
            alone, and the host's shared. Without such a GPU it changes nothing.

    Raises:
        OSError: The lock files cannot be opened.
    """
    if fcntl is None or (_held is not None and _held.measuring):
        yield
    elif _held is None:
        with _opened() as slot, _alone(slot, on_gpu):
            yield
    else:
        slot = _held
        _leave(slot)
        try:
            with _alone(slot, on_gpu):
                yield
        finally:
            if slot is _held:
                _share(slot)


def yield_to_measurements() -> None:
    """Let a waiting measurement go first; a few microseconds where none waits. Call it once per batch."""
    if _held is None or _held.measuring:
        return
    for locks in _held.locks:
        try:
            # Shared: trainings that look at the same time do not take each other for a measurer.
            fcntl.flock(locks.gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            _leave(_held)
            _share(_held)
            return
        fcntl.flock(locks.gate, fcntl.LOCK_UN)


def _lock(descriptor: int, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        with _waiting():
            fcntl.flock(descriptor, kind)


@contextmanager
def _waiting() -> Iterator[None]:
    for listener in _listeners:
        listener.on_wait(True)
    try:
        yield
    finally:
        for listener in _listeners:
            listener.on_wait(False)


def _share(slot: _Slot) -> None:
    """Take all compute locks shared, through the gates; the process that holds a gate alone goes first."""
    for locks in slot.locks:
        _enter(locks)


def _enter(locks: _Locks) -> None:
    _lock(locks.gate, fcntl.LOCK_SH)
    _lock(locks.compute, fcntl.LOCK_SH)
    fcntl.flock(locks.gate, fcntl.LOCK_UN)


def _leave(slot: _Slot) -> None:
    """Give up all compute locks: one that is kept while another is awaited could keep a measurement waiting."""
    for locks in slot.locks:
        fcntl.flock(locks.compute, fcntl.LOCK_UN)


def _others_yielded(locks: _Locks) -> bool:
    """Wait with the gate shut until every training has yielded; False if one does not for long."""
    patience_ends = time.monotonic() + PATIENCE_S
    with _waiting():
        while time.monotonic() < patience_ends:
            try:
                fcntl.flock(locks.compute, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                time.sleep(POLL_S)
    return False


@contextmanager
def _alone(slot: _Slot, on_gpu: bool) -> Iterator[None]:
    own, *shared = slot.locks if on_gpu else slot.locks[-1:]
    try:
        _lock(own.gate, fcntl.LOCK_EX)
        while not _others_yielded(own):
            # Some training does not yield: let all other processes go on for a while before the next try.
            fcntl.flock(own.gate, fcntl.LOCK_UN)
            time.sleep(GAP_S)
            _lock(own.gate, fcntl.LOCK_EX)
        for locks in shared:
            _enter(locks)
        slot.measuring = True
        yield
    finally:
        slot.measuring = False
        if slot is _held:
            _leave(slot)
            fcntl.flock(own.gate, fcntl.LOCK_UN)


def lock_folder() -> Path:
    """Return the folder of the locks of this host, and make it if it is not there.

    Raises:
        OSError: It cannot be made.
    """
    folder = Path(os.environ.get(FOLDER) or Path(tempfile.gettempdir(), f"evo-moo-{os.getuid()}"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def _opened() -> Iterator[_Slot]:
    global _held
    folder, gpu = lock_folder(), os.environ.get(PINNED)
    ends = ([f"-{re.sub(r'[^0-9A-Za-z-]', '_', gpu)}"] if gpu else []) + [""]
    with ExitStack() as opened:
        descriptors = []
        for name in (f"{kind}{end}.lock" for end in ends for kind in ("gate", "compute")):
            descriptors.append(os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600))
            opened.callback(os.close, descriptors[-1])
        opened.pop_all()
    _held = slot = _Slot([_Locks(*pair) for pair in zip(descriptors[::2], descriptors[1::2], strict=True)])
    try:
        yield slot
    finally:
        if slot is _held:
            _close()


def _close() -> None:
    """Forget the slot; the locks end with the last copy of their descriptors."""
    global _held
    if _held is not None:
        slot, _held = _held, None
        for descriptor in (descriptor for locks in slot.locks for descriptor in locks):
            os.close(descriptor)


# A forked child must not keep its parent's locks alive.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close)
