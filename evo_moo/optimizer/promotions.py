"""Who rises on a ladder: the usual share of each rung, and more of one that does not rank the next."""

import logging
from collections.abc import Collection
from typing import Any

from evo_moo.optimizer.ladder import Climbs, Step
from evo_moo.optimizer.rungs import TRUSTED_TAU, to_promote, widened

LOGGER = logging.getLogger("evo_moo")


class Promotions:
    """Chooses who rises, and says where rungs are not to be trusted.

    Args:
        eta: One in so many rises from each rung.
        seed: Decides which promotions are drawn at random.
        n_rungs: Number of rungs.

    Attributes:
        trusted: For each rung but the highest, whether it ranked the next one when that was last looked at.
        decisions: What was decided and not fetched yet.
    """

    def __init__(self, eta: int, seed: int, n_rungs: int) -> None:
        self._eta, self._seed = eta, seed
        self.trusted = [True] * (n_rungs - 1)
        self.decisions: list[dict[str, Any]] = []

    def choose(self, climbs: Climbs, rung: int, waiting: Collection[int]) -> list[Step]:
        """Choose who of ``waiting`` rises from a rung now."""
        if not waiting:
            return []
        # Those that were stopped are part of what was seen there, and behind all others.
        order = climbs.in_order(rung, climbs.seen[rung]) + climbs.stopped_on(rung)
        chosen = to_promote(order, climbs.risen[rung], waiting, self._share(climbs, rung), [self._seed, rung])
        return [Step(climbs.steps[key - 1].candidate, rung + 1, 0, key) for key in chosen]

    def judge(self, climbs: Climbs) -> None:
        """Say where a rung has ceased, or begun again, to rank the next."""
        for rung in range(len(self.trusted)):
            tau = climbs.correlation(rung)
            trusted = tau is None or tau >= TRUSTED_TAU
            if trusted == self.trusted[rung] or tau is None:
                continue
            self.trusted[rung] = trusted
            low, high = climbs.rungs[rung : rung + 2]
            share = self._share(climbs, rung)
            self.decisions.append(
                {"kind": "refinement", "rung": low, "next": high, "tau": tau, "share": share, "trusted": trusted}
            )
            if not trusted:
                LOGGER.warning(
                    "fidelity %d ranks what %d shows by a Kendall's tau of %.2f only, under %g: %.0f %% rise instead "
                    "of %.0f %%; a higher lowest rung may serve better",
                    *(low, high, tau, TRUSTED_TAU, 100 * share, 100 / self._eta),
                )

    def _share(self, climbs: Climbs, rung: int) -> float:
        tau = climbs.correlation(rung)
        return 1 / self._eta if tau is None else widened(1 / self._eta, tau)
