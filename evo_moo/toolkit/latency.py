"""Latency of a call or a network, measured alone on this host and freed from the load of others.

A measurement holds the host's measurement slot: trainings that yield between their batches stand still, and other
measurements wait, those of another search included; a worker that is pinned to a GPU holds the slot of that alone. The
call is warmed up until its time is stable. Then blocks of it alternate with blocks of a fixed reference workload, until
the confidence interval of the median is narrow enough. Each block's time is divided by that of the reference beside it:
what slows both, such as a neighbour or a lower clock, cancels. The corrected latency is the median ratio times the
reference's nominal time (``evo_moo.toolkit.reference_workload`` says why), and comparable between measurements.

Both times are CPU times of the measuring thread: they stand still while other processes have the core, so that a busy
machine adds little to them, where it multiplies wall times. A call that computes in other threads too, or waits, shows
this in its first blocks, and is measured by the wall clock, as is a network on several threads; a GPU has a clock of
its own. Those clocks count the load of others. A measurement that was interrupted, or by such a clock met a slow
machine, is not sound, and measured again (``evo_moo.evaluation.profile_cache``).
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evo_moo.evaluation.machine import nominal_ms_of
from evo_moo.evaluation.slots import measurement_slot, note_timings
from evo_moo.problem.measurements import Timing
from evo_moo.toolkit.reference_workload import (
    CALIBRATION_BLOCK_MS,
    Reference,
    calibrate,
    note_blocks,
    numpy_reference,
    torch_reference,
)
from evo_moo.toolkit.timing import (
    WALL_CLOCK,
    Call,
    Clock,
    Reading,
    cuda_clock,
    is_all_of,
    quiet_process,
    repeats,
    thread_clock,
    warm_up,
    were_alone,
)

if TYPE_CHECKING:
    import torch

_FEWEST_BLOCKS = 6  # with fewer, no interval between two of the times holds the median in 95 % of all cases
_CHECK_EVERY = 10
_SLOW = 1.25
"""Median time of the reference by its nominal time from which on a clock that counts waiting saw others."""
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        precision: Enough is measured when the 95 % confidence interval of the corrected median is at most this
            share of it wide.
        min_blocks: The fewest blocks, at least 6.
        max_blocks: The most blocks, whatever the interval.
        limit_s: No further block starts after so many seconds, once 6 are measured.
        block_ms: The shortest time of a block, in milliseconds: calls are repeated to fill it. With 0 every
            block is one call, so that the spread is that of single calls.
        warmup_s: The longest warm-up, in seconds; it ends earlier once the time is stable.

    Raises:
        ValueError: ``min_blocks`` is below 6 or above ``max_blocks``.
    """

    precision: float = 0.02
    min_blocks: int = 30
    max_blocks: int = 300
    limit_s: float = 2.0
    block_ms: float = 3.0
    warmup_s: float = 0.2

    def __post_init__(self) -> None:
        if self.min_blocks < _FEWEST_BLOCKS:
            raise ValueError(f"`min_blocks` must be at least {_FEWEST_BLOCKS}, but is {self.min_blocks}")
        if self.max_blocks < self.min_blocks:
            raise ValueError(f"`max_blocks` must be at least {self.min_blocks}, but is {self.max_blocks}")


