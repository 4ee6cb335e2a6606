"""The rows of a log as requests, and labels that come later joined to them."""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evo_moo.deployment.card import ModelCard

MOST_WAITING = 200_000
"""Number of requests, or of labels, that wait for the other."""
MOST_GROUPS = 50
_LONGEST_NAME = 200
_LATEST = 1e11
Record = Mapping[str, Any]


class Request(NamedTuple):
    """One row, its numbers checked.

    Attributes:
        row: Number of the row since the watch began.
        time: Seconds since the epoch, never before that of an earlier row.
        id: Name of the request; empty where it has none.
        latency_ms: None where it is not known, as with all others.
        failed: Whether it was not answered.
        output: What the model gave.
        prediction: The class or the value that was answered.
        label: The right one.
        group: Name of the group; empty where there is none.
        inputs: Numbers that the model took; NaN where one is missing.
    """

    row: int
    time: float
    id: str
    latency_ms: float | None
    failed: bool | None
    output: tuple[float, ...] | None
    prediction: float | None
    label: float | None
    group: str
    inputs: tuple[float, ...] | None


@dataclass
class Reader:
    """Reads rows, and remembers what later ones must fit to.

    Attributes:
        card: The model's card.
        model: Rows of other models are left out; empty: none is.
        row: Number of rows until now.
        clock: Latest time until now.
        n_inputs: Number of inputs of a row, None before the first.
        names: Names of the inputs, where they have names.
        groups: Names of the groups.
        waiting: Ids to requests that wait for their labels: time is in the row's place, they are plain data.
        early: Ids to labels that came before their requests.
        last_latency_ms: Latency of the last row. Rows of the same time and latency are samples of one request, whose
            latency counts once.
    """

    card: ModelCard
    model: str = ""
    row: int = 0
    clock: float = -math.inf
    n_inputs: int | None = None
    names: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    waiting: dict[str, list[Any]] = field(default_factory=dict)
    early: dict[str, float] = field(default_factory=dict)
    last_latency_ms: float | None = None

    def read(self, records: Sequence[Record], first: int) -> tuple[list[Request], list[str]]:
        """Return the requests of rows, and all faults.

        Args:
            records: The rows; an empty one counts, and is left out.
            first: Number of the first in its file, from 1.
        """
        requests, faults = [], []
        for i, record in enumerate(records):
            self.row += 1
            if not record or (self.model and record.get("model", self.model) != self.model):
                continue
            mine: list[str] = []
            request = self._request(record, mine)
            faults += [f"row {first + i}: {fault}" for fault in mine]
            if not mine:
                is_again = (request.time, request.latency_ms) == (self.clock, self.last_latency_ms)
                self.clock, self.last_latency_ms = request.time, request.latency_ms
                requests.append(request._replace(latency_ms=None) if is_again else request)
        return requests, faults

    def _request(self, record: Record, faults: list[str]) -> Request:
        return Request(
            self.row,
            max(self._time(record, faults), self.clock),
            _name("id", record, faults),
            _number("latency_ms", record, faults, least=0.0),
            _failed(record.get("status")),
            self._output(record, faults),
            self._answer("prediction", record, faults),
            self._answer("label", record, faults),
            self._group(record, faults),
            self._inputs(record, faults),
        )

    def _time(self, record: Record, faults: list[str]) -> float:
        given = record.get("time")
        if given is None and "label" in record and math.isfinite(self.clock):
            return self.clock
        if isinstance(given, str):
            try:
                moment = datetime.datetime.fromisoformat(given)
                given = (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
            except (ValueError, OverflowError):
                given = None
        if isinstance(given, datetime.datetime):  # of Parquet
            given = (given if given.tzinfo else given.replace(tzinfo=datetime.UTC)).timestamp()
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < _LATEST:
            shown = repr(record.get("time"))[:50]
            faults.append(f"`time` must be ISO 8601, or seconds since the epoch, but is {shown}")
            return 0.0
        return float(given)

    def _output(self, record: Record, faults: list[str]) -> tuple[float, ...] | None:
        given = record.get("output")
        if given is None:
            return None
        values = _numbers("output", given if isinstance(given, list) else [given], faults)
        kind, n = self.card.outputs, len(values)
        if kind in ("logits", "probabilities"):
            wanted = len(self.card.classes)
            if n < 2 or (wanted and n != wanted):
                faults.append(f"`output` must be the {wanted or ''} {kind} of the classes, but has {n} numbers")
        elif kind == "score" and n != 1:
            faults.append(f"`output` must be one score, but has {n} numbers")
        if kind in ("probabilities", "score") and not all(0 <= each <= 1 for each in values):
            faults.append(f"`output` must be between 0 and 1, as {kind} are, but has {max(values, key=abs):g}")
        return values

    def _answer(self, key: str, record: Record, faults: list[str]) -> float | None:
        given, classes = record.get(key), self.card.classes
        given = given[0] if isinstance(given, list) and len(given) == 1 else given
        if given is None:
            return None
        if isinstance(given, str) and given in classes:
            return float(classes.index(given))
        is_number = isinstance(given, int | float) and math.isfinite(given)
        is_class = is_number and given >= 0 and given == int(given) and (not classes or given < len(classes))
        if is_class or (is_number and self.card.outputs == "values"):
            return float(given)
        rule = "a number" if self.card.outputs == "values" else "the number of a class from 0, or a name of the card's"
        faults.append(f"`{key}` must be {rule}, but is {repr(given)[:50]}")
        return None

    def _group(self, record: Record, faults: list[str]) -> str:
        name = _name("group", record, faults)
        if name and name not in self.groups:
            if len(self.groups) == MOST_GROUPS:
                faults.append(f"`group` must be one of at most {MOST_GROUPS} names, but {name!r} is one more")
                return ""
            self.groups.append(name)
        return name

    def _inputs(self, record: Record, faults: list[str]) -> tuple[float, ...] | None:
        given, names = record.get("inputs"), [key for key in record if key.startswith("input.")]
        if given is None and not names:
            return None
        if given is None:
            self.names = self.names or sorted(key.removeprefix("input.") for key in names)
            if strange := sorted({key.removeprefix("input.") for key in names} - set(self.names)):
                faults.append(f"`input.{strange[0]}` must be a column of all rows, but is new")
            given = [record.get(f"input.{name}") for name in self.names]
        elif not isinstance(given, list):
            faults.append(f"`inputs` must be a flat list of numbers, but is {type(given).__name__}")
            return None
        values = _numbers("inputs", given, faults, or_missing=True)
        self.n_inputs = self.n_inputs or len(values)
        if len(values) != self.n_inputs:
            faults.append(f"`inputs` must have {self.n_inputs} numbers, as the rows before, but has {len(values)}")
        return values

    def join(self, request: Request) -> Request | None:
        """Return a request with its label, where both are known by now; each is joined once."""
        if request.label is not None and (request.output is not None or request.prediction is not None):
            return request
        if not request.id:
            return None
        if request.label is not None:
            if request.id not in self.waiting:
                _keep(self.early, request.id, request.label)
                return None
            output, prediction, group = self.waiting.pop(request.id)
            output = None if output is None else tuple(output)
            return request._replace(output=output, prediction=prediction, group=group or request.group)
        if request.output is None and request.prediction is None:
            return None
        if request.id in self.early:
            return request._replace(label=self.early.pop(request.id))
        output = None if request.output is None else list(request.output)
        _keep(self.waiting, request.id, [output, request.prediction, request.group])
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain data; see ``restore``."""
        state = {"row": self.row, "clock": self.clock if math.isfinite(self.clock) else None, "names": self.names}
        state |= {"n_inputs": self.n_inputs, "groups": self.groups, "last_latency_ms": self.last_latency_ms}
        return state | {"waiting": self.waiting, "early": self.early}

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state that another had."""
        self.row, self.clock = int(state["row"]), -math.inf if state["clock"] is None else float(state["clock"])
        self.names, self.groups = list(map(str, state["names"])), list(map(str, state["groups"]))
        self.n_inputs = None if state["n_inputs"] is None else int(state["n_inputs"])
        self.last_latency_ms = None if state["last_latency_ms"] is None else float(state["last_latency_ms"])
        self.waiting, self.early = dict(state["waiting"]), dict(state["early"])


def _keep(table: dict[str, Any], key: str, value: Any) -> None:
    table.setdefault(key, value)
    if len(table) > MOST_WAITING:
        del table[next(iter(table))]


def _name(key: str, record: Record, faults: list[str]) -> str:
    given = record.get(key)
    if given is None:
        return ""
    if isinstance(given, bool) or not isinstance(given, str | int) or len(str(given)) > _LONGEST_NAME:
        faults.append(f"`{key}` must be a name of at most {_LONGEST_NAME} characters, but is {repr(given)[:50]}")
        return ""
    return str(given)


def _number(key: str, record: Record, faults: list[str], least: float) -> float | None:
    given = record.get(key)
    if given is None:
        return None
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not math.isfinite(given) or given < least:
        faults.append(f"`{key}` must be a number of at least {least:g}, but is {repr(given)[:50]}")
        return None
    return float(given)


def _numbers(key: str, given: Sequence[Any], faults: list[str], *, or_missing: bool = False) -> tuple[float, ...]:
    values = [math.nan if each is None and or_missing else each for each in given]
    wrong = [each for each in values if isinstance(each, bool) or not isinstance(each, int | float) or each in _ENDLESS]
    if wrong or (not or_missing and any(each != each for each in values)) or not values:
        shown = repr(wrong[0])[:50] if wrong else "NaN" if values else "empty"
        faults.append(f"`{key}` must be a flat list of finite numbers, but has {shown}")
        return (0.0,) * len(values)
    return tuple(map(float, values))


_ENDLESS = (math.inf, -math.inf)


def _failed(status: Any) -> bool | None:
    """Whether a request was not answered: a server error of HTTP, or any word but ok."""
    if status is None:
        return None
    return status >= 500 if isinstance(status, int | float) else str(status).lower() not in ("ok", "success")
