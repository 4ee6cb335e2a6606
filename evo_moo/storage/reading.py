"""Reads a run folder that may be damaged, or in use by another process."""

import contextlib
import csv
import datetime
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from evo_moo.errors import EvoMooError, RunFolderError
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.ledger import Ledger
from evo_moo.text import in_words, parse_toml
from evo_moo.values import OPTION, is_number, value_text

WHAT_DAMAGE_RAISES = (
    *(sqlite3.Error, ValueError, LookupError, TypeError, AttributeError),
    *(OverflowError, RecursionError),
)
"""What code raises that trusts a damaged ledger."""


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Iterable[str] = ()) -> str:
    """Write rows as CSV, with a column for every name that any of them has.

    What a row does not have is empty; an option that is None is ``none``. Truth values, lists and tables are JSON. A
    text that begins as a formula does in a spreadsheet (``= + - @``, tab, carriage return) gets an apostrophe before
    it; numbers stay numbers.

    Args:
        rows: Names of columns to values.
        columns: Names that come first, whether a row has them or not.
    """
    return "".join(csv_lines(rows, [*columns, *(name for row in rows for name in row)]))


def csv_lines(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> Iterator[str]:
    """Return the heading and the rows of a table one by one as CSV, see ``csv_text``; other columns are left out."""
    columns = list(dict.fromkeys(columns))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_csv_cell("", name) for name in columns])
    for row in rows:
        yield text.getvalue()
        text.seek(text.truncate(0))
        writer.writerow([_csv_cell(name, row[name]) if name in row else "" for name in columns])
    yield text.getvalue()


def _csv_cell(column: str, value: Any) -> Any:
    if type(value) in (int, float):
        return value
    if column.startswith(OPTION) and not is_number(value):
        value = value_text(value)
    elif isinstance(value, bool | list | tuple | dict):
        value = json.dumps(value)
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime.datetime) else value


def read_job(path: Path) -> dict[str, Any]:
    """Read a run folder's resolved job; the ledger has it too, should the file be gone.

    Raises:
        RunFolderError: There is none.
    """
    if (path / "job.toml").exists():
        return read_toml(path / "job.toml")
    if not (path / "run.sqlite").is_file():
        raise RunFolderError(f"`{path}` must be a run folder, but has no job.toml; `evo-moo list` shows the runs")
    with reading(path) as ledger:
        facts = ledger.facts()
        if facts.is_confirmation:
            raise RunFolderError(f"`{path}` must hold a search, but a confirmation; `evo-moo confirm` goes on with it")
        if not facts.job:
            raise RunFolderError(f"`{path}` must be a run folder with a job, but has none; start the run anew")
        return dict(facts.job)


def is_up_to_date(file: Path) -> bool:
    """Return whether a file of a run folder was written after all that happened in the run.

    Raises:
        RunFolderError: There is no ledger.
    """
    with reading(file.parent) as ledger:
        last = ledger.last_event_at()
    return file.is_file() and file.stat().st_mtime > last


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file that a run or a batch wrote.

    Raises:
        RunFolderError: It cannot be read, or is no TOML.
    """
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFolderError(f"`{path}` must be readable, but is not: {error.strerror}") from error
    except ValueError as error:
        raise RunFolderError(
            f"`{path}` must be TOML, but is damaged: {error}; `evo-moo doctor {path.parent} --repair` writes it anew"
        ) from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Ledger]:
    """Open a run folder's ledger for reading; the run may go on meanwhile.

    Raises:
        RunFolderError: There is no ledger.
    """
    if not (path / "run.sqlite").is_file():
        raise RunFolderError(f"`{path}` must be a run folder, but has no run.sqlite; `evo-moo list` shows the runs")
    with contextlib.closing(Ledger(path / "run.sqlite", writable=False)) as ledger, guarded_reads(path):
        yield ledger


class StoredEvaluations(Sequence[Evaluation]):
    """The evaluations of a run folder in the order of asking, read whenever they are looked at, never all at once.

    What is asked for after this was made is left out; what ends meanwhile is seen as it ended.

    Args:
        path: The run folder.
        ledger: Its open ledger.
    """

    def __init__(self, path: Path, ledger: Ledger) -> None:
        self._path, self._last_id = path, ledger.last_id()
        self._n = ledger.n_up_to(self._last_id)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Evaluation]:
        with reading(self._path) as ledger:
            yield from ledger.up_to(self._last_id)

    @overload
    def __getitem__(self, place: int) -> Evaluation: ...
    @overload
    def __getitem__(self, place: slice) -> list[Evaluation]: ...
    def __getitem__(self, place: int | slice) -> Evaluation | list[Evaluation]:
        if isinstance(place, int):
            at = range(self._n)[place]
            return self._read(at, at + 1)[0]
        places = range(self._n)[place]
        read = self._read(min(places, default=0), max(places, default=-1) + 1)
        return read[:: places.step] if places.step > 0 else read[::-1][:: -places.step]

    def _read(self, start: int, stop: int) -> list[Evaluation]:
        with reading(self._path) as ledger:
            return ledger.between(start, stop)


@contextlib.contextmanager
def guarded_reads(path: Path | None) -> Iterator[None]:
    """Let what a damaged ledger makes readers raise be one clear error.

    Raises:
        RunFolderError: The ledger is damaged.
    """
    try:
        yield
    except EvoMooError:
        raise
    except WHAT_DAMAGE_RAISES as error:
        raise RunFolderError(
            f"`{path}` must hold a sound ledger, but it is damaged: {in_words(error)}; "
            f"`evo-moo doctor {path}` says what can be saved"
        ) from error


@dataclass(frozen=True)
class Recorded:
    """What a folder holds of a run before it is opened to be written.

    Attributes:
        facts: Facts on the run; None where there is no run that has begun, or where its ledger is damaged.
        job: The job as plain data, from the ledger, else from the job file, which outlives a damaged ledger; None where
            there is none.
        cost: Cost of all evaluations that the run asked for, in full evaluations.
    """

    facts: RunFacts | None = None
    job: Mapping[str, Any] | None = None
    cost: float = 0.0

    @classmethod
    def read(cls, run_dir: Path | None) -> "Recorded":
        """Read a run folder, whether it exists or not."""
        if run_dir is None or not (run_dir / "run.sqlite").is_file():
            return cls()
        with contextlib.suppress(RunFolderError), reading(run_dir) as ledger:
            facts = ledger.facts()
            if facts.job:
                return cls(facts, facts.job, ledger.cost())
        with contextlib.suppress(RunFolderError):
            return cls(job=read_job(run_dir))
        return cls()
