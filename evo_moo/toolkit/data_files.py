"""Where the data files of problems are found: by an option, or in the folder that EVO_MOO_DATA names."""

import hashlib
import os
from pathlib import Path

from evo_moo.errors import ProblemError

FOLDER = "EVO_MOO_DATA"
"""Environment variable: the folder of data files."""


def find_data(name: str, path: str | None = None) -> Path | None:
    """Return the path of a data file.

    Args:
        name: Its name in the folder.
        path: Where it is instead; relative to the current folder, or else to that of the environment.

    Returns:
        The path; None where neither a path nor a folder is given.

    Raises:
        ProblemError: There is no such file.
    """
    folder = os.environ.get(FOLDER)
    if path is None and not folder:
        return None
    tried = [Path(path or name).expanduser()] if path else []
    tried += [Path(folder).expanduser() / (path or name)] if folder else []
    for file in tried:
        if file.is_file():
            return file.resolve()
    listed = " or ".join(f"`{file}`" for file in tried)
    raise ProblemError(
        f"a data file must be there, but there is no {listed}; name it by an option, or its folder by {FOLDER}"
    )


def digest(path: Path) -> str:
    """Return a digest of a file's content, for a problem's ``version``."""
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
