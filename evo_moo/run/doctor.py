"""Says what of a run folder is intact, and saves what can be saved.

Nothing of the run's problem is loaded here: a folder from anywhere can be examined.
"""

import contextlib
import csv
import json
import sqlite3
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import orjson

from evo_moo.errors import RunFolderError
from evo_moo.storage.damage import CHECKS, WHAT_READING_RAISES, facts, opened, unknown_ids
from evo_moo.storage.folder_lock import holder_of
from evo_moo.storage.run_folder import FREE_SECTIONS
from evo_moo.text import in_words


class Finding(NamedTuple):
    """What one look at a folder showed.

    Attributes:
        what: The part looked at.
        sound: Whether it is intact.
        detail: In a few words.
    """

    what: str
    sound: bool
    detail: str = ""


def examine(path: Path) -> list[Finding]:
    """Look at every part of a run folder, and change nothing.

    Raises:
        RunFolderError: There is no such folder, or nothing of a run is in it.
    """
    if not any((path / name).exists() for name in ("run.sqlite", "job.toml")):
        raise RunFolderError(f"`{path}` must be a run folder, but has neither run.sqlite nor job.toml")
    findings = [_environment(path)]
    try:
        db = opened(path / "run.sqlite")
    except WHAT_READING_RAISES as error:
        findings = [
            _look("job.toml", lambda: _job(path)),
            *findings,
            Finding("ledger", False, f"cannot be opened: {in_words(error)}"),
        ]
    else:
        with contextlib.closing(db):
            findings.insert(0, _look("job.toml", lambda: _job(path, db)))
            for what, check in CHECKS.items():
                findings.append(_look(what, lambda check=check: check(db)))  # type: ignore[misc]
            with contextlib.suppress(*WHAT_READING_RAISES):
                if facts(db)["state"] == "finished":
                    findings.append(_look("front.csv", lambda: check_front(db, path / "front.csv")))
    return [*findings, _lock(path)]


def _look(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, check())
    except WHAT_READING_RAISES as error:
        return Finding(what, False, in_words(error))


def _job(path: Path, db: sqlite3.Connection | None = None) -> str:
    """Check that the job can be read, and is the ledger's."""
    with contextlib.suppress(*WHAT_READING_RAISES):
        if db is not None and "confirmation" in facts(db):
            return "not needed by a confirmation"
    with (path / "job.toml").open("rb") as file:
        job = orjson.loads(orjson.dumps(tomllib.load(file)))
    use = str(job["problem"]["use"])
    known = None
    if db is not None:
        with contextlib.suppress(*WHAT_READING_RAISES):
            known = facts(db).get("job")
    if isinstance(known, dict):
        sections = [s for s in {**job, **known} if s not in FREE_SECTIONS and job.get(s) != known.get(s)]
        if sections:
            raise ValueError(f"differs from the ledger's job in {', '.join(sections)}; --repair writes it anew")
    return use


def _environment(path: Path) -> Finding:
    """Look at what only informs; a run goes on without it."""
    try:
        json.loads((path / "environment.json").read_text())
    except (OSError, ValueError, RecursionError) as error:
        return Finding("environment.json", True, f"cannot be read, which only loses information: {error}")
    return Finding("environment.json", True)


def check_front(db: sqlite3.Connection, file: Path) -> str:
    """Check that the front's file can be read and knows only evaluations that there are.

    Raises:
        ValueError: It knows others.
        OSError: It cannot be read.
    """
    if not file.exists():
        return "not there; `evo-moo resume` writes it"
    with file.open(newline="") as lines:
        members = [int(row["id"]) for row in csv.DictReader(lines, strict=True)]
    if missing := unknown_ids(db, members):
        raise ValueError(f"knows evaluations that are not there: {missing}")
    return f"{len(members)} members"


def _lock(path: Path) -> Finding:
    holder = holder_of(path)
    if holder is not None:
        return Finding("lock", True, f"held by process {holder['pid']} on {holder['host']}")
    if (path / "writer.json").exists():
        return Finding("lock", True, "free; its last holder was killed")
    return Finding("lock", True, "free")
