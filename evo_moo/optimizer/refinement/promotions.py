"""Which evaluations follow on a ladder: promotions to the next rung, and replicates on the top one.

Generational, a rung is decided upon once all of the generation's candidates on it have ended, and what is not promoted
then is left out for good. So nothing depends on the number of workers. In steady state a candidate waits on its rung
until it is promoted, or until as many better ones wait there as the population has members.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from itertools import islice

import numpy as np

from evo_moo.optimizer.protocol import Decision
from evo_moo.optimizer.refinement.ladder import Ladder, Step
from evo_moo.optimizer.refinement.rungs import (
    MIN_PAIRS,
    TRUSTED_TAU,
    promotion_order,
    rank_correlations,
    to_promote,
    widened,
)
from evo_moo.problem.points import made

LOGGER = logging.getLogger("evo_moo")


class Promotions(ABC):
    """Plans promotions and replicates, and notes where a rung does not rank the next one.

    Args:
        ladder: Takes what is planned.
        eta: One in so many is promoted from each rung.
        replicates: Number of trainings, each with a seed of its own, of a candidate on the front.
        pop_size: Number of candidates that wait on a rung at most, in steady state.
        seed: Decides which promotions are drawn at random.

    Attributes:
        trusted: For each rung but the highest, whether it ranked the next one when that was last looked at.
    """

    def __init__(self, ladder: Ladder, eta: int, replicates: int, pop_size: int, seed: int) -> None:
        self._ladder, self._eta, self._replicates, self._seed = ladder, eta, replicates, seed
        self._pop_size = pop_size
        self.trusted = [True] * ladder.top
        self._decisions: list[Decision] = []
        self._taus: dict[tuple[int, int], float | None] = {}

    def prepare(self, candidates: Collection[int]) -> None:  # noqa: B027
        """Plan what can be decided before the next evaluation is asked for; nothing where a rung's end decides."""

    @abstractmethod
    def settle(self, candidate: int, candidates: Collection[int], n_waiting: int) -> list[int]:
        """Plan what follows from the end of an evaluation, and return the candidates that are finished.

        Args:
            candidate: The candidate whose evaluation ended.
            candidates: Those that are not finished.
            n_waiting: Number of candidates of the generation that are still to be asked for.
        """

    def take_decisions(self) -> list[Decision]:
        """Return where rungs ceased or began to rank the next one since the last call."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def restartable(self, candidates: Collection[int]) -> list[int]:
        """Return the evaluations that may be promoted, the likeliest first."""
        rungs = reversed(range(self._ladder.top))
        return [key for rung in rungs for key in self._in_order(rung, self._ladder.waiting(rung, candidates))]

    def _promotions(self, rung: int, candidates: Collection[int]) -> list[Step]:
        """Return the promotions from a rung that are due now."""
        ladder = self._ladder
        if not (waiting := ladder.waiting(rung, candidates)):
            return []
        # Those that were stopped are part of what was seen there, and behind all others.
        order = self._in_order(rung, ladder.compared(rung)) + ladder.stopped_on(rung)
        chosen = to_promote(order, ladder.promoted(rung), waiting, self._share(rung), [self._seed, rung])
        return [Step(ladder.step(key).candidate, rung + 1, 0, key) for key in chosen]

    def _replications(self, candidate: int) -> list[Step]:
        """Return the replicates of a candidate on the top rung that are due: those of a member of the front."""
        ladder = self._ladder
        if self._replicates == 1 or not self._is_on_front(candidate):
            return []
        key = ladder.standing(candidate).key
        return [Step(candidate, ladder.top, replicate, key) for replicate in range(1, self._replicates)]

    def _is_on_front(self, candidate: int) -> bool:
        """Return whether a candidate's full evaluation is on the front of all of them, as means over replicates."""
        ladder, goals = self._ladder, self._ladder.goals
        key, keys = ladder.standing(candidate).key, ladder.compared(ladder.top)
        if key not in keys:
            return False
        means = [(k, metrics) for k in keys for metrics in made(ladder.mean(ladder.step(k).candidate))]
        return key in {means[i][0] for i in goals.front_rows([metrics for _, metrics in means])}

    def _in_order(self, rung: int, wanted: Iterable[int]) -> list[int]:
        """Return evaluations on a rung in the order of promotion, as it is among all that ended well there.

        A training that offers points stands where the best of them does. With contexts their orders take turns.
        """
        wanted, compared, goals = set(wanted), self._ladder.compared(rung), self._ladder.goals
        if not wanted:
            return []
        keys, rows = zip(*self._ladder.metrics(compared), strict=True)
        orders = [
            promotion_order(view.F(rows), np.array([view.violation(metrics) for metrics in rows]))
            for view in goals.views
        ]
        in_order = dict.fromkeys(keys[i] for of_views in zip(*orders, strict=True) for i in of_views)
        return [key for key in in_order if key in wanted]

    def _judge(self) -> None:
        """Note where a rung has ceased, or begun again, to rank the next."""
        for rung, was_trusted in enumerate(self.trusted):
            tau = self._correlation(rung)
            if tau is None or (trusted := tau >= TRUSTED_TAU) == was_trusted:
                continue
            self.trusted[rung] = trusted
            low, high = self._ladder.rungs[rung : rung + 2]
            share = self._share(rung)
            detail = {"rung": low, "next": high, "tau": tau, "share": share, "trusted": trusted}
            self._decisions.append(Decision("refinement", detail))
            if not trusted:
                LOGGER.warning(
                    "fidelity %d ranks what %d shows by a Kendall's tau of %.2f only, under %g: %.0f %% are promoted "
                    "instead of %.0f %%; a higher lowest rung may serve better",
                    *(low, high, tau, TRUSTED_TAU, 100 * share, 100 / self._eta),
                )

    def _share(self, rung: int) -> float:
        tau = self._correlation(rung)
        return 1 / self._eta if tau is None else widened(1 / self._eta, tau)

    def _correlation(self, rung: int) -> float | None:
        """Return the least rank correlation, over objectives, of a rung with the next; None while too few are known."""
        known = rung, len(self._ladder.compared(rung + 1))
        if known not in self._taus:
            low, high = self._ladder.pairs(rung, rung + 1)
            F = self._ladder.goals.F
            self._taus[known] = float(rank_correlations(F(low), F(high)).min()) if len(low) >= MIN_PAIRS else None
        return self._taus[known]


