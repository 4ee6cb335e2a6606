"""Files that are written whole or not at all, and what a power failure leaves of files and of their names."""

import errno
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
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EISDIR, errno.EBADF}
"""What systems answer that sync no folders, or not these."""


def sync_file(path: Path) -> None:
    """Let what was written into a file be on the disk.

    Raises:
        OSError: The file is missing, or the disk fails.
    """
    _sync(path, os.O_RDWR)


def sync_folder(path: Path) -> None:
    """Let the names of what was made, renamed or removed in a folder be on the disk, where the system can.

    Raises:
        OSError: The disk fails.
    """
    try:
        _sync(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _sync(path: Path, flags: int) -> None:
    opened = os.open(path, flags)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_below(path: Path) -> None:
    """Let a folder and everything in it be on the disk, as far as it can be; there may be no such folder."""
    with suppress(OSError):
        for below in path.rglob("*"):
            (sync_folder if below.is_dir() else sync_file)(below)
        for folder in (path, path.parent, path.parent.parent):  # names of folders that may be new
            sync_folder(folder)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, so that a power failure leaves it; it may be there already.

    Raises:
        OSError: It cannot be made, for instance because a file has its name.
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, which gets its name once it is complete and on the disk.

    A kill leaves the old file or the new one, never a part of it; a power failure afterwards leaves the new one. Until
    it is whole, the content is in the same folder under a name that nobody can guess, in a file that is new: no link
    is followed, and what is at ``path`` is replaced.

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
        sync_folder(path.parent)
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
