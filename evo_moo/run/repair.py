"""Repairs a run folder: what is readable is kept, what is not is left for the search to do again.

A search without a checkpoint asks from the start and reuses every outcome in the ledger, so that nothing which
was evaluated is lost with a checkpoint, and only unreadable evaluations are run again.
"""

import contextlib
import sqlite3
from pathlib import Path

import tomli_w

from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import RunFolderError
from evo_moo.files import write_whole
from evo_moo.run.doctor import check_front, examine
from evo_moo.storage.damage import WHAT_READING_RAISES, facts, opened
from evo_moo.storage.database import open_to_read
from evo_moo.storage.folder_lock import FolderLock
from evo_moo.storage.ledger import Ledger, unknown_format
from evo_moo.storage.migrations import FORMAT, format_of
from evo_moo.storage.reading import csv_text
from evo_moo.storage.run_folder import journal_for
from evo_moo.storage.salvage import free_name, mend, salvage


def repair(path: Path) -> list[str]:
    """Mend a run folder as far as it goes; a damaged ledger is kept beside the new one.

    Returns:
        What was done, a line for each thing.

    Raises:
        RunFolderError: Another process holds the folder, it cannot be written, nothing of the ledger is readable, or
            it is of a newer format.
    """
    _refuse_newer(path / "run.sqlite")
    faults = {finding.what for finding in examine(path) if not finding.sound}
    if not faults:
        return []
    try:
        return _repaired(path, faults)
    except OSError as error:
        if isinstance(error, RunFolderError):
            raise
        raise RunFolderError(
            f"a run folder must be writable to be repaired, but `{path}` is not: {error.strerror or error}; "
            "repair a copy of it"
        ) from error


def _refuse_newer(file: Path) -> None:
    found = 0
    with contextlib.suppress(sqlite3.Error, OSError), contextlib.closing(open_to_read(file)) as db:
        found = format_of(db)
    if found > FORMAT:
        raise unknown_format(file, found)


def _repaired(path: Path, faults: set[str]) -> list[str]:
    lock = FolderLock(path)
    try:
        done: list[str] = []
        if faults - {"job.toml", "front.csv"}:
            if "ledger" in faults:
                done += salvage(path / "run.sqlite")
            with contextlib.closing(Ledger(path / "run.sqlite", journal=journal_for(path))) as ledger:
                done += ledger.mended(mend)
        if faults & {"job.toml", "ledger"}:
            done += _write_job(path)
        done += _keep_front(path)
        with (
            contextlib.suppress(*WHAT_READING_RAISES),
            contextlib.closing(Ledger(path / "run.sqlite", writable=False)) as ledger,
        ):
            if ledger.facts().state == "finished":
                write_whole(path / "front.csv", csv_text(RunFront.of_ledger(ledger, path).rows()))
                done.append("front.csv: written anew")
    finally:
        lock.release()
    return done


def _write_job(path: Path) -> list[str]:
    """Write ``job.toml`` from the ledger."""
    try:
        with contextlib.closing(opened(path / "run.sqlite")) as db:
            job = facts(db)["job"]
    except WHAT_READING_RAISES:
        return []
    done = []
    if (path / "job.toml").is_dir():
        done.append(_set_aside(path / "job.toml"))
    write_whole(path / "job.toml", tomli_w.dumps(job))
    return [*done, "job.toml: written anew from the ledger"]


def _keep_front(path: Path) -> list[str]:
    """Set a front aside that holds more than the ledger does."""
    file = path / "front.csv"
    try:
        with contextlib.closing(opened(path / "run.sqlite")) as db:
            check_front(db, file)
    except WHAT_READING_RAISES:
        return [_set_aside(file)] if file.exists() else []
    return []


def _set_aside(file: Path) -> str:
    kept = file.rename(free_name(file.with_name(f"{file.name}.damaged")))
    return f"{file.name}: kept as {kept.name}"
