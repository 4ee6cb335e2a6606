"""Values of several parts, such as subsets or shares, as what each part of them is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evo_moo.space.kinds.known import compound_of
from evo_moo.space.variables import Array


class Part(NamedTuple):
    """One part of a variable: an option that is in or out, the position of one, or a share.

    Attributes:
        name: Name of the variable with that of the part.
        kind: Kind of what it holds: ``boolean``, ``integer`` or ``real``.
        span: Its smallest and largest value.
        values: ``(n,)`` its value in each configuration, NaN where the variable does not exist.
    """

    name: str
    kind: str
    span: tuple[float, float]
    values: Array


def parts_of(name: str, definition: Mapping[str, Any], configurations: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return the parts of a variable by its recorded definition; none of a variable that has one value."""
    kind = compound_of(definition)
    if kind is None:
        return []
    parts = kind.parts()
    codes = np.full((len(configurations), len(parts)), math.nan)
    for row, configuration in zip(codes, configurations, strict=True):
        if name in configuration:
            row[:] = kind.codes(configuration[name])
    return [
        Part(f"{name}[{part}]", of_part.kind, of_part.span, values)
        for (part, of_part), values in zip(parts.items(), codes.T, strict=True)
    ]
