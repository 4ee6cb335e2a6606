"""Clocks for repeated calls, and the quiet process that they need."""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import device

Call = Callable[[], object]
Clock = Callable[[Call, int], float]
"""Takes a call and how often to call it; gives the mean time of one call in milliseconds."""

# mallopt's parameters in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# As high as glibc raises both by itself in the life of a process (mallopt(3)).
_HIGHEST_MMAP_THRESHOLD, _HIGHEST_TRIM_THRESHOLD = 2**25, 2**26


def wall_clock(call: Call, n: int) -> float:
    """Time calls by the wall clock; gives the mean of ``n`` calls in milliseconds."""
    start_ns = perf_counter_ns()
    for _ in range(n):
        call()
    return (perf_counter_ns() - start_ns) / n / 1e6


def cuda_clock(device: "device") -> Clock:
    """Return a clock that times calls on a GPU by events on its stream, and waits for the last call to end."""
    import torch

    def clock(call: Call, n: int) -> float:
        with torch.cuda.device(device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            start.record()
            for _ in range(n):
                call()
            end.record()
            torch.cuda.synchronize()
            return float(start.elapsed_time(end)) / n

    return clock


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
