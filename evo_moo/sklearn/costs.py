"""What a fitted estimator costs: the time of a prediction, the size of its file."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import joblib
from sklearn.utils import _safe_indexing

from evo_moo.problem.metrics import Metric
from evo_moo.toolkit.latency import Effort, measure_latency


@dataclass(frozen=True)
class PredictTime:
    """Time of one call of ``predict``, in milliseconds, freed from the load of others (``evo_moo.toolkit.latency``).

    Attributes:
        n_rows: Rows of the call: the first ones of the test fold.
        limit_s: Time of one measurement, in seconds; there is one in each fold.
    """

    n_rows: int = 100
    limit_s: float = 0.05

    def __call__(self, estimator: Any, X: Any) -> float:
        """Measure it; ``X`` are the rows of a test fold."""
        rows = _safe_indexing(X, slice(0, self.n_rows))
        effort = Effort(min_blocks=6, limit_s=self.limit_s, warmup_s=self.limit_s)
        return measure_latency(lambda: estimator.predict(rows), effort=effort).corrected_ms


def size_kb(estimator: Any, X: Any) -> float:
    """Return the size of the file that ``joblib.dump`` writes of an estimator, in kB (1000 bytes)."""
    file = io.BytesIO()
    joblib.dump(estimator, file)
    return file.tell() / 1000


class Cost(NamedTuple):
    """A cost by name.

    Attributes:
        measure: Takes a fitted estimator and the rows of the test fold; None: the cross-validation measures it anyway.
        metric: What is known of it.
    """

    measure: Callable[[Any, Any], float] | None
    metric: Metric


PREDICT_MS = Metric("ms", "one call of predict, on one thread", log=True, timed=True)
FIT_TIME = Metric("s", "wall time of one fold's fit", log=True, timed=True)
COSTS = {
    "fit_time": Cost(None, FIT_TIME),
    "predict_ms": Cost(PredictTime(), PREDICT_MS),
    "size_kb": Cost(size_kb, Metric("kB", "file that joblib.dump writes", log=True)),
}
"""Costs that need no function."""


def named_costs(costs: Any) -> tuple[dict[str, Cost], list[str]]:
    """Read ``costs`` as a user writes them: names of ``COSTS``, or a dict of names to functions or such names.

    Returns:
        The costs by name, and the faults.
    """
    if isinstance(costs, str) or not isinstance(costs, dict | list | tuple):
        return {}, [f"`costs` must be a list of {_known()}, or a dict of names to functions, but is {costs!r}"]
    read, faults = dict[str, Cost](), list[str]()
    for name, cost in costs.items() if isinstance(costs, dict) else ((cost, cost) for cost in costs):
        if isinstance(cost, str) and cost in COSTS:
            read[name] = COSTS[cost]
        elif callable(cost) and isinstance(name, str):
            read[name] = Cost(cost, PREDICT_MS if isinstance(cost, PredictTime) else Metric())
        else:
            faults.append(f"`costs` must hold {_known()}, or names to functions, but holds {cost!r}")
    return read, faults


def _known() -> str:
    return ", ".join(map(repr, COSTS))
