"""What surrogate models see of configurations: the encoded matrix, scaled, with the activity spelt out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.space import SearchSpace
from evo_moo.surrogate import Array, ColumnKind, Columns
from evo_moo.variables import Choice

ABSENT = 0.5
"""Where a number that does not exist is put: the middle is nearest to all values that it could have."""


class Features:
    """Features of a search space.

    Numbers and ordered options are scaled to ``[0, 1]``, in log scale where the search is. Categories keep
    their codes; a conditional category has one more, for not being there. Each different condition adds a
    flag, 1 where its variables exist. Two configurations without a variable are thus alike in it, and one
    with and one without always differ.

    Attributes:
        columns: What each feature is: one per variable, then one per condition.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        kinds: list[ColumnKind] = []
        n_options = []
        conditions: list[Mapping[str, Any]] = []
        self._flagged = []  # the first variable under each condition
        for i, variable in enumerate(space.variables.values()):
            ordered = isinstance(variable, Choice) and variable.ordered
            kinds.append("category" if space.category[i] else "ordinal" if ordered else "numeric")
            absence = int(kinds[i] == "category" and bool(variable.when))
            n_options.append(0 if kinds[i] == "numeric" else int(space.high[i]) + 1 + absence)
            if variable.when and variable.when not in conditions:
                conditions.append(variable.when)
                self._flagged.append(i)
        kinds += ["active"] * len(self._flagged)
        n_options += [0] * len(self._flagged)
        names = space.names + tuple(f"{space.names[i]}?" for i in self._flagged)
        self.columns = Columns(names, tuple(kinds), tuple(n_options))
        width = space.xu - space.xl
        self._width = np.where(width > 0, width, 1.0)

    def matrix(self, X: npt.ArrayLike) -> Array:
        """Give the ``(n, n_features)`` features of ``(n, n_var)`` encoded rows.

        Raises:
            SpaceError: The rows have another shape, or hold NaN.
        """
        X = self._space.canonical(X)
        active = self._space.active(X)
        scaled = np.where(active, (X - self._space.xl) / self._width, ABSENT)
        codes = np.where(active, X, self._space.high + 1)
        return np.hstack([np.where(self._space.category, codes, scaled), active[:, self._flagged]])

    def rows(self, Z: Array) -> Array:
        """Give the canonical ``(n, n_var)`` encoded rows of ``(n, n_features)`` features, as ``matrix`` gives them.

        Numbers without a grid may differ in the last digits.
        """
        space = self._space
        Z = Z[:, : space.n_var]
        return space.canonical(np.where(space.category, Z, space.xl + Z * self._width))
