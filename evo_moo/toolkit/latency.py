"""Latency of a call or a network, measured alone on this host and freed from the machine's drift.

A measurement holds the host's measurement slot: trainings that yield between their batches stand still, and other
measurements wait, those of another search included. (A training that does not yield is waited for to its end.)
The call is warmed up until its time is stable. Then blocks of it alternate with blocks of a fixed reference
workload, until the confidence interval of the median is narrow enough. Each block's time is divided by that of
the reference beside it: what slows both, such as a neighbour or a lower clock, cancels. The corrected latency is
the median ratio times the reference's nominal time (``evo_moo.toolkit.reference_workload`` says why), and comparable
between measurements; the raw median is kept beside it.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evo_moo.evaluation import slots
from evo_moo.evaluation.slots import measurement_slot
from evo_moo.toolkit.reference_workload import Reference, numpy_reference, torch_reference
from evo_moo.toolkit.timing import Call, Clock, cuda_clock, quiet_process, wall_clock

if TYPE_CHECKING:
    import torch

# Warm-up ends when this many blocks in a row were not faster than the fastest by this share.
_STABLE_BLOCKS = 5
_STABLE_SHARE = 0.02
_FEWEST_BLOCKS = 6  # with fewer, no interval between two of the times holds the median in 95 % of all cases
_CHECK_EVERY = 10
DISTURBED = 1.25
"""Times that the reference takes of its nominal time, from which on a measurement is not worth keeping."""
CALIBRATION_S, _CALIBRATION_BLOCK_MS = 1.0, 3.0
_NORMAL_95 = 1.96
_SHORTEST_MS = 1e-5  # less, no call of Python takes


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
        times_ms: Mean time per call of each block, in milliseconds.
        reference_times_ms: Mean time per call of the reference's block beside each.
        nominal_ms: The reference's time on this machine when it is quiet.
        n_repeats: Number of calls per block.
        cold_start_ms: Time from nothing loaded to the end of the first call; of a callable, that of its first call.
        batch_size: Number of samples that one call handles.
    """

    times_ms: tuple[float, ...]
    reference_times_ms: tuple[float, ...]
    nominal_ms: float
    n_repeats: int
    cold_start_ms: float
    batch_size: int = 1

    @property
    def median_ms(self) -> float:
        """Median of the raw times."""
        return float(np.median(self.times_ms))

    @property
    def iqr_ms(self) -> float:
        """Interquartile range of the raw times."""
        return float(np.subtract(*np.quantile(self.times_ms, [0.75, 0.25])))

    @property
    def p95_ms(self) -> float:
        """95th percentile of the raw times (of blocks, so of single calls only with ``block_ms=0``)."""
        return float(np.quantile(self.times_ms, 0.95))

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
    def is_disturbed(self) -> bool:
        """Whether the machine was so slow that the correction may be far off."""
        return self.reference_ms > DISTURBED * self.nominal_ms

    @property
    def throughput_per_s(self) -> float:
        """Samples per second at the corrected latency, one call after the other."""
        return self.batch_size / self.corrected_ms * 1e3


def measure_latency(
    call: Call,
    *,
    effort: Effort | None = None,
    reference: Reference | None = None,
    clock: Clock = wall_clock,
    batch_size: int = 1,
) -> Latency:
    """Measure how long one call takes, in this host's measurement slot.

    Args:
        call: A callable without arguments.
        effort: How long to measure.
        reference: A workload that drifts as the call does; by default small matrix products of numpy.
        clock: How calls are timed.
        batch_size: Number of samples that one call handles, for the throughput.

    Returns:
        The times of all blocks.
    """
    return _measure(lambda: call, effort or Effort(), reference or numpy_reference(), clock, batch_size)


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

    The model, its training flags and torch's number of threads are as before afterwards. On a GPU, calls are
    timed by events on its stream.

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
        clock = cuda_clock(place) if place.type == "cuda" else wall_clock
        n_samples = inputs[0].shape[0] if inputs[0].ndim else 1
        return _measure(load, effort or Effort(), torch_reference(place, threads), clock, n_samples)


def _measure(load: Callable[[], Call], effort: Effort, reference: Reference, clock: Clock, batch_size: int) -> Latency:
    with measurement_slot(), quiet_process():
        start_ns = perf_counter_ns()
        call = load()
        cold_start_ms = (perf_counter_ns() - start_ns) / 1e6 + clock(call, 1)
        call_ms = _warm_up(call, clock, effort)
        reference_ms = _warm_up(reference.call, clock, effort)
        nominal_ms = reference.nominal_ms(lambda: _fastest_ms(reference.call, clock))
        n_repeats = _repeats(call_ms, effort.block_ms)
        # Long enough to see what the machine did during a long call; a quarter keeps the price low.
        n_reference = _repeats(reference_ms, max(effort.block_ms, call_ms / 4))
        times, beside = list[float](), list[float]()
        start_ns = perf_counter_ns()
        while True:
            beside.append(clock(reference.call, n_reference))
            times.append(clock(call, n_repeats))
            n = len(times)
            late = n >= _FEWEST_BLOCKS and perf_counter_ns() - start_ns >= effort.limit_s * 1e9
            due = n == effort.max_blocks or (n >= effort.min_blocks and n % _CHECK_EVERY == 0)
            if late or due:
                latency = Latency(tuple(times), tuple(beside), nominal_ms, n_repeats, cold_start_ms, batch_size)
                if late or n == effort.max_blocks or latency.ci_share <= effort.precision:
                    if latency.is_disturbed:
                        slots.note_disturbance()
                    return latency


def _warm_up(call: Call, clock: Clock, effort: Effort) -> float:
    """Call until the time is stable; gives the fastest, in milliseconds."""
    start_ns = perf_counter_ns()
    fastest_ms = clock(call, 1)
    n_stable = 0
    while n_stable < _STABLE_BLOCKS and perf_counter_ns() - start_ns < effort.warmup_s * 1e9:
        time_ms = clock(call, _repeats(fastest_ms, effort.block_ms))
        n_stable = n_stable + 1 if time_ms > fastest_ms * (1 - _STABLE_SHARE) else 0
        fastest_ms = min(fastest_ms, time_ms)
    return fastest_ms


def _fastest_ms(call: Call, clock: Clock) -> float:
    """Return the time of a call on the quiet machine: the fastest of many blocks, whose size no caller chooses."""
    n = _repeats(clock(call, 1), _CALIBRATION_BLOCK_MS)
    stop_ns = perf_counter_ns() + round(CALIBRATION_S * 1e9)
    fastest_ms = clock(call, n)
    while perf_counter_ns() < stop_ns:
        fastest_ms = min(fastest_ms, clock(call, n))
    return fastest_ms


def _repeats(time_ms: float, block_ms: float) -> int:
    return max(1, math.ceil(block_ms / max(time_ms, _SHORTEST_MS)))
