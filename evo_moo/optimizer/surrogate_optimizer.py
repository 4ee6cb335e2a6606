"""NSGA-II and NSGA-III whose candidates come from surrogate models."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.core.population import Population

from evo_moo.optimizer.algorithms import Array, members_of
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.plugins import load_surrogate
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.surrogate.computed_metrics import ComputedMetrics
from evo_moo.surrogate.fitting import FAMILIES
from evo_moo.surrogate.prescreening import OVERSAMPLING
from evo_moo.surrogate.proposals import InfillName, Proposal, Proposals
from evo_moo.surrogate.search_models import SearchModels

BATCH, N_OFFSPRING = 4, 50


class SurrogateOptimizer(Optimizer):
    """An optimizer whose candidates, after the first population, are those that models find promising.

    Generational, it asks for ``batch`` candidates at a time, and learns once all of them are told; in steady
    state it asks for one, with everything pending taken as measured as predicted. The algorithm's survival keeps
    the population, and its offspring are candidates among others. Where no model predicts any objective, it is
    the plain algorithm.

    Args:
        problem: The problem; it is never evaluated here.
        model: ``"auto"``, or a surrogate's name or reference for all metrics.
        batch: Number of candidates at a time, in generational mode; by default 4, and ``pop_size`` to prescreen.
        infill: ``"ehvi"``: candidates come from a search on the models, by their expected hypervolume improvement.
            ``"prescreen"``: they are the best of ten times as many offspring, which is cheap for large populations.
        repeats: Whether configurations of the front whose objectives depend on the seed may be evaluated again, where
            that is expected to tell more than any new one. The population then holds means.
        options: Those of ``Optimizer``.

    Raises:
        JobError: Some argument is wrong; all faults are listed.
        PluginError: There is no such model.
        SpaceError: A configuration of ``start`` does not fit the space.
    """

    _may_be_plain = False
    learns = True

    def __init__(
        self,
        problem: SearchProblem,
        *,
        model: str = "auto",
        batch: int | None = None,
        infill: InfillName = "ehvi",
        repeats: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(problem, **options)
        prescreens = infill == "prescreen"
        self.batch = 1 if self.mode == "steady-state" else batch or (self.pop_size if prescreens else BATCH)
        self._n_offspring = OVERSAMPLING * self.batch if prescreens else N_OFFSPRING
        computed = ComputedMetrics(problem) if problem.computes else None
        self.repeats = repeats and any(metric.noisy for metric in problem.metrics.values()) and problem.is_seeded
        families = {name: load_surrogate(name) for name in (FAMILIES if model == "auto" else (model,))}
        success, seed = load_surrogate("rf"), options.get("seed", 1)
        models = SearchModels(self.space, self.goals, problem.metrics, families, success, seed, computed)
        self._proposals = Proposals(self.space, models, infill, self.repeats)
        self._estimates: dict[int, Metrics | None] = {}

    def leave_out(self, candidate: int, estimate: Metrics | None) -> None:
        """Report that a candidate was not evaluated to the end; models learn the guess as if it was."""
        self._estimates[candidate] = estimate
        self.tell(candidate, None)

    def take_decisions(self) -> list[dict[str, Any]]:
        """Return the choices of models since the last call, as plain data."""
        return self._proposals.models.take_decisions()

    def dump(self, with_seen: bool = True) -> dict[str, Any]:
        """Return the complete state; what was told, ``recall`` takes, is left out without ``with_seen``."""
        observations = self._proposals.archive.observations if with_seen else []
        return {
            **super().dump(with_seen),
            "proposals": self._proposals.dump(),
            "archive": [[o.id, o.metrics] for o in observations],
            "archive_X": np.array([o.x for o in observations]).reshape(-1, self.space.n_var),
        }

    def recall(self, outcomes: Iterable[tuple[int, Array, Metrics | None]]) -> None:
        """Take in what was told before the state to load was dumped."""
        for key, x, metrics in outcomes:
            if key <= self.n_asked and key not in self._open:  # what ended later is told again
                self._proposals.archive.record(key, x, metrics)

    def load(self, state: Mapping[str, Any], seen: Array | None = None) -> None:
        """Go on from a dumped state."""
        super().load(state, seen)
        self._proposals.load(state["proposals"])
        self.recall((key, x, metrics) for (key, metrics), x in zip(state["archive"], state["archive_X"], strict=True))

    def _kind(self) -> list[Any]:
        infill = self._proposals.infill
        return [*super()._kind(), "turns" if infill == "ehvi" else infill, self.batch]

    def _make_candidates(self) -> None:
        if self.n_asked < self.pop_size:
            return super()._make_candidates()
        offspring = {child.X.tobytes(): child for child in self._offspring(self._n_offspring)}
        mated = np.array([child.X for child in offspring.values()]).reshape(-1, self.space.n_var)
        pending = np.array([candidate.x for candidate in self.pending]).reshape(-1, self.space.n_var)
        proposals = self._proposals.propose(self.batch, pending, mated, self._is_new, self._algorithm.random_state)
        made = Population.create(*(self._individual(proposal, offspring) for proposal in proposals))
        self._number(made, proposals)
        first = self.n_asked + 1
        self._take(made, self.batch)
        for key, proposal in enumerate(proposals, first):
            self._proposals.expect(key, proposal)
        return None

    @staticmethod
    def _individual(proposal: Proposal, offspring: Mapping[bytes, Any]) -> Any:
        child = offspring.get(proposal.x.tobytes())
        if child is None:
            child = Population.new(X=proposal.x[None, :])[0]
        child.data["prediction"], child.data["origin"] = proposal.prediction, proposal.origin
        return child

    def _number(self, made: Population, proposals: Sequence[Proposal]) -> None:
        """Number the replicates among the proposals, those of each configuration from 1."""
        pending = [candidate.x.tobytes() for candidate, _ in self._open.values()]
        for child, proposal in zip(made, proposals, strict=True):
            if proposal.replicate_of is not None:
                row = proposal.x.tobytes()
                number = self._proposals.archive.n_of(proposal.x) + pending.count(row)
                child.data["repetition"] = number, proposal.replicate_of
                pending.append(row)

    def _origin(self, individual: Any) -> tuple[Any, ...]:
        origin, parents = super()._origin(individual)
        by_model = individual.data.get("origin")
        if by_model == "replicate" or (by_model == "infill" and not parents):
            origin = by_model
        return origin, parents, individual.data.get("prediction") or None, *individual.data.get("repetition", ())

    def _is_new(self, X: Array) -> Any:
        return self._seen.are_new(X)  # type: ignore[union-attr]

    def _select(self) -> None:
        for key, metrics in sorted(self._told.items()):
            self._proposals.record(key, self._open[key][0].x, self._estimates.pop(key, metrics))
        for key in [key for key in self._told if self._open[key][0].replicate]:
            candidate, _ = self._open.pop(key)
            if self._told.pop(key) is not None:
                self._improve(candidate)
        super()._select()

    def _improve(self, candidate: Candidate) -> None:
        """Let the member of the population that was repeated have the means of its metrics."""
        for member in members_of(self._algorithm.pop):
            if member.data["id"] == candidate.continues:
                F, G, H = self.goals.matrices([self._proposals.archive.mean_of(candidate.x)])
                member.F, member.G, member.H = np.array(F[0]), np.array(G[0]), np.array(H[0])
