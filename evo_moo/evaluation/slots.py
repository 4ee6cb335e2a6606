"""The host's measurement slot: while one process measures a latency, no training of this host computes.

Two lock files in a folder that all processes of one user share. Every process passes the gate first. A training
then holds the compute lock shared with other trainings. A measurement keeps the gate shut while it waits for the
compute lock alone and until it is done, so trainings that come and go cannot starve it. ``flock`` locks end
with their process, so a kill leaves nothing stuck. A training that does not yield keeps a measurement waiting to
its end; the gate opens meanwhile every half minute, so that the others go on.

The folder is ``evo-moo-<uid>`` in the folder for temporary files, or what the environment variable
``EVO_MOO_SLOT_DIR`` names: set it where the jobs of one host have different temporary folders, or where
several users are to share one slot. A process holds one slot: its threads share it. Where the platform has no
``fcntl`` (Windows) nothing is excluded.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evo_moo.problem.measurements import Timing

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]


PATIENCE_S, GAP_S, POLL_S = 30.0, 1.0, 0.001


@dataclass
class _Slot:
    gate: int  # file descriptors
    compute: int
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
def measurement_slot() -> Iterator[None]:
    """Hold this host's compute lock alone; wait until every training has yielded.

    Inside a ``compute_slot`` of the same process the shared lock is given up meanwhile. Inside another
    ``measurement_slot`` it changes nothing.

    Raises:
        OSError: The lock files cannot be opened.
    """
    if fcntl is None or (_held is not None and _held.measuring):
        yield
    elif _held is None:
        with _opened() as slot, _alone(slot):
            yield
    else:
        slot = _held
        fcntl.flock(slot.compute, fcntl.LOCK_UN)
        try:
            with _alone(slot):
                yield
        finally:
            if slot is _held:
                _share(slot)


def yield_to_measurements() -> None:
    """Let a waiting measurement go first; a few microseconds where none waits. Call it once per batch."""
    if _held is None or _held.measuring:
        return
    try:
        # Shared: trainings that look at the same time do not take each other for a measurer.
        fcntl.flock(_held.gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(_held.compute, fcntl.LOCK_UN)
        _share(_held)
    else:
        fcntl.flock(_held.gate, fcntl.LOCK_UN)


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
    """Take the compute lock shared, through the gate; the process that holds the gate alone goes first."""
    _lock(slot.gate, fcntl.LOCK_SH)
    _lock(slot.compute, fcntl.LOCK_SH)
    fcntl.flock(slot.gate, fcntl.LOCK_UN)


def _others_yielded(slot: _Slot) -> bool:
    """Wait with the gate shut until every training has yielded; False if one does not for long."""
    patience_ends = time.monotonic() + PATIENCE_S
    with _waiting():
        while time.monotonic() < patience_ends:
            try:
                fcntl.flock(slot.compute, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                time.sleep(POLL_S)
    return False


@contextmanager
def _alone(slot: _Slot) -> Iterator[None]:
    try:
        _lock(slot.gate, fcntl.LOCK_EX)
        while not _others_yielded(slot):
            # Some training does not yield: let all other processes go on for a while before the next try.
            fcntl.flock(slot.gate, fcntl.LOCK_UN)
            time.sleep(GAP_S)
            _lock(slot.gate, fcntl.LOCK_EX)
        slot.measuring = True
        yield
    finally:
        slot.measuring = False
        if slot is _held:
            fcntl.flock(slot.compute, fcntl.LOCK_UN)
            fcntl.flock(slot.gate, fcntl.LOCK_UN)


@contextmanager
def _opened() -> Iterator[_Slot]:
    global _held
    folder = Path(os.environ.get("EVO_MOO_SLOT_DIR") or Path(tempfile.gettempdir(), f"evo-moo-{os.getuid()}"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    gate = os.open(folder / "gate.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        slot = _Slot(gate, os.open(folder / "compute.lock", os.O_RDWR | os.O_CREAT, 0o600))
    except OSError:
        os.close(gate)
        raise
    _held = slot
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
        os.close(slot.compute)
        os.close(slot.gate)


# A forked child must not keep its parent's locks alive.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close)
