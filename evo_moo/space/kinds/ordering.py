"""An ordering of options, as the position of each, from 1."""

# ruff: noqa: D102 - what an override does is documented once, on Compound.

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from evo_moo.space.kinds.compound import OfOptions
from evo_moo.space.variables import Array, Integer, Variable
from evo_moo.values import value_text

WHOLE_ETA = 20.0
"""Distribution index up to which a mutation reaches over all positions; above it, over ever fewer."""


@dataclass(frozen=True)
class Ordering(OfOptions):
    """All of several options in some order, given as a list from the first to the last.

    Attributes:
        options: The options, as those of a ``Choice``.
    """

    def faults(self) -> list[str]:
        faults = super().faults()
        return faults or ([] if self.n > 1 else ["must have at least 2 options to put in order, but has 1; add one"])

    def parts(self) -> dict[str, Variable]:
        return {value_text(option): Integer(1, self.n, when=self.when) for option in self.options}

    @property
    def n_values(self) -> int:
        return math.factorial(self.n)

    def codes(self, value: Any) -> list[float]:
        places = self.places(value)
        if len(places) < self.n:
            missing = [option for place, option in enumerate(self.options) if place not in places]
            raise ValueError(f"must list every option once, but lacks {missing!r}: {value!r}")
        return [float(position) for position in np.argsort(places) + 1]

    def values(self, codes: Array) -> list[Any]:
        return self.listed(np.argsort(codes, axis=1, kind="stable").tolist())

    def text(self) -> str:
        return f"an order of {', '.join(map(value_text, self.options))}"

    def repaired(self, codes: Array) -> Array:
        return _positions(np.argsort(codes, axis=1, kind="stable"))

    def drawn(self, unit: Array) -> Array:
        return self.repaired(unit)

    def crossed(self, codes: Array, rng: np.random.Generator, eta: float) -> Array:
        """Keep some options where one parent has them, and fill the other positions in the order of the other parent.

        Those that are kept are any (position-based crossover: Syswerda 1991, "Schedule optimization using genetic
        algorithms", in Davis, "Handbook of Genetic Algorithms", 332-349), or those between two positions (linear order
        crossover: Falkenauer & Bouffouix 1991, "A genetic algorithm for job shop", ICRA, 824-829), each for half of the
        pairs: the first keeps who comes before whom, the second also who follows whom.
        """
        _, n_pairs, n = codes.shape
        ends = np.sort(rng.integers(0, n + 1, (n_pairs, 2)), axis=1)
        scattered, by_slice = rng.random((n_pairs, n)) < 0.5, rng.random((n_pairs, 1)) < 0.5
        children = []
        for own, other in (codes, codes[::-1]):
            # Both children keep the same positions of their parents.
            position = own.astype(int) - 1
            kept_at = np.where(by_slice, (ends[:, :1] <= position) & (position < ends[:, 1:]), False)
            kept_at |= ~by_slice & np.take_along_axis(scattered, position, axis=1)
            followers = np.argsort(np.where(kept_at, np.inf, other), axis=1, kind="stable")
            is_taken = np.zeros((n_pairs, n), dtype=bool)
            np.put_along_axis(is_taken, position, kept_at, axis=1)
            free = np.argsort(is_taken, axis=1, kind="stable")
            child = np.empty((n_pairs, n))
            np.put_along_axis(child, followers, free + 1.0, axis=1)
            children.append(np.where(kept_at, own, child))
        return np.stack(children)

    def mutated(self, codes: Array, rng: np.random.Generator, eta: float) -> Array:
        """Exchange two options, move one to another position, or reverse what lies between two, all equally often."""
        n, k = codes.shape
        reach = max(1, int(np.rint((k - 1) * min(1.0, WHOLE_ETA / eta))))
        one = rng.integers(1, k + 1, (n, 1))
        # Another position within reach, each as likely.
        low, high = np.maximum(one - reach, 1), np.minimum(one + reach, k)
        other = low + np.floor(rng.random((n, 1)) * (high - low)).astype(int)
        other += other >= one
        first, last = np.minimum(one, other), np.maximum(one, other)
        way = rng.integers(0, 3, (n, 1))
        exchanged = np.where(codes == one, other, np.where(codes == other, one, codes))
        turned = np.where((first <= codes) & (codes <= last), first + last - codes, codes)
        return np.asarray(np.choose(way, [exchanged, _moved(codes, one, other), turned]), dtype=float)

    def neighbours(self, codes: Array) -> Array:
        """Return the orderings with two neighbours exchanged."""
        pairs = np.arange(1, self.n)[:, None]
        return np.where(codes == pairs, pairs + 1.0, np.where(codes == pairs + 1, pairs, codes))

    def with_part(self, codes: Array, part: int, to: Array) -> Array:
        """Return orderings with an option moved to a position, past all that lie between."""
        return _moved(codes, codes[:, [part]], np.asarray(to)[:, None])

    def lattice(self, n_points: int) -> Array:
        return np.array(list(itertools.permutations(range(1, self.n + 1))), dtype=float)


def _moved(codes: Array, one: Any, other: Any) -> Array:
    """Return positions after what is at one, ``(n, 1)``, moved to another; what lies between moves up by one place."""
    inside = (np.minimum(one, other) <= codes) & (codes <= np.maximum(one, other))
    return np.where(codes == one, other, codes + np.where(inside, np.sign(one - other), 0.0))


def _positions(order: Any) -> Array:
    """Return the position of each option, ``(n, k)`` from 1, in rows that list options from the first to the last."""
    positions = np.empty(order.shape)
    np.put_along_axis(positions, order, np.arange(1.0, order.shape[1] + 1)[None], axis=1)
    return positions
