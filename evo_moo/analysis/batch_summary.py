"""What the runs of a batch came to, side by side: one row for all runs that differ in their seed only.

Hypervolumes are comparable: those of all finished runs of a batch that search the same problem, with the same options
and the same goals, are shares of one box, the smallest that holds the boxes of them all. A run's own box is around what
its first generation found: of a single run, the hypervolume is the one that ``show`` has. With contexts there is a box
for each, and the hypervolume is the mean over them.
"""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evo_moo.analysis.fronts.endings import code_changes
from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import EvoMooError, RunFolderError
from evo_moo.files import guarded_writes, write_whole
from evo_moo.pareto import Box
from evo_moo.problem.fronts import mean_share
from evo_moo.storage.evaluation_row import FAILED
from evo_moo.storage.facts import run_state
from evo_moo.storage.folder_lock import holder_of
from evo_moo.storage.reading import csv_text, read_toml, reading


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
        hypervolume: As a share of the common box, above 1 where the front lies beyond it; None unless it is finished.
        reason: Why it is not finished, or how its code changed while it went on.
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
    fronts: dict[str, dict[int, RunFront]] = defaultdict(dict)
    groups: dict[str, list[RunRow]] = defaultdict(list)
    for file in files:
        job = read_toml(file)
        row, front = _run_row(file)
        groups[without_seed(job)].append(row)
        if front is not None:
            problem = json.dumps([job["problem"], front.goals.to_json()], sort_keys=True, default=str)
            fronts[problem][len(rows)] = front
        rows.append(row)
    for of_problem in fronts.values():
        boxes = common_boxes(of_problem.values())
        for i, front in of_problem.items():
            rows[i].hypervolume = mean_share(front.goals, boxes, [view.archive for view in front.views])
    return [group_row(members) for members in groups.values()], rows


def without_seed(job: Mapping[str, Any]) -> str:
    """Return a text that is the same for all jobs that differ in their seed, and in where they are evaluated, only."""
    seedless = {**job, "evaluation": None, "search": {**job["search"], "seed": None}}
    return json.dumps(seedless, sort_keys=True, default=str)


def group_name(run: str) -> str:
    """Return the name of a batch's run without its seed."""
    return re.sub(r",seed=[^,]*", "", run)


def common_boxes(fronts: Iterable[RunFront]) -> list[Box | None]:
    """Return for each context, or once, the smallest box that holds those of runs; None where none of them has one."""
    of_views = zip(*([view.box for view in front.views] for front in fronts), strict=True)
    return [Box.joint(known) if (known := [box for box in boxes if box]) else None for boxes in of_views]


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
            row.reason = "; ".join(f"its code changed {change}" for change in code_changes(ledger))
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
    return [(word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in re.split(r"(\d+)", file.name)]
