"""An ordering of options, as the position of each, from 1."""

# ruff: noqa: D102 - what an override does is documented once, on Compound.

import functools
import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.space.kinds.compound import OfOptions
from evo_moo.space.variables import Array, Integer, Variable
from evo_moo.values import value_text

ETA_OF_SQUARE = 20.0
"""Distribution index at which the probability of a mutation falls with the square of its distance."""


@dataclass(frozen=True)
class Ordering(OfOptions):
    """All of several options in some order, given as a list from the first to the last.

    Attributes:
        options: The options, as those of a ``Choice``.
        tour: Whether the last is followed by the first, as on a round trip: then neither where a list begins nor which
            way it goes round makes a difference. It is given from the first option on, towards the one of its two
            neighbours that is declared earlier. What matters to models is then who is next to whom, else who comes
            before whom.
    """

    tour: bool = field(default=False, kw_only=True)

    def faults(self) -> list[str]:
        faults, least = super().faults(), 4 if self.tour else 2
        if not isinstance(self.tour, bool):
            faults.append(f"tour must be True or False, but is {self.tour!r}")
        elif not faults and self.n < least:
            faults.append(f"must have at least {least} options to put in different orders, but has {self.n}; add some")
        return faults

    def parts(self) -> dict[str, Variable]:
        return {value_text(option): Integer(1, self.n, when=self.when) for option in self.options}

    @property
    def n_values(self) -> int:
        return math.factorial(self.n - 1) // 2 if self.tour else math.factorial(self.n)

    def codes(self, value: Any) -> list[float]:
        places = self.places(value)
        if len(places) < self.n:
            missing = [option for place, option in enumerate(self.options) if place not in places]
            raise ValueError(f"must list every option once, but lacks {missing!r}: {value!r}")
        return list(self.repaired(np.argsort(places)[None].astype(float))[0].tolist())

    def values(self, codes: Array) -> list[Any]:
        return self.listed(np.argsort(codes, axis=1, kind="stable").tolist())

    def text(self) -> str:
        return f"{'a round trip' if self.tour else 'an order'} of {', '.join(map(value_text, self.options))}"

    def repaired(self, codes: Array) -> Array:
        order = np.argsort(codes, axis=1, kind="stable")
        if self.tour:
            start = np.argmin(order, axis=1)[:, None]
            order = np.take_along_axis(order, (start + np.arange(self.n)) % self.n, axis=1)
            back = order[:, :1], order[:, :0:-1]
            order = np.where(order[:, 1:2] < order[:, -1:], order, np.hstack(back))
        return _positions(order)

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
        """Exchange two options, move one to another position, or reverse what lies between two, all equally often.

        As with polynomial mutation, small steps are the likeliest, and any is possible: how far the two are apart has a
        probability that falls with its square, or with a higher power where steps are to be smaller.
        """
        n, k = codes.shape
        apart = np.arange(1, k)
        likely = apart ** -(eta / ETA_OF_SQUARE * 2.0) * (k - apart)
        step = rng.choice(apart, (n, 1), p=likely / likely.sum())
        first = 1 + np.floor(rng.random((n, 1)) * (k - step)).astype(int)
        last, is_up = first + step, rng.random((n, 1)) < 0.5
        one, other = np.where(is_up, first, last), np.where(is_up, last, first)
        way = rng.integers(0, 3, (n, 1))
        exchanged = np.where(codes == one, other, np.where(codes == other, one, codes))
        turned = np.where((first <= codes) & (codes <= last), first + last - codes, codes)
        mutants = np.asarray(np.choose(way, [exchanged, _moved(codes, one, other), turned]), dtype=float)
        if not self.tour:
            return mutants
        mutants = self.repaired(mutants)
        same = np.flatnonzero((mutants == codes).all(axis=1))
        # Two neighbours apart from the first change places: always another tour.
        at = rng.integers(2, k, (len(same), 1))
        mutants[same] = self.repaired(_moved(codes[same], at, at + 1))
        return mutants

    def features(self) -> dict[str, bool]:
        """Return whether each option comes before each other, or on a tour is next to it.

        The distance of orderings then is Kendall's, the number of pairs that stand the other way round; its exponential
        is a kernel: Jiao & Vert 2015, "The Kendall and Mallows kernels for permutations". Positions are sums of these.
        """
        sign = "-" if self.tour else "<"
        names = list(self.parts())
        return {f"{names[i]}{sign}{names[j]}": True for i, j in self._pairs.T.tolist()}

    def featured(self, codes: Array) -> Array:
        one, other = codes[:, self._pairs[0]], codes[:, self._pairs[1]]
        near = np.isin(np.abs(one - other), (1, self.n - 1)) if self.tour else one < other
        return np.asarray(near, dtype=float)

    def unfeatured(self, Z: Array) -> Array:
        pairs = np.zeros((len(Z), self.n, self.n))
        pairs[:, self._pairs[0], self._pairs[1]] = Z
        if not self.tour:
            pairs[:, self._pairs[1], self._pairs[0]] = 1 - Z
            return self.repaired(-pairs.sum(axis=2))
        pairs += pairs.transpose(0, 2, 1)
        rows, at, order = np.arange(len(Z)), np.zeros(len(Z), dtype=int), []
        for _ in range(self.n):
            order.append(at)
            pairs[rows, :, at] = -1.0
            at = pairs[rows, at].argmax(axis=1)
        return self.repaired(_positions(np.stack(order, axis=1)))

    @functools.cached_property
    def _pairs(self) -> npt.NDArray[np.intp]:
        """The places of the options of each pair, ``(2, n_pairs)``."""
        return np.array(np.triu_indices(self.n, 1))

    def neighbours(self, codes: Array) -> Array:
        """Return the orderings with two neighbours exchanged."""
        pairs = np.arange(1, self.n)[:, None]
        return np.where(codes == pairs, pairs + 1.0, np.where(codes == pairs + 1, pairs, codes))

    def with_part(self, codes: Array, part: int, to: Array) -> Array:
        """Return orderings with an option moved to a position, past all that lie between."""
        return _moved(codes, codes[:, [part]], np.asarray(to)[:, None])

    def lattice(self, n_points: int) -> Array:
        codes = np.array(list(itertools.permutations(range(1, self.n + 1))), dtype=float)
        return np.unique(self.repaired(codes), axis=0) if self.tour else codes


def _moved(codes: Array, one: Any, other: Any) -> Array:
    """Return positions after what is at one, ``(n, 1)``, moved to another; what lies between moves up by one place."""
    inside = (np.minimum(one, other) <= codes) & (codes <= np.maximum(one, other))
    return np.where(codes == one, other, codes + np.where(inside, np.sign(one - other), 0.0))


def _positions(order: Any) -> Array:
    """Return the position of each option, ``(n, k)`` from 1, in rows that list options from the first to the last."""
    positions = np.empty(order.shape)
    np.put_along_axis(positions, order, np.arange(1.0, order.shape[1] + 1)[None], axis=1)
    return positions
