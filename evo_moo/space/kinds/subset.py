"""A subset of options, as one column of 0 or 1 for each."""

# ruff: noqa: D102 - what an override does is documented once, on Compound.

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evo_moo.space.kinds.compound import OfOptions
from evo_moo.space.variables import Array, Boolean, Mask, Variable
from evo_moo.values import is_integer, plain, value_text

MOST_FURTHER, LEAST_ETA = 0.5, 20.0
"""Chance of each further option that a mutation moves, at this distribution index and below; above it falls."""


@dataclass(frozen=True)
class Subset(OfOptions):
    """Some of several options, given as a list in the order in which they are declared.

    Every size that is allowed is drawn equally often, and then every subset of that size.

    Attributes:
        options: The options, as those of a ``Choice``.
        at_least: Smallest number of options in a value.
        at_most: Largest number of them; by default all.
    """

    at_least: int = field(default=0, kw_only=True)
    at_most: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "at_least", plain(self.at_least))
        object.__setattr__(self, "at_most", plain(self.at_most))

    @property
    def sizes(self) -> tuple[int, int]:
        """Smallest and largest number of options in a value."""
        return self.at_least, self.n if self.at_most is None else self.at_most

    def faults(self) -> list[str]:
        faults = super().faults()
        for name, size in (("at_least", self.at_least), ("at_most", self.at_most)):
            if not is_integer(size) and not (name == "at_most" and size is None):
                faults.append(f"{name} must be a whole number of options, but is {size!r}")
            elif not faults and not 0 <= (self.n if size is None else size) <= self.n:
                faults.append(f"{name} must be between 0 and the number of options, {self.n}, but is {size}")
        if faults:
            return faults
        low, high = self.sizes
        if low > high:
            return [f"at_least must not exceed at_most, but they are {low} and {high}; swap them"]
        if self.n_values == 1:
            return [f"must allow more than one subset, but at_least {low} of {self.n} options is all; leave it out"]
        return []

    def parts(self) -> dict[str, Variable]:
        return {value_text(option): Boolean(when=self.when) for option in self.options}

    @property
    def n_values(self) -> int:
        low, high = self.sizes
        return sum(math.comb(self.n, size) for size in range(low, high + 1))

    def codes(self, value: Any) -> list[float]:
        places = set(self.places(value))
        low, high = self.sizes
        if not low <= len(places) <= high:
            raise ValueError(f"must list {low} to {high} options, but lists {len(places)}: {value!r}")
        return [float(place in places) for place in range(self.n)]

    def asked(self, name: str, wanted: Any) -> dict[str, Any]:
        """Return that the columns of some options must be 1, for ``{"contains": option}`` or a list of options."""
        if not isinstance(wanted, Mapping) or set(wanted) != {"contains"}:
            raise ValueError(
                f"a condition on a subset is {{'contains': option}}, or a list of options, but is {wanted!r}"
            )
        options = wanted["contains"] if isinstance(wanted["contains"], list | tuple) else [wanted["contains"]]
        if not 0 < len(places := set(self.places(options))) <= self.sizes[1]:
            raise ValueError(f"it contains 1 to {self.sizes[1]} options, but the condition asks for {len(places)}")
        names = list(self.parts())
        return {f"{name}[{names[place]}]": True for place in sorted(places)}

    def nearest_codes(self, value: Any) -> list[float] | None:
        """Return the codes of what is left of a list without unknown options, and of as many more or fewer as it takes.

        None if nothing of it is known.
        """
        given = value if isinstance(value, list | tuple) else [value]
        known = {self.choice.nearest_code(each) for each in given} - {None}
        if given and not known:
            return None
        return list(self.repaired(np.array([[float(place in known) for place in range(self.n)]]))[0].tolist())

    def values(self, codes: Array) -> list[Any]:
        return self.listed([np.flatnonzero(row).tolist() for row in codes > 0.5])

    def text(self) -> str:
        low, high = self.sizes
        of = f"{low}" if low == high else f"{low} .. {high}"
        return f"{of} of {', '.join(map(value_text, self.options))}"

    def repaired(self, codes: Array) -> Array:
        is_in = codes > 0.5
        n_in = is_in.sum(axis=1)
        wanted = np.clip(n_in, *self.sizes)
        wrong = wanted != n_in
        if wrong.any():
            # The largest numbers are in, the first of equal ones.
            is_in[wrong] = _ranks(-codes[wrong]) < wanted[wrong, None]
        return is_in.astype(float)

    @property
    def n_units(self) -> int:
        return self.n + 1

    def drawn(self, unit: Array) -> Array:
        low, high = self.sizes
        size = np.minimum(low + np.floor(unit[:, -1:] * (high - low + 1)), high)
        return np.asarray(_ranks(unit[:, :-1]) < size, dtype=float)

    def crossed(self, codes: Array, rng: np.random.Generator, eta: float) -> Array:
        """Share the options that one parent alone has out among the children, evenly by chance, within the size limits.

        What both parents have, or neither, the children have likewise: uniform crossover (Syswerda 1989, "Uniform
        crossover in genetic algorithms", ICGA 3, 2-9), where the number that changes hands is cut to what keeps both
        children allowed.
        """
        A, B = codes > 0.5
        low, high = self.sizes
        both, differ = A & B, A ^ B
        n_both, n_differ = both.sum(axis=1), differ.sum(axis=1)
        first = rng.binomial(n_differ, 0.5)
        least = np.maximum(low - n_both, n_both + n_differ - high)
        most = np.minimum(high - n_both, n_both + n_differ - low)
        taken = _chosen(differ, np.clip(first, least, most), rng)
        return np.stack([both | taken, both | (differ & ~taken)]).astype(float)

    def mutated(self, codes: Array, rng: np.random.Generator, eta: float) -> Array:
        """Add options, remove some, or exchange some for others, all three equally often where the size allows it.

        So mutation alone draws no subset towards half of the options, as flips of single columns would. Mostly one
        option moves; never more than half of those that are in, or out.
        """
        is_in = codes > 0.5
        low, high = self.sizes
        n_in = is_in.sum(axis=1)
        n_out = self.n - n_in
        room = np.stack([np.minimum(n_out, high - n_in), np.minimum(n_in, n_in - low), np.minimum(n_in, n_out)], axis=1)
        way = np.where(room > 0, rng.random(room.shape), -1.0).argmax(axis=1)
        further = MOST_FURTHER * min(1.0, LEAST_ETA / eta)
        most = np.minimum(room[np.arange(len(codes)), way], np.maximum(np.minimum(n_in, n_out) // 2, 1))
        count = np.minimum(rng.geometric(1 - further, len(codes)), most)
        added = _chosen(~is_in, np.where(way == 1, 0, count), rng)
        removed = _chosen(is_in, np.where(way == 0, 0, count), rng)
        return np.asarray((is_in | added) & ~removed, dtype=float)

    def features(self) -> dict[str, bool]:
        """Return whether each option is in, so that the distance is Hamming's; and how many are, where that varies."""
        low, high = self.sizes
        return dict.fromkeys(self.parts(), True) | ({"number of options": False} if low < high else {})

    def featured(self, codes: Array) -> Array:
        low, high = self.sizes
        if low == high:
            return codes
        return np.column_stack([codes, (codes.sum(axis=1) - low) / (high - low)])

    def unfeatured(self, Z: Array) -> Array:
        return self.repaired(Z[:, : self.n])

    def neighbours(self, codes: Array) -> Array:
        """Return the subsets with one option more or fewer; where the size is fixed, with one option for another."""
        low, high = self.sizes
        flipped: Array = np.abs(codes - np.eye(self.n))
        sizes = flipped.sum(axis=1)
        if low < high:
            return np.asarray(flipped[(low <= sizes) & (sizes <= high)])
        pairs = itertools.product(np.flatnonzero(codes), np.flatnonzero(1 - codes))
        return np.array([codes - np.eye(self.n)[out] + np.eye(self.n)[into] for out, into in pairs])

    def with_part(self, codes: Array, part: int, to: Array) -> Array:
        """Return subsets with an option in or out; what then is too much or too little is any other one."""
        is_in, low, high = codes > 0.5, *self.sizes
        is_in[:, part] = to > 0.5
        others, n_in = np.arange(self.n) != part, is_in.sum(axis=1)
        rng = np.random.default_rng(0)
        added = _chosen(~is_in & others, np.maximum(low - n_in, 0), rng)
        removed = _chosen(is_in & others, np.maximum(n_in - high, 0), rng)
        return np.asarray((is_in | added) & ~removed, dtype=float)

    def lattice(self, n_points: int) -> Array:
        low, high = self.sizes
        rows = [list(c) for size in range(low, high + 1) for c in itertools.combinations(range(self.n), size)]
        codes = np.zeros((len(rows), self.n))
        for row, places in zip(codes, rows, strict=True):
            row[places] = 1.0
        return codes


def _ranks(numbers: Array) -> Array:
    """Return the place of each number in its row, ``(n, k)``, 0 for the smallest; of equal ones the first is first."""
    return np.argsort(np.argsort(numbers, axis=1, kind="stable"), axis=1, kind="stable").astype(float)


def _chosen(among: Mask, count: Any, rng: np.random.Generator) -> Mask:
    """Return masks with ``(n,)`` random columns of each row of a ``(n, k)`` mask."""
    keys = np.where(among, rng.random(among.shape), np.inf)
    return np.asarray(among & (_ranks(keys) < np.asarray(count)[:, None]))
