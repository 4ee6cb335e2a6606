"""Files that are written whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from evo_moo.errors import RunFolderError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIX = ".new"


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, which gets its name once it is complete and on the disk.

    A kill leaves the old file or the new one, never a part of it. Until then the content is in the same folder under a
    name that nobody can guess, in a file that is new: no link is followed, and what is at ``path`` is replaced.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}{SUFFIX}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one, see ``whole_file``; a text as UTF-8.

    Raises:
        OSError: The file cannot be written.
    """
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def remove_remains(path: Path) -> None:
    """Remove what kills have left of writing a file; only for whoever alone writes it."""
    with suppress(OSError):
        for left in path.parent.glob(f"{path.name}.*{SUFFIX}"):
            left.unlink()


@contextmanager
def guarded_writes(path: Path, way_out: str = "make room there, or name another place") -> Iterator[None]:
    """Turn what keeps a file from being written into an error of ours.

    Args:
        path: The file, or its folder.
        way_out: What the user can do.

    Raises:
        RunFolderError: It cannot be written.
    """
    try:
        yield
    except RunFolderError:
        raise
    except OSError as error:
        raise RunFolderError(f"`{path}` must be writable, but is not: {error.strerror or error}; {way_out}") from error


def save_figure(figure: "Figure", path: Path, **options: Any) -> None:
    """Write a picture in the format of its suffix, by default ``.png``.

    Args:
        figure: What to draw.
        path: The file; what is there is replaced.
        options: More of ``Figure.savefig``.

    Raises:
        RunFolderError: The file cannot be written.
    """
    path = path if path.suffix else path.with_suffix(".png")
    picture = BytesIO()
    figure.savefig(picture, format=path.suffix[1:], **options)
    with guarded_writes(path):
        write_whole(path, picture.getvalue())
