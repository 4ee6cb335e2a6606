"""Many searches as one job: files, grids and lists of runs, one after the other or several at once.

A job file may have two more tables:

[grid]                                  # every combination is run
"search.seed" = [1, 2, 3]
"search.algorithm" = ["nsga2", "nsga3"]

[[runs]]                                # each is run, over the grid of what it does not set itself
"problem.options.epochs" = 2

The batch's folder holds for each run its job, ``NAME.toml``, what its process printed, ``NAME.log``, and its run
folder, ``NAME/``. Each search is a process of its own, ``evo-moo run NAME.toml --run-dir NAME``, so it can be run and
resumed without the batch too.
"""

import contextlib
import hashlib
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from evo_moo.errors import JobError, RunStoppedError, StopNow, UsageError
from evo_moo.files import guarded_writes, make_folder, write_whole
from evo_moo.job.check import check_job
from evo_moo.job.file import read_job_file
from evo_moo.job.job import Job
from evo_moo.run.assembly import evaluates_in_process
from evo_moo.run.preparation.prepared import PreparedJob, deadline_faults, misfits
from evo_moo.run.stop_signals import StopRequests
from evo_moo.storage.folder_lock import FolderLock
from evo_moo.storage.reading import Recorded
from evo_moo.text import by_dotted_key

Report = Callable[[str], None]

POLL_S = 0.1
RESUMABLE = 75
MOST_NAME = 100


@dataclass(frozen=True)
class Run:
    """One search of a batch.

    Attributes:
        name: Name of its folder.
        job: Its job.
        in_process: Whether it evaluates in its own process.
        accept_changes: Whether it goes on where the problem's code has changed.
    """

    name: str
    job: Job
    in_process: bool
    accept_changes: bool = False


def read_batch(files: Sequence[Path], batch_dir: Path, *, accept_changes: bool = False) -> list[Run]:
    """Read job files, expand their grids and lists of runs, and check all of it.

    Args:
        files: The job files.
        batch_dir: The batch's folder.
        accept_changes: Whether runs go on where the problem's code has changed.

    Raises:
        JobError: With every fault of every file.
        UsageError: The folder is that of a run.
    """
    if (batch_dir / "run.sqlite").exists():
        raise UsageError(
            f"a batch's folder must not be that of a run, but `{batch_dir}` is; name another by --batch-dir"
        )
    faults: list[str] = []
    runs: dict[str, Run] = {}
    jobs: dict[str, str] = {}  # the text of each to the name of its run
    for file in files:
        of_file: list[str] = []
        try:
            data, expanded = _expanded(read_job_file(file))
        except JobError as error:
            faults += [fault if str(file) in fault else f"{file}: {fault}" for fault in error.faults]
            continue
        for overrides in expanded:
            try:
                job, problem, source = check_job(data, changes=overrides, base=file.parent)
                name = _name(file.stem, overrides, runs)
                twin = jobs.setdefault(tomli_w.dumps(job.to_toml()), name)
                if twin != name:
                    of_file.append(f"a batch's runs must differ, but `{name}` is the same as `{twin}`; drop one")
                prepared = PreparedJob.of_folder(job, problem, source, batch_dir / name, accept_changes)
                of_file += [*_misfits(prepared, batch_dir / name), *prepared.budget_faults()]
                runs[name] = Run(name, job, evaluates_in_process(prepared.job, problem), accept_changes)
            except JobError as error:
                of_file += error.faults
        faults += [f"{file}: {fault}" for fault in dict.fromkeys(of_file)]
    again = [file for i, file in enumerate(files) if file.stem in {earlier.stem for earlier in files[:i]}]
    faults += [f"{file}: a batch takes a file once, but it is named more often" for file in again]
    if faults:
        raise JobError(*faults)
    return list(runs.values())


