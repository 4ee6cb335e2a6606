"""A member of a front as a row of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from evo_moo.problem.measurements import Interval
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import parts_of_key
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.values import METRIC, OPTION


def flat_row(
    e: Evaluation, first: Sequence[str], beside: Mapping[str, str], spread: Metrics, doubts: Mapping[str, Interval]
) -> dict[str, Any]:
    """Return an evaluation as a flat row: what stands beside its id, and some of its metrics first."""
    ends = {f"{end}.{name}": interval[i] for name, interval in doubts.items() for i, end in enumerate(("low", "high"))}
    return {
        **parts_of_key(e.id),
        **beside,
        **{METRIC + name: e.metrics[name] for name in dict.fromkeys([*first, *e.metrics])},
        **{f"sd.{name}": sd for name, sd in spread.items()},
        **ends,
        **{OPTION + name: value for name, value in e.configuration.items()},
    }
