"""Whether this user has run the code that a run folder names: by the seal that each run leaves in its folder.

A folder from a stranger may name any code as its problem or its model, and to go on with the run is to load that code.
The seal is a digest of the names with a key that this user alone has (HMAC, RFC 2104), so that nobody else can make it.
A file is named relative to the folder, so that a project may move. The key is in ``EVO_MOO_STATE_DIR``, else in
``evo-moo`` in the user's folder of states.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from evo_moo.files import write_whole

SEAL = ".seal"
_KEY_BYTES = 32


def seal(run_dir: Path, references: Sequence[str]) -> None:
    """Note in a run folder that this user runs the code that it names; without a key, nothing is noted.

    Raises:
        OSError: The folder cannot be written.
    """
    digest = _digest(run_dir, references)
    if digest is not None and not is_sealed(run_dir, references):
        write_whole(run_dir / SEAL, digest)


def is_sealed(run_dir: Path, references: Sequence[str]) -> bool:
    """Return whether this user has run the code that a folder names."""
    with contextlib.suppress(OSError, ValueError):
        digest = _digest(run_dir, references)
        return digest is not None and hmac.compare_digest((run_dir / SEAL).read_bytes(), digest.encode())
    return False


def _digest(run_dir: Path, references: Sequence[str]) -> str | None:
    names = []
    for reference in references:
        place, colon, name = reference.rpartition(":")
        is_file = place.endswith(".py")
        names.append(os.path.relpath(place, run_dir.resolve()) + colon + name if is_file else reference)
    key = _key()
    return None if key is None else hmac.new(key, "\0".join(names).encode(), hashlib.sha256).hexdigest()


def _key() -> bytes | None:
    """Read this user's key, which is made when it is first asked for; None where no folder can keep it."""
    with contextlib.suppress(OSError, RuntimeError):  # a container's user may have no home
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        file = Path(os.environ.get("EVO_MOO_STATE_DIR") or Path(state, "evo-moo")) / "key"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            new = file.with_name(f"key.{secrets.token_hex(8)}")
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                opened.write(secrets.token_bytes(_KEY_BYTES))
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(new, file)
            new.unlink()
        key = file.read_bytes()
        return key if len(key) == _KEY_BYTES else None
    return None
