"""What the runs of a batch came to, side by side: one row for all runs that differ in their seed only.

Hypervolumes are comparable: all finished runs of a batch that search the same problem, with the same options and
the same goals, share one reference point. Their fronts together give the ideal point (the best value of each
objective) and the nadir (the worst on the joint front); objectives are normalised to 0 at the ideal and 1 at the
nadir, the reference point is 1.1 in each, and the hypervolume is given as a share of the box from the ideal to the
reference point.
"""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import EvoMooError, RunFolderError
from evo_moo.files import guarded_writes, write_whole
from evo_moo.pareto import Array, hypervolume, pareto_rows
from evo_moo.storage.evaluation_row import FAILED
from evo_moo.storage.facts import run_state
from evo_moo.storage.folder_lock import holder_of
from evo_moo.storage.reading import csv_text, read_toml, reading

MARGIN = 1.1


@dataclass
class RunRow:
    """One run: its state and its figures.

    Attributes:
        name: Its folder's name.
        group: The name without the seed.
        state: ``finished``, ``running``, ``stopped``, ``killed``, ``failed`` or ``new``.
        n_evals: Number of evaluations that ended, those on lower rungs as the share of a full one that they cost.
        n_failed: Number of those that failed, crashed or ran too long.
        n_front: Size of the feasible front.
        time_s: Seconds of searching.
        hypervolume: Share of the box up to the common reference point; None unless it is finished.
        reason: Why it is not finished.
    """

    name: str
    group: str
    state: str
    n_evals: float = 0
    n_failed: int = 0
    n_front: int = 0
    time_s: float = 0.0
    hypervolume: float | None = None
    reason: str = ""


@dataclass
class GroupRow:
    """All runs that differ in their seed only; means over the finished ones, None where there are none.

    ``hypervolume_sd`` is the standard deviation over at least two seeds.
    """

    group: str
    runs: int
    finished: int
    n_evals: float | None
    hypervolume: float | None
    hypervolume_sd: float | None
    n_front: float | None
    n_failed: float | None
    time_s: float | None
    n_evals_min: float | None
    n_evals_max: float | None


def read_table(batch_dir: Path) -> tuple[list[GroupRow], list[RunRow]]:
    """Read what every run of a batch's folder has come to so far.

    Raises:
        RunFolderError: It is no batch's folder.
    """
    if (batch_dir / "run.sqlite").exists():
        raise RunFolderError(f"`{batch_dir}` must be a batch's folder, but is that of a run; try `evo-moo show`")
    files = sorted(batch_dir.glob("*.toml"), key=_natural)
    if not files:
        raise RunFolderError(f"`{batch_dir}` must be a batch's folder with a NAME.toml for each run, but has none")
    rows: list[RunRow] = []
    fronts: dict[str, dict[int, Array]] = defaultdict(dict)
    groups: dict[str, list[RunRow]] = defaultdict(list)
    for file in files:
        job = read_toml(file)
        row, front = _run_row(file)
        groups[without_seed(job)].append(row)
        if front is not None:
            problem = json.dumps([job["problem"], front.goals.to_json()], sort_keys=True, default=str)
            fronts[problem][len(rows)] = front.F if front.feasible else front.F[:0]
        rows.append(row)
    for of_problem in fronts.values():
        for i, volume in zip(of_problem, common_hypervolumes(list(of_problem.values())), strict=True):
            rows[i].hypervolume = volume
    return [group_row(members) for members in groups.values()], rows


def without_seed(job: Mapping[str, Any]) -> str:
    """Return a text that is the same for all jobs that differ in their seed, and in where they are evaluated, only."""
    seedless = {**job, "evaluation": None, "search": {**job["search"], "seed": None}}
    return json.dumps(seedless, sort_keys=True, default=str)


def group_name(run: str) -> str:
    """Return the name of a batch's run without its seed."""
    return re.sub(r",seed=[^,]*", "", run)


def common_hypervolumes(fronts: Sequence[Array]) -> list[float]:
    """Return the hypervolumes of fronts as shares of one common box; see the module.

    Args:
        fronts: ``(n, n_obj)`` arrays, minimised; an empty one has the hypervolume 0.
    """
    points = np.vstack(fronts)
    if not len(points):
        return [0.0] * len(fronts)
    joint = points[pareto_rows(points, np.zeros(len(points)))]
    ideal, nadir = joint.min(axis=0), joint.max(axis=0)
    span = np.where(nadir > ideal, nadir - ideal, 1.0)
    ref = np.full(len(ideal), MARGIN)
    return [hypervolume((F - ideal) / span, ref) / MARGIN ** len(ideal) for F in fronts]


def write_summary(batch_dir: Path, groups: Sequence[GroupRow]) -> None:
    """Write ``summary.csv``: one row for each group.

    Raises:
        RunFolderError: It cannot be written.
    """
    with guarded_writes(batch_dir / "summary.csv"):
        write_whole(batch_dir / "summary.csv", csv_text([asdict(group) for group in groups]))


def table_json(groups: Sequence[GroupRow], rows: Sequence[RunRow]) -> str:
    """Return the table as JSON text: groups and runs."""
    tables: dict[str, Any] = {"groups": [asdict(g) for g in groups], "runs": [asdict(r) for r in rows]}
    return json.dumps(tables, indent=1)


def _run_row(file: Path) -> tuple[RunRow, RunFront | None]:
    """Read a run; the front only if it is finished."""
    folder = file.parent / file.name.removesuffix(".toml")
    row = RunRow(folder.name, group_name(folder.name), "new")
    try:
        if not (folder / "run.sqlite").is_file():
            row.reason = _last_words(file)
            return row, None
        with reading(folder) as ledger:
            facts, counts, spent = ledger.facts(), ledger.counts(), ledger.cost_of_ended()
            front = RunFront.of_ledger(ledger, folder) if facts.state == "finished" else None
        row.state = run_state(facts.state, holder_of(folder) is not None)
        row.n_evals = int(spent) if spent.is_integer() else spent
        row.n_failed = sum(counts.get(status, 0) for status in FAILED)
        row.time_s = facts.elapsed_s
        if row.state not in ("finished", "running"):
            row.reason = _last_words(file)
    except EvoMooError as error:
        row.state, row.reason = "damaged", str(error)
        return row, None
    row.n_front = len(front.front) if front and front.feasible else 0
    return row, front


def _last_words(file: Path) -> str:
    """Return the last messages of a run's process."""
    try:
        lines = file.with_name(file.name.removesuffix(".toml") + ".log").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "; ".join(line.removeprefix("evo-moo: ") for line in lines if line.startswith("evo-moo: "))


def group_row(members: list[RunRow]) -> GroupRow:
    """Average the finished runs of a group."""
    finished = [row for row in members if row.state == "finished"]
    averaged = ("n_evals", "hypervolume", "n_front", "n_failed", "time_s")
    known = {key: [x for row in finished if (x := getattr(row, key)) is not None] for key in averaged}
    return GroupRow(
        group=members[0].group,
        runs=len(members),
        finished=len(finished),
        **{key: statistics.fmean(values) if values else None for key, values in known.items()},
        hypervolume_sd=statistics.stdev(known["hypervolume"]) if len(known["hypervolume"]) > 1 else None,
        n_evals_min=min(known["n_evals"], default=None),
        n_evals_max=max(known["n_evals"], default=None),
    )


def _natural(file: Path) -> list[tuple[bool, int, str]]:
    """Sort 2 before 10."""
    return [(word.isdigit(), int(word) if word.isdigit() else 0, word) for word in re.split(r"(\d+)", file.name)]