@dataclass(frozen=True)
class Latency:
    """What was measured: the blocks in their order, and what follows from them.

    Attributes:
        times_ms: Mean time per call of each block by the clock, in milliseconds.
        reference_times_ms: Mean time per call of the reference's block beside each.
        nominal_ms: The reference's time on this machine when it is quiet.
        n_repeats: Number of calls per block.
        cold_start_ms: Time from nothing loaded to the end of the first call; of a callable, that of its first call.
        batch_size: Number of samples that one call handles.
        wall_times_ms: Wall time per call of each block.
        clock: What the times count, in words.
        is_sound: Whether the machine was quiet enough for the corrected latency to be trusted.
    """

    times_ms: tuple[float, ...]
    reference_times_ms: tuple[float, ...]
    nominal_ms: float
    n_repeats: int
    cold_start_ms: float
    batch_size: int = 1
    wall_times_ms: tuple[float, ...] = ()
    clock: str = "simulated"
    is_sound: bool = True

    @property
    def median_ms(self) -> float:
        """Median of the raw wall times."""
        return float(np.median(self.wall_times_ms))

    @property
    def iqr_ms(self) -> float:
        """Interquartile range of the raw wall times."""
        return float(np.subtract(*np.quantile(self.wall_times_ms, [0.75, 0.25])))

    @property
    def p95_ms(self) -> float:
        """95th percentile of the raw wall times (of blocks, so of single calls only with ``block_ms=0``)."""
        return float(np.quantile(self.wall_times_ms, 0.95))

    @functools.cached_property
    def corrected_times_ms(self) -> npt.NDArray[np.float64]:
        """Time of each block, ``(n_blocks,)``, had the reference beside it taken its nominal time."""
        return np.divide(self.times_ms, self.reference_times_ms) * self.nominal_ms

    @property
    def corrected_ms(self) -> float:
        """Median of the corrected times: the latency to compare by."""
        return float(np.median(self.corrected_times_ms))

    @property
    def ci_ms(self) -> tuple[float, float]:
        """95 % confidence interval of the corrected median; supposes no distribution.

        Conover, "Practical Nonparametric Statistics", 3rd edition 1999, section 3.2: the interval between two
        order statistics, their ranks by the normal approximation.
        """
        n, half = len(self.times_ms), _NORMAL_95 * math.sqrt(len(self.times_ms)) / 2
        ordered = np.sort(self.corrected_times_ms)
        return float(ordered[max(math.ceil(n / 2 - half), 1) - 1]), float(ordered[min(math.ceil(n / 2 + half), n) - 1])

    @property
    def ci_share(self) -> float:
        """Width of the confidence interval as a share of the corrected median."""
        low, high = self.ci_ms
        return (high - low) / self.corrected_ms

    @property
    def reference_ms(self) -> float:
        """Median of the reference's raw times; above ``nominal_ms`` the machine was slow."""
        return float(np.median(self.reference_times_ms))

    @property
    def throughput_per_s(self) -> float:
        """Samples per second at the corrected latency, one call after the other."""
        return self.batch_size / self.corrected_ms * 1e3


def measure_latency(
    call: Call,
    *,
    effort: Effort | None = None,
    reference: Reference | None = None,
    clock: Clock | None = None,
    batch_size: int = 1,
) -> Latency:
    """Measure how long one call takes, in this host's measurement slot.

    Args:
        call: A callable without arguments.
        effort: How long to measure.
        reference: A workload that drifts as the call does; by default small matrix products of numpy.
        clock: How calls are timed; by default the CPU time of this thread where it is all of the call's, else the
            wall time.
        batch_size: Number of samples that one call handles, for the throughput.

    Returns:
        The times of all blocks.
    """
    return _measured(lambda: call, effort or Effort(), reference or numpy_reference(), clock, batch_size)


def model_latency(
    model: "torch.nn.Module",
    example: "torch.Tensor | tuple[torch.Tensor, ...]",
    *,
    runtime: str = "torch",
    batch_size: int | None = None,
    threads: int = 1,
    dtype: "torch.dtype | None" = None,
    channels_last: bool = False,
    device: "torch.device | str | None" = None,
    effort: Effort | None = None,
) -> Latency:
    """Measure one forward pass in evaluation and inference mode.

    The model, its training flags and torch's number of threads are as before afterwards. On one thread, calls are
    timed by its CPU time, on several by the wall time, and on a GPU by events on its stream.

    Args:
        model: The network.
        example: The input or inputs of one forward pass; the first axis is the batch.
        runtime: What runs it: ``"torch"``, ``"torch.compile"``, ``"torchscript"``, ``"torch.export"`` or
            ``"onnxruntime"``. All but the first take seconds to prepare, and share one latency per architecture.
        batch_size: Measures a batch of so many copies of the example's first sample instead of the example.
        threads: Number of threads of one forward pass.
        dtype: Type of floating-point weights and inputs; by default the model's own.
        channels_last: Whether inputs and weights of 4 axes lie in memory with the channels last.
        device: Where it runs; by default where the example lies.
        effort: How long to measure.

    Returns:
        The times of all blocks. ``cold_start_ms`` is from the model in memory (``torch``, ``torch.compile``) or
        from the exported file's bytes (all others).

    Raises:
        ValueError: The runtime is unknown, or cannot do what is asked.
        ImportError: The runtime is not installed.
    """
    from evo_moo.toolkit import runtimes
    from evo_moo.toolkit.training import inference

    inputs = runtimes.batch_of(example if isinstance(example, tuple) else (example,), batch_size)
    place = runtimes.device_of(device, inputs)
    model, inputs = runtimes.converted(model, inputs, place, dtype, channels_last)
    with runtimes.torch_threads(threads), inference(model):
        load = runtimes.loader(runtime, model, inputs, threads)
        clock = cuda_clock(place) if place.type == "cuda" else WALL_CLOCK if threads > 1 else None
        n_samples = inputs[0].shape[0] if inputs[0].ndim else 1
        return _measured(load, effort or Effort(), torch_reference(place, threads), clock, n_samples)


