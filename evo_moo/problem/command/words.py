"""A command in words: how a run folder names it to a user who is to trust it."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from evo_moo.problem.command.files import flat
from evo_moo.source_texts import digest_of

COMMAND = "command"
"""How a problem that runs a command is named."""
PLACE = "directory"
"""The option of a command that names the folder of its files."""
_BEGINS, _IN = "the command ", " in "
_BARE = re.compile(r"[\w@%+=:,./{}-]+")


def without_place(reference: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a problem without the folder of a command, which may move."""
    return {name: value for name, value in options.items() if (reference, name) != (COMMAND, PLACE)}


class CommandInWords(NamedTuple):
    """A command in words, and the folder of its files.

    Attributes:
        words: Its arguments, and a digest of all that it is.
        place: The folder.
    """

    words: str
    place: str

    @classmethod
    def of_options(cls, options: Mapping[str, Any]) -> "CommandInWords":
        """Name the command that options of ``CommandProblem`` describe, whatever they are."""
        command = options.get("command")
        arguments = flat(command) or [str(command)]
        rest = json.dumps({key: value for key, value in options.items() if key != PLACE}, sort_keys=True, default=str)
        return cls(f"{_BEGINS}{in_one_line(arguments)} ({digest_of(rest.encode())})", str(options.get(PLACE, "")))

    @classmethod
    def read(cls, text: str) -> "CommandInWords | None":
        """Return the command that a text names; None where it names none."""
        if not text.startswith(_BEGINS):
            return None
        words, _, place = text.rpartition(_IN)
        return cls(words, place)

    def __str__(self) -> str:
        return f"{self.words}{_IN}{self.place}"


def in_one_line(arguments: list[Any]) -> str:
    """Return arguments as a shell would take them; braces stay bare."""
    texts = map(str, arguments)
    return " ".join(text if _BARE.fullmatch(text) else shlex.quote(text) for text in texts)
