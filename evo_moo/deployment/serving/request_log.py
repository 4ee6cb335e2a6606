"""What was asked and answered, as JSON lines that a watch reads."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from evo_moo.errors import UsageError


class RequestLog:
    """Appends rows to a file, each by one write; nothing is lost when the service is killed.

    A service does not fail for its log: rows that cannot be written are counted.

    Args:
        path: The file; None: no log.

    Raises:
        UsageError: It cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self.n_lost = 0
        self._is_torn = False
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = None if path is None else os.open(path, flags, 0o600)
        except OSError as error:
            raise UsageError(
                f"`--log` must be a file that can be written, but {path} cannot: {error.strerror}"
            ) from None

    @property
    def is_open(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def write(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Append rows, and return whether they are written."""
        if self._file is None or not rows:
            return False
        text = b"".join(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for row in rows)
        text = b"\n" * self._is_torn + text  # what was begun and not ended spoils no other row
        try:
            written = os.write(self._file, text)
        except OSError:
            written = 0
        if written == len(text):
            self._is_torn = False
            return True
        self._is_torn = self._is_torn or written > 0
        self.n_lost += len(rows)
        return False

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
