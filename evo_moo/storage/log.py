"""A run folder's log file, and its audit trail: who asked for what, and when."""

import contextlib
import datetime
import getpass
import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from evo_moo.text import printable

LOGGER = logging.getLogger("evo_moo")


AUDIT = "audit.jsonl"
MOST_READ = 10_000
"""Lines of an audit trail that are read at most, the last ones."""
LINE = "%(asctime)s %(levelname)s %(message)s"


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """Let the log of a run folder take what is logged meanwhile.

    Raises:
        OSError: It cannot be written.
    """
    handler = LogFile(path / "log.txt")
    handler.setFormatter(Printable(LINE))
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()


class Printable(logging.Formatter):
    """Formats lines of the log so that nothing in them commands a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, its control characters as escapes."""
        return printable(super().format(record))


class LogFile(logging.FileHandler):
    """The log; a disk that takes no more of it is said once, and stops nothing."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Say on standard error that the log cannot be written."""
        if not self._failed:
            self._failed = True
            print(f"evo-moo: `{self.baseFilename}` cannot be written: {sys.exc_info()[1]}", file=sys.stderr)  # noqa: T201


@dataclass(frozen=True)
class AuditEntry:
    """A line of an audit trail.

    Attributes:
        at: Time in UTC, ISO 8601.
        who: User and host.
        what: What was asked for, such as ``"run"`` or ``"build"``.
        detail: What decides it, as plain data.
    """

    at: str
    who: str
    what: str
    detail: dict[str, Any]


def write_audit(run_dir: Path | None, what: str, **detail: Any) -> None:
    """Append a line to a run's audit trail; a folder that takes none is said in the log, and stops nothing.

    Args:
        run_dir: The run folder; None where nothing is written.
        what: What was asked for.
        detail: What decides it, as plain data.
    """
    if run_dir is None:
        return
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    entry = AuditEntry(at, f"{_user()}@{platform.node()}", what, detail)
    line = json.dumps(asdict(entry), default=str).encode() + b"\n"
    try:
        opened = os.open(run_dir / AUDIT, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        with contextlib.closing(os.fdopen(opened, "wb", buffering=0)) as file:
            file.write(line)  # one write: lines of several processes do not mix
    except OSError as error:
        LOGGER.warning("%s is not written: %s", run_dir / AUDIT, error.strerror or error)


def read_audit(run_dir: Path) -> list[AuditEntry]:
    """Return a run's audit trail, oldest first; what is no line of one is left out, since anybody may write there."""
    try:
        lines = (run_dir / AUDIT).read_bytes().splitlines()[-MOST_READ:]
    except OSError:
        return []
    entries, names = [], [each.name for each in fields(AuditEntry)]
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, LookupError, RecursionError):
            at, who, what, detail = (json.loads(line)[name] for name in names)
            entries.append(AuditEntry(str(at), str(who), str(what), dict(detail)))
    return entries


def _user() -> str:
    with contextlib.suppress(OSError, KeyError):  # a container may know no name for its user
        return getpass.getuser()
    return "unknown"
