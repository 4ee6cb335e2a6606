"""One writer for a run folder.

On a local disk the system's lock on ``.lock`` decides, which ends with its process; ``writer.json`` only names the
holder. Systems disagree on locks over network disks. There ``writer.json`` counts as well: a holder that this host
knows to be dead is replaced, one on another host is believed to be alive until ``evo-moo doctor RUN --unlock``.
"""

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import filelock
import orjson
import psutil

from evo_moo.errors import RunFolderError
from evo_moo.files import guarded_writes, remove_remains, write_whole

NETWORK = {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "gpfs", "beegfs", "afs", "9p", "ceph", "virtiofs"}
NETWORK |= {"fuse.sshfs", "fuse.glusterfs", "fuse.juicefs", "fuse.s3fs", "beegfs_nodev", "panfs", "orangefs", "lustre"}


class FolderLock:
    """Holds a run folder until ``close``, or until the process ends.

    Args:
        path: The folder.

    Attributes:
        replaced: The record of a holder that was killed, or None.

    Raises:
        RunFolderError: Another process holds it.
        OSError: The folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = filelock.FileLock(path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise _held(path, _awaited_holder(path), "wait for it or stop it") from None
        try:
            holder = holder_of(path)
            if holder is not None and on_network(path):
                raise _held(path, holder, f"wait for it or stop it; if it is dead, `evo-moo doctor {path} --unlock`")
            self.replaced = _record(path)
            remove_remains(path / "writer.json")
            write_whole(path / "writer.json", json.dumps(_own_record()))
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Let go of the folder; where the record cannot be removed, it is that of a dead holder."""
        with contextlib.suppress(OSError):
            (self._path / "writer.json").unlink(missing_ok=True)
        self._lock.release()


def holder_of(path: Path) -> dict[str, Any] | None:
    """Return which live process writes to a run folder, if one does; on another host it is believed to be alive."""
    holder = _record(path)
    try:
        if holder is None or holder["host"] != socket.gethostname():
            return holder
        process = psutil.Process(holder["pid"])
        return holder if abs(process.create_time() - holder["process_started"]) < 1 else None
    except (ValueError, KeyError, TypeError, OverflowError, psutil.Error):
        return None


def _awaited_holder(path: Path) -> dict[str, Any]:
    """Return who holds a folder that is locked; its record may follow its lock a moment later."""
    for _ in range(20):
        if holder := holder_of(path):
            return holder
        time.sleep(0.05)
    return {}


def unlock(path: Path) -> dict[str, Any] | None:
    """Forget the holder of a run folder, as one must who knows it to be dead on its host.

    Returns:
        The record that was removed; None if there was none.

    Raises:
        RunFolderError: The holder is alive on this host, or its record cannot be removed.
    """
    holder = holder_of(path)
    if holder is not None and holder["host"] == socket.gethostname():
        raise _held(path, holder, "stop it first")
    record = _record(path)
    with guarded_writes(path / "writer.json", "make it writable, or copy the folder and unlock the copy"):
        (path / "writer.json").unlink(missing_ok=True)
    return record


def on_network(path: Path) -> bool:
    """Return whether a folder lies on a network disk, by the type of the file system that it is mounted from."""
    path = path.resolve()
    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    nearest = next((mounts[folder] for folder in (path, *path.parents) if folder in mounts), "")
    return nearest.lower() in NETWORK


def _record(path: Path) -> dict[str, Any] | None:
    try:
        holder = orjson.loads((path / "writer.json").read_bytes())
    except (OSError, ValueError):
        return None
    return holder if isinstance(holder, dict) and {"pid", "host", "process_started"} <= holder.keys() else None


def _own_record() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "process_started": psutil.Process().create_time()}


def _held(path: Path, holder: dict[str, Any], way_out: str) -> RunFolderError:
    return RunFolderError(
        f"a run folder has one writer, but `{path}` is held by process {holder.get('pid', '?')} on "
        f"{holder.get('host', 'an unknown host')}; {way_out}"
    )
