"""The front of a device by latencies in doubt: who may be on it, who keeps a deadline, what is worth measuring."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evo_moo.pareto import Array, pareto_rows
from evo_moo.toolkit.devices.latency_model import Predicted

N_WORLDS, SEED = 256, 0
CERTAIN = 0.05
"""A network is on the front, or not, for certain where it is in less than this share of the worlds otherwise."""
HOPEFUL = 1.645
"""Standard deviations below its mean at which a latency is reached in 5 % of all cases."""
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DeviceFront:
    """The front of networks on a device, whose latencies are known with doubt.

    Attributes:
        others: ``(n, n_obj - 1)`` objectives beside the latency, minimised; the first decides a pick under a deadline.
        predicted: The latencies.
        architectures: ``(n,)`` number of each network's architecture, by which networks share a latency; None: each
            has its own.
    """

    others: Array
    predicted: Predicted
    architectures: Rows | None = None

    @property
    def rows(self) -> Rows:
        """Rows of the Pareto front by the mean latencies, the fastest first."""
        rows = _front(self.others, self.predicted.mean_ms)
        return rows[np.argsort(self.predicted.mean_ms[rows], kind="stable")]

    def chances(self) -> Array:
        """Return the share of worlds in which each network is on the front, ``(n,)``.

        In each world every latency is drawn from a log-normal distribution with its mean and standard deviation.
        """
        mean, std = self.predicted.mean_ms, self.predicted.std_ms
        of = self._architectures
        draws = np.random.default_rng(SEED).standard_normal((N_WORLDS, int(of.max(initial=-1)) + 1))[:, of]
        on_front = np.zeros(len(mean))
        for latencies in mean * np.exp(draws * std / mean):
            on_front[_front(self.others, latencies)] += 1 / N_WORLDS
        return on_front

    def worth_measuring(self, most: int) -> Rows:
        """Return the networks that are on the front in some worlds only, the least certain first, at most so many.

        There the doubt exceeds the gap to a neighbour on the front. What was measured is none of them, and of each
        architecture there is one.
        """
        chances = np.where(self.predicted.is_measured, 0.0, self.chances())
        order = np.argsort(-chances * (1 - chances), kind="stable")
        return self._different(order[np.minimum(chances, 1 - chances)[order] > CERTAIN])[:most]

    def pick_under(self, limit_ms: float, safety: float) -> int | None:
        """Return the best network by the first other objective whose latency keeps a deadline; None if none does.

        Args:
            limit_ms: The deadline.
            safety: Number of standard deviations by which the mean must keep it.
        """
        kept = np.flatnonzero(self.predicted.mean_ms + safety * self.predicted.std_ms <= limit_ms)
        if not len(kept):
            return None
        return int(kept[np.lexsort((self.predicted.mean_ms[kept], self.others[kept, 0]))[0]])

    def worth_measuring_under(self, limit_ms: float, safety: float, most: int) -> Rows:
        """Return the networks that decide what is picked under a deadline, at most so many, the best first.

        Those that would be picked if they were as fast as they may be. The safe pick is the last of them.
        """
        safe = self.pick_under(limit_ms, safety)
        mean, std = self.predicted.mean_ms, self.predicted.std_ms
        hopeful = ~self.predicted.is_measured & (mean - HOPEFUL * std <= limit_ms)
        if safe is None:
            rows = np.flatnonzero(hopeful)
            return self._different(rows[np.argsort(mean[rows], kind="stable")])[:most]
        better = np.flatnonzero(hopeful & (self.others[:, 0] < self.others[safe, 0]))
        better = better[np.lexsort((mean[better], self.others[better, 0]))]
        better = self._different(better[self._architectures[better] != self._architectures[safe]])
        is_known = bool(self.predicted.is_measured[safe])
        return np.append(better[: most - (not is_known)], [] if is_known else [safe]).astype(np.int64)

    @property
    def _architectures(self) -> Rows:
        return np.arange(len(self.others)) if self.architectures is None else self.architectures

    def _different(self, rows: Rows) -> Rows:
        """Return the first row of each architecture, in their order."""
        first: Rows = np.sort(np.unique(self._architectures[rows], return_index=True)[1])
        return rows[first]


def _front(others: Array, latencies: Array) -> Rows:
    return pareto_rows(np.column_stack([others, latencies]), np.zeros(len(latencies)))
