"""A row of the ledger's table of evaluations, as readers see it."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import orjson

from evo_moo.errors import RunFolderError
from evo_moo.values import from_tuples, json_key

Declared = Mapping[str, Mapping[str, Any]]
"""Options that JSON does not keep: the variable to an option's JSON to the option as it was declared."""

TOLD = "told"
"""Origin of what was measured elsewhere: such rows are no evaluations of the run."""
FAILED = ("failed", "timeout", "crashed")
"""Statuses of evaluations that gave no metrics to learn from."""
_NUMBERS = {int, float, bool}
STATUSES = ("asked", "ok", "partial", "stopped", "infeasible", *FAILED)


class Evaluation(NamedTuple):
    """A row of the ledger; see ``Ledger`` for the fields. Those on ``_json`` are columns as they stand."""

    id: int
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
    declared: Declared = {}

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of the ledger's columns, and what was declared.

        Raises:
            RunFolderError: It has a status or values that no evaluation has.
        """
        if row[4] not in STATUSES:
            raise _damaged(f"the status of evaluation {row[0]} must be one of {', '.join(STATUSES)}, but is {row[4]!r}")
        for name, text in (("configuration", row[2]), ("metrics", row[5])):
            if not text.startswith("{"):
                raise _damaged(f"the {name} of evaluation {row[0]} must be a table, but is {text[:80]}")
        metrics = orjson.loads(row[5])
        if not _NUMBERS.issuperset(map(type, metrics.values())):
            raise _damaged(f"evaluation {row[0]} has a metric that is no number")
        return cls._make((*row[:5], metrics, *row[6:]))

    @property
    def configuration(self) -> dict[str, Any]:
        """Names to values as they were declared, active variables only."""
        configuration = dict(orjson.loads(self.configuration_json))
        for name in self.declared.keys() & configuration.keys():
            value = configuration[name]
            configuration[name] = copy.deepcopy(self.declared[name].get(json_key(value), value))
        return configuration

    @property
    def parents(self) -> list[int]:
        """Ids of the evaluations that it was bred from."""
        return list(orjson.loads(self.parents_json))

    @property
    def prediction(self) -> dict[str, list[float]] | None:
        """What a surrogate expected: metric names to mean and standard deviation."""
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


COLUMNS = ", ".join(name.removesuffix("_json") for name in Evaluation._fields[1:-1])
"""What a ledger has of an evaluation beside the id."""


def declared_options(space: Mapping[str, Mapping[str, Any]]) -> Declared:
    """Return the options that JSON does not keep of a recorded space; mostly none."""
    return {
        name: {json_key(option): option for option in from_tuples(definition["declared"])}
        for name, definition in space.items()
        if "declared" in definition
    }


def _damaged(words: str) -> RunFolderError:
    return RunFolderError(
        f"a ledger must be sound, but is damaged: {words}; `evo-moo doctor RUN` says what can be saved"
    )
