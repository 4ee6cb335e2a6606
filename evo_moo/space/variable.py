"""What all kinds of variables share.

A variable's *code* is the number that stands for a value: the value itself for a number, its place among the steps
where there are steps, the option's index for ``Choice``, 0 or 1 for ``Boolean``. The search space's columns are codes,
or their natural logarithm where a range is searched in log scale.
"""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from evo_moo.values import json_key, plain

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Variable:
    """What all kinds of variables share.

    Attributes:
        when: Name of a parent to the values for which this variable exists: one value, a list of values, or
            ``{"at_least": a, "at_most": b}``. Several parents must all match, and exist themselves. Of a list of such
            mappings one must hold.
    """

    when: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = field(default=None, kw_only=True)

    has_options: ClassVar[bool] = False
    """Whether values are one of a few options, and codes number these."""
    is_whole: ClassVar[bool] = False
    """Whether values are whole numbers."""

    @property
    def alternatives(self) -> tuple[Mapping[str, Any], ...]:
        """Conditions of which one must hold for the variable to exist; none where it always does."""
        if isinstance(self.when, Mapping):
            return (self.when,) if self.when else ()
        return tuple(self.when or ())

    def only_when(self, more: Mapping[str, Any]) -> Self:
        """Return the variable as it exists only where its conditions and more hold."""
        alternatives = [{**each, **more} for each in self.alternatives or [{}]]
        return replace(self, when=alternatives if len(alternatives) > 1 else alternatives[0] or None)

    @property
    def named(self) -> dict[str, str]:
        """``low`` and ``high`` to the variable whose value is that bound, where it is one's."""
        return {}

    @property
    def kind(self) -> str:
        """Name of the kind, for tables."""
        return type(self).__name__.lower()

    @property
    def grid(self) -> bool:
        """Whether codes are whole numbers."""
        return True

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest code."""
        raise NotImplementedError

    def faults(self) -> list[str]:
        """List what is wrong with the definition, ``when`` aside."""
        return []

    def code(self, value: Any) -> float:
        """Return the code of a value; raises ``ValueError`` with the rule if it is none of this variable's."""
        raise NotImplementedError

    def nearest_code(self, value: Any) -> float | None:
        """Return the code of a value, or where numbers have a range that of the nearest one; None if there is none."""
        try:
            return self.code(value)
        except ValueError:
            return None

    def codes(self, value: Any) -> list[float]:
        """Return the codes of a value, one for each column; errors as for ``code``."""
        return [self.code(value)]

    def nearest_codes(self, value: Any) -> list[float] | None:
        """Return the codes of the nearest value, one for each column; see ``nearest_code``."""
        code = self.nearest_code(value)
        return None if code is None else [code]

    def spread(self, n: int) -> Array:
        """Return up to ``n`` codes, from the smallest to the largest in equal steps."""
        return np.unique(np.rint(np.linspace(*self.span, n)))

    def values(self, codes: Array) -> list[Any]:
        """Return the plain Python values of ``(n,)`` codes."""
        raise NotImplementedError

    def between(self, low: float, high: float) -> list[tuple[float, float]]:
        """Return the intervals of codes whose values lie in ``[low, high]``; ``ValueError`` if not numeric."""
        raise ValueError(f"at_least and at_most compare numbers, but it is of the kind {self.kind}; list the values")

    def asked(self, name: str, wanted: Any) -> dict[str, Any]:
        """Return the columns that a condition on the variable, of this name, asks about, to what it wants of each.

        Raises:
            ValueError: It asks for what the variable never has; of one column, this is looked at elsewhere.
        """
        return {name: wanted}

    def text(self) -> str:
        """Write the range or the options in one line."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the definition as plain data: ``kind``, and each attribute that is not at its default."""
        of_user = [f for f in fields(self) if f.init]
        declared = {f.name: getattr(self, f.name) for f in of_user if getattr(self, f.name) != f.default}
        plain: dict[str, Any] = json.loads(json.dumps({"kind": self.kind, **declared}, default=_for_json))
        return plain


def _for_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value, key=json_key) if isinstance(value, Set) else plain(value)
