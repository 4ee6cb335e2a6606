"""Supernets kept between processes and runs: trained by whoever needs one first, while the others wait for it.

One file for each supernet lies below ``supernets`` in ``machine.cache_folder()``. A lock beside it ends with the
process that holds it; the file gets its name once it is whole. So after a kill in the middle the next one to need it
trains it. Where nothing can be written, each process trains a supernet of its own.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from evo_moo.evaluation.machine import cache_folder
from evo_moo.evaluation.slots import yield_to_measurements
from evo_moo.files import make_folder, remove_remains, write_whole
from evo_moo.toolkit.supernet.space import ElasticSpace
from evo_moo.toolkit.supernet.supernet import Supernet
from evo_moo.toolkit.supernet.training import Settings, train_supernet
from evo_moo.toolkit.training import Data

VERSION = 1
"""Number of the way in which supernets are made and trained; another one leaves those aside that were kept."""
_POLL_S = 0.05


def kept_supernet(space: ElasticSpace, train: Data, settings: Settings, *, seed: int, data: str) -> Supernet:
    """Return a trained supernet, from its file if there is one.

    Args:
        space: Which networks there are.
        train: Images ``(n, channels, side, side)`` and labels ``(n,)``.
        settings: How it is trained.
        seed: Seed of the training.
        data: What tells these images from others, also those of another version of a file.
    """
    key = f"{VERSION} {torch.__version__} {space} {settings} {seed} {data}"
    path = supernet_file(key)
    with contextlib.suppress(OSError):
        make_folder(path.parent)
    with _alone(path):
        if (kept := _read(path, key, space)) is not None:
            return kept
        supernet = train_supernet(space, train, settings, seed=seed)
        with contextlib.suppress(OSError):
            remove_remains(path)
            write_whole(path, save(supernet.state_dict(), {"key": key}))
    return supernet


def supernet_file(key: str) -> Path:
    """Return where the supernet of a key is kept."""
    return cache_folder() / "supernets" / f"{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}.safetensors"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file; whoever waits lets measurements go first, as the one that trains does."""
    lock = FileLock(path.with_suffix(".lock"))
    while True:
        try:
            lock.acquire(timeout=_POLL_S)
        except Timeout:
            yield_to_measurements()
        except (OSError, NotImplementedError):  # the folder cannot be written, or has no locks
            break
        else:
            break
    try:
        yield
    finally:
        lock.release()


def _read(path: Path, key: str, space: ElasticSpace) -> Supernet | None:
    """Read a supernet; a file that is missing, damaged or another's is as good as none."""
    supernet = Supernet(space)
    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            if (opened.metadata() or {}).get("key") != key:
                return None
            supernet.load_state_dict({name: opened.get_tensor(name) for name in supernet.state_dict()})
    except (OSError, SafetensorError, RuntimeError):
        return None
    return supernet.eval()
