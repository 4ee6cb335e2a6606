"""Named results of an evaluation, and what is known of each."""

import contextlib
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evo_moo.errors import MetricError
from evo_moo.values import plain

Metrics = dict[str, float]


@dataclass(frozen=True)
class Metric:
    """What is known of a metric besides its value.

    Attributes:
        unit: Unit of the value, such as ``"ms"``; empty for a pure number.
        description: One line for tables.
        log: Whether ratios count, not differences: plots show it on a logarithmic axis, and where it is minimised,
            models weigh trade-offs by its logarithm.
        timed: Whether it is a measured time, which no seed makes reproducible.
        noisy: Whether it depends on the evaluation's seed.
        cheap: Whether it needs no training.
        held_out: Whether it may only be reported: a search must not see it.
        test_of: The metric that this one is on held-out test data; ``evo-moo confirm`` reports it in that one's place.
    """

    unit: str = ""
    description: str = ""
    log: bool = False
    timed: bool = False
    noisy: bool = False
    cheap: bool = False
    held_out: bool = False
    test_of: str = ""


def with_unit(name: str, unit: str) -> str:
    """Name a metric with its unit, unless the name tells it already."""
    return f"{name} ({unit})" if unit and not name.endswith(f"_{unit}") else name


def is_finite_number(value: Any) -> bool:
    """Return whether a value is a finite number, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def mean_metrics(repetitions: Sequence[Metrics]) -> Metrics:
    """Return the means of the metrics that all repetitions of an evaluation gave; there must be one at least."""
    common = [name for name in repetitions[0] if all(name in metrics for metrics in repetitions)]
    return {name: sum(metrics[name] for metrics in repetitions) / len(repetitions) for name in common}


def checked_metrics(returned: Any, required: Iterable[str] = ()) -> Metrics:
    """Check what an evaluation returned and give it as plain numbers.

    Args:
        returned: What ``evaluate`` or ``profile`` returned: a mapping of names to finite numbers. NumPy
            scalars and one-element tensors count as numbers.
        required: Names that must be there.

    Raises:
        MetricError: It is no mapping, a value is no finite number, or a required name is missing.
    """
    if hasattr(returned, "to_dict"):  # a row of a pandas table
        returned = plain(returned)
    if not isinstance(returned, Mapping):
        raise MetricError(f"an evaluation must return a dict of metrics, but it returned {_shown(returned)}")
    metrics = {name: _number(name, value) for name, value in returned.items()}
    missing = [name for name in required if name not in metrics]
    if missing:
        raise MetricError(
            f"an evaluation must return {', '.join(f'`{name}`' for name in missing)}, "
            f"but it returned only {', '.join(f'`{name}`' for name in metrics) or 'an empty dict'}"
        )
    return metrics


def _number(name: Any, value: Any) -> float:
    if type(value) is float and type(name) is str and math.isfinite(value):
        return value
    if not isinstance(name, str):
        raise MetricError(f"a metric's name must be a string, but is {_shown(name)}")
    with contextlib.suppress(AttributeError, ValueError, RuntimeError):
        value = value.item()
    if isinstance(value, bool):
        value = int(value)
    if not isinstance(value, int | float):
        raise MetricError(f"metric `{name}` must be a number, but is {_shown(value)}")
    if not is_finite_number(value):
        raise MetricError(f"metric `{name}` must be finite, but is {str(value)[:80]}")
    return value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:80]!r}"
