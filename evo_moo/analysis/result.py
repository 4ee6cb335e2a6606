"""The result of a search: what was measured, the best under limits, and a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evo_moo.analysis.choice import pick
from evo_moo.analysis.evaluated_front import EvaluatedFront
from evo_moo.errors import UsageError
from evo_moo.files import save_figure
from evo_moo.storage.evaluation_row import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Result(EvaluatedFront):
    """The Pareto front of a search, and everything that was evaluated for it; ``EvaluatedFront`` has the attributes."""

    def best_under(self, *order: str, at_least: Mapping[str, float] | None = None, **at_most: float) -> Evaluation:
        """Return the best evaluation within limits: ``result.best_under(latency_ms=20)``, ``("accuracy", size_mb=5)``.

        For a service that adapts to its load: each call reads what is in memory. ``choice.pick`` gives reasons,
        and knows other rules.

        Args:
            order: Names of objectives, the most important first. By default those without a limit here count alike.
            at_least: Names of metrics to their lowest values.
            at_most: Names of metrics to their highest values.

        Raises:
            UsageError: A name or a value is wrong, or a highest value is given for what is maximised.
            NoChoiceError: Nothing keeps the limits; ``error.nearest`` is the evaluation that comes nearest.
        """
        if upside_down := [o.metric for o in self.goals.objectives if o.direction == "max" and o.metric in at_most]:
            name = upside_down[0]
            raise UsageError(f"`{name}` must have a lowest value, as it is maximised: at_least={{{name!r}: ...}}")
        limits: dict[str, dict[str, float]] = {name: {"at_most": bound} for name, bound in at_most.items()}
        for name, bound in (at_least or {}).items():
            limits.setdefault(name, {})["at_least"] = bound
        return pick(self, limits=limits, order=order).chosen

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw the front with all evaluations, and the hypervolume over them.

        Args:
            path: File to write, such as ``front.png``.
        """
        from evo_moo.analysis.figures import result_figure

        figure = result_figure(self)
        if path is not None:
            save_figure(figure, Path(path))
        return figure
