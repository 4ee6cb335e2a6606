"""How thoroughly a problem can evaluate."""

from typing import NamedTuple


class Fidelity(NamedTuple):
    """How thoroughly a problem can evaluate: a whole number that its ``evaluate`` gets as ``fidelity``.

    Attributes:
        name: What it counts, such as ``"epochs"``, ``"samples"``, ``"image_size"``.
        low: The least that makes sense.
        high: The full evaluation; its cost is the unit of the budget, and lower ones cost in proportion.
    """

    name: str
    low: int
    high: int
