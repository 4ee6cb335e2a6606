"""What one training offers: points, each with the choices that were made after the training."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Point(NamedTuple):
    """One model that a training offers, or why it could not be made.

    Attributes:
        choices: Names of post-training variables to values.
        metrics: Names of metrics to numbers; empty where there is a fault.
        fault: Why this point could not be made, in one line; the other points of the training stay.
    """

    choices: Mapping[str, Any]
    metrics: Mapping[str, Any] = {}
    fault: str = ""
