"""One writer for a run folder.

On a local disk the system's lock on ``.lock`` decides, which ends with its process; ``writer.json`` only names the
holder, and where workers reach it. Systems disagree on locks over network disks. There ``writer.json`` counts as well:
its holder touches it every few seconds. A holder that this host knows to be dead is replaced, one on another host if
it does not touch its record for half a minute; what it writes if it wakes up later is refused by ``check``.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import orjson
import psutil

from evo_moo.errors import RunFolderError
from evo_moo.files import guarded_writes, remove_remains, write_whole

NETWORK = {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "gpfs", "beegfs", "afs", "9p", "ceph", "virtiofs"}
NETWORK |= {"fuse.sshfs", "fuse.glusterfs", "fuse.juicefs", "fuse.s3fs", "beegfs_nodev", "panfs", "orangefs", "lustre"}
TOUCH_S, SILENT_S = 3.0, 30.0
"""How often the holder touches its record on a network disk, and when one on another host is dead that does not."""


class Reached(NamedTuple):
    """Where workers reach the holder of a folder.

    Attributes:
        address: As Dask names it.
        token: Stands for this holder, and no other.
        is_here: Whether it is on this host.
    """

    address: str
    token: str
    is_here: bool


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
        self._path, self._is_closed = path, threading.Event()
        self._lock = filelock.FileLock(path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise _held(path, _awaited_holder(path), "wait for it or stop it") from None
        try:
            holder, self._is_shared = holder_of(path), on_network(path)
            if holder is not None and self._is_shared and not _is_silent(path, holder):
                raise _held(path, holder, f"wait for it or stop it; if it is dead, `evo-moo doctor {path} --unlock`")
            self.replaced = _record(path)
            remove_remains(path / "writer.json")
            self._own = {"pid": os.getpid(), "host": socket.gethostname()}
            self._own |= {"process_started": psutil.Process().create_time(), "is_touched": self._is_shared}
            write_whole(path / "writer.json", json.dumps(self._own))
            if self._is_shared:
                threading.Thread(target=self._touch, daemon=True).start()
        except BaseException:
            self._lock.release()
            raise

    def announce(self, address: str, token: str) -> None:
        """Let the record say where workers reach this process; see ``Reached``."""
        self._own |= {"address": address, "token": token}
        write_whole(self._path / "writer.json", json.dumps(self._own))

    def check(self) -> None:
        """See that this process still holds the folder; a short look, where only one host has it none at all.

        Raises:
            RunFolderError: Another process took it over meanwhile.
        """
        if self._is_shared and (record := _record(self._path)) is not None and not self._is_own(record):
            raise _held(self._path, record, "it took the run over while this process was silent")

    def close(self) -> None:
        """Let go of the folder; where the record cannot be removed, it is that of a dead holder."""
        self._is_closed.set()
        with contextlib.suppress(OSError):
            if self._is_own(_record(self._path)):
                (self._path / "writer.json").unlink(missing_ok=True)
        self._lock.release()

    def _is_own(self, record: dict[str, Any] | None) -> bool:
        return record is not None and all(record[key] == self._own[key] for key in ("pid", "host", "process_started"))

    def _touch(self) -> None:
        while not self._is_closed.wait(TOUCH_S):
            with contextlib.suppress(OSError):
                if self._is_own(_record(self._path)):
                    os.utime(self._path / "writer.json")


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


def reached_at(path: Path) -> Reached | None:
    """Return where workers reach the holder of a folder; None where it has none, or none that listens."""
    holder = holder_of(path) or {}
    address, token = holder.get("address"), holder.get("token")
    if isinstance(address, str) and isinstance(token, str):
        return Reached(address, token, holder["host"] == socket.gethostname())
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


def _is_silent(path: Path, holder: dict[str, Any]) -> bool:
    """Watch whether a holder on another host still touches its record; False at once where it never does.

    Only changes count: the clocks of hosts differ.
    """
    if holder["host"] == socket.gethostname() or not holder.get("is_touched"):
        return False
    print(  # noqa: T201
        f"evo-moo: looks for {SILENT_S:.0f} s whether process {holder['pid']} on {holder['host']} still holds `{path}`",
        file=sys.stderr,
    )
    seen, ends_at = _touched(path), time.monotonic() + SILENT_S
    while time.monotonic() < ends_at:
        time.sleep(TOUCH_S / 3)
        if _touched(path) != seen:
            return False
    return True


def _touched(path: Path) -> tuple[int, bytes]:
    """Return when a record was touched, and what it says; opened, so that a network disk looks anew."""
    try:
        with (path / "writer.json").open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns, file.read()
    except OSError:
        return 0, b""


def _held(path: Path, holder: dict[str, Any], way_out: str) -> RunFolderError:
    if "address" in holder:
        way_out = f"`evo-moo work {path}` works for it; {way_out}"
    return RunFolderError(
        f"a run folder has one writer, but `{path}` is held by process {holder.get('pid', '?')} on "
        f"{holder.get('host', 'an unknown host')}; {way_out}"
    )
