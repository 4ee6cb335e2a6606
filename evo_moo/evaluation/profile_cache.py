"""Profiles kept by architecture, within a run and between runs of one problem on one machine.

What ``profile`` returns does not depend on trained weights, so a second configuration of the same architecture needs
none of its own, and neither does the next run. A profile is kept if it took 0.1 s or longer: to look a cheaper one up
saves nothing. What was measured in it is kept as it was measured, with the nominal time of the reference beside it, and
all measurements of an architecture make one value (``evo_moo.problem.measurements``). While that is in doubt, since the
machine was busy, each process measures the architecture up to three times more, when it meets the architecture again.
A sound measurement puts an end to that, and disturbed ones count no more.

One file per architecture lies below ``profiles`` in ``machine.cache_folder()``, in a folder whose name stands for the
version of the problem (``problem_version``), the models of the CPU and the GPUs, and the versions of Python and of the
numeric libraries. A problem without a version, and a folder that cannot be written, leave the profiles in
the memory of each process. Workers that profile one architecture at the same time do not wait for each other: the
last to end is kept. A process that keeps a profile for the first time removes those older than 30 days.
"""

import contextlib
import hashlib
import importlib.metadata
import platform
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import orjson

from evo_moo.evaluation.machine import cache_folder, cpu_model, gpu_models, nominal_ms_of, write_json
from evo_moo.evaluation.slots import listening
from evo_moo.problem.measurements import Measurement, Pooled, Timing, lowest_nominal_ms, pooled
from evo_moo.problem.metrics import Facts, Metrics, checked_metrics
from evo_moo.problem.search_problem import Configuration, SearchProblem

KEPT_FROM_S = 0.1
KEPT_FOR_S = 30 * 86400.0
MOST_TRIES, MOST_KEPT = 3, 10
"""Measurements that a process adds to what is in doubt; last measurements of an architecture that are kept."""
_LIBRARIES = ("numpy", "torch", "onnxruntime")


class Profile(NamedTuple):
    """What ``profile`` returned.

    Attributes:
        metrics: Names to numbers; those that were measured are pooled.
        measured_at: Unix time in seconds at which a reused profile was made; 0 if it is new.
        measurements: What was measured, this time and before.
        facts, faults: As in ``Returned``.
    """

    metrics: Metrics
    measured_at: float = 0.0
    measurements: tuple[Measurement, ...] = ()
    facts: Facts = {}
    faults: dict[str, str] = {}

    def pooled(self) -> Pooled | None:
        """Return what all measurements say; None where nothing was measured."""
        if not self.measurements:
            return None
        lowest = lowest_nominal_ms(self.measurements)
        known = {reference: nominal_ms_of(reference) or ms for reference, ms in lowest.items()}
        return pooled(self.measurements, {name: min(ms, known[name]) for name, ms in lowest.items()})

    def as_known_now(self) -> Self:
        """Return it with the pooled values."""
        whole = self.pooled()
        return self._replace(metrics=self.metrics | whole.metrics) if whole else self

    def with_earlier(self, earlier: "Profile | None") -> Self:
        """Return it with the measurements of an earlier profile of the same architecture."""
        if earlier is None:
            return self
        by_time = {m.at: m for m in (*earlier.measurements, *self.measurements)}
        known = tuple(by_time[at] for at in sorted(by_time))
        sound = tuple(m for m in known if m.is_sound)
        return self._replace(measurements=(sound or known)[-MOST_KEPT:]).as_known_now()


def new_profile(problem: SearchProblem, config: Configuration) -> Profile:
    """Profile a configuration, and note what is measured meanwhile.

    Raises:
        MetricError: ``profile`` returned something else than values by name.
    """
    with listening() as listener:
        returned = problem.call_profile(config)
    metrics = returned.metrics
    # A metric that is the very number of a measurement is scaled and pooled as that is; one that a problem makes of it,
    # or times by itself, as it stands.
    timed = [name for name, declared in problem.known_metrics.items() if declared.timed and name in metrics]
    timings = {name: Timing(metrics[name], metrics[name], metrics[name]) for name in timed}
    timings |= {name: t for name, value in metrics.items() for t in listener.timings if t.value == value}
    measured = (Measurement(time.time(), timings, listener.is_sound),) if timings or listener.timings else ()
    return Profile(metrics, 0.0, measured, returned.facts, returned.faults)


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
        self._n_tries: Counter[str] = Counter()
        self._has_pruned = False

    def profile(self, config: Configuration, *, anew: bool = False) -> Profile:
        """Return the profile of a configuration's architecture: what is kept, else a new one.

        Args:
            config: The configuration.
            anew: Whether to measure again whatever is kept, and return what all measurements say.

        Raises:
            MetricError: ``profile`` returned something else than values by name.
        """
        if not self._problem.is_profiled:
            return new_profile(self._problem, config)
        architecture = self._problem.architecture_key(config)
        kept = self._kept(architecture)
        if kept is not None and not anew:
            whole = kept.pooled()
            if whole is None or not whole.in_doubt or self._n_tries[architecture] >= MOST_TRIES:
                return kept.as_known_now()
        clock = time.perf_counter()
        made = new_profile(self._problem, config)
        took_long = time.perf_counter() - clock >= KEPT_FROM_S
        if took_long or kept is not None:  # what is never kept need not be counted, however many there are
            self._n_tries[architecture] += 1
        if took_long and made.faults.keys() <= made.facts.keys():
            # Another process may have kept a measurement meanwhile.
            made = made.with_earlier(self._kept(architecture))
            self._keep(architecture, made._replace(measured_at=time.time()))
        return made

    def _kept(self, architecture: str) -> Profile | None:
        return self._read(architecture) or self._in_this_process.get(architecture)

    def _read(self, architecture: str) -> Profile | None:
        """Read what is kept; a file that is damaged or another's is as good as none."""
        if self._version is None:
            return None
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            record = orjson.loads(self._path(architecture).read_bytes())
            if record["architecture"] == architecture:
                measured = tuple(map(Measurement.of_record, record["measurements"]))
                metrics = checked_metrics(record["metrics"], record["metrics"])
                facts, faults = (dict(record.get(name, {})) for name in ("facts", "faults"))
                return Profile(metrics, float(record["measured_at"]), measured, facts, faults)
        return None

    def _keep(self, architecture: str, profile: Profile) -> None:
        self._in_this_process[architecture] = profile
        if self._version is None:
            return
        with contextlib.suppress(OSError):
            if not self._has_pruned:
                self._has_pruned = True
                _prune(self._folder.parent)
            measured = [measurement.to_record() for measurement in profile.measurements]
            record = {"architecture": architecture, **profile._asdict(), "measurements": measured}
            write_json(self._path(architecture), record)

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
