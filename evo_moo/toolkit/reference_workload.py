"""Fixed workloads whose time tells how fast the machine is just now.

A shared machine drifts: its clock, its neighbours' use of the caches and the memory. A reference of similar
character drifts with the measured call, so the ratio of the two times stays. A latency is then that ratio times the
reference's *nominal* time. The nominal time only sets the scale, but must be the same for all that is to be
compared, so it is measured once per machine and kept in a file. (The fastest time within each measurement would
bring the drift between measurements back.) It is the fastest of many blocks, because others only ever add time:
corrected latencies are those of a quiet machine.

The file lies in ``machine.cache_folder()``. Hosts of one CPU model and one version of the library share it, so that
their corrected latencies compare.
"""

import contextlib
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evo_moo.evaluation.machine import cache_folder, cpu_model, write_json

if TYPE_CHECKING:
    from torch import device

_in_this_process: dict[Path, float] = {}


@dataclass(frozen=True)
class Reference:
    """A fixed workload.

    Attributes:
        call: One call of it.
        name: What it computes, by what, on what; together with the CPU it is the key of the nominal time.
    """

    call: Callable[[], object]
    name: str

    def nominal_ms(self, measure: Callable[[], float]) -> float:
        """Return its time on this machine when quiet, in milliseconds; ``measure`` is called where none is kept."""
        key = f"{self.name}; {cpu_model()}"
        path = cache_folder() / f"reference-{hashlib.blake2b(key.encode(), digest_size=6).hexdigest()}.json"
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept = float(json.loads(path.read_text(encoding="utf-8"))["nominal_ms"])
            if 0 < kept < math.inf:
                return kept
        if path not in _in_this_process:
            _in_this_process[path] = measure()
        with contextlib.suppress(OSError):
            write_json(path, {"workload": key, "nominal_ms": _in_this_process[path]})
        return _in_this_process[path]


def numpy_reference() -> Reference:
    """Return the reference of plain callables: small matrix products and tanh, about 0.1 ms."""
    import numpy as np

    weights = np.linspace(-0.2, 0.2, 96 * 96, dtype=np.float32).reshape(96, 96)

    def call() -> object:
        values = weights
        for _ in range(4):
            values = np.tanh(values @ weights)
        return values

    return Reference(call, f"1: products of 96 x 96 matrices; numpy {np.__version__}")


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
