"""What surrogate models see of configurations: the encoded matrix, scaled, with the activity spelt out."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evo_moo.space.search_space import SearchSpace
from evo_moo.surrogate.protocol import Array, ColumnKind, Columns

ABSENT = 0.5
"""Where a number that does not exist is put: the middle is nearest to all values that it could have."""
N_SAMPLED = 256
"""Number of random configurations whose computed metrics set the scale of these."""


class Features:
    """Features of a search space.

    Numbers and ordered options are scaled to ``[0, 1]``, in log scale where the search is. Categories keep
    their codes; a conditional category has one more, for not being there. Each different condition adds a
    flag, 1 where its variables exist. Two configurations without a variable are thus alike in it, and one
    with and one without always differ. Computed metrics, such as the number of parameters, explain much of
    what is measured, and are features, too, in log scale where they are positive.

    Args:
        space: The search space.
        compute: Computes metrics, ``(n,)`` values each, of ``(n, n_var)`` encoded rows; NaN where one is not known.
        n_trained: Number of columns, the first ones, that decide a training; by default all. The others are of choices
            after it.

    Attributes:
        columns: What each feature is: one per column of the space, then one per condition and per computed metric.
    """

    def __init__(
        self,
        space: SearchSpace,
        compute: Callable[[Array], Mapping[str, Array]] | None = None,
        n_trained: int | None = None,
    ) -> None:
        self._space, self._compute = space, compute
        columns: list[tuple[str, ColumnKind, int]] = []
        parts = space.layout.parts
        conditions = [part.when for part in parts.values()]
        for i, (name, variable) in enumerate(parts.items()):
            n_options = int(space.high[i]) + 1
            if space.category[i]:
                columns.append((name, "category", n_options + bool(variable.when)))
            else:
                columns.append((name, "ordinal", n_options) if variable.has_options else (name, "numeric", 0))
        # The first variable under each condition.
        self._flagged = [i for i, when in enumerate(conditions) if when and conditions.index(when) == i]
        self._scales = {} if compute is None else _scales(compute(space.sample(N_SAMPLED, np.random.default_rng(0))))
        owners, after = space.layout.owners, space.n_var if n_trained is None else n_trained
        columns += [(f"{owners[i]}?", "active", 0) for i in self._flagged]
        columns += [(name, "numeric", 0) for name in self._scales]
        chosen = {*list(parts)[after:], *(f"{name}?" for name in owners[after:])}
        # What is computed follows from the rest, and tells no trainings apart.
        of_choice = [name in chosen or name in self._scales for name, _, _ in columns] if chosen else []
        names, kinds, numbers = zip(*columns, strict=True)
        self.columns = Columns(names, kinds, numbers, tuple(of_choice))
        width = space.xu - space.xl
        self._width = np.where(width > 0, width, 1.0)

    def matrix(self, X: npt.ArrayLike) -> Array:
        """Return the ``(n, n_features)`` features of ``(n, n_var)`` encoded rows.

        Raises:
            SpaceError: The rows have another shape, or hold NaN.
        """
        X = self._space.canonical(X)
        active = self._space.active(X)
        scaled = np.where(active, (X - self._space.xl) / self._width, ABSENT)
        codes = np.where(active, X, self._space.high + 1)
        values = self._compute(X) if self._compute and self._scales else {}
        unknown = np.full(len(X), np.nan)
        computed = [scale.of(values.get(name, unknown))[:, None] for name, scale in self._scales.items()]
        return np.hstack([np.where(self._space.category, codes, scaled), active[:, self._flagged], *computed])

    def rows(self, Z: Array) -> Array:
        """Return the canonical ``(n, n_var)`` encoded rows of ``(n, n_features)`` features, the inverse of ``matrix``.

        Numbers without a grid may differ in the last digits.
        """
        space, Z = self._space, Z[:, : self._space.n_var]
        return space.canonical(np.where(space.category, Z, space.xl + Z * self._width))


class _Scale(NamedTuple):
    low: float
    high: float
    log: bool

    def of(self, values: Array) -> Array:
        """Scale ``(n,)`` values to about 0 to 1, unknown ones to the middle."""
        if self.log:
            values = np.log(np.where(values > 0, values, np.nan))
        return np.nan_to_num((values - self.low) / (self.high - self.low), nan=ABSENT, posinf=ABSENT, neginf=ABSENT)


def _scales(sampled: Mapping[str, Array]) -> dict[str, _Scale]:
    """Return the metrics that vary, with their scales."""
    scales = {}
    for name, values in sampled.items():
        known = values[np.isfinite(values)]
        if len(known) and known.min() < known.max():
            log = bool(known.min() > 0)
            low, high = (np.log if log else np.asarray)([known.min(), known.max()])
            scales[name] = _Scale(float(low), float(high), log)
    return scales