def run_batch(runs: Sequence[Run], batch_dir: Path, workers: int, at_once: int | None, report: Report) -> int:
    """Run what is not finished, and return the exit code: 0 all finished, 1 some failed, 75 some were stopped.

    Args:
        runs: The runs.
        batch_dir: The batch's folder.
        workers: Number of workers of all searches together.
        at_once: Number of searches at the same time, which share the workers; by default 1, or as many as there are
            workers if every search evaluates in its own process.
        report: Called with each line of progress.

    Raises:
        RunFolderError: The folder cannot be written, or another batch holds it.
        RunStoppedError: A signal stopped the batch; so are its searches.
    """
    at_once = at_once or (workers if all(run.in_process for run in runs) else 1)
    with guarded_writes(batch_dir, "name another by --batch-dir"):
        make_folder(batch_dir)
        lock = FolderLock(batch_dir)
    try:
        for run in runs:
            file = batch_dir / f"{run.name}.toml"
            with guarded_writes(file):
                write_whole(file, tomli_w.dumps(run.job.to_toml()))
        codes = _run_all(runs, batch_dir, max(1, workers // at_once), at_once, report)
    finally:
        lock.close()
    return RESUMABLE if RESUMABLE in codes else int(any(codes))


def _run_all(runs: Sequence[Run], batch_dir: Path, workers: int, at_once: int, report: Report) -> list[int]:
    """Run searches as child processes and return their exit codes; a request to stop is passed on to them once."""
    waiting, codes, failed = list(runs), [], []
    children: dict[str, subprocess.Popen[bytes]] = {}

    def end(name: str, code: int, ending: str) -> None:
        codes.append(code)
        report(f"{len(codes)}/{len(runs)} {name}: {ending}")

    with StopRequests() as requests:
        try:
            while children or (waiting and not requests.reason):
                while waiting and len(children) < at_once and not requests.reason:
                    run = waiting.pop(0)
                    if deadline_faults(run.job, Recorded.read(batch_dir / run.name)):
                        end(run.name, RESUMABLE, "not begun, its deadline has passed")
                    else:
                        children[run.name] = _started(run, batch_dir, workers)
                if requests.reason:
                    for child in children.values():
                        child.terminate()
                    for child in children.values():
                        child.wait()
                time.sleep(POLL_S)
                for name, code in [(name, child.poll()) for name, child in children.items()]:
                    if code is None:
                        continue
                    children.pop(name).communicate()  # which closes its input
                    if code == RESUMABLE or (requests.reason and code < 0):
                        end(name, code, "stopped")
                    elif code:
                        end(name, code, f"failed, exit code {code}")
                        failed.append(name)
                    else:
                        end(name, code, "finished")
        except StopNow:
            for child in children.values():
                child.kill()
            raise
    if requests.reason:
        kept = "everything that ended is recorded, and the same line goes on"
        raise RunStoppedError(f"stopped by {requests.reason}; {kept}")
    for name in failed:
        report(f"{name} failed: {_last_line(batch_dir / f'{name}.log')}")
    return codes


def _started(run: Run, batch_dir: Path, workers: int) -> "subprocess.Popen[bytes]":
    """Start a search that ends with this process, and that gets a terminal's signals through it only."""
    command = [sys.executable, "-m", "evo_moo", "run", str(batch_dir / f"{run.name}.toml"), "--end-with-stdin"]
    command += ["--run-dir", str(batch_dir / run.name), "--workers", str(workers)]
    command += ["--accept-changes"] if run.accept_changes else []
    with (batch_dir / f"{run.name}.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)


def _misfits(prepared: PreparedJob, run_dir: Path) -> list[str]:
    """Return why a run's folder, if there is one, cannot go on with a job; what is damaged fails alone, as it runs."""
    return [
        f"a batch's folder belongs to its jobs, but `{run_dir.parent}` has runs of another: {change}; "
        "name a new one by --batch-dir"
        for change in misfits(prepared, run_dir)
    ]


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].removeprefix("evo-moo: ") if lines else ""
    return ""


def _expanded(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Split a job file into the job that its runs share, and for each run what it overrides, by dotted keys."""
    grid, runs = data.get("grid", {}), data.get("runs", [{}])
    if not isinstance(grid, dict):
        raise JobError(f"`grid` must be a table of lists, but is {grid!r}")
    if not isinstance(runs, list) or not runs or not all(isinstance(run, dict) for run in runs):
        raise JobError(f"`runs` must be tables, each begun by [[runs]], but is {runs!r}")
    axes, lists = by_dotted_key(grid), [by_dotted_key(run) for run in runs]
    wrong = {key: values for key, values in axes.items() if not isinstance(values, list) or not values}
    faults = [f"`grid.{key}` must be a list of values, but is {values!r}" for key, values in wrong.items()]
    bare = sorted({key for keys in (axes, *lists) for key in keys if "." not in key})
    faults += [f"`{key}` must be section.key, as in search.seed, to be set for a run" for key in bare]
    if faults:
        raise JobError(*faults)
    expanded = []
    for run in lists:
        free = {key: values for key, values in axes.items() if key not in run}
        expanded += [dict(zip(free, values, strict=True)) | run for values in itertools.product(*free.values())]
    return {key: table for key, table in data.items() if key not in ("grid", "runs")}, expanded


def _name(stem: str, overrides: Mapping[str, Any], taken: Mapping[str, Any]) -> str:
    """Name a run by its file and what it overrides; by a digest too where that is long or the same as another's."""
    parts = [stem]
    for key, value in overrides.items():
        word = value.rpartition(":")[2] if key == "problem.use" and isinstance(value, str) else value
        word = re.sub(r"[^\w.+-]+", "_", str(word)).strip("_")
        parts.append(f"{key.rpartition('.')[2]}={word}")
    name = ",".join(parts)
    if len(name) > MOST_NAME or name in taken:
        digest = hashlib.blake2b(json.dumps(overrides, default=str).encode(), digest_size=4).hexdigest()
        name = f"{name[:MOST_NAME]}-{digest}"
    return name
