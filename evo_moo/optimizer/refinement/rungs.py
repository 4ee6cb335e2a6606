"""Rungs of growing fidelity, and the rule by which candidates are promoted from one to the next.

Multi-objective successive halving. All candidates on a rung are put in order: those that keep the limits first, by
non-dominated rank (Deb et al. 2002, section III-A) and within a rank by their contribution to the rank's hypervolume
(Emmerich, Beume and Naujoks 2005, section 2); the others after them, by how much they exceed the limits. As many are
promoted as make up the usual share of the rung, as in asynchronous successive halving (Li et al. 2020, algorithm 2):
of those that wait, the first in this order. Unlike there, one that falls behind after its promotion keeps its place:
else a search that gets better all the time would promote nearly everything.
"""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from evo_moo.pareto import MOST_OBJECTIVES, reference_point

Array = npt.NDArray[np.float64]
TRUSTED_TAU = 0.3
"""Kendall's tau between two rungs under which more than the usual share is promoted."""
MIN_PAIRS = 8
"""So many configurations must be known on two rungs before their correlation counts."""
PROBE_EVERY = 10
"""One in so many promotions is drawn at random: it shows what the order on the low rung would miss."""


def geometric_rungs(low: int, high: int, eta: int) -> list[int]:
    """Return the rungs from ``high`` down by the factor ``eta``, rounded, as long as they are at least ``low``."""
    rungs, divisor = [high], eta
    while (rung := round(high / divisor)) >= low and rung < rungs[0]:
        rungs.insert(0, rung)
        divisor *= eta
    return rungs


def promotion_order(F: Array, violation: Array) -> list[int]:
    """Return the rows in the order of promotion; see the module. Ties keep the order of the rows.

    Args:
        F: ``(n, n_obj)`` array, minimised.
        violation: ``(n,)`` array of total constraint violations, 0 when feasible.
    """
    feasible, ranks, within = violation == 0, np.full(len(F), np.inf), np.array(violation, dtype=float)
    if feasible.any():
        ranks[feasible], contributions = _ranks_and_contributions(F[feasible])
        within[feasible] = -contributions
    order: list[int] = np.lexsort((within, ranks)).tolist()
    return order


def to_promote(
    order: Sequence[int], promoted: Collection[int], waiting: Collection[int], share: float, seed: Sequence[int]
) -> list[int]:
    """Select promotions from a rung.

    Args:
        order: All candidates on the rung, as ``promotion_order`` puts them.
        promoted: Those that were promoted before.
        waiting: Those that may be promoted now.
        share: The share of a rung that is promoted.
        seed: Decides, together with the number of the promotion, which one is drawn at random.

    Returns:
        Members of ``waiting`` in the order of their promotion.
    """
    slots = range(len(promoted) + 1, int(len(order) * share + 1e-9) + 1)
    left = [i for i in order if i in waiting and i not in promoted]
    chosen: list[int] = []
    for number in slots[: len(left)]:
        drawn = int(np.random.default_rng([*seed, number]).integers(len(left))) if number % PROBE_EVERY == 0 else 0
        chosen.append(left.pop(drawn))
    return chosen


def rank_correlations(low: Array, high: Array) -> Array:
    """Return Kendall's tau-b of each objective between two rungs, ``(n_obj,)``.

    A rung on which all are equal ranks nothing: 0; where all are equal on the high rung, there is nothing to rank: 1.

    Args:
        low: ``(n, n_obj)`` objectives on the low rung.
        high: ``(n, n_obj)`` objectives of the same configurations on the high rung.
    """
    from scipy.stats import kendalltau

    return np.array(
        [
            1.0 if np.ptp(b) == 0 else 0.0 if np.ptp(a) == 0 else float(kendalltau(a, b).statistic)
            for a, b in zip(low.T, high.T, strict=True)
        ]
    )


def widened(share: float, tau: float) -> float:
    """Return the share to promote where a rung ranks the next one with this ``tau``: all, once it is 0 or less."""
    return share + (1 - share) * min(1.0, max(0.0, (TRUSTED_TAU - tau) / TRUSTED_TAU))


def _ranks_and_contributions(F: Array) -> tuple[npt.NDArray[np.int64], Array]:
    if F.shape[1] == 1:
        return np.unique(F[:, 0], return_inverse=True)[1], np.zeros(len(F))
    import moocore

    ranks = np.asarray(moocore.pareto_rank(F), dtype=np.int64)
    span = np.ptp(F, axis=0)
    unit = (F - F.min(axis=0)) / np.where(span > 0, span, 1.0)
    ref, contributions = reference_point(unit), np.zeros(len(F))
    for rank in np.unique(ranks):
        members = np.flatnonzero(ranks == rank)
        if F.shape[1] <= MOST_OBJECTIVES:
            contributions[members] = moocore.hv_contributions(unit[members], ref=ref)
        else:
            from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

            contributions[members] = calc_crowding_distance(unit[members])
    return ranks, contributions
