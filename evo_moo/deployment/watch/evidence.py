"""Factors of evidence: numbers whose mean is at most 1 while nothing is wrong, whatever came before (e-values).

Each function returns logarithms ``(n, n_bets)``: rows are events in their order, columns are bets on how wrong it is.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
STEPS = (0.25, 0.5, 1.0, 2.0)
"""Bets on a share that is too large: by how much its log odds exceed those of the limit."""
LEANINGS = tuple((degree, stake) for degree in (1, 2) for stake in (0.15, 0.6, -0.15, -0.6))
"""Bets on ranks that are not uniform: the degree of the polynomial, and the stake."""
UPWARDS = ((0.5, 1.3), (0.5, 1.7), (0.8, 1.5), (0.8, 3.0), (0.9, 2.0), (0.9, 4.0), (0.97, 4.0), (0.97, 12.0))
"""Bets on ranks that are too high: from which rank on, and how many times as often as they should be."""
STAKES = (0.1, 0.3, 0.7)
"""Bets on a bounded mean that is too large: shares of the largest stake that cannot be lost."""
GAPS = (0.05, 0.15, 0.4)
"""Bets on a gap between two shares: by how much it exceeds the limit."""
N_CALIBRATION_BINS = 10
_LEAST = 1e-6
_N_HALVINGS = 40


def of_share(bad: Array, limit: float) -> Array:
    """Bet that more than a share ``limit`` of events ``(n,)`` is bad: likelihood ratios of Bernoulli variables.

    They have a mean of at most 1 for every smaller share too, since they grow with the number of bad events.
    """
    limit = min(max(limit, _LEAST), 1 - _LEAST)
    odds = limit / (1 - limit) * np.exp(STEPS)
    share = odds / (1 + odds)
    return np.where(np.asarray(bad, dtype=bool)[:, None], np.log(share / limit), np.log((1 - share) / (1 - limit)))


def of_ranks(ranks: Array, *, upwards_only: bool = False) -> Array:
    """Bet that ranks ``(n, d)`` in [0, 1] are not uniform: that they lean to one side, to the ends or to the middle.

    The bets are densities on [0, 1], one plus a stake on a polynomial of Legendre, or a step: a conformal test
    martingale (Vovk, Gammerman and Shafer 2022, "Algorithmic Learning in a Random World", chapter 8).

    Args:
        ranks: See ``uniform_ranks``.
        upwards_only: Whether only larger values are wrong.

    Returns:
        ``(n, d * n_bets)``.
    """
    if upwards_only:
        bets = [np.where(ranks > cut, times, (1 - times * (1 - cut)) / cut) for cut, times in UPWARDS]
    else:
        curves = {1: 2 * ranks - 1, 2: 6 * ranks**2 - 6 * ranks + 1}
        bets = [1 + stake * curves[degree] for degree, stake in LEANINGS]
    return np.asarray(np.log(np.stack(bets, axis=2))).reshape(len(ranks), -1)


def uniform_ranks(counts: Array, codes: Array, chance: Array) -> Array:
    """Return the rank of each value among all before it: independent and uniform where all are exchangeable.

    Ranks within a bin are drawn by ``chance`` (smoothed conformal p-values, Vovk et al. 2022, section 2.2).

    Args:
        counts: ``(d, n_bins)`` values before the first; those given are added to it.
        codes: ``(n, d)`` numbers of bins, in the order of the values.
        chance: ``(n, d)`` uniform numbers.

    Returns:
        ``(n, d)`` numbers between 0 and 1.
    """
    n, d = codes.shape
    ones = np.zeros((n, d, counts.shape[1]), dtype=np.int32)
    np.put_along_axis(ones, codes[:, :, None], 1, axis=2)
    before = counts + np.cumsum(ones, axis=0) - ones
    counts += ones.sum(axis=0)
    up_to = np.take_along_axis(np.cumsum(before, axis=2), codes[:, :, None], axis=2)[:, :, 0]
    equal = np.take_along_axis(before, codes[:, :, None], axis=2)[:, :, 0]
    return np.asarray((up_to - equal + chance * (equal + 1)) / (before.sum(axis=2) + 1))


def chance_of_rows(rows: Array, d: int, salt: int) -> Array:
    """Return uniform numbers ``(n, d)`` for the numbers of rows, always the same ones.

    They are SplitMix64's (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators").

    Args:
        rows: ``(n,)`` numbers of rows.
        d: Number of columns, at most 65,535.
        salt: Makes other numbers for another purpose.
    """
    columns = np.arange(d, dtype=np.uint64) << np.uint64(48)
    with np.errstate(over="ignore"):
        z = np.asarray(rows, dtype=np.uint64)[:, None] + columns + _mixed(np.array(salt, dtype=np.uint64))
        return np.asarray(((_mixed(z) >> np.uint64(11)).astype(float) + 0.5) / 2**53)


def _mixed(z: Array) -> Array:
    z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def of_mean(values: Array, limit: float) -> Array:
    """Bet that the mean of values ``(n,)`` in [-1, 1] exceeds ``limit``, which is above -1.

    The bets are those of Waudby-Smith and Ramdas (2024, "Estimating means of bounded random variables by betting").
    """
    stakes = np.array(STAKES) / (1 + limit)
    return np.log1p(stakes * (np.asarray(values)[:, None] - limit))


def of_gap(n: Array, k: Array, expected: Array, limit: float) -> Array:
    """Bet that the share of one group exceeds that of another by more than ``limit``, from blocks of events.

    The factor of a block is ``Π q(y) / p(y)``, where p is the pair of shares within the limit that is nearest to the
    bet q in relative entropy (Turner, Ly and Grünwald 2024, "Generic E-variables for exact sequential k-sample tests").

    Args:
        n: ``(n_blocks, 2)`` numbers of events of both groups; known before what happened in them.
        k: ``(n_blocks, 2)`` those that count.
        expected: ``(n_blocks,)`` middle of both shares, guessed from what came before the block.
        limit: The largest gap that is right.
    """
    bet = np.stack([expected[:, None] + side * (limit + np.array(GAPS)) / 2 for side in (1, -1)], axis=2)
    bet = np.clip(bet, 0.002, 0.998)  # (n_blocks, n_bets, 2)
    low, high = np.full(bet.shape[:2], _LEAST), np.full(bet.shape[:2], 1 - limit - _LEAST)
    weights = n[:, None, :].astype(float)
    for _ in range(_N_HALVINGS):  # the relative entropy is convex in the lower share
        middle = (low + high) / 2
        near = np.stack([middle + limit, middle], axis=2)
        slope = (weights * (near - bet) / (near * (1 - near))).sum(axis=2)
        low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
    near = np.stack([low + limit, low], axis=2)
    log_e = (k[:, None] * np.log(bet / near) + (n - k)[:, None] * np.log((1 - bet) / (1 - near))).sum(axis=2)
    sound = (bet[:, :, 0] - bet[:, :, 1] > limit) & (n.min(axis=1) > 0)[:, None]
    return np.where(sound, log_e, 0.0)
