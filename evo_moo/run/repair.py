"""Repairs a run folder: what is readable is kept, what is not is left for the search to do again.

A search without a checkpoint asks from the start and reuses every outcome in the ledger, so that nothing which
was evaluated is lost with a checkpoint, and only unreadable evaluations are run again.
"""

import contextlib
import sqlite3
from pathlib import Path

import tomli_w

from evo_moo.analysis.run_front import RunFront
from evo_moo.files import guarded_writes, sync_folder, write_whole
from evo_moo.run.doctor import examine
from evo_moo.storage.damage import WHAT_READING_RAISES, SuspectLedger
from evo_moo.storage.database import open_to_read
from evo_moo.storage.folder_lock import FolderLock
from evo_moo.storage.ledger import unknown_format
from evo_moo.storage.migrations import FORMAT, format_of
from evo_moo.storage.reading import csv_text, guarded_reads, read_toml
from evo_moo.storage.run_folder import journal_for
from evo_moo.storage.salvage import name_aside, salvage


def repair(path: Path) -> list[str]:
    """Mend a run folder as far as it goes; a damaged ledger is kept beside the new one.

    Returns:
        What was done, a line for each thing.

    Raises:
        RunFolderError: Another process holds the folder, it cannot be written, nothing of the ledger is readable, or
            it is of a newer format.
    """
    file = path / "run.sqlite"
    _refuse_newer(file)
    faults = {finding.what for finding in examine(path) if not finding.sound}
    if not faults:
        return []
    done: list[str] = []
    with guarded_writes(path, "repair a copy of it"), guarded_reads(path), contextlib.closing(FolderLock(path)):
        if "ledger" in faults:
            done.append(salvage(file))
        if faults & {"job.toml", "ledger"}:  # before the ledger's may be dropped
            with contextlib.closing(SuspectLedger(file, writable=False)) as ledger:
                done += _write_job(path, ledger)
        if faults - {"job.toml", "front.csv"}:
            with contextlib.closing(SuspectLedger(file, journal=journal_for(path))) as ledger:
                done += ledger.mend()
        with contextlib.closing(SuspectLedger(file, writable=False)) as ledger:
            done += _write_front(path, ledger)
    return done


def _refuse_newer(file: Path) -> None:
    found = 0
    with contextlib.suppress(sqlite3.Error, OSError, UnicodeError), contextlib.closing(open_to_read(file)) as db:
        found = format_of(db)
    if found > FORMAT:
        raise unknown_format(file, found)


def _write_job(path: Path, ledger: SuspectLedger) -> list[str]:
    """Write ``job.toml`` from the ledger, if that has a job; one in doubt only where the file cannot be read."""
    job, file = {}, path / "job.toml"
    with contextlib.suppress(*WHAT_READING_RAISES):
        job = dict(ledger.facts().job)
    with contextlib.suppress(*WHAT_READING_RAISES):
        if read_toml(file) and not ledger.is_as_written("job"):
            return []
    if not job:
        return []
    done = [_set_aside(file)] if file.is_dir() else []
    write_whole(file, tomli_w.dumps(job))
    return [*done, "job.toml: written anew from the ledger"]


def _write_front(path: Path, ledger: SuspectLedger) -> list[str]:
    """Write the front of a finished run; one that holds more than the ledger does is set aside."""
    done, file = [], path / "front.csv"
    try:
        ledger.check_front(file)
    except WHAT_READING_RAISES:
        done.append(_set_aside(file))
    with contextlib.suppress(*WHAT_READING_RAISES):
        if ledger.facts().state == "finished":
            write_whole(file, csv_text(RunFront.of_ledger(ledger, path).rows()))
            done.append("front.csv: written anew")
    return done


def _set_aside(file: Path) -> str:
    kept = file.rename(name_aside(file))
    sync_folder(file.parent)
    return f"{file.name}: kept as {kept.name}"
