"""What surrogate models see of configurations: the encoded matrix, scaled, with the activity spelt out."""

from collections.abc import Callable, Collection, Mapping
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
    their codes; a conditional category has one more, for not being there. A variable of several columns has features
    of its own: see ``features`` of each kind in ``evo_moo.space.kinds``. Each different condition adds a
    flag, 1 where its variables exist. Two configurations without a variable are thus alike in it, and one
    with and one without always differ. Computed metrics, such as the number of parameters, explain much of
    what is measured, and are features, too, in log scale where they are positive.

    Args:
        space: The search space.
        compute: Computes metrics, ``(n,)`` values each, of ``(n, n_var)`` encoded rows; NaN where one is not known.
        n_trained: Number of columns, the first ones, that decide a training; by default all. The others are of choices
            after it.

    Attributes:
        columns: What each feature is: those of the variables, then one per condition, then one per computed metric.
    """

    def __init__(
        self,
        space: SearchSpace,
        compute: Callable[[Array], Mapping[str, Array]] | None = None,
        n_trained: int | None = None,
    ) -> None:
        self._space, self._compute = space, compute
        self._blocks = [_block_of(space, name) for name in space.names]
        conditions = [variable.when for variable in space.variables.values()]
        # The first variable under each condition.
        self._flagged = [i for i, when in enumerate(conditions) if when and conditions.index(when) == i]
        self._scales = {} if compute is None else _scales(compute(space.sample(N_SAMPLED, np.random.default_rng(0))))
        flags: list[_Column] = [(f"{space.names[i]}?", "active", 0) for i in self._flagged]
        computed: list[_Column] = [(name, "numeric", 0) for name in self._scales]
        own = [column for block in self._blocks for column in block]
        names, kinds, numbers = zip(*own, *flags, *computed, strict=True)
        owners = [name for name, block in zip(space.names, self._blocks, strict=True) for _ in block]
        self._owners = [*owners, *(space.names[i] for i in self._flagged), *("" for _ in computed)]
        firsts = zip(space.names, space.layout.first, strict=True)
        chosen = {name for name, first in firsts if n_trained is not None and first >= n_trained}
        # What is computed follows from the rest, and tells no trainings apart.
        of_choice = tuple(owner in chosen or not owner for owner in self._owners) if chosen else ()
        widths = [len(block) for block in self._blocks for _ in block] + [1] * (len(names) - len(own))
        self.columns = Columns(names, kinds, numbers, of_choice, tuple(widths) if space.layout.compounds else ())
        width = space.xu - space.xl
        self._width = np.where(width > 0, width, 1.0)

    def known(self, variables: Collection[str]) -> npt.NDArray[np.bool_]:
        """Return which features follow from some variables alone, ``(n_features,)``; what is computed from all."""
        has_all = set(variables) >= set(self._space.names)
        return np.array([owner in variables if owner else has_all for owner in self._owners], dtype=bool)

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
        own, layout = np.where(self._space.category, codes, scaled), self._space.layout
        flags = active[:, layout.first[self._flagged]]
        if not layout.compounds:
            return np.hstack([own, flags, *computed])
        parts = (
            np.where(active[:, [place.start]], kind.featured(X[:, place]), ABSENT)
            if (kind := layout.compounds.get(name))
            else own[:, place]
            for name, place in layout.places.items()
        )
        return np.hstack([*parts, flags, *computed])

    def rows(self, Z: Array) -> Array:
        """Return the canonical ``(n, n_var)`` encoded rows of ``(n, n_features)`` features, the inverse of ``matrix``.

        Numbers without a grid may differ in the last digits.
        """
        space, layout = self._space, self._space.layout
        if layout.compounds:
            ends = np.cumsum([len(block) for block in self._blocks])[:-1]
            blocks = zip(layout.places, np.split(Z[:, : sum(map(len, self._blocks))], ends, axis=1), strict=True)
            X = [(kind.unfeatured(own) if (kind := layout.compounds.get(name)) else own) for name, own in blocks]
            Z = np.hstack(X)
        Z = Z[:, : space.n_var]
        return space.canonical(np.where(space.category | layout.compound, Z, space.xl + Z * self._width))


_Column = tuple[str, ColumnKind, int]


def _block_of(space: SearchSpace, name: str) -> list[_Column]:
    """Return what each feature of a variable is."""
    if kind := space.layout.compounds.get(name):
        return [
            (f"{name}[{each}]", "binary" if is_binary else "numeric", 0) for each, is_binary in kind.features().items()
        ]
    variable, column = space.variables[name], space.layout.places[name].start
    n_options = int(space.high[column]) + 1
    if space.category[column]:
        return [(name, "category", n_options + bool(variable.when))]
    return [(name, "ordinal", n_options) if variable.has_options else (name, "numeric", 0)]


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
