"""The search that follows an alarm: the job of the old run, which begins from what that run learnt."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from evo_moo.files import guarded_writes, write_whole
from evo_moo.run.preparation.recorded_job import recorded_job
from evo_moo.storage.reading import read_job


def write_research(run_dir: Path, file: Path, changes: Mapping[str, Any], problem: str | None = None) -> None:
    """Write the job of a new search: the old problem, options and goals, another seed, begun from the old run.

    Args:
        run_dir: The old run.
        file: The job file.
        changes: Values by dotted keys that replace those of the old job, such as an option that names new data.
        problem: Where the problem lies now, if it has moved.

    Raises:
        RunFolderError: There is no such run, or the file cannot be written.
        JobError: The job, with its changes, is wrong.
        UsageError: The problem is not where it was.
    """
    old = read_job(run_dir)
    search = old.get("search")
    seed = search.get("seed", 1) if isinstance(search, dict) else 1
    new = {"search.from": [str(run_dir.absolute())], "search.seed": seed + 1 if isinstance(seed, int) else 2}
    new |= {"budget.deadline": None, "search.start": [], **changes}
    job, _, _ = recorded_job(run_dir, problem, new, "write the job by hand")
    with guarded_writes(file):
        write_whole(file, tomli_w.dumps(job.to_toml()))
