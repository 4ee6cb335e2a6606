"""The front of a run by the goals of one context; without contexts by all of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, overload

import numpy as np

from evo_moo.analysis.fronts.first_boxes import fixed_boxes
from evo_moo.pareto import Array, Box, pareto_rows
from evo_moo.problem.goals import Goals, Objectives
from evo_moo.problem.measurements import Pooled, front_rows
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Key
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.run_boxes import box_in_words

Candidates = Callable[[], Iterable[tuple[Key, Metrics]]]
"""Reads keys and metrics of what may be on a front, each time it is called."""


@dataclass(frozen=True)
class ViewFront:
    """The Pareto front by some goals.

    Attributes:
        members: Its evaluations or points, sorted by the first objective, with the means of their metrics where they
            were repeated. If nothing keeps the limits, those that exceed them least.
        archive: Front of everything feasible that was measured in full, ``(n, n_obj)`` array, minimised.
        box: What hypervolumes are shares of; None where nothing keeps the limits.
        box_of: The box in words; empty where there is none.
        true_front: The exact Pareto front, ``(m, n_obj)`` array, minimised; None where it is not known.
    """

    members: list[Evaluation]
    archive: Array
    box: Box | None
    box_of: str
    true_front: Array | None

    @classmethod
    def each(
        cls, ledger: Ledger, means: Mapping[Key, Metrics], said: Mapping[Key, Pooled], optimum: list[Key] | None
    ) -> tuple[Self, ...]:
        """Read the front of each context of a ledger, or its one front.

        Args:
            ledger: The ledger.
            means: Mean metrics of full evaluations, or of their points, by id; empty where nothing was repeated.
            said: What the measurements say of those that are in doubt, by id.
            optimum: Ids of the members, where they are not those of all evaluations.
        """
        facts = ledger.facts()
        goals, boxes = facts.goals, fixed_boxes(ledger, facts.goals)
        candidates: Candidates = ledger.best_by_limits
        if means:
            candidates = means.items
        elif goals.contexts:
            candidates = lambda: ((e.id, e.metrics) for e in ledger.ok())  # noqa: E731
        fronts = []
        for view, fixed, true_front in zip(goals.views, boxes, facts.true_fronts, strict=True):
            keys, F, violation = Objectives.of(candidates(), view)
            best, feasible = pareto_rows(F, violation), violation == 0
            on_front = front_rows(view, list(candidates()), said) if said else best
            read = ledger.of_ids(keys[on_front].tolist() if optimum is None else optimum)
            members = [e._replace(metrics=means.get(e.id, e.metrics)) for e in read]
            members = [seen_by(view, e) for e in members] if goals.contexts else members
            box, box_of = None, ""
            if feasible.any():
                box, box_of = fixed.box if fixed else Box.around(F[feasible]), box_in_words(fixed)
            fronts.append(cls(members, F[best[feasible[best]]], box, box_of, true_front))
        return tuple(fronts)

    @property
    def feasible(self) -> bool:
        """Whether anything keeps the limits."""
        return len(self.archive) > 0


def seen_by(goals: Goals, evaluation: Evaluation) -> Evaluation:
    """Return an evaluation as it is by the goals of one context: it breaks no limit but those that hold there."""
    if evaluation.violation is None:
        return evaluation
    return evaluation._replace(violation=goals.violation(evaluation.metrics))


class SeenBy(Sequence[Evaluation]):
    """Evaluations as they are by the goals of one context, each made when it is looked at.

    Args:
        goals: The goals there.
        evaluations: The evaluations.
    """

    def __init__(self, goals: Goals, evaluations: Sequence[Evaluation]) -> None:
        self._goals, self._evaluations = goals, evaluations

    def __len__(self) -> int:
        return len(self._evaluations)

    def __iter__(self) -> Iterator[Evaluation]:
        return (seen_by(self._goals, e) for e in self._evaluations)

    @overload
    def __getitem__(self, place: int) -> Evaluation: ...
    @overload
    def __getitem__(self, place: slice) -> list[Evaluation]: ...
    def __getitem__(self, place: int | slice) -> Evaluation | list[Evaluation]:
        if isinstance(place, int):
            return seen_by(self._goals, self._evaluations[place])
        return [seen_by(self._goals, e) for e in self._evaluations[place]]


def union_of(goals: Goals, views: Sequence[ViewFront]) -> list[Evaluation]:
    """Return the members of all fronts, each once, as ``Goals.front_rows`` has them.

    Args:
        goals: The goals of all contexts.
        views: A front for each.
    """
    kept = [view for view in views if view.feasible] or views
    members = [*{e.id: e for view in kept for e in view.members}.values()]
    order = np.lexsort(goals.F([e.metrics for e in members]).T[::-1]).tolist() if members else []
    return [seen_by(goals, members[i]) for i in order]


def served_by(goals: Goals, views: Sequence[ViewFront]) -> dict[Key, tuple[str, ...]]:
    """Return on the fronts of which contexts each member of any stands, where something keeps the limits."""
    named = [(c.name, {e.id for e in v.members}) for c, v in zip(goals.contexts, views, strict=True) if v.feasible]
    keys = dict.fromkeys(e.id for view in views for e in view.members)
    return {key: tuple(name for name, ids in named if key in ids) for key in keys}


def doubts_of(ledger: Ledger) -> dict[Key, Pooled]:
    """Return what the measurements say of evaluations that are in doubt, or of each point that these offer."""
    said = {key: pooled for key, pooled in ledger.said().items() if pooled.in_doubt}
    told = (each for e in ledger.of_ids([*said]) for each in e.offers())
    return {each.id: said[each.id] if each.id in said else said[each.training_id] for each in told}
