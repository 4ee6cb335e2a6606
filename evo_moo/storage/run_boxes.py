"""What the hypervolumes of a run are shares of: a box, or with contexts one for each."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from evo_moo.pareto import Array, Box
from evo_moo.problem.goals import Goals

OF_CONTEXTS = "contexts"
"""The key of the recorded fact where there are contexts."""
OF_FIRST = "the first generation's box"


class RunBox(NamedTuple):
    """What the hypervolumes of a run, or of one of its contexts, are shares of, fixed once and for all.

    Attributes:
        generation: At whose end it was fixed.
        best: ``(n_obj,)`` corner of the best values by then, minimised.
        ref: ``(n_obj,)`` reference point, minimised.
    """

    generation: int
    best: Array
    ref: Array

    @property
    def box(self) -> Box:
        """The box alone."""
        return Box(self.best, self.ref)

    @classmethod
    def of_json(cls, recorded: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        return cls(recorded["generation"], *(np.array(recorded[key]) for key in ("best", "ref")))

    def to_json(self) -> dict[str, Any]:
        """Return the fact as the ledger keeps it."""
        return {"generation": self.generation, "best": self.best.tolist(), "ref": self.ref.tolist()}


Boxes = tuple[RunBox | None, ...]
"""One for each of the ``views`` of a run's goals; None before it is fixed."""


def boxes_of_json(recorded: Mapping[str, Any] | None, goals: Goals) -> Boxes:
    """Read the recorded boxes of a run."""
    if not goals.contexts:
        return (RunBox.of_json(recorded) if recorded else None,)
    of_contexts = (recorded or {}).get(OF_CONTEXTS, {})
    return tuple(RunBox.of_json(of_contexts[c.name]) if c.name in of_contexts else None for c in goals.contexts)


def boxes_to_json(boxes: Boxes, goals: Goals) -> dict[str, Any]:
    """Return boxes, at least one of which is fixed, as the ledger keeps them."""
    if not goals.contexts:
        return next(each.to_json() for each in boxes if each)
    return {OF_CONTEXTS: {c.name: box.to_json() for c, box in zip(goals.contexts, boxes, strict=True) if box}}


def box_in_words(fixed: RunBox | None) -> str:
    """Name the box of a run, or of a context."""
    if fixed is None:
        return "the box of all evaluations so far"
    return OF_FIRST if fixed.generation == 1 else f"the box of the first {fixed.generation} generations"


def boxes_in_words(words: Sequence[str]) -> str:
    """Name what the mean over contexts is a share of, by the boxes of each in words."""
    if len(words) == 1:
        return words[0]
    known = {each for each in words if each}
    boxes = "the first generation's boxes" if known == {OF_FIRST} else "the boxes"
    return f"{boxes} of {len(words)} contexts, on average" if known else ""
