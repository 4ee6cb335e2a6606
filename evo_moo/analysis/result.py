"""The result of a search: what was measured, the best under limits, and a picture."""

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evo_moo.analysis.choice import pick
from evo_moo.analysis.evaluated_front import EvaluatedFront
from evo_moo.errors import UsageError
from evo_moo.files import save_figure
from evo_moo.problem.metrics import with_unit
from evo_moo.problem.points import parts_of_key
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.text import digits_apart, shown, shown_option
from evo_moo.values import FACT, METRIC, NONE, OPTION, names_in_both

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

MOST_ROWS = 40
"""Rows of the table that a notebook shows."""


@dataclass(frozen=True, repr=False)
class Result(EvaluatedFront):
    """The Pareto front of a search, and everything that was evaluated for it; ``EvaluatedFront`` has the attributes."""

    def best_under(
        self, *order: str, at_least: Mapping[str, float] | None = None, context: str | None = None, **at_most: float
    ) -> Evaluation:
        """Return the best evaluation within limits: ``result.best_under(latency_ms=20)``, ``("accuracy", size_mb=5)``.

        For a service that adapts to its load: each call reads what is in memory. ``choice.pick`` gives reasons,
        and knows other rules.

        Args:
            order: Names of objectives, the most important first. By default those without a limit here count alike.
            at_least: Names of metrics to their lowest values.
            context: Which of the contexts the model is for, where the run has some; names may then be the plain ones.
            at_most: Names of metrics to their highest values.

        Raises:
            UsageError: A name or a value is wrong, or a highest value is given for what is maximised.
            MetricError: There is no such context.
            NoChoiceError: Nothing keeps the limits; ``error.nearest`` is the evaluation that comes nearest.
        """
        here = self.in_one(context)
        at_most = here.names.of_table(at_most)
        if upside_down := [o.metric for o in here.goals.objectives if o.direction == "max" and o.metric in at_most]:
            name = upside_down[0]
            raise UsageError(f"`{name}` must have a lowest value, as it is maximised: at_least={{{name!r}: ...}}")
        limits: dict[str, dict[str, float]] = {name: {"at_most": bound} for name, bound in at_most.items()}
        for name, bound in here.names.of_table(at_least or {}).items():
            limits.setdefault(name, {})["at_least"] = bound
        return pick(here, limits=limits, order=order).chosen

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

    def to_dataframe(self, front: bool = False) -> "DataFrame":
        """Return a pandas table with one row per evaluation, or point, in order, columns named as in ``export``.

        What is not active is missing; an option that is None is ``none``.

        Args:
            front: Whether to take the rows of the front only: those of ``rows``.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UsageError(f"`to_dataframe` must have pandas, but {error}; pip install pandas") from error
        on_front = {e.id for e in self.front}
        rows = self.rows() if front else [_row(e, e.id in on_front) for e in self.evaluations]
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row.get(name, math.nan) for row in rows] for name in names}
        # pandas would take an option that is None for a missing value.
        shown = {k: [NONE if v is None else v for v in column] for k, column in columns.items() if k.startswith(OPTION)}
        return pandas.DataFrame(columns | shown)

    def _repr_html_(self) -> str:
        """Return the front as a table for a notebook."""
        members = self.front[:MOST_ROWS]
        names = list(dict.fromkeys([*self.goals.metric_names, *(name for e in members for name in e.metrics)]))
        variables = list(dict.fromkeys(name for e in members for name in e.configuration))
        digits = {name: digits_apart(e.metrics.get(name) for e in members) for name in names}
        of_options = {name: digits_apart(e.configuration.get(name) for e in members) for name in variables}
        known = self.known_metrics
        shared = names_in_both(variables, names)
        headings = [METRIC * (n in shared) + with_unit(n, known[n].unit if n in known else "") for n in names]
        of_contexts = {e.id: ", ".join(self.serves[e.id]) for e in members if e.id in self.serves}
        headings = [
            "id",
            *(["contexts"] if of_contexts else []),
            *headings,
            *(OPTION * (name in shared) + name for name in variables),
        ]
        rows = []
        for e in members:
            doubts, configuration = self.doubts.get(e.id, {}), e.configuration
            values = [shown(e.metrics.get(name), digits[name]) + "?" * (name in doubts) for name in names]
            given = (shown_option(configuration[v], of_options[v]) if v in configuration else "" for v in variables)
            rows.append([str(e.id), *([of_contexts[e.id]] if of_contexts else []), *values, *given])
        head, *body = (
            "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in row)
            for tag, row in [("th", headings), *(("td", row) for row in rows)]
        )
        more = f"<p>and {len(self.front) - MOST_ROWS} more</p>" if len(self.front) > MOST_ROWS else ""
        lines = "".join(f"<tr>{line}</tr>" for line in body)
        words = html.escape(self.in_words())
        return f"<p>{words}</p><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>{more}"


def _row(e: Evaluation, on_front: bool) -> dict[str, Any]:
    """Return an evaluation as a flat row."""
    return {
        **parts_of_key(e.id),
        "generation": e.generation,
        "status": e.status,
        "feasible": e.feasible,
        "on_front": on_front,
        "seed": e.seed,
        "duration_s": math.nan if e.duration_s is None else e.duration_s,
        "reason": e.reason,
        **{METRIC + name: value for name, value in e.metrics.items()},
        **{FACT + name: value for name, value in e.facts.items()},
        **{OPTION + name: value for name, value in e.configuration.items()},
    }
