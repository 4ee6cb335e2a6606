"""NSGA-II and NSGA-III whose candidates come from surrogate models."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.core.population import Population

from evo_moo.optimizer.arguments import default_pop_size
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.protocol import Decision, EndedRow
from evo_moo.optimizer.source import Made, Scene, Source
from evo_moo.plugins import load_surrogate
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import Offered, of_state, to_state
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Array
from evo_moo.surrogate.fitting import FAMILIES
from evo_moo.surrogate.prescreening import OVERSAMPLING
from evo_moo.surrogate.proposals import InfillName, Proposal, Proposals
from evo_moo.surrogate.search_models import SearchModels
from evo_moo.surrogate.transfer import EarlierOutcomes

BATCH, N_OFFSPRING = 4, 50


class ModelSource(Source):
    """Makes the candidates that models find promising; the first population is the algorithm's.

    Args:
        problem: The problem; it is never evaluated here.
        goals: Objectives and limits.
        pop_size: Size of the population.
        seed: Seed of every random choice of the models.
        model, infill, replicates: As ``model``, ``infill`` and ``repeats`` of ``SurrogateOptimizer``.
        batch: Number of candidates at a time.
        earlier: As ``earlier`` of ``SurrogateOptimizer``.
    """

    learns = True

    def __init__(
        self,
        problem: SearchProblem,
        goals: Goals,
        pop_size: int,
        seed: int,
        *,
        model: str,
        batch: int,
        infill: InfillName,
        replicates: bool,
        earlier: Sequence[EarlierOutcomes] = (),
    ) -> None:
        self._n_var, self._pop_size, self._batch = problem.space.n_var, pop_size, batch
        self.kind = ["turns" if infill == "ehvi" else infill, batch]
        self._n_offspring = OVERSAMPLING * batch if infill == "prescreen" else N_OFFSPRING
        self.replicates = replicates and problem.is_seeded and any(m.noisy for m in problem.metrics.values())
        families = {name: load_surrogate(name) for name in (FAMILIES if model == "auto" else (model,))}
        models = SearchModels(problem, goals, families, load_surrogate("rf"), seed, earlier)
        self._proposals = Proposals(problem, models, infill, self.replicates)
        self._estimates: dict[int, Offered | None] = {}
        self._point_space, self._trained = problem.point_space, problem.variables

    def n_wanted(self, n: int, n_asked: int) -> int:
        """Return the size of a batch, once there is a population."""
        return n if n_asked < self._pop_size else self._batch

    def make(self, n: int, scene: Scene) -> tuple[Population, list[Made]]:
        """Return the rows that the models propose."""
        if scene.n_asked < self._pop_size:
            return super().make(n, scene)
        offspring = {child.X.tobytes(): child for child in scene.evolution.offspring(self._n_offspring)}
        mated = self._rows(child.X for child in offspring.values())
        pending = self._rows(candidate.x for candidate in scene.pending)
        random_state = scene.evolution.random_state
        proposals = self._proposals.propose(n, pending, mated, scene.fresh.are_new, random_state)
        individuals, how, begun = [], [], Counter(x.tobytes() for x in pending)
        for i, proposal in enumerate(proposals, 1):
            row, replicate = proposal.x.tobytes(), 0
            child = offspring.get(row)
            individuals.append(Population.new(X=proposal.x[None, :])[0] if child is None else child)
            parents = () if child is None else child.data.get("parents", ())
            if proposal.replicate_of is not None:
                replicate, begun[row] = len(self._proposals.archive.ids_of(proposal.x)) + begun[row], begun[row] + 1
            bred = "mating" if child is None else child.data.get("origin", "mating")
            origin = bred if parents and not replicate else proposal.origin
            how.append(Made(origin, parents, self._prediction(proposal), replicate, proposal.replicate_of))
            self._proposals.expect(scene.n_asked + i, proposal)
        return Population.create(*individuals), how

    def _prediction(self, proposal: Proposal) -> Mapping[str, Any] | None:
        """Return what a candidate carries of a prediction: that of a point with the choices that it is for."""
        if proposal.point is None or proposal.is_of_training:
            return proposal.prediction or None
        (joint,) = self._point_space.decode(proposal.point[None])
        choices = {name: value for name, value in joint.items() if name not in self._trained}
        return {"choices": choices, "metrics": proposal.prediction}

    def learn(self, candidate: Candidate, offered: Offered | None) -> None:
        """Learn an outcome, or the estimate of it; None: the evaluation failed."""
        self._proposals.record(candidate.id, candidate.x, self._estimates.pop(candidate.id, offered))

    def first_of(self, candidate_id: int, x: Array) -> int:
        """Return the id of the first evaluation of a candidate's ``(n_var,)`` row."""
        return next(iter(self._proposals.archive.ids_of(x)), candidate_id)

    def mean(self, x: Array) -> Offered:
        """Return the mean of what the evaluations of an ``(n_var,)`` row offer."""
        return self._proposals.archive.mean_of(x)

    def estimate(self, candidate_id: int, offered: Offered | None) -> None:
        """Note what a candidate that is left out would have shown."""
        self._estimates[candidate_id] = offered

    def take_decisions(self) -> list[Decision]:
        """Return the choices of models since the last call."""
        return [Decision("surrogate", detail) for detail in self._proposals.models.take_decisions()]

    def dump(self, with_seen: bool) -> dict[str, Any]:
        """Return the state of the models, and the outcomes that they learnt ``with_seen``."""
        observations = self._proposals.archive.observations if with_seen else []
        return {
            "proposals": self._proposals.dump(),
            "archive": [[o.id, to_state(o.offered)] for o in observations],
            "archive_X": self._rows(o.x for o in observations),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self._proposals.load(state["proposals"])
        rows = zip(state["archive"], state["archive_X"], strict=True)
        self.recall((key, x, of_state(saved)) for (key, saved), x in rows)

    def recall(self, outcomes: Iterable[EndedRow]) -> None:
        """Learn again the outcomes that a loaded state was dumped without."""
        for key, x, offered in outcomes:
            self._proposals.archive.record(key, x, offered)

    def _rows(self, rows: Iterable[Array]) -> Array:
        return np.array(list(rows)).reshape(-1, self._n_var)


class SurrogateOptimizer(Optimizer):
    """An optimizer whose candidates, after the first population, are those that models find promising.

    Generational, it asks for ``batch`` candidates at a time, and learns once every outcome of them is known; in steady
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
        earlier: What earlier runs measured, from which the models of the same metrics begin.
        options: Those of ``Optimizer``.

    Raises:
        JobError: Some argument is wrong; all faults are listed.
        PluginError: There is no such model.
        SpaceError: A configuration of ``start`` does not fit the space.
    """

    def __init__(
        self,
        problem: SearchProblem,
        *,
        model: str = "auto",
        batch: int | None = None,
        infill: InfillName = "ehvi",
        repeats: bool = True,
        earlier: Sequence[EarlierOutcomes] = (),
        **options: Any,
    ) -> None:
        pop_size = options.get("pop_size") or default_pop_size(as_pymoo=False)
        usual = 1 if options.get("mode") == "steady-state" else batch or (pop_size if infill == "prescreen" else BATCH)
        goals, seed = options.get("goals") or problem.goals, options.get("seed", 1)
        source = ModelSource(
            problem,
            goals,
            pop_size,
            seed,
            model=model,
            batch=usual,
            infill=infill,
            replicates=repeats,
            earlier=earlier,
        )
        super().__init__(problem, **options, source=source)
