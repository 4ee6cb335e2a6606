"""Profiles kept by architecture, within a run and between runs of one problem on one machine.

What ``profile`` returns does not depend on trained weights, so a second configuration of the same architecture needs
none of its own, and neither does the next run. A profile is kept if it took 0.1 s or longer: to look a cheaper one up
saves nothing. One whose measurement met a machine that others slowed down is not kept, so that no odd value stays.

One file per architecture lies below ``profiles`` in ``machine.cache_folder()``, in a folder whose name stands for the
version of the problem (``problem_version``), the models of the CPU and the GPUs, and the versions of Python and of the
numeric libraries. A problem without a version, and a folder that cannot be written, leave the profiles in
the memory of each process. Workers that profile one architecture at the same time do not wait for each other: the
last to end is kept. A process that keeps a profile for the first time removes those older than 30 days.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from evo_moo.evaluation.machine import cache_folder, cpu_model, gpu_models, write_json
from evo_moo.evaluation.slots import listening
from evo_moo.problem.metrics import Metrics, checked_metrics
from evo_moo.problem.search_problem import Configuration, SearchProblem

KEPT_FROM_S = 0.1
KEPT_FOR_S = 30 * 86400.0
_LIBRARIES = ("numpy", "torch", "onnxruntime")


class Profile(NamedTuple):
    """What ``profile`` returned.

    Attributes:
        metrics: Names to numbers.
        measured_at: Unix time in seconds at which a reused profile was made; 0 if it is new.
    """

    metrics: Metrics
    measured_at: float = 0.0


class ProfileCache:
    """Keeps the profiles of one problem, one for each architecture.

    Args:
        problem: The problem.
        version: Its ``problem_version``; with None profiles are reused within this process only.
    """

    def __init__(self, problem: SearchProblem, version: str | None) -> None:
        self._problem, self._version = problem, version
        self._folder = cache_folder() / "profiles" / _digest([version or "", *_machine()])
        self._in_this_process: dict[str, Profile] = {}
        self._has_pruned = False

    def profile(self, config: Configuration) -> Profile:
        """Return the profile of a configuration's architecture: the one that is kept, else a new one.

        Raises:
            MetricError: ``profile`` returned something else than finite numbers by name.
        """
        architecture = self._problem.architecture_key(config)
        if kept := self._read(architecture) or self._in_this_process.get(architecture):
            return kept
        clock = time.perf_counter()
        with listening() as listener:
            metrics = self._problem.call_profile(config)
        if time.perf_counter() - clock >= KEPT_FROM_S and not listener.is_disturbed:
            self._keep(architecture, Profile(metrics, time.time()))
        return Profile(metrics)

    def _read(self, architecture: str) -> Profile | None:
        """Read what is kept; a file that is damaged or another's is as good as none."""
        if self._version is None:
            return None
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            record = json.loads(self._path(architecture).read_text(encoding="utf-8"))
            if record["architecture"] == architecture:
                return Profile(checked_metrics(record["metrics"]), float(record["measured_at"]))
        return None

    def _keep(self, architecture: str, profile: Profile) -> None:
        self._in_this_process[architecture] = profile
        if self._version is None:
            return
        with contextlib.suppress(OSError):
            if not self._has_pruned:
                self._has_pruned = True
                _prune(self._folder.parent)
            write_json(self._path(architecture), {"architecture": architecture, **profile._asdict()})

    def _path(self, architecture: str) -> Path:
        return self._folder / f"{_digest([architecture])}.json"


def _machine() -> list[str]:
    versions = []
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return [cpu_model(), *gpu_models(), platform.python_version(), *versions]


def _prune(folder: Path) -> None:
    oldest = time.time() - KEPT_FOR_S
    for path in folder.glob("*/*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
                path.parent.rmdir()  # where it was the last


def _digest(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()
