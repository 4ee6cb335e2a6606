"""Whether this user has run the code that a run folder names: by the seal that each run leaves in its folder.

A folder from a stranger may name any code as its problem or its model, and to go on with the run is to load that code.
The seal is a digest of the names with a key that this user alone has (HMAC, RFC 2104), so that nobody else can make it.
Files are named as they are and as they lie to the folder, so that a project may move and a folder be copied. The key is
in ``EVO_MOO_STATE_DIR``, else in ``evo-moo`` in the user's folder of states.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from evo_moo.files import write_whole
from evo_moo.problem.command.words import CommandInWords

SEAL = ".seal"
_KEY_BYTES = 32


def seal(run_dir: Path, references: Sequence[str]) -> None:
    """Note in a run folder that this user runs the code that it names; without a key, nothing is noted.

    Raises:
        OSError: The folder cannot be written.
    """
    text = "\n".join(_digests(run_dir, references, makes_key=True))
    with contextlib.suppress(OSError, ValueError):
        if (run_dir / SEAL).read_text() == text:
            return
    if text:
        write_whole(run_dir / SEAL, text)


def is_sealed(run_dir: Path, references: Sequence[str]) -> bool:
    """Return whether this user has run the code that a folder names, here or where the folder was before."""
    with contextlib.suppress(OSError, ValueError):
        kept = (run_dir / SEAL).read_text().split()
        return any(hmac.compare_digest(one, other) for one in _digests(run_dir, references) for other in kept)
    return False


def _digests(run_dir: Path, references: Sequence[str], *, makes_key: bool = False) -> list[str]:
    """Return the digests of the names as they are and as they lie to the folder; none without a key."""
    relative = []
    for reference in references:
        place, colon, name = reference.rpartition(":")
        if command := CommandInWords.read(reference):
            relative.append(str(command._replace(place=os.path.relpath(command.place, run_dir.resolve()))))
            continue
        is_file = place.endswith(".py")
        relative.append(os.path.relpath(place, run_dir.resolve()) + colon + name if is_file else reference)
    key = _key(makes_key)
    texts = ["\0".join(names).encode() for names in (references, relative)]
    return [] if key is None else [hmac.new(key, text, hashlib.sha256).hexdigest() for text in texts]


def _key(is_made: bool) -> bytes | None:
    """Read this user's key, which is made for the first seal; None where there is none, or no folder can keep it."""
    with contextlib.suppress(OSError, RuntimeError):  # a container's user may have no home
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        file = Path(os.environ.get("EVO_MOO_STATE_DIR") or Path(state, "evo-moo")) / "key"
        if is_made and not file.is_file():
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
