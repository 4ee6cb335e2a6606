"""What the hypervolumes of a run are shares of, by the generations of its ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evo_moo.pareto import Box
from evo_moo.problem.goals import Goals
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.run_boxes import Boxes, RunBox


def fixed_boxes(ledger: Ledger, goals: Goals) -> Boxes:
    """Return what a run's hypervolumes are shares of, as far as that is fixed.

    A box is around the feasible full evaluations of the first generations by whose end two of them differ. It is
    recorded at that moment; of a ledger that lacks it, it is the same by its generations.
    """
    recorded, last = ledger.facts().boxes_of(goals), ledger.last_generation()
    if last is None or all(recorded):
        return recorded
    seen = [e for e in ledger.feasible() if e.generation <= last.number]
    generations = np.array([e.generation for e in seen])
    metrics = [e.metrics for e in seen]
    of_views = zip(recorded, goals.views, strict=True)
    return tuple(box or _first_box(view, metrics, generations) for box, view in of_views)


def _first_box(goals: Goals, rows: Sequence[Mapping[str, float]], generations: Any) -> RunBox | None:
    kept = np.array([not goals.violation(metrics) for metrics in rows], dtype=bool)
    F, generations = (
        goals.F([metrics for metrics, is_kept in zip(rows, kept, strict=True) if is_kept]),
        generations[kept],
    )
    differ = [int(g) for g in np.unique(generations) if np.ptp(F[generations <= g], axis=0).any()]
    return RunBox(differ[0], *Box.around(F[generations <= differ[0]])) if differ else None