class GenerationalPromotions(Promotions):
    """Decides upon a rung once the whole generation has ended there."""

    def settle(self, candidate: int, candidates: Collection[int], n_waiting: int) -> list[int]:
        """Plan promotions, then replicates; finish all candidates once there are none."""
        ladder = self._ladder
        if n_waiting or ladder.n_planned or ladder.awaited():
            return []
        self._judge()
        rung = max(ladder.standing(one).rung for one in candidates)
        if rung < ladder.top:
            ladder.plan(self._promotions(rung, candidates))
        elif not any(ladder.has_replicates(one) for one in candidates):
            ladder.plan([step for one in sorted(candidates) for step in self._replications(one)])
        return [] if ladder.n_planned else sorted(candidates)


class SteadyStatePromotions(Promotions):
    """Decides upon one promotion at a time."""

    def prepare(self, candidates: Collection[int]) -> None:
        """Plan one promotion, from the highest rung where one is due, unless something is planned."""
        if not self._ladder.n_planned:
            rungs = reversed(range(self._ladder.top))
            due = (step for rung in rungs for step in self._promotions(rung, candidates))
            self._ladder.plan(islice(due, 1))

    def settle(self, candidate: int, candidates: Collection[int], n_waiting: int) -> list[int]:
        """Plan replicates; finish a candidate that is done, and those that wait behind too many."""
        self._judge()
        ladder, standing = self._ladder, self._ladder.standing(candidate)
        if standing.is_awaited:
            return []
        if standing.is_barred:
            return [candidate]
        if not standing.is_top:
            late = self._in_order(standing.rung, ladder.waiting(standing.rung, candidates))[self._pop_size :]
            return [ladder.step(key).candidate for key in late]
        if not ladder.has_replicates(candidate):
            ladder.plan(self._replications(candidate))
        return [candidate] if ladder.is_done(candidate) else []
