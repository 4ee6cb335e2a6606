"""Places of this host for workers: each worker has a number, and where it is asked for a GPU and cores of its own.

What a worker has is locked for it: by files beside those of the measurement slot, so that no other worker of this host
has the same, of whatever run. A lock is held by the pool and by the worker process, and ends with the last of them: a
worker that is replaced leaves its place to the next, and a pool that is killed leaves it only once the worker is gone.
"""

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Literal, NamedTuple

import psutil

from evo_moo.errors import UsageError
from evo_moo.evaluation.gpus import PINNED, VISIBLE, Gpu, chosen_gpus
from evo_moo.evaluation.slots import FOLDER, lock_folder
from evo_moo.threads import VARIABLES

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

NUMBER = "EVO_MOO_WORKER_NUMBER"
"""In the environment of every worker: its number, from 0, that no other worker of this host has at the time."""
CORES = "EVO_MOO_CORES"
"""In the environment of a worker that is kept to some cores: their numbers."""
_OPEN = os.O_RDWR | os.O_CREAT
_taken: set[str] = set()  # what this process has locked, where the system has no locks of files


class Devices(NamedTuple):
    """What each worker is to have.

    Attributes:
        gpus: ``"auto"``, all GPUs that are visible; or which of them, by place or UUID; None: workers are not pinned.
        n_per_gpu: Number of workers that share a GPU.
        cpus_per_worker: Number of cores of each worker, and of its threads; None: one thread, on any core.
    """

    gpus: Literal["auto"] | tuple[int | str, ...] | None = None
    n_per_gpu: int = 1
    cpus_per_worker: int | None = None

    def __bool__(self) -> bool:
        return self.gpus is not None or self.cpus_per_worker is not None

    def faults(self) -> list[str]:
        """Return what this host does not have, each text as the rule and the value after a key of the job."""
        faults, cores = [], usable_cores()
        try:
            _gpus_of(self)
        except ValueError as error:
            faults.append(f"gpus` {error}")
        if self.cpus_per_worker is not None and not cores:
            faults.append("cpus_per_worker` must be set where the system can pin processes, but this one cannot")
        elif (self.cpus_per_worker or 0) > len(cores):
            faults.append(
                f"cpus_per_worker` must be at most {len(cores)}, the cores that this process may use, "
                f"but is {self.cpus_per_worker}"
            )
        return faults


@dataclass(frozen=True)
class Lock:
    """A lock that ends once every process has closed it that it was sent to.

    Attributes:
        name: What is locked.
        file: Holds it; None where the system has no locks of files, and only this process knows of it.
    """

    name: str
    file: Connection | None

    @classmethod
    def of(cls, name: str) -> "Lock | None":
        """Lock something of this host; None where another worker has it.

        Raises:
            OSError: The folder of the locks cannot be written.
        """
        if fcntl is None:
            if name in _taken:
                return None
            _taken.add(name)
            return cls(name, None)
        try:
            descriptor = os.open(lock_folder() / f"{re.sub(r'[^.0-9A-Za-z-]', '_', name)}.lock", _OPEN, 0o666)
        except PermissionError:  # another user's
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(name, Connection(descriptor))

    def close(self) -> None:
        """Give it up in this process."""
        _taken.discard(self.name)
        if self.file is not None:
            self.file.close()


@dataclass(frozen=True)
class Place:
    """What one worker has.

    Attributes:
        number: Number of the worker.
        gpu: Its GPU; None where it has none of its own.
        cpus: Its cores; empty where it may use all.
        locks: Hold it; they travel to the worker process.
    """

    number: int
    gpu: Gpu | None
    cpus: tuple[int, ...]
    locks: tuple[Lock, ...]

    def environment(self) -> dict[str, str]:
        """Return what the worker's environment must hold from its first instant, before CUDA can be loaded."""
        pinned = {VISIBLE: self.gpu.token, PINNED: self.gpu.key} if self.gpu else {}
        pinned |= {CORES: ",".join(map(str, self.cpus))} if self.cpus else {}
        return {NUMBER: str(self.number), **dict.fromkeys(VARIABLES, str(len(self.cpus) or 1)), **pinned}

    def pin(self) -> None:
        """Keep this process, and all that it starts, to the cores of the place."""
        if self.cpus:
            psutil.Process().cpu_affinity([*self.cpus])

    def in_record(self) -> dict[str, object]:
        """Return it as the ledger keeps it; empty where the worker has nothing of its own."""
        has = ({"gpu": self.gpu.key} if self.gpu else {}) | ({"cpus": [*self.cpus]} if self.cpus else {})
        return {"number": self.number, **has} if has else {}

    def close(self) -> None:
        """Leave the place, which is free once the worker has left it too."""
        for lock in self.locks:
            lock.close()


