"""The files that a command is made of, by which a run sees that its program has changed."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evo_moo.problem.command.template import Command, filled, names_in
from evo_moo.source_texts import digest_of, read_texts, text_digest

MOST_BYTES = 1 << 28
"""A file larger than this is known by its size only."""
_INTERPRETER = re.compile(r"(pypy|python|pythonw|bash|dash|sh|zsh|env|Rscript|julia|node|perl|ruby|java)[\d.]*(\.exe)?")
_SCRIPT = re.compile(r"[^{}=]+\.(py|sh|bash|R|r|jl|js|mjs|pl|rb|lua|m|jar)")


def flat(command: Any) -> list[str]:
    """Return the texts of a command without its inner lists; what is none, in a definition with faults, is left out."""
    items = command if isinstance(command, list | tuple) else []
    parts = [item if isinstance(item, list | tuple) else [item] for item in items]
    return [text for part in parts for text in part if isinstance(text, str)]


def file_digests(command: Command, files: Sequence[str], directory: Path) -> dict[str, str]:
    """Return the digests of the files that a command names, by their paths from its directory.

    Of a Python script they include the own modules that it imports. The interpreter is left out.

    Args:
        command: The command.
        files: Patterns of further files.
        directory: The folder that paths are relative to.
    """
    digests: dict[str, str] = {}
    for path in [*_named(command, directory), *(path for each in files for path in matched(each, directory))]:
        for file in _with_imported(path, directory):
            digests[Path(os.path.relpath(file, directory)).as_posix()] = digest_of_file(file)
    return dict(sorted(digests.items()))


def matched(pattern: str, directory: Path) -> list[Path]:
    """Return the files of a pattern, or of a path, sorted."""
    given = Path(pattern).expanduser()
    found = [given] if given.is_absolute() else sorted(directory.glob(pattern))
    return [path for path in found if path.is_file()]


def missing_script(command: Command, directory: Path, cwd: Path | None) -> str | None:
    """Return the path of the script that an interpreter is to run, if there is no such file.

    Args:
        command: The command.
        directory: The folder of ``{directory}``.
        cwd: The working directory; None where each evaluation has its own.
    """
    texts = flat(command)
    if len(texts) < 2 or not _is_interpreter(texts[0]) or not _SCRIPT.fullmatch(_in(texts[1], directory) or ""):
        return None
    path = Path(cwd or Path("/nowhere"), _in(texts[1], directory) or "")
    return None if path.is_file() else texts[1]


def script_name(command: Any) -> str:
    """Name a command by the script that it runs, else by the program."""
    texts = [text for text in flat(command) if not text.startswith("-")]
    known = texts[1:2] if texts and _is_interpreter(texts[0]) and len(texts) > 1 else texts[:1]
    stem = Path(known[0]).stem if known else ""
    return stem if stem and "{" not in stem else "command"


def _is_interpreter(text: str) -> bool:
    return text == "{python}" or _INTERPRETER.fullmatch(Path(text).name) is not None


def _in(text: str, directory: Path) -> str | None:
    """Return a text that depends on no evaluation; None where it does."""
    return None if set(names_in(text)) - {"directory"} else filled(text, {"directory": str(directory)})


def _named(command: Command, directory: Path) -> Iterator[Path]:
    texts = flat(command)
    for number, text in enumerate(texts):
        if (number == 0 and (os.sep not in text or _is_interpreter(text))) or (whole := _in(text, directory)) is None:
            continue
        before = texts[number - 1] if number else ""
        module = whole.replace(".", "/")
        candidates = [f"{module}.py", f"{module}/__main__.py"] if before == "-m" else [whole, whole.partition("=")[2]]
        yield from (path for each in candidates if each and (path := Path(directory, each)).is_file())


def digest_of_file(path: Path) -> str:
    """Return the digest of a file's content; of a Python file also one without comments and layout.

    Raises:
        OSError: It cannot be read.
    """
    if path.suffix == ".py":
        return text_digest(path.read_bytes())
    size = path.stat().st_size
    return f"digest {digest_of(path.read_bytes())}" if size <= MOST_BYTES else f"digest of {size} bytes"


def _with_imported(path: Path, directory: Path) -> list[Path]:
    """Return a file; of a Python script also the own modules that it imports."""
    if path.suffix != ".py":
        return [path]
    folders = dict.fromkeys((str(path.parent), str(directory)))
    texts = (module for folder in folders for _, module in read_texts(path.stem, str(path), False, folder))
    return [Path(module.path) for module in texts]
