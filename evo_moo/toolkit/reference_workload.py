"""Fixed workloads whose time tells how fast the machine is just now.

A shared machine drifts: its clock, its neighbours' use of the caches and the memory. A reference of similar
character drifts with the measured call, so the ratio of the two times stays. A latency is then that ratio times the
reference's *nominal* time. The nominal time only sets the scale, but must be the same for all that is to be
compared, so it is kept in a file, once it was seen on a quiet machine (``evo_moo.evaluation.machine``). (The fastest
time within each measurement would bring the drift between measurements back.) It is that of the fastest of many
blocks, because others only ever add time: corrected latencies are those of a quiet machine. A faster one that is seen
later takes its place.

Hosts of one CPU model and one version of the library share it, so that their corrected latencies compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np

from evo_moo.evaluation.machine import cpu_model, note_nominal_ms
from evo_moo.toolkit.timing import Call, Clock, Reading, repeats, were_alone

if TYPE_CHECKING:
    from torch import device

CALIBRATION_S, CALIBRATION_BLOCK_MS = 1.0, 3.0
_FASTEST = 0.05  # the quantile of many blocks that stands for a quiet machine
_STEADY = 1.1
"""Median time of many blocks by that quantile, up to which the machine is quiet enough to calibrate."""


@dataclass(frozen=True)
class Reference:
    """A fixed workload.

    Attributes:
        call: One call of it.
        name: What it computes, by what, on what; together with the CPU it is the key of the nominal time.
    """

    call: Call
    name: str

    def key(self, clock: str) -> str:
        """Name what its nominal time depends on: the workload, the clock by its name, and the CPU."""
        return f"{self.name}; {clock}; {cpu_model()}"


def calibrate(key: str, call: Call, clock: Clock) -> float:
    """Measure the nominal time of a reference in milliseconds, by many blocks whose size no caller chooses."""
    n = repeats(clock.read(call, 1).ms, CALIBRATION_BLOCK_MS)
    stop_ns = perf_counter_ns() + round(CALIBRATION_S * 1e9)
    blocks = [clock.read(call, n)]
    while perf_counter_ns() < stop_ns:
        blocks.append(clock.read(call, n))
    return note_blocks(key, blocks)


def note_blocks(key: str, blocks: Sequence[Reading]) -> float:
    """Note the time of a reference that blocks show, and return the nominal time that follows, in milliseconds.

    It is kept for other processes where the blocks were steady and not interrupted.
    """
    times_ms = [block.ms for block in blocks]
    fastest_ms = float(np.quantile(times_ms, _FASTEST))
    is_steady = float(np.median(times_ms)) <= _STEADY * fastest_ms
    return note_nominal_ms(key, fastest_ms, keep=is_steady and were_alone(blocks))


def numpy_reference() -> Reference:
    """Return the reference of plain callables: small matrix products and tanh, about 0.1 ms.

    Larger matrices numpy would multiply on several threads.
    """
    weights = np.linspace(-0.2, 0.2, 64 * 64, dtype=np.float32).reshape(64, 64)

    def call() -> object:
        values = weights
        for _ in range(4):
            values = np.tanh(values @ weights)
        return values

    return Reference(call, f"2: products of 64 x 64 matrices; numpy {np.__version__}")


def torch_reference(device: "device | str", threads: int) -> Reference:
    """Return the reference of networks: two convolutions over a batch of 64, about 1 ms on one CPU thread.

    Of three workloads it followed the drift of other networks best, and far better than products of matrices.

    Args:
        device: Where it runs.
        threads: The number of threads that torch is set to, which is part of the key.
    """
    import torch
    from torch.nn.functional import conv2d, linear, max_pool2d

    device = torch.device(device)

    def filled(*shape: int) -> torch.Tensor:
        return torch.full(shape, 0.01, device=device)  # no random number: torch's generator stays as it was

    images, first, second, last = filled(64, 1, 8, 8), filled(48, 1, 5, 5), filled(16, 48, 3, 3), filled(10, 256)

    def call() -> object:
        hidden = max_pool2d(conv2d(images, first, padding=2).mul_(1.1).relu(), 2)
        return linear(conv2d(hidden, second, padding=1).relu().flatten(1), last)

    place = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{threads} threads"
    return Reference(call, f"1: two convolutions over 64 x 8 x 8; torch {torch.__version__}; {place}")
