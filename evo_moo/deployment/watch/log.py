"""The log of a served model: JSON lines, CSV or Parquet, read from where the last reading ended.

Of a text a row is a line; the last one counts once its end is written. Nothing of a log is ever run.
"""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from evo_moo.errors import UsageError, missing_extra

ROWS_AT_A_TIME = 5000
_HEAD = 1024
_LONGEST_LINE = 10_000_000
Record = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where reading ended.

    Attributes:
        n_rows: Number of rows until there.
        offset: Number of bytes until there; of Parquet 0.
        head: SHA-256 of the first bytes, by which the file is known again.
    """

    n_rows: int = 0
    offset: int = 0
    head: str = ""


def read_log(path: Path, place: Place) -> Iterator[tuple[list[Record], list[str], Place]]:
    """Read a log in pieces: rows, faults of rows that cannot be read, and the place behind them.

    A file that is shorter than it was, or begins otherwise, is a new one and read from its beginning.

    Raises:
        UsageError: It cannot be read.
    """
    readers = {".csv": _texts, ".jsonl": _texts, ".ndjson": _texts, ".parquet": _parquet, ".pq": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"`--log` must end with .jsonl, .csv or .parquet, but is {str(path)!r}")
    try:
        yield from reader(path, place)
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"`--log` must be a file that can be read, but `{path}` is not: {error}") from None


def _head_of(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(min(_HEAD, offset))).hexdigest()


def _texts(path: Path, place: Place) -> Iterator[tuple[list[Record], list[str], Place]]:
    if place.offset and (path.stat().st_size < place.offset or _head_of(path, place.offset) != place.head):
        place = Place()
    is_csv = path.suffix.lower() == ".csv"
    with path.open("rb") as file:
        names: list[str] = []
        if is_csv:
            heading = file.readline(_LONGEST_LINE)
            if not heading.endswith(b"\n"):
                return
            names = _cells(heading)
            if not place.offset:
                place = Place(0, file.tell())
        file.seek(place.offset)
        n, offset, lines, size = place.n_rows, place.offset, 0, 0
        records: list[Record] = []
        faults: list[str] = []
        for line in iter(lambda: file.readline(_LONGEST_LINE), b""):
            if not line.endswith(b"\n"):
                if len(line) >= _LONGEST_LINE:
                    raise UsageError(f"`--log` must have lines below 10 MB, but row {n + 1} of `{path}` is longer")
                break  # it is being written
            n, offset, lines, size = n + 1, offset + len(line), lines + 1, size + len(line)
            if line.strip():
                try:
                    records.append(_of_csv(names, _cells(line)) if is_csv else _of_json(line))
                except ValueError as error:
                    faults.append(f"row {n} must be {'one line of CSV' if is_csv else 'a JSON object'}, but {error}")
                    records.append({})
            else:
                records.append({})
            if lines == ROWS_AT_A_TIME or size > _LONGEST_LINE:
                yield records, faults, Place(n, offset, _head_of(path, offset))
                records, faults, lines, size = [], [], 0, 0
        if records:
            yield records, faults, Place(n, offset, _head_of(path, offset))


def _of_json(line: bytes) -> Record:
    record = orjson.loads(line)
    if not isinstance(record, dict):
        raise ValueError(f"is {type(record).__name__}")
    return record


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], strict=True), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


def _of_csv(names: list[str], cells: list[str]) -> Record:
    if len(cells) != len(names):
        raise ValueError(f"has {len(cells)} cells under {len(names)} headings")
    return {name: _json_or_text(cell) for name, cell in zip(names, cells, strict=True) if cell != ""}


def _json_or_text(cell: str) -> Any:
    """Return what a cell holds: a number, a list, or else its text."""
    try:
        value = orjson.loads(cell)
    except ValueError:
        return cell
    return value if isinstance(value, int | float | list) else cell


def _parquet(path: Path, place: Place) -> Iterator[tuple[list[Record], list[str], Place]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra("parquet", "a log in Parquet") from None
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows < place.n_rows:
                place = Place()
            n, skip = place.n_rows, place.n_rows
            for batch in file.iter_batches(ROWS_AT_A_TIME):
                kept = batch.slice(min(skip, len(batch)))
                skip -= min(skip, len(batch))
                if len(kept):
                    n += len(kept)
                    yield [_without_none(each) for each in kept.to_pylist()], [], Place(n)
    except (pa.ArrowException, ValueError) as error:
        raise UsageError(f"`--log` must be Parquet, but `{path}` is not: {error}") from None


def _without_none(record: Record) -> Record:
    return {name: value for name, value in record.items() if value is not None}
