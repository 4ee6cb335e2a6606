"""JSON objects in what a program prints: on a line of their own, or over several lines from ``{`` to ``}``."""

import json
import re
from collections.abc import Iterator
from typing import Any

LONGEST = 1 << 20
"""Characters of an object; what is longer is none."""
LONGEST_LINE = 300
"""Characters of the last line that are kept."""
_LINE_END = re.compile(r"\r\n|\n|\r")


class PrintedObjects:
    """Reads what a program prints, piece by piece, and keeps a bounded part of it.

    Attributes:
        last: The last object; None before the first.
        last_line: The last line that is not empty, at most ``LONGEST_LINE`` characters of it.
    """

    def __init__(self) -> None:
        self.last: dict[str, Any] | None = None
        self.last_line = ""
        self._parts, self._size, self._has_brace = list[str](), 0, False
        self._block, self._block_size = list[str](), 0

    def feed(self, text: str) -> Iterator[dict[str, Any]]:
        """Take the next piece, and return the objects that it completes."""
        if not (self._block or self._has_brace or "{" in text):
            # No object: only the last line counts. A program may print very much.
            body = text.rstrip()
            end = text[len(body) :]
            text = body[-4 * LONGEST_LINE :] + ("\n" if "\n" in end or "\r" in end else "")
        *lines, rest = _LINE_END.split(text)
        for line in lines:
            self._add(line)
            yield from self._end_line()
        self._add(rest)

    def end(self) -> Iterator[dict[str, Any]]:
        """Take what stands after the last line end as a line, and return the object that it completes, if any."""
        yield from self._end_line()

    def _note(self, line: str) -> None:
        if line.strip():
            self.last_line = line.strip()[:LONGEST_LINE]

    def _add(self, text: str) -> None:
        """Take a part of a line; of one that is too long only its size is kept."""
        self._size += len(text)
        self._has_brace = self._has_brace or "{" in text
        if self._size <= LONGEST:
            self._parts.append(text)

    def _end_line(self) -> Iterator[dict[str, Any]]:
        line, is_whole = "".join(self._parts), self._size <= LONGEST
        self._parts, self._size, self._has_brace = [], 0, False
        if is_whole:
            yield from self._line(line)
        else:
            self._block = []

    def _line(self, line: str) -> Iterator[dict[str, Any]]:
        self._note(line)
        made = None
        if line.rstrip() == "{":
            self._block, self._block_size = [line], 0
        elif self._block:
            self._block.append(line)
            self._block_size += len(line)
            if line.rstrip() == "}":
                made = _object("\n".join(self._block))
                self._block = []
            elif self._block_size > LONGEST:
                self._block = []
        if made is None and line.lstrip().startswith("{") and line.rstrip().endswith("}"):
            made = _object(line)
        if made is not None:
            self.last = made
            yield made


def _object(text: str) -> dict[str, Any] | None:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None