def _measured(
    load: Callable[[], Call], effort: Effort, reference: Reference, clock: Clock | None, batch_size: int
) -> Latency:
    with measurement_slot(on_gpu=clock is not None and clock.is_gpu), quiet_process():
        start_ns = perf_counter_ns()
        call = load()
        loaded_ms = (perf_counter_ns() - start_ns) / 1e6
        cold_start_ms = loaded_ms + (clock or thread_clock()).read(call, 1).wall_ms
        series = clock is None and _Series(call, effort, reference, thread_clock())
        if not series or not series.may_go_on():
            series = _Series(call, effort, reference, clock or WALL_CLOCK)
        latency = series.measured(cold_start_ms, batch_size)
    scale = reference.key(latency.clock), latency.nominal_ms
    (low_ms, high_ms), per_s = latency.ci_ms, latency.throughput_per_s
    ends = per_s * latency.corrected_ms / high_ms, per_s * latency.corrected_ms / low_ms
    timings = Timing(latency.corrected_ms, low_ms, high_ms, *scale, 1), Timing(per_s, *ends, *scale, -1)
    note_timings(*timings, is_sound=latency.is_sound)
    return latency


class _Series:
    """Blocks of a call, each after a block of the reference, by one clock."""

    def __init__(self, call: Call, effort: Effort, reference: Reference, clock: Clock) -> None:
        self._call, self._effort, self._reference, self._clock = call, effort, reference, clock
        call_ms, reference_ms = (
            warm_up(each, clock, effort.block_ms, effort.warmup_s) for each in (call, reference.call)
        )
        self._key = reference.key(clock.name)
        self._nominal_ms = nominal_ms_of(self._key) or calibrate(self._key, reference.call, clock)
        self._n_repeats = repeats(call_ms, effort.block_ms)
        # Long enough to see what the machine did during a long call; a quarter keeps the price low.
        self._n_reference = repeats(reference_ms, max(effort.block_ms, call_ms / 4))
        self._blocks, self._beside = list[Reading](), list[Reading]()
        self._start_ns = perf_counter_ns()

    def may_go_on(self) -> bool:
        """Measure the first blocks, and return whether the clock counts all that the call does."""
        while len(self._blocks) < _FEWEST_BLOCKS:
            self._add_block()
        return self._clock.counts_waiting or is_all_of(self._blocks, self._beside)

    def measured(self, cold_start_ms: float, batch_size: int) -> Latency:
        """Measure until the interval is narrow or the limits are reached."""
        effort = self._effort
        while True:
            n = len(self._blocks)
            late = n >= _FEWEST_BLOCKS and perf_counter_ns() - self._start_ns >= effort.limit_s * 1e9
            due = n == effort.max_blocks or (n >= effort.min_blocks and n % _CHECK_EVERY == 0)
            if late or due:
                latency = self._latency(cold_start_ms, batch_size)
                if late or n == effort.max_blocks or latency.ci_share <= effort.precision:
                    return self._with_nominal(latency)
            self._add_block()

    def _add_block(self) -> None:
        self._beside.append(self._clock.read(self._reference.call, self._n_reference))
        self._blocks.append(self._clock.read(self._call, self._n_repeats))

    def _latency(self, cold_start_ms: float, batch_size: int) -> Latency:
        times, walls = zip(*((block.ms, block.wall_ms) for block in self._blocks), strict=True)
        beside = tuple(block.ms for block in self._beside)
        facts = self._nominal_ms, self._n_repeats, cold_start_ms, batch_size, walls, self._clock.name
        return Latency(times, beside, *facts)

    def _with_nominal(self, latency: Latency) -> Latency:
        """Let the reference's blocks lower its nominal time, and judge by them whether the machine was quiet."""
        # Shorter blocks than those of a calibration are faster or slower than they for reasons of their own.
        if self._n_reference * latency.reference_ms >= CALIBRATION_BLOCK_MS:
            latency = replace(latency, nominal_ms=note_blocks(self._key, self._beside))
        if not self._clock.counts_waiting:
            return replace(latency, is_sound=were_alone([*self._blocks, *self._beside]))
        is_fast = latency.reference_ms <= _SLOW * latency.nominal_ms
        return replace(latency, is_sound=is_fast and were_alone(self._beside))