class Places:
    """The places of this host for workers that are to have the same.

    Args:
        devices: What each is to have.

    Attributes:
        n: Number of places; None where there is no limit.

    Raises:
        UsageError: This host does not have it.
    """

    def __init__(self, devices: Devices) -> None:
        if faults := devices.faults():
            raise UsageError(*(f"`evaluation.{fault}" for fault in faults))
        self._gpus, self._n_per_gpu = _gpus_of(devices), devices.n_per_gpu
        self._wants_gpus = devices.gpus is not None and PINNED not in os.environ
        # Within a worker that is kept to some cores, what it starts shares them.
        self._n_cpus = (devices.cpus_per_worker or 0) if CORES not in os.environ else 0
        limits = [len(self._gpus) * self._n_per_gpu] if self._gpus else []
        limits += [len(usable_cores()) // self._n_cpus] if self._n_cpus else []
        self.n = min(limits, default=None)

    def take(self) -> Place | None:
        """Take a free place; None where others have all of them.

        Raises:
            UsageError: The folder of the locks cannot be written.
        """
        shares = {f"gpu-{gpu.key}-{k}": gpu for k in range(self._n_per_gpu) for gpu in self._gpus}
        locks: list[Lock] = []
        try:
            share = _lock(shares, bool(shares), locks)
            cores = _lock((f"core-{core}" for core in usable_cores()), self._n_cpus, locks)
            if len(share) < bool(shares) or len(cores) < self._n_cpus:
                for lock in locks:
                    lock.close()
                return None
            (number,) = _lock((f"worker-{k}" for k in itertools.count()), 1, locks)
        except OSError as error:
            raise UsageError(
                f"the folder of the locks of this host must be writable, but: {error}; name another by {FOLDER}"
            ) from error
        cpus = tuple(int(core.rpartition("-")[2]) for core in cores)
        return Place(int(number.rpartition("-")[2]), shares[share[0]] if share else None, cpus, tuple(locks))

    def in_words(self) -> str:
        """Say what places there are."""
        gpus = f" on {_count(len(self._gpus), 'GPU')} with {self._n_per_gpu} each" if self._gpus else ""
        cores = f" of {_count(self._n_cpus, 'core')}" if self._n_cpus else ""
        return f"{_count(self.n or 0, 'place')} for workers{gpus}{cores}"

    def n_workers(self, wanted: int | None) -> int:
        """Return how many workers are to begin: as many as wanted, up to the places.

        Args:
            wanted: Their number; None: one at each place, or one for each core where places have no limit.
        """
        if wanted is None:
            return self.n or len(usable_cores()) or os.cpu_count() or 1
        return min(wanted, self.n or wanted)

    def notes(self, wanted: int | None) -> list[str]:
        """Return what a user should know of them, who wants so many workers."""
        notes, models = [], sorted({gpu.model for gpu in self._gpus})
        if self._wants_gpus and not self._gpus:
            notes.append("no GPU is found, by nvidia-smi or by PyTorch: evaluations run on the CPUs")
        if len(models) > 1:
            notes.append(f"the GPUs are of different models, and so are latencies there: {', '.join(models)}")
        if self.n is not None and (wanted or 0) > self.n:
            notes.append(f"{wanted} workers are wanted, but there are {self.in_words()}: so many begin")
        return notes


def usable_cores() -> list[int]:
    """Return the cores that this process may use; empty where the system does not say."""
    process = psutil.Process()
    return list(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else []


def _gpus_of(devices: Devices) -> Sequence[Gpu]:
    """Return the GPUs to pin workers to; none within a worker that is pinned already, whose own they share."""
    return [] if devices.gpus is None or PINNED in os.environ else chosen_gpus(devices.gpus)


def _lock(names: Iterable[str], n: int, locks: list[Lock]) -> list[str]:
    """Lock the first ``n`` that are free, add the locks, and return their names; fewer where there are no more."""
    found: list[str] = []
    for name in names if n else ():
        if (lock := Lock.of(name)) is not None:
            locks.append(lock)
            found.append(name)
            if len(found) == n:
                break
    return found


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
