"""A run's folder: its ledger, its lock, the resolved job, the environment and the log.

    runs/<id>/
        job.toml          the job as it was resolved; `resume` reads it
        environment.json  versions, machine, seed
        run.sqlite        the ledger and the checkpoint
        log.txt           what happened, with times
        front.csv         the Pareto front
        front.png         the same as a picture, and report.html everything that there is to see
        weights/          what trainings with refinement go on from
        work/             a folder for each evaluation that asks for one
        writer.json       the process that writes here now, or was killed doing so, and where workers reach it
        .lock             held by that process
        .seal             says that the user who reads it has run the code that the job names

One process writes at a time. A run without a folder keeps its ledger in memory.
"""

import contextlib
import datetime
import json
import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w

from evo_moo.errors import RunFolderError, StopNow, UsageError
from evo_moo.files import guarded_writes, make_folder, remove_remains, sync_folder, write_whole
from evo_moo.storage.database import Journal
from evo_moo.storage.environment import environment
from evo_moo.storage.folder_lock import FolderLock, on_network
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.log import LOGGER, logged
from evo_moo.storage.reading import csv_text, guarded_reads
from evo_moo.storage.trust import SEAL, seal

JOURNAL = "EVO_MOO_JOURNAL"
"""Environment variable: how the ledger keeps transactions whole, instead of by the kind of the disk."""


class RunFolder:
    """The files of one run, opened for writing and locked, or in memory.

    Args:
        path: The folder; None keeps the ledger in memory and writes nothing.

    Raises:
        RunFolderError: The folder cannot be written, or another process holds it.
        UsageError: The environment asks for an unknown journal.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path.absolute() if path else None
        LOGGER.setLevel(logging.INFO)
        with contextlib.ExitStack() as opened:
            if self.path is None:
                self.ledger = opened.enter_context(contextlib.closing(Ledger(None)))
                self._temporary = opened.enter_context(tempfile.TemporaryDirectory())
            else:
                opened.enter_context(guarded_writes(self.path, "name another by --run-dir"))
                make_folder(self.path)
                lock = opened.enter_context(contextlib.closing(FolderLock(self.path)))
                opened.enter_context(logged(self.path))
                file, journal = self.path / "run.sqlite", journal_for(self.path)
                ledger = Ledger(file, journal=journal, guard=lock.check)
                self.ledger, self._lock = opened.enter_context(contextlib.closing(ledger)), lock
                if lock.replaced is not None:
                    with guarded_reads(self.path), self.ledger.transaction():
                        self.ledger.record_event("taken over", **lock.replaced)
                    LOGGER.info("taken over from process %(pid)s on %(host)s, which is gone", lock.replaced)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the ledger and the log, and let go of the lock."""
        self._opened.close()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, StopNow):
            with contextlib.suppress(sqlite3.Error, RunFolderError), self.ledger.transaction():
                if self.ledger.facts().state == "running":
                    self.ledger.set_meta(state="stopped")
        with contextlib.suppress(sqlite3.Error) if error else contextlib.nullcontext():
            self.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise RunFolderError(
                f"`{self.path}` must hold a sound ledger, but it is damaged: {error}; "
                f"`evo-moo doctor {self.path}` says what can be saved"
            ) from error

    def announce(self, address: str, token: str) -> None:
        """Let ``writer.json`` say where workers reach this run; see ``FolderLock.announce``."""
        if self.path is not None:
            with guarded_writes(self.path / "writer.json"):
                self._lock.announce(address, token)

    def workspace(self, evaluation_id: int) -> str | None:
        """Name the folder that belongs to one evaluation; None in memory."""
        return f"{self.path}{os.sep}work{os.sep}{evaluation_id}" if self.path else None

    @property
    def weights(self) -> Path:
        """The folder of all saved weights; in memory a temporary one."""
        return (self.path or Path(self._temporary)) / "weights"

    def write_seal(self, references: list[str]) -> None:
        """Note that this user runs the code that the job names; see ``trust``."""
        if self.path is not None and references:
            with guarded_writes(self.path / SEAL):
                seal(self.path, references)

    def write_job(self, job: dict[str, Any], *, replace: bool = False) -> None:
        """Write ``job.toml``, unless it is there already and is not to be replaced."""
        self._write("job.toml", lambda: tomli_w.dumps(job), replace=replace)

    def write_environment(self, seed: int) -> None:
        """Write ``environment.json``, unless it is there already."""
        self._write("environment.json", lambda: json.dumps(environment(seed), indent=2) + "\n")

    def write_front(self, rows: list[dict[str, Any]]) -> None:
        """Write ``front.csv``: one row per member, one column per value."""
        self._write("front.csv", lambda: csv_text(rows), replace=True)

    def _write(self, name: str, text: Callable[[], str], *, replace: bool = False) -> None:
        if self.path is not None and (replace or not (self.path / name).exists()):
            file = self.path / name
            with guarded_writes(file, "what the ledger holds is kept, and `evo-moo resume` goes on"):
                remove_remains(file)
                write_whole(file, text())


def journal_for(path: Path) -> Journal:
    """Choose the ledger's journal for a folder: ``"delete"`` on network disks, which have no shared memory.

    Raises:
        UsageError: The environment asks for an unknown one.
    """
    asked = os.environ.get(JOURNAL, "")
    if asked not in ("", "wal", "delete"):
        raise UsageError(f"`{JOURNAL}` must be wal or delete, but is {asked!r}; leave it out to have it chosen")
    return "delete" if asked == "delete" or (not asked and on_network(path)) else "wal"


def new_run_dir(root: Path, problem: str) -> Path:
    """Name a run folder that does not exist yet, by the time and the problem.

    Raises:
        RunFolderError: The root cannot be written.
    """
    stem = re.sub(r"\W+", "-", problem.rpartition("/")[2]).strip("-") or "run"
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    with guarded_writes(root, "name another by --run-dir"):
        make_folder(root)
        for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
            path = root / f"{stamp}-{stem}{suffix}"
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                sync_folder(root)
                return path
    raise RunFolderError(f"`{root}` must have a free name for {stamp}-{stem}, but has none")


def run_dirs(root: Path) -> list[Path]:
    """List the run folders below ``root``, oldest first."""
    return sorted(path.parent for path in root.glob("*/run.sqlite"))
