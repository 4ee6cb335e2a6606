"""Latency of a call, measured alone on this host: warm-up until stable, then blocks of repeats.

Other users of the host and its clock only ever add time. So a series of blocks that spreads widely is
measured again, and of the series the one with the lowest median counts.
"""

import gc
import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING

from evo_moo.measurement import measurement_slot

if TYPE_CHECKING:
    from torch import Tensor, nn

# Warm-up ends when this many blocks in a row were not faster than the fastest by this share.
_STABLE_BLOCKS = 5
_STABLE_SHARE = 0.02
_MIN_BLOCKS = 5
# A series is steady when its interquartile range is at most this share of its median.
_STEADY_SHARE = 0.1


@dataclass(frozen=True)
class Latency:
    """The time of one call.

    Attributes:
        median_ms: Median over the blocks of the mean time per call, in milliseconds.
        iqr_ms: Interquartile range over the blocks, in milliseconds.
        n_blocks: Number of blocks in the series that counts.
        n_repeats: Number of calls per block.
    """

    median_ms: float
    iqr_ms: float
    n_blocks: int
    n_repeats: int


def measure_latency(
    call: Callable[[], object],
    *,
    warmup_s: float = 0.05,
    blocks: int = 50,
    block_ms: float = 1.5,
    attempts: int = 3,
    limit_s: float = 2.0,
) -> Latency:
    """Measure how long one call takes, in this host's measurement slot and without garbage collection.

    Args:
        call: A callable without arguments.
        warmup_s: The longest warm-up, in seconds; it ends earlier once the time is stable.
        blocks: Number of blocks, at least 5.
        block_ms: The shortest time of a block, in milliseconds: calls are repeated to fill it.
        attempts: The most series measured; the first steady one ends the measurement.
        limit_s: No further block starts after so many seconds, once 5 are measured.

    Returns:
        The median and spread of the time per call.

    Raises:
        ValueError: ``blocks`` is below 5 or ``attempts`` below 1.
    """
    for name, value, least in (("blocks", blocks, _MIN_BLOCKS), ("attempts", attempts, 1)):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}, but is {value}")
    series: list[Latency] = []
    with measurement_slot(), _no_garbage_collection():
        n_repeats = _warm_up(call, warmup_s, block_ms)
        stop_ns = perf_counter_ns() + round(limit_s * 1e9)
        while len(series) < attempts:
            series.append(_series(call, n_repeats, blocks, stop_ns))
            if series[-1].iqr_ms <= _STEADY_SHARE * series[-1].median_ms or perf_counter_ns() > stop_ns:
                break
    return min(series, key=lambda latency: latency.median_ms)


def model_latency(
    model: "nn.Module",
    example: "Tensor",
    *,
    warmup_s: float = 0.05,
    blocks: int = 50,
    block_ms: float = 1.5,
    attempts: int = 3,
    limit_s: float = 2.0,
) -> Latency:
    """Measure one forward pass in evaluation and inference mode, on one thread.

    The training flags of the model and torch's number of threads are as before afterwards.

    Args:
        model: The network.
        example: The input of one forward pass, on the model's device; its first axis is the batch.
        warmup_s: As for ``measure_latency``.
        blocks: As for ``measure_latency``.
        block_ms: As for ``measure_latency``.
        attempts: As for ``measure_latency``.
        limit_s: As for ``measure_latency``.

    Returns:
        The median and spread of the time per forward pass.
    """
    import torch

    from evo_moo.training import inference, one_thread

    def forward() -> None:
        model(example)
        if example.is_cuda:
            torch.cuda.synchronize(example.device)

    with one_thread(), inference(model):
        return measure_latency(
            forward, warmup_s=warmup_s, blocks=blocks, block_ms=block_ms, attempts=attempts, limit_s=limit_s
        )


def _warm_up(call: Callable[[], object], warmup_s: float, block_ms: float) -> int:
    """Call until the time is stable; gives the number of repeats that fill a block."""
    start_ns = perf_counter_ns()
    fastest_ms = _block_ms(call, 1)
    n_stable = 0
    while n_stable < _STABLE_BLOCKS and perf_counter_ns() - start_ns < warmup_s * 1e9:
        time_ms = _block_ms(call, _repeats(fastest_ms, block_ms))
        n_stable = n_stable + 1 if time_ms > fastest_ms * (1 - _STABLE_SHARE) else 0
        fastest_ms = min(fastest_ms, time_ms)
    return _repeats(fastest_ms, block_ms)


def _series(call: Callable[[], object], n_repeats: int, blocks: int, stop_ns: int) -> Latency:
    times_ms: list[float] = []
    while len(times_ms) < blocks and (len(times_ms) < _MIN_BLOCKS or perf_counter_ns() < stop_ns):
        times_ms.append(_block_ms(call, n_repeats))
    lower, median_ms, upper = statistics.quantiles(times_ms, n=4, method="inclusive")
    return Latency(median_ms, upper - lower, len(times_ms), n_repeats)


def _repeats(time_ms: float, block_ms: float) -> int:
    return max(1, math.ceil(block_ms / max(time_ms, 1e-6)))


def _block_ms(call: Callable[[], object], n_repeats: int) -> float:
    """Mean time per call of one block, in milliseconds."""
    start_ns = perf_counter_ns()
    for _ in range(n_repeats):
        call()
    return (perf_counter_ns() - start_ns) / n_repeats / 1e6


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
