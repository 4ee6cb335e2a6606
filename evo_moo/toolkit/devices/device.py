"""A device, as the latencies of the reference networks show it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evo_moo.errors import MetricError

Array = npt.NDArray[np.float64]
N_REFERENCES = 10


@dataclass(frozen=True)
class Device:
    """A device and how long the reference networks take on it.

    Lee et al., "Hardware-adaptive Efficient Latency Prediction for NAS via Meta-Learning" (HELP), NeurIPS 2021, section
    3.2, describe a device by these latencies. Scaled to [0, 1] they are its features; the scale is its unit, which
    turns what is predicted in it into milliseconds.

    Attributes:
        name: What the device is called.
        reference_ms: Latencies of the ten reference networks, in their order, in milliseconds.

    Raises:
        MetricError: There are not ten, one is no positive number, or all are the same.
    """

    name: str
    reference_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference_ms", tuple(float(value) for value in self.reference_ms))
        if faults := reference_faults(self.reference_ms):
            raise MetricError("\n".join(f"device `{self.name}`: {fault}" for fault in faults))

    @property
    def features(self) -> Array:
        """The latencies scaled to [0, 1], ``(10,)``: the fastest is 0, the slowest 1."""
        return self.in_unit(self.reference_ms)

    @property
    def low_ms(self) -> float:
        """Latency of the fastest reference network: 0 in the device's unit."""
        return min(self.reference_ms)

    @property
    def span_ms(self) -> float:
        """Latency of the slowest reference network beyond the fastest: 1 in the device's unit."""
        return max(self.reference_ms) - self.low_ms

    def in_unit(self, latencies_ms: npt.ArrayLike) -> Array:
        """Return milliseconds in the device's unit."""
        return (np.asarray(latencies_ms, dtype=float) - self.low_ms) / self.span_ms

    def in_ms(self, latencies: npt.ArrayLike) -> Array:
        """Return latencies in the device's unit as milliseconds."""
        return self.low_ms + np.asarray(latencies, dtype=float) * self.span_ms


def reference_faults(latencies_ms: Sequence[float]) -> list[str]:
    """List what is wrong with the latencies of the reference networks."""
    if len(latencies_ms) != N_REFERENCES:
        return [f"there must be {N_REFERENCES} latencies of reference networks, but there are {len(latencies_ms)}"]
    faults = [
        f"the latency of reference {number} must be a positive number, but is {value!r}"
        for number, value in enumerate(latencies_ms, 1)
        if not 0 < value < math.inf
    ]
    if not faults and min(latencies_ms) == max(latencies_ms):
        faults.append(
            f"the latencies of the references must differ, but all are {latencies_ms[0]!r}; measure with a finer clock"
        )
    return faults
