"""What stands around the process of an evaluation: how it is called, its weights, its reports, its metrics."""

import contextlib
import json
import os
import shlex
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from evo_moo.errors import MetricError
from evo_moo.problem.command.printed import PrintedObjects
from evo_moo.problem.command.words import in_one_line
from evo_moo.problem.learning_curve import Report
from evo_moo.problem.weights import Weights

MOST_OF_FILE = 1 << 24
"""Bytes of the file of metrics that are read."""


class Call(NamedTuple):
    """How a program is called.

    Attributes:
        arguments: The program and its arguments.
        cwd: The working directory.
        environment: All environment variables.
        files: Files that are written before, to their texts.
        metrics_file: The file that it writes its metrics to; None where it prints them.
    """

    arguments: list[str]
    cwd: Path
    environment: dict[str, str]
    files: dict[Path, str]
    metrics_file: Path | None

    def in_words(self) -> str:
        """Return the command as a shell would take it, with what is set and written for it, a line each."""
        own = {name: text for name, text in self.environment.items() if os.environ.get(name) != text}
        lines = [in_one_line(["cd", self.cwd]), *(f"export {name}={shlex.quote(own[name])}" for name in sorted(own))]
        for file, text in self.files.items():
            lines += [f"cat > {shlex.quote(str(file))} <<'END'", *text.splitlines(), "END"]
        return "\n".join([*lines, in_one_line(self.arguments)])


@contextlib.contextmanager
def weights_folder(weights: Weights, workspace: Path) -> Iterator[Path]:
    """Make the folder of ``{weights}``, with a copy of what the shorter training left.

    Where nothing can go on from this training, the folder is taken away in the end.
    """
    folder = (weights.own or workspace / "weights").absolute()
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    if weights.previous is not None and weights.previous.is_dir():
        shutil.copytree(weights.previous, folder)
    else:
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        if weights.own is None:
            shutil.rmtree(folder, ignore_errors=True)


def reporter(report: Report, key: str, declared: Collection[str]) -> Callable[[dict[str, Any]], None]:
    """Return what takes each printed object, and reports that of an epoch.

    Args:
        report: Takes the epochs, which grow; what prints an epoch again, or 0, is left out.
        key: The key that holds the epoch.
        declared: The metrics that are reported.
    """
    last = 0

    def take(printed: dict[str, Any]) -> None:
        nonlocal last
        epoch = printed.get(key)
        metrics = {name: value for name, value in printed.items() if name in declared}
        if type(epoch) is int and epoch > last and metrics:
            last = epoch
            report(epoch, metrics)

    return take


def metrics_of_file(file: Path) -> dict[str, Any]:
    """Return the JSON object of a file, the last one where it has several.

    Raises:
        MetricError: There is none.
    """
    rule = f"the command must write its metrics as a JSON object to {str(file)!r}"
    try:
        with file.open("rb") as opened:
            text = opened.read(MOST_OF_FILE).decode("utf-8", "replace")
    except OSError as error:
        raise MetricError(f"{rule}, but it cannot be read: {error.strerror}") from None
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(read := json.loads(text), dict):
            return read
    objects = PrintedObjects()
    for _ in (*objects.feed(text), *objects.end()):
        """Each replaces the one before."""
    if objects.last is None:
        raise MetricError(f"{rule}, but it holds none: {text[:100]!r}")
    return objects.last
