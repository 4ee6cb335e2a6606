"""Candidates by surrogate models: what was measured so far decides what is evaluated next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from evo_moo.problem.metrics import Metrics
from evo_moo.space.search_space import SearchSpace
from evo_moo.surrogate.archive import Archive
from evo_moo.surrogate.evaluated import Evaluated
from evo_moo.surrogate.infill import Infill, Mask, any_equal
from evo_moo.surrogate.posterior import Posterior
from evo_moo.surrogate.prescreening import best_offspring
from evo_moo.surrogate.protocol import Array
from evo_moo.surrogate.search_models import SearchModels
from evo_moo.surrogate.track_record import TrackRecord
from evo_moo.threads import one_blas_thread

InfillName = Literal["ehvi", "prescreen"]
TRUSTED = 0.3
"""Rank correlation between predictions and outcomes from which on every candidate comes from the models."""


@dataclass(frozen=True)
class Proposal:
    """A row to evaluate.

    Attributes:
        x: ``(n_var,)`` encoded row.
        origin: ``"infill"``, or ``"mating"`` where the models are not trusted; ``"replicate"`` of a row that was
            evaluated before.
        prediction: Metric to the predicted mean and standard deviation; empty without models.
        replicate_of: Id of the first evaluation of this row, if there is one.
    """

    x: Array
    origin: str
    prediction: Mapping[str, tuple[float, float]]
    replicate_of: int | None = None


class Proposals:
    """Candidates that the models of a search propose.

    Args:
        space: The search space.
        models: The models of the metrics.
        infill: ``"ehvi"`` searches the models for rows of the largest expected hypervolume improvement;
            ``"prescreen"`` takes the best of the offspring.
        replicates: Whether rows of the front whose objectives are noisy may be evaluated again.

    Attributes:
        archive: What was measured.
    """

    def __init__(
        self, space: SearchSpace, models: SearchModels, infill: InfillName = "ehvi", replicates: bool = False
    ) -> None:
        self.space, self.models, self.infill = space, models, infill
        self.archive = Archive(models.goals)
        self._replicates = replicates
        self._track_record = TrackRecord(models.goals)
        self._turn = 0

    def record(self, evaluation_id: int, x: Array, metrics: Metrics | None) -> None:
        """Record the outcome of an evaluation; None: it failed."""
        self.archive.record(evaluation_id, x, metrics)
        self._track_record.record(evaluation_id, metrics)

    def expect(self, evaluation_id: int, proposal: Proposal) -> None:
        """Note which evaluation a proposal became."""
        self._track_record.expect(evaluation_id, proposal.prediction)

    def propose(
        self, n: int, pending: Array, offspring: Array, is_new: Callable[[Array], Mask], rng: np.random.Generator
    ) -> list[Proposal]:
        """Choose up to ``n`` rows to evaluate.

        Args:
            n: Number of rows.
            pending: ``(m, n_var)`` rows that are being evaluated.
            offspring: ``(k, n_var)`` rows that the algorithm bred.
            is_new: Returns which rows may be asked for.
            rng: Source of all randomness.
        """
        with one_blas_thread():
            posterior = self.models.fit(self.archive)
            self._turn += n
            n_plain = n if posterior is None else self._n_plain(n)
            proposals = [Proposal(x, "mating", {}) for x in offspring[is_new(offspring)][:n_plain]] if n_plain else []
            if posterior is None or n_plain == n:
                return proposals
            plain = np.array([p.x for p in proposals]).reshape(-1, self.space.n_var)
            taken = np.concatenate([pending, plain])
            if len(taken):
                posterior = posterior.with_fantasies(taken)

            def is_free(X: Array) -> Mask:
                return is_new(X) & ~any_equal(X, taken)

            if self.infill == "prescreen":
                X = best_offspring(posterior, offspring[is_free(offspring)], n - n_plain, rng)
            else:
                record, turn, learn = self._track_record, self._turn - n, self.models.learn
                infill = Infill(self.space, rng, is_free, record.exploration(), turn, taken, learn)
                may_replicate = self._replicates and posterior.knows_the_noise
                evaluated = Evaluated.of(self.archive, posterior)
                posterior = replace(posterior, caution=record.caution())
                X = infill.batch(posterior, evaluated, n - n_plain, offspring, may_replicate)
            return proposals + self._with_predictions(posterior, X)

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays; the archive is not part of it."""
        return {"models": self.models.dump(), "track_record": self._track_record.dump(), "turn": self._turn}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a dumped state; the archive is filled before or after."""
        self.models.load(state["models"])
        self._track_record.load(state["track_record"])
        self._turn = state["turn"]

    def _n_plain(self, n: int) -> int:
        """Return how many of ``n`` candidates are plain offspring: up to half, the worse the models ranked lately."""
        correlation = self._track_record.rank_correlation()
        if correlation is None or correlation >= TRUSTED:
            return 0
        share = 0.5 * min(1.0, (TRUSTED - correlation) / TRUSTED)
        return int(share * n) if n > 1 else int(self._turn % 4 == 0)

    def _with_predictions(self, posterior: Posterior, X: Array) -> list[Proposal]:
        predicted, proposals = posterior.metrics(X), []
        for i, x in enumerate(X):
            first = next(iter(self.archive.ids_of(x)), None)
            prediction = {name: (float(mean[i]), float(std[i])) for name, (mean, std) in predicted.items()}
            proposals.append(Proposal(x, "infill" if first is None else "replicate", prediction, first))
        return proposals
