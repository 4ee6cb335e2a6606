"""The watch over a served model: rows of its log go in, alarms come out, and it goes on where it stood."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from evo_moo.deployment.card import ModelCard
from evo_moo.deployment.watch.alarm import Alarm, iso
from evo_moo.deployment.watch.columns import labelled_columns, request_columns
from evo_moo.deployment.watch.log import Place, read_log
from evo_moo.deployment.watch.plan import Watched, plan
from evo_moo.deployment.watch.reference import Reference
from evo_moo.deployment.watch.requests import Reader, Request
from evo_moo.deployment.watch.streams import Found, Stream, Terms
from evo_moo.deployment.watch.windows import Windows
from evo_moo.errors import UsageError
from evo_moo.files import guarded_writes, write_whole

FALSE_ALARMS = 1 / 12
"""False alarms per month, if the user says nothing else: one in a year."""
WINDOW_S = 86_400.0
REST = 7
MOST_ALARMS = 1000
MOST_FAULTS = 20


@dataclass(frozen=True)
class Settings:
    """How a model is watched.

    Attributes:
        limits: Limits such as ``"accuracy >= 0.9"``.
        false_alarms: Largest expected number of false alarms per month, of all that is watched together.
        window_s: Length of the windows of the page; after an alarm a stream rests for ``REST`` of them.
        model: Only rows of this model are watched; empty: all.
    """

    limits: tuple[str, ...] = ()
    false_alarms: float = FALSE_ALARMS
    window_s: float = WINDOW_S
    model: str = ""


@dataclass
class Watch:
    """Watches one model.

    Attributes:
        card: The model's card.
        settings: How it is watched.
        reference: What its data and answers looked like before; None: the log's beginning says.
        watched: What is watched.
        alarms: Alarms until now, the last ones of very many.
        windows: What each window showed.
    """

    card: ModelCard
    settings: Settings
    reference: Reference | None = None
    watched: list[Watched] = field(init=False)
    alarms: list[Alarm] = field(default_factory=list)
    windows: Windows = field(init=False)

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.settings.false_alarms <= 1000:
            faults.append(f"`--false-alarms` must be above 0, per month, but is {self.settings.false_alarms:g}")
        if not 1 <= self.settings.window_s <= 1e9:
            faults.append(f"`--window` must be at least 1 s, but is {self.settings.window_s:g} s")
        self.watched, more = plan(self.card, self.settings.limits)
        if faults or more:
            raise UsageError(*faults, *more)
        self.reader, self.windows = Reader(self.card, self.settings.model), Windows(self.settings.window_s)
        self.terms = Terms(len(self.watched) / self.settings.false_alarms, REST * self.settings.window_s)
        self.streams: dict[str, Stream] = {
            each.name: each.make(replace(self.terms, salt=crc32(f"{self.card.name} {each.name}".encode())))
            for each in self.watched
        }
        if self.reference is not None:
            self.reference.teach(self.watched, self.streams)

    def feed(self, requests: Sequence[Request]) -> list[Alarm]:
        """Take requests, and return the alarms that they raise."""
        raised: list[Alarm] = []
        for _, those in groupby(requests, lambda each: each.time // self.settings.window_s):
            raised += self._feed(list(those))
        self.alarms = [*self.alarms, *raised][-MOST_ALARMS:]
        return raised

    def _feed(self, requests: Sequence[Request]) -> list[Alarm]:
        """Take requests of one window."""
        labelled = [joined for each in requests if (joined := self.reader.join(each)) is not None]
        columns = request_columns(requests, self.card)
        columns |= labelled_columns(labelled, self.card) if labelled else {}
        window, raised = self.windows.at(requests[-1].time), []
        window.add(columns, sum(each.output is not None or each.latency_ms is not None for each in requests))
        for watched in self.watched:
            stream = self.streams[watched.name]
            if watched.source in columns:
                events = columns[watched.source]
                events = events._replace(values=np.atleast_2d(watched.prepare(events.values)))
                raised += [self._alarm(watched, found) for found in stream.feed(events)]
            window.evidence[watched.name] = stream.evidence()
        return sorted(raised, key=lambda each: each.time)

    def _alarm(self, watched: Watched, found: Found) -> Alarm:
        expected, measured = found.promised, found.measured
        if watched.of_bad:
            expected, measured = 1 - expected, 1 - measured
        part = found.part
        if watched.source == "inputs" and part.isdecimal() and int(part) < len(self.reader.names):
            part = self.reader.names[int(part)]
        return Alarm(
            what=watched.name,
            part=part,
            time=iso(found.time),
            since=iso(found.since),
            n_events=found.n,
            promised=watched.promised,
            expected=expected,
            measured=measured,
            off=measured - expected,
            evidence_months=found.months,
            needed_months=self.terms.threshold,
            test=watched.test,
            model=self.card.name,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain data; see ``restore``."""
        return {
            "made_for": self.made_for(),
            "reader": self.reader.to_json(),
            "streams": {name: stream.to_json() for name, stream in self.streams.items()},
            "windows": self.windows.to_json(),
            "alarms": [asdict(each) for each in self.alarms],
        }

    def made_for(self) -> dict[str, Any]:
        """Return all that decides what is watched, as plain data."""
        card = hashlib.sha256(self.card.model_dump_json().encode()).hexdigest()
        reference = self.reference.digest if self.reference else None
        return {"card": card, "reference": reference, **asdict(self.settings), "limits": list(self.settings.limits)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state that another watch of the same model and settings had."""
        self.reader.restore(state["reader"])
        for name, stream in self.streams.items():
            stream.restore(state["streams"][name])
        self.windows.restore(state["windows"])
        self.alarms = [Alarm(**each) for each in state["alarms"]]


def follow(
    watch: Watch,
    log: Path,
    state: Path | None,
    tell: Callable[[Alarm], None],
    *,
    skip_faulty: bool = False,
) -> tuple[int, int]:
    """Read a log from where the last reading ended, and tell every alarm.

    The state is written after each piece of the log, with the alarms that are still to be told: a kill at any time
    counts no row twice and loses no alarm, though one may be told twice.

    Args:
        watch: The watch, new.
        log: The log.
        state: File that keeps the state; None: the whole log is read.
        tell: Is called with every alarm.
        skip_faulty: Whether faulty rows are left out and counted, instead of refused.

    Returns:
        Number of alarms that were told, and of faulty rows that were left out.

    Raises:
        UsageError: The log has faulty rows, or the state is of another watch or damaged.
        RunFolderError: The state cannot be written.
    """
    place, untold = _restored(watch, state)
    n_told, n_faulty = _tell(watch, place, untold, state, tell), 0
    for records, unreadable, after in read_log(log, place):
        requests, faults = watch.reader.read(records, after.n_rows - len(records) + 1)
        faults = [*unreadable, *faults]
        if faults and not skip_faulty:
            more = [f"{len(faults) - MOST_FAULTS:,} more faults"] if len(faults) > MOST_FAULTS else []
            way_out = f"mend `{log}`, or leave such rows out by --skip-faulty"
            raise UsageError(*(f"`--log` {fault}" for fault in faults[:MOST_FAULTS]), *more, way_out)
        n_faulty += len(faults)
        place = after
        n_told += _tell(watch, place, watch.feed(requests), state, tell)
    return n_told, n_faulty


def _tell(
    watch: Watch, place: Place, alarms: Iterable[Alarm], state: Path | None, tell: Callable[[Alarm], None]
) -> int:
    """Keep the state with alarms that are to be told, tell them, and keep the state without them."""
    alarms = list(alarms)
    for untold in [alarms, []] if alarms else [[]]:
        if state is not None:
            content = {**watch.to_json(), "place": asdict(place), "untold": [asdict(each) for each in untold]}
            with guarded_writes(state):
                write_whole(state, json.dumps(content, allow_nan=False))
        for alarm in untold:
            tell(alarm)
    return len(alarms)


def _restored(watch: Watch, file: Path | None) -> tuple[Place, list[Alarm]]:
    if file is None or not file.exists():
        return Place(), []
    rule = f"`--state` must be what a watch wrote, but `{file}`"
    try:
        state = json.loads(file.read_bytes())
        made_for = state["made_for"]
        place, untold = Place(**state["place"]), [Alarm(**each) for each in state["untold"]]
    except OSError as error:
        raise UsageError(f"{rule} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise UsageError(f"{rule} is none; remove it to read the whole log again, or name another file") from None
    mine = watch.made_for()
    if other := [key for key in mine if not isinstance(made_for, dict) or made_for.get(key) != mine[key]]:
        raise UsageError(f"{rule} is of another {', '.join(other)}; name another file, or ask for the same as before")
    try:
        watch.restore(state)
    except (ValueError, TypeError, LookupError, AttributeError):
        raise UsageError(f"{rule} is damaged; remove it to read the whole log again, or name another file") from None
    return place, untold
