"""A run folder's log file."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from evo_moo.text import printable

LOGGER = logging.getLogger("evo_moo")


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
