"""A row of the ledger's table of evaluations, as readers see it."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import orjson

from evo_moo.errors import RunFolderError
from evo_moo.problem.points import Key, Offered, Point, evaluation_of, numbered
from evo_moo.values import from_tuples, json_key

Declared = Mapping[str, Mapping[str, Any]]
"""Options that JSON does not keep: the variable to an option's JSON to the option as it was declared."""

TOLD = "told"
"""Origin of what was measured elsewhere: such rows are no evaluations of the run."""
FAILED = ("failed", "timeout", "crashed")
"""Statuses of evaluations that gave no metrics to learn from."""
_NUMBERS = {int, float, bool}
STATUSES = ("asked", "ok", "partial", "stopped", "infeasible", *FAILED)


class PointRow(NamedTuple):
    """A row of the ledger's table of points; see ``Ledger`` for the fields."""

    evaluation: int
    point: int
    choices_json: str
    metrics: dict[str, float]
    violation: float | None
    fault: str

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of the ledger's columns.

        Raises:
            RunFolderError: It has values that no point has.
        """
        return cls._make((*row[:3], _metrics(row[3], f"point {row[0]}.{row[1]}"), *row[4:]))

    @property
    def choices(self) -> dict[str, Any]:
        """Names of post-training variables to values."""
        return dict(orjson.loads(self.choices_json))


class Evaluation(NamedTuple):
    """A row of the ledger, or one of its points; see ``Ledger`` for the fields.

    Those on ``_json`` are columns as they stand. One that offers points has no metrics of its own; ``offers`` returns
    each point as an evaluation with its own id, as ``"12.3"``, choices and metrics.
    """

    id: Key
    generation: int
    configuration_json: str
    seed: int
    status: str
    metrics: dict[str, float]
    violation: float | None
    reason: str
    traceback: str
    output: str
    started_at: float | None
    duration_s: float | None
    worker: int | None
    attempts: int | None
    x: bytes
    asked_at: float
    origin: str
    parents_json: str
    prediction_json: str | None
    fidelity: int | None
    replicate: int
    continues: int | None
    cost: float
    facts_json: str = "{}"
    n_points: int = 0
    declared: Declared = {}
    points: tuple[PointRow, ...] = ()
    choices_json: str = "{}"

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of the ledger's columns, and what was declared.

        Raises:
            RunFolderError: It has a status or values that no evaluation has.
        """
        if row[4] not in STATUSES:
            raise _damaged(f"the status of evaluation {row[0]} must be one of {', '.join(STATUSES)}, but is {row[4]!r}")
        if not row[2].startswith("{"):
            raise _damaged(f"the configuration of evaluation {row[0]} must be a table, but is {row[2][:80]}")
        metrics = _metrics(row[5], f"evaluation {row[0]}")
        read = cls(*row[:5], metrics, *row[6:])  # type: ignore[call-arg]
        if len(read.points) != read.n_points:
            raise _damaged(f"evaluation {row[0]} must have {read.n_points} points, but has {len(read.points)}")
        return read

    def offers(self) -> "list[Evaluation]":
        """Return what it offers: each of its points that could be made, or itself where it has none.

        The first of the points has the cost of the training, so that costs can be added up.
        """
        if not self.points:
            return [self]
        return [
            self._replace(
                id=f"{self.id}.{p.point}",
                metrics=p.metrics,
                violation=p.violation,
                choices_json=p.choices_json,
                cost=0.0 if i else self.cost,
                points=(),
            )
            for i, p in enumerate(point for point in self.points if not point.fault)
        ]

    @property
    def training_id(self) -> int:
        """The id of the evaluation; of a point that of the training that offers it."""
        return evaluation_of(self.id)

    @property
    def offered(self) -> Offered:
        """What it offers, as an optimizer learns it."""
        return numbered([Point(p.choices, p.metrics, p.fault) for p in self.points], self.metrics)

    @property
    def configuration(self) -> dict[str, Any]:
        """Names to values as they were declared, active variables only; of a point the choices, too."""
        configuration = {**orjson.loads(self.configuration_json), **orjson.loads(self.choices_json)}
        for name in self.declared.keys() & configuration.keys():
            value = configuration[name]
            configuration[name] = copy.deepcopy(self.declared[name].get(json_key(value), value))
        return configuration

    @property
    def choices(self) -> dict[str, Any]:
        """Of a point the post-training variables' names to values; else empty."""
        return dict(orjson.loads(self.choices_json))

    @property
    def parents(self) -> list[int]:
        """Ids of the evaluations that it was bred from."""
        return list(orjson.loads(self.parents_json))

    @property
    def prediction(self) -> dict[str, list[float]] | None:
        """What a surrogate expected, of a training with points of one of them: metric names to mean and deviation."""
        recorded = self._prediction
        return None if recorded is None else dict(recorded["metrics"] if self.predicted_choices else recorded)

    @property
    def predicted_choices(self) -> dict[str, Any]:
        """Which of its points a surrogate expected something of: the choices; empty where it has no points."""
        choices = (self._prediction or {}).get("choices")
        return choices if isinstance(choices, dict) else {}

    def as_predicted(self) -> "Evaluation | None":
        """Return what a prediction is about: the evaluation, or the point of these choices if it could be made."""
        if not self.n_points:
            return self
        choices = json_key(self.predicted_choices)
        return next((each for each in self.offers() if json_key(each.choices) == choices), None)

    @property
    def _prediction(self) -> dict[str, Any] | None:
        return None if self.prediction_json is None else dict(orjson.loads(self.prediction_json))

    @property
    def facts(self) -> dict[str, Any]:
        """What it returned beside numbers: texts, and short lists and tables, by name."""
        return dict(orjson.loads(self.facts_json))

    @property
    def is_told(self) -> bool:
        """Whether it was measured elsewhere, and told with its metrics."""
        return self.origin == TOLD

    @property
    def feasible(self) -> bool:
        """Whether it was evaluated and keeps every limit."""
        return self.status == "ok" and self.violation == 0


COLUMNS = ", ".join(name.removesuffix("_json") for name in Evaluation._fields[1 : Evaluation._fields.index("declared")])
"""What a ledger has of an evaluation beside the id."""


def declared_options(space: Mapping[str, Mapping[str, Any]]) -> Declared:
    """Return the options that JSON does not keep of a recorded space; mostly none."""
    return {
        name: {json_key(option): option for option in from_tuples(definition["declared"])}
        for name, definition in space.items()
        if "declared" in definition
    }


def _metrics(text: str, whose: str) -> dict[str, float]:
    if not text.startswith("{"):
        raise _damaged(f"the metrics of {whose} must be a table, but is {text[:80]}")
    metrics = dict(orjson.loads(text))
    if not _NUMBERS.issuperset(map(type, metrics.values())):
        raise _damaged(f"{whose} has a metric that is no number")
    return metrics


def _damaged(words: str) -> RunFolderError:
    return RunFolderError(
        f"a ledger must be sound, but is damaged: {words}; `evo-moo doctor RUN` says what can be saved"
    )
