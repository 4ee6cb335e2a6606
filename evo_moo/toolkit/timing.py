"""Clocks for repeated calls, and the quiet process that they need."""

import contextlib
import ctypes
import functools
import gc
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter_ns, process_time_ns, sleep, thread_time_ns
from typing import TYPE_CHECKING, NamedTuple

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from torch import device

Call = Callable[[], object]

# mallopt's parameters in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# As high as glibc raises both by itself in the life of a process (mallopt(3)).
_HIGHEST_MMAP_THRESHOLD, _HIGHEST_TRIM_THRESHOLD = 2**25, 2**26
_COARSEST_NS = 1_000_000
_SHORTEST_MS = 1e-5  # less, no call of Python takes
# Warm-up ends when this many blocks in a row were not faster than the fastest by this share.
_STABLE_BLOCKS, _STABLE_SHARE = 5, 0.02
_ELSEWHERE = 1.2
"""Time of a call, by that of its thread on the CPU, from which on the thread does not do all of it."""
_INTERRUPTED, _MOST_INTERRUPTED = 1.1, 0.2
"""Wall time by CPU time from which on others had the core in a block; the share of such blocks that is quiet."""


class Reading(NamedTuple):
    """Mean times of one call, in milliseconds.

    Attributes:
        ms: What the clock counts.
        wall_ms: What elapsed.
        thread_ms: CPU time of the calling thread; where that says nothing, as of a GPU, the wall time.
        process_ms: CPU time of all threads of this process.
        n_waits: How often the thread gave its core up by itself, in all calls; 1 where the system does not say.
    """

    ms: float
    wall_ms: float
    thread_ms: float
    process_ms: float
    n_waits: int = 0


@dataclass(frozen=True)
class Clock:
    """A way to time calls.

    Attributes:
        name: What it counts, in words.
        read: Takes a call and how often to call it.
        counts_waiting: Whether the time counts in which the call stands still, so that the load of others adds to it.
        is_gpu: Whether it counts what a GPU does.
    """

    name: str
    read: Callable[[Call, int], Reading]
    counts_waiting: bool = False
    is_gpu: bool = False


def _read_cpu(call: Call, n: int) -> Reading:
    n_waits, wall, process, thread = _n_waits(), perf_counter_ns(), process_time_ns(), thread_time_ns()
    for _ in range(n):
        call()
    thread, process, wall = thread_time_ns() - thread, process_time_ns() - process, perf_counter_ns() - wall
    thread_ms = max(thread / n / 1e6, _SHORTEST_MS)
    n_waits = _n_waits() - n_waits if _knows_waits() else 1
    return Reading(thread_ms, wall / n / 1e6, thread_ms, process / n / 1e6, n_waits)


def _read_wall(call: Call, n: int) -> Reading:
    reading = _read_cpu(call, n)
    return reading._replace(ms=reading.wall_ms)


def _n_waits() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw if hasattr(resource, "RUSAGE_THREAD") else 0


@functools.cache
def _knows_waits() -> bool:
    """Return whether the system counts how often a thread waits."""
    before = _n_waits()
    sleep(1e-4)
    return _n_waits() > before


CPU_CLOCK = Clock("CPU time of the thread", _read_cpu)
"""Counts the time in which the calling thread computes: on a quiet machine the time that the call takes.

It stands still while other processes have the core. What the call does in other threads, on a GPU, or by waiting (a
disk, a network, a sleep) it leaves out.
"""
WALL_CLOCK = Clock("wall time", _read_wall, counts_waiting=True)
"""Counts the time that elapses, with all that others do meanwhile."""


@functools.cache
def thread_clock() -> Clock:
    """Return the CPU clock; the wall clock where the system counts CPU time in steps too long, as Windows does."""
    start = now = thread_time_ns()
    stop = perf_counter_ns() + 50 * _COARSEST_NS
    while now == start and perf_counter_ns() < stop:
        now = thread_time_ns()
    return CPU_CLOCK if 0 < now - start <= _COARSEST_NS else WALL_CLOCK


def cuda_clock(device: "device") -> Clock:
    """Return a clock that times calls on a GPU by events on its stream, and waits for the last call to end."""
    import torch

    def read(call: Call, n: int) -> Reading:
        with torch.cuda.device(device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

            def calls() -> None:
                torch.cuda.synchronize()
                start.record()
                for _ in range(n):
                    call()
                end.record()
                torch.cuda.synchronize()

            reading = _read_cpu(calls, 1)
            wall_ms = reading.wall_ms / n
            return Reading(float(start.elapsed_time(end)) / n, wall_ms, wall_ms, reading.process_ms / n)

    return Clock("time between events on the GPU", read, counts_waiting=True, is_gpu=True)


def repeats(time_ms: float, block_ms: float) -> int:
    """Return how many calls of this time fill a block."""
    return max(1, math.ceil(block_ms / max(time_ms, _SHORTEST_MS)))


def warm_up(call: Call, clock: Clock, block_ms: float, most_s: float) -> float:
    """Call until the time is stable, and return the shortest in milliseconds.

    Args:
        call: The call.
        clock: How it is timed.
        block_ms: The shortest time of a block.
        most_s: No block starts after so many seconds.
    """
    start_ns = perf_counter_ns()
    fastest_ms = clock.read(call, 1).ms
    n_stable = 0
    while n_stable < _STABLE_BLOCKS and perf_counter_ns() - start_ns < most_s * 1e9:
        time_ms = clock.read(call, repeats(fastest_ms, block_ms)).ms
        n_stable = n_stable + 1 if time_ms > fastest_ms * (1 - _STABLE_SHARE) else 0
        fastest_ms = min(fastest_ms, time_ms)
    return fastest_ms


def is_all_of(blocks: Sequence[Reading], beside: Sequence[Reading]) -> bool:
    """Return whether the time of a thread is all that a call takes: it does not wait, and no other thread works.

    Args:
        blocks: Blocks of the call.
        beside: Blocks of a reference, which does not wait, beside each.
    """
    waits = all(block.n_waits for block in blocks) and min(block.wall_ms / block.thread_ms for block in blocks)
    elsewhere = (min(block.process_ms / block.thread_ms for block in series) for series in (blocks, beside))
    return waits <= _ELSEWHERE and max(elsewhere) <= _ELSEWHERE


def were_alone(blocks: Sequence[Reading]) -> bool:
    """Return whether few of the blocks, of a call that does not wait, were interrupted by others."""
    n_interrupted = sum(block.wall_ms > _INTERRUPTED * block.thread_ms for block in blocks)
    return n_interrupted <= _MOST_INTERRUPTED * len(blocks)


@contextlib.contextmanager
def quiet_process() -> Iterator[None]:
    """Collect no garbage, and keep freed memory in the process.

    By default glibc gives a large block back to the system as soon as it is freed, or keeps it, depending on
    what the process did before: the same network was seen to take 1.5 or 2.9 ms, with 0 or 350 page faults per
    forward pass. Afterwards glibc gives memory back above 64 MiB, as it does in any process that has used much.
    """
    collecting = gc.isenabled()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    mallopt = getattr(libc, "mallopt", None)  # musl has none
    gc.disable()
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _HIGHEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, 2**30)
    try:
        yield
    finally:
        if mallopt is not None:
            mallopt(_M_TRIM_THRESHOLD, _HIGHEST_TRIM_THRESHOLD)
        if collecting:
            gc.enable()
