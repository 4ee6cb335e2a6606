"""Which members of a front some weighted sum of the objectives can reach: the supported ones, on the convex hull."""

from typing import Any, NamedTuple

import numpy as np

from evo_moo.analysis.choice import candidates
from evo_moo.analysis.evaluated_front import EvaluatedFront
from evo_moo.pareto import Array
from evo_moo.problem.goals import Limits
from evo_moo.storage.evaluation_row import Evaluation

TOLERANCE = 1e-9
"""By so much of the front's range another member may be better, as linear programs are solved."""


class Reach(NamedTuple):
    """A member of a front, and how a weighted sum reaches it.

    Attributes:
        evaluation: The member.
        weights: Names of objectives to the weights, their sum 1, under which the member leads by most; for
            ``choice.pick(weights=..., method="weighted-sum")``. None where no weights reach it.
        lead: By how much its weighted sum then is better than any other's, in shares of the front's range: 0 where it
            can but tie, negative where no weights reach it.
    """

    evaluation: Evaluation
    weights: dict[str, float] | None
    lead: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        e = self.evaluation
        return {"id": e.id, "metrics": e.metrics, "weights": self.weights, "lead": self.lead}


def sweep(result: EvaluatedFront, limits: Limits | None = None, context: str | None = None) -> list[Reach]:
    """Return for each member of a front the weights that reach it, if any do; sorted by the first objective.

    It is decided by a linear program for each member, and so for all weights of at least 0, not for a sample of them.

    Args:
        result: A run's result.
        limits: Limits to be kept, as in ``choice.pick``.
        context: The context, where the run has some, as there.

    Raises:
        UsageError: A limit is wrong.
        NoChoiceError: Nothing keeps the limits.
    """
    from evo_moo.scalarisation import normalised

    result = result.in_one(context)
    front = candidates(result, result.names.of_table(limits or {}))
    names = [objective.metric for objective in result.goals.objectives]
    N = normalised(result.goals.F([e.metrics for e in front]))
    distinct, of_row = np.unique(N, axis=0, return_inverse=True)
    leads = [_widest_lead(distinct, i) for i in range(len(distinct))]
    reaches = []
    for e, i in zip(front, of_row.ravel().tolist(), strict=True):
        weights, lead = leads[i]
        reached = dict(zip(names, weights.tolist(), strict=True)) if lead >= -TOLERANCE else None
        reaches.append(Reach(e, reached, lead))
    return reaches


def _widest_lead(N: Array, i: int) -> tuple[Array, float]:
    """Return the weights under which row ``i`` of distinct points leads by most, and that lead.

    Maximise t subject to w (N_j - N_i) >= t for all other j, w >= 0, sum w = 1.
    """
    from scipy.optimize import linprog

    n, n_obj = N.shape
    if n == 1:
        return np.full(n_obj, 1 / n_obj), 0.0
    ahead = np.delete(N, i, axis=0) - N[i]
    solved = linprog(
        np.append(np.zeros(n_obj), -1.0),
        A_ub=np.column_stack([-ahead, np.ones(n - 1)]),
        b_ub=np.zeros(n - 1),
        A_eq=np.append(np.ones(n_obj), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, 1)] * n_obj + [(None, None)],
    )
    return np.asarray(solved.x[:n_obj]), float(solved.x[-1])
