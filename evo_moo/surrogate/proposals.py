"""Candidates by surrogate models: what was measured so far decides what is evaluated next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from evo_moo.problem.points import Offered
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.surrogate.archive import FEW, Archive
from evo_moo.surrogate.infill import Infill, Mask, any_equal
from evo_moo.surrogate.posterior import Posterior
from evo_moo.surrogate.prescreening import best_offspring
from evo_moo.surrogate.protocol import Array
from evo_moo.surrogate.search_models import SearchModels
from evo_moo.surrogate.track_record import TrackRecord
from evo_moo.surrogate.views import View
from evo_moo.threads import one_blas_thread

InfillName = Literal["ehvi", "prescreen"]
TRUSTED = 0.3
"""Rank correlation between predictions and outcomes from which on every candidate comes from the models."""


@dataclass(frozen=True)
class Proposal:
    """A row to evaluate.

    Attributes:
        x: ``(n_var,)`` encoded row of the training.
        origin: ``"infill"``, or ``"mating"`` where the models are not trusted; ``"replicate"`` of a row that was
            evaluated before.
        prediction: Metric to the predicted mean and standard deviation; empty without models. With post-training
            variables those of the point that is most promising.
        replicate_of: Id of the first evaluation of this row, if there is one.
        point: ``(n_point_var,)`` encoded row of the point that is predicted; None without models.
    """

    x: Array
    origin: str
    prediction: Mapping[str, tuple[float, float]]
    replicate_of: int | None = None
    point: Array | None = None

    @property
    def is_of_training(self) -> bool:
        """Whether what is predicted is the training itself, and not one of its points."""
        return self.point is None or len(self.point) == len(self.x)


class Proposals:
    """Candidates that the models of a search propose.

    Args:
        problem: The problem, for its spaces; it is never evaluated here.
        models: The models of the metrics.
        infill: ``"ehvi"`` searches the models for rows of the largest expected hypervolume improvement;
            ``"prescreen"`` takes the best of the offspring.
        replicates: Whether rows of the front whose objectives are noisy may be evaluated again.

    Attributes:
        archive: What was measured.
    """

    def __init__(
        self, problem: SearchProblem, models: SearchModels, infill: InfillName = "ehvi", replicates: bool = False
    ) -> None:
        self._n_var, self.models, self.infill = problem.space.n_var, models, infill
        self.archive = Archive(problem, models.goals)
        self._predicted: dict[int, list[float]] = {}  # the points that await their outcome
        self._replicates = replicates
        self._track_record = TrackRecord(models.goals)
        self._turn = 0

    def record(self, evaluation_id: int, x: Array, offered: Offered | None) -> None:
        """Record the outcome of an evaluation; None: it failed."""
        self.archive.record(evaluation_id, x, offered)
        predicted = np.array(self._predicted.pop(evaluation_id, x))
        self._track_record.record(evaluation_id, self.archive.metrics_at(evaluation_id, predicted))

    def expect(self, evaluation_id: int, proposal: Proposal) -> None:
        """Note which evaluation a proposal became."""
        if proposal.prediction and proposal.point is not None:
            self._track_record.expect(evaluation_id, proposal.prediction)
            if not proposal.is_of_training:
                self._predicted[evaluation_id] = proposal.point.tolist()

    def propose(
        self, n: int, pending: Array, offspring: Array, is_new: Callable[[Array], Mask], rng: np.random.Generator
    ) -> list[Proposal]:
        """Choose up to ``n`` rows to evaluate.

        Args:
            n: Number of rows.
            pending: ``(m, n_var)`` rows of trainings that run.
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
            plain = np.array([p.x for p in proposals]).reshape(-1, self._n_var)
            taken, offers = np.concatenate([pending, plain]), self.archive.offers()
            if len(taken):
                posterior = posterior.with_fantasies(offers.of(taken, FEW))

            def is_free(X: Array) -> Mask:
                return is_new(X) & ~any_equal(X, taken)

            if self.infill == "prescreen":
                X = offers.drawn(offspring[is_free(offspring)], rng)
                X = best_offspring(posterior, X, n - n_plain, rng)
            else:
                record, turn, learn = self._track_record, self._turn - n, self.models.learn
                infill = Infill(offers, rng, is_free, record.exploration(), turn, taken, learn)
                may_replicate = self._replicates and posterior.knows_the_noise
                posterior = replace(posterior, caution=record.caution())
                views = View.each(posterior, self.archive)
                X = infill.batch(posterior, views, n - n_plain, offspring, may_replicate)
            return proposals + self._with_predictions(posterior, X)

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays; the archive is not part of it."""
        predicted = {str(key): row for key, row in self._predicted.items()}
        state = {"models": self.models.dump(), "track_record": self._track_record.dump(), "turn": self._turn}
        return state | {"predicted": predicted}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a dumped state; the archive is filled before or after."""
        self.models.load(state["models"])
        self._track_record.load(state["track_record"])
        self._turn = state["turn"]
        self._predicted = {int(key): row for key, row in state.get("predicted", {}).items()}

    def _n_plain(self, n: int) -> int:
        """Return how many of ``n`` candidates are plain offspring: up to half, the worse the models ranked lately."""
        correlation = self._track_record.rank_correlation()
        if correlation is None or correlation >= TRUSTED:
            return 0
        share = 0.5 * min(1.0, (TRUSTED - correlation) / TRUSTED)
        return int(share * n) if n > 1 else int(self._turn % 4 == 0)

    def _with_predictions(self, posterior: Posterior, points: Array) -> list[Proposal]:
        """Return the trainings of ``(n, n_point_var)`` rows of points as proposals, with what is expected there."""
        predicted, proposals = posterior.metrics(points), []
        for i, point in enumerate(points):
            x = point[: self._n_var]
            first = next(iter(self.archive.ids_of(x)), None)
            prediction = {name: (float(mean[i]), float(std[i])) for name, (mean, std) in predicted.items()}
            proposals.append(Proposal(x, "infill" if first is None else "replicate", prediction, first, point))
        return proposals
