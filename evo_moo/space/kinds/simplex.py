"""Shares that sum to one, as one column for each.

Shares are whole millionths, that is, decimal numbers with six digits behind the point: as such they sum to exactly one,
and the sum of the nearest floats, by ``math.fsum``, differs from one by a rounding error at most.
"""

# ruff: noqa: D102 - what an override does is documented once, on Compound.

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evo_moo.space.kinds.compound import Compound
from evo_moo.space.variables import Array, Real, Variable
from evo_moo.values import is_integer, is_number, plain

WHOLE = 1_000_000
STEP = 0.1
"""Of what there is to share out: how far neighbours are apart."""
TOLERANCE = 1e-5
"""By which the sum of given shares may differ from 1, since people round them."""


@dataclass(frozen=True)
class Simplex(Compound):
    """Shares that sum to one, such as those of a mixture, or weights of losses.

    Every mixture is equally likely: a flat Dirichlet distribution. Shares have 6 decimals, which sum to exactly one.

    Attributes:
        shares: Number of shares, whose values then are a list; or their names, with a mapping of names to shares.
        at_least: Smallest share of each, with 6 decimals at most.
    """

    shares: Any
    at_least: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        shares = plain(self.shares)
        object.__setattr__(self, "shares", tuple(shares) if isinstance(shares, list | tuple) else shares)
        object.__setattr__(self, "at_least", plain(self.at_least))

    @property
    def n(self) -> int:
        """Number of shares."""
        return len(self.shares) if self._is_named else int(self.shares)

    def faults(self) -> list[str]:
        if not self._is_named and not is_integer(self.shares):
            return [f"shares must be a number of them or a list of their names, but are {self.shares!r}"]
        if self._is_named and not all(isinstance(name, str) and name for name in self.shares):
            return [f"names of shares must be texts, but are {list(self.shares)!r}"]
        if self._is_named and len(set(self.shares)) < self.n:
            return [f"names of shares must all be different, but are {list(self.shares)!r}; drop one"]
        if self.n < 2:
            return [f"must have at least 2 shares, but has {self.n}; add one or leave it out"]
        if not is_number(self.at_least) or not 0 <= self.at_least < 1 / self.n:
            return [f"at_least must be from 0 to below 1/{self.n}, the even share, but is {self.at_least!r}"]
        if abs(self._least - self.at_least * WHOLE) > 1e-6:
            return [f"at_least must have 6 decimals at most, but is {self.at_least!r}; round it"]
        return [] if self._free > 0 else [f"at_least must leave something to share out, but is {self.at_least!r}"]

    def parts(self) -> dict[str, Variable]:
        low, high = self._least / WHOLE, (self._least + self._free) / WHOLE
        names = self.shares if self._is_named else map(str, range(self.n))
        return {name: Real(low, high, when=self.when) for name in names}

    @property
    def n_values(self) -> float:
        return math.inf

    def codes(self, value: Any) -> list[float]:
        value = plain(value)
        if self._is_named:
            if not isinstance(value, Mapping) or set(value) != set(self.shares):
                raise ValueError(f"must map {', '.join(self.shares)} to shares, but is {value!r}")
            value = [value[name] for name in self.shares]
        if not isinstance(value, list | tuple) or len(value) != self.n:
            raise ValueError(f"must be a list of {self.n} shares, but is {value!r}")
        if not all(is_number(share) and math.isfinite(share) for share in value):
            raise ValueError(f"must be shares, which are numbers, but is {value!r}")
        if min(value) < (self._least - 0.5) / WHOLE:
            raise ValueError(f"must have shares of at least {self.at_least!r}, but is {value!r}")
        if abs(math.fsum(value) - 1) > TOLERANCE:
            raise ValueError(f"must sum to 1, but sums to {math.fsum(value):.6g}; divide each share by the sum")
        return list(self.repaired(np.array([value], dtype=float))[0].tolist())

    def nearest_codes(self, value: Any) -> list[float] | None:
        """Return the codes of the nearest shares, where they are as many, or have the same names."""
        try:
            shares = Simplex(self.shares).codes(value)
        except ValueError:
            return None
        return list(self.repaired(np.array([shares]))[0].tolist())

    def values(self, codes: Array) -> list[Any]:
        rows = codes.tolist()
        return [dict(zip(self.shares, row, strict=True)) for row in rows] if self._is_named else rows

    def text(self) -> str:
        least = f", each at least {self.at_least}" if self._least else ""
        return f"{', '.join(self.shares) if self._is_named else f'{self.n} shares'}, of sum 1{least}"

    def repaired(self, codes: Array) -> Array:
        return self._rounded(codes * WHOLE - self._least)

    def drawn(self, unit: Array) -> Array:
        # Exponential variables over their sum: Devroye 1986, "Non-Uniform Random Variate Generation", section XI.4.1.
        return self._rounded(-np.log1p(-np.minimum(unit, 1 - 2.0**-53)))

    def crossed(self, codes: Array, rng: np.random.Generator, eta: float) -> Array:
        """Cross each share as a real number by simulated binary crossover, and divide by the sum, above the least."""
        from pymoo.operators.crossover.sbx import cross_sbx

        _, n_pairs, n = codes.shape
        low, high = np.full(n, self._least / WHOLE), np.full(n, (self._least + self._free) / WHOLE)
        index, half = np.full((n_pairs, 1), float(eta)), np.full((n_pairs, 1), 0.5)
        children = cross_sbx(codes, low, high, index, half, half, random_state=rng)
        return self.repaired(children.reshape(-1, n)).reshape(codes.shape)

    def mutated(self, codes: Array, rng: np.random.Generator, eta: float) -> Array:
        """Share out anew what two shares have together, by polynomial mutation of the part of one; the rest stays."""
        from pymoo.operators.mutation.pm import mut_pm

        n, k = codes.shape
        amounts, rows = np.rint(codes * WHOLE) - self._least, np.arange(n)
        one = np.where(amounts > 0, rng.random((n, k)), -1.0).argmax(axis=1)
        other = (one + rng.integers(1, k, n)) % k
        together = amounts[rows, one] + amounts[rows, other]
        ends, index, always = np.zeros(1), np.full(n, float(eta)), np.ones(n)
        part = amounts[rows, one] / together
        part = mut_pm(part[:, None], ends, ends + 1, index, always, False, random_state=rng)[:, 0]
        after = np.rint(part * together)
        # What rounds to the same moves by one millionth: up, unless the share has all.
        stuck = after == amounts[rows, one]
        after += stuck * np.where(after < together, 1, -1)
        amounts[rows, one], amounts[rows, other] = after, together - after
        return np.asarray((amounts + self._least) / WHOLE)

    def features(self) -> dict[str, bool]:
        """Return the shares: unlike their ratios, they are finite where a share is 0."""
        return dict.fromkeys(self.parts(), False)

    def featured(self, codes: Array) -> Array:
        return np.asarray((codes * WHOLE - self._least) / self._free)

    def unfeatured(self, Z: Array) -> Array:
        return self._rounded(Z)

    def neighbours(self, codes: Array) -> Array:
        """Return the mixtures with one share a tenth of all more or less, and the others in proportion."""
        step = STEP * self._free / WHOLE
        rows = [self.with_part(codes[None], i, codes[[i]] + way) for i in range(self.n) for way in (-step, step)]
        return np.concatenate(rows)

    def with_part(self, codes: Array, part: int, to: Array) -> Array:
        """Return mixtures with a share changed, and the others in proportion to what they have above the least."""
        amounts = np.rint(codes * WHOLE) - self._least
        wanted = np.clip(np.rint(np.asarray(to) * WHOLE) - self._least, 0, self._free)
        others = np.arange(self.n) != part
        rest = amounts[:, others].sum(axis=1)
        amounts[:, others] = np.where(rest[:, None] > 0, amounts[:, others], 1.0)
        total = amounts[:, others].sum(axis=1)
        amounts[:, others] *= ((self._free - wanted) / total)[:, None]
        amounts[:, part] = wanted
        return self._rounded(amounts)

    def lattice_size(self, n_points: int) -> int:
        return math.comb(n_points + self.n - 2, self.n - 1)

    def lattice(self, n_points: int) -> Array:
        """Return the mixtures of a simplex lattice (Scheffé 1958, "Experiments with mixtures")."""
        end = n_points + self.n - 2
        bars = np.array(list(itertools.combinations(range(end), self.n - 1)))
        edges = np.hstack([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), end)])
        return self._rounded(np.diff(edges, axis=1) - 1.0)

    @property
    def _is_named(self) -> bool:
        return isinstance(self.shares, tuple)

    @property
    def _least(self) -> int:
        return round(self.at_least * WHOLE)

    @property
    def _free(self) -> int:
        return WHOLE - self.n * self._least

    def _rounded(self, amounts: Array) -> Array:
        """Return shares in proportion to ``(n, k)`` amounts above the least, rounded by the largest remainders."""
        amounts = np.maximum(amounts, 0.0)
        total = amounts.sum(axis=1, keepdims=True)
        amounts = np.where(total > 0, amounts, 1.0) / np.where(total > 0, total, self.n) * self._free
        whole = np.floor(amounts)
        left = self._free - whole.sum(axis=1, keepdims=True)
        order = np.argsort(-np.round(amounts - whole, 6), axis=1, kind="stable")
        np.put_along_axis(amounts, order, (np.arange(self.n) < left).astype(float), axis=1)
        return np.asarray((whole + amounts + self._least) / WHOLE)
