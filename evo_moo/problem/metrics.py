"""Named results of an evaluation, and what is known of each."""

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from evo_moo.errors import MetricError
from evo_moo.problem.contexts import AT, NO_CONTEXTS, ByContext
from evo_moo.values import plain

Metrics = dict[str, float]
Facts = dict[str, Any]
LONGEST_FACT = 10_000
"""Characters of what is kept beside the numbers, as JSON."""


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
        by_context: Whether it differs between the problem's ``contexts``.
    """

    unit: str = ""
    description: str = ""
    log: bool = False
    timed: bool = False
    noisy: bool = False
    cheap: bool = False
    held_out: bool = False
    test_of: str = ""
    by_context: bool = False


def with_unit(name: str, unit: str) -> str:
    """Name a metric with its unit, unless the name tells it already."""
    return f"{name} ({unit})" if unit and not name.partition(AT)[0].endswith(f"_{unit}") else name


def is_finite_number(value: Any) -> bool:
    """Return whether a value is a finite number, and no truth value."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def mean_metrics(repetitions: Sequence[Metrics]) -> Metrics:
    """Return the means of the metrics that all repetitions of an evaluation gave; there must be one at least."""
    common = [name for name in repetitions[0] if all(name in metrics for metrics in repetitions)]
    return {name: sum(metrics[name] for metrics in repetitions) / len(repetitions) for name in common}


class Returned(NamedTuple):
    """What an evaluation returned.

    Attributes:
        metrics: Names to finite numbers.
        facts: Names to what is no number and is kept as it is: texts, and short lists and tables.
        faults: Names to why there is no number.
    """

    metrics: Metrics
    facts: Facts
    faults: dict[str, str]

    def followed_by(self, later: Self) -> Self:
        """Return this and what was returned later as one; the later value of a name counts."""
        metrics, facts = ({**one, **other} for one, other in ((self.metrics, later.metrics), (self.facts, later.facts)))
        faults = {name: why for name, why in (self.faults | later.faults).items() if name not in metrics}
        return type(self)(metrics, facts, faults)

    def notes(self) -> str:
        """Say which metrics have no value, and why; empty where all have one, or are kept as facts."""
        return "; ".join(f"no `{name}`: it {why}" for name, why in self.faults.items() if name not in self.facts)

    def checked(self, required: Iterable[str]) -> Metrics:
        """Return the numbers, where all that are needed are there.

        Raises:
            MetricError: A required name is missing, or is no finite number.
        """
        missing = [name for name in required if name not in self.metrics]
        if faults := [f"metric `{name}` {self.faults[name]}" for name in missing if name in self.faults]:
            raise MetricError("; ".join(faults))
        if missing:
            raise MetricError(
                f"an evaluation must return {', '.join(f'`{name}`' for name in missing)}, "
                f"but it returned {', '.join(f'`{name}`' for name in self.metrics) or 'no number'}"
            )
        return self.metrics


def read_returned(returned: Any, by_context: ByContext = NO_CONTEXTS) -> Returned:
    """Read what ``evaluate``, ``compute`` or ``profile`` returned; the goals decide what of it must be a number.

    Args:
        returned: A mapping of names to values. NumPy scalars and one-element tensors count as numbers.
        by_context: Which metrics may have a value for each context.

    Raises:
        MetricError: It is no mapping of names.
    """
    if hasattr(returned, "to_dict"):  # a row of a pandas table
        returned = plain(returned)
    if not isinstance(returned, Mapping):
        way_out = "; points need `post_training`" if isinstance(returned, list | tuple) else ""
        raise MetricError(f"an evaluation must return a dict of metrics, but it returned {_shown(returned)}{way_out}")
    read = Returned({}, {}, {})
    for name, value in by_context.spread(returned).items():
        if not isinstance(name, str):
            raise MetricError(f"a metric's name must be a string, but is {_shown(name)}")
        try:
            read.metrics[name] = _number(value)
        except ValueError as fault:
            read.faults[name] = str(fault)
            with contextlib.suppress(TypeError, ValueError):
                read.facts[name] = _fact(value)
    return read


def checked_metrics(returned: Any, required: Iterable[str] = (), by_context: ByContext = NO_CONTEXTS) -> Metrics:
    """Return the numbers of what an evaluation returned; arguments and errors as for ``read_returned``.

    Args:
        returned: A mapping of names to values.
        required: Names that must have a finite number.
        by_context: As there.

    Raises:
        MetricError: It is no mapping of names, or a required name has no finite number.
    """
    return read_returned(returned, by_context).checked(required)


def _number(value: Any) -> float:
    """Return a value as a plain finite number; ``ValueError`` with the rule where it is none."""
    if type(value) is float and math.isfinite(value):
        return value
    with contextlib.suppress(AttributeError, ValueError, RuntimeError):
        value = value.item()
    if isinstance(value, bool):
        value = int(value)
    if not isinstance(value, int | float):
        raise ValueError(f"must be a number, but is {_shown(value)}")
    if not is_finite_number(value):
        raise ValueError(f"must be finite, but is {str(value)[:80]}")
    return value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)


def _fact(value: Any) -> Any:
    """Return what can be kept of a value that is no number; ``TypeError`` or ``ValueError`` where nothing can."""
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    value = value.tolist() if hasattr(value, "tolist") else value
    if value is None or isinstance(value, int | float):
        raise ValueError
    text = json.dumps(value, allow_nan=False)
    if len(text) > LONGEST_FACT:
        raise ValueError
    return json.loads(text)


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:80]!r}"
