"""The results file: one JSON line for each run, appended as it ends, so that an interrupted benchmark goes on."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Key = tuple[str, str, int, int]


def key(record: Mapping[str, Any]) -> Key:
    """Give what a run is told apart by: problem, method, batch and seed."""
    return record["problem"], record["method"], record["batch"], record["seed"]


def read(path: Path) -> list[Record]:
    """Read the records of a file, of each run the one that was asked for the most evaluations."""
    records: dict[Key, Record] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # the process was killed while it wrote this one
        if key(record) not in records or record["n_evals"] >= records[key(record)]["n_evals"]:
            records[key(record)] = record
    return list(records.values())


def append(path: Path, record: Record) -> None:
    """Add a record: a line of its own, even after one that was left unfinished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
        unfinished = size > 0 and file.read(1) != b"\n"
        file.write(b"\n" * unfinished + json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def missing(tasks: Iterable[Record], records: Iterable[Record]) -> list[Record]:
    """Give the tasks for which no record has as many evaluations, or was asked for as many."""
    done = {key(record): record["n_evals"] for record in records}
    return [task for task in tasks if done.get(key(task), 0) < task["n_evals"]]
