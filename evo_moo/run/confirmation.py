"""Trains the members of a run's front anew, with seeds that the search never used.

The repetitions are a recorded run of their own, in the folder ``confirmation`` of the run: the engine's loop over a
``Replication``. Whatever is asked for later, more members or more seeds, is appended to what is there.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evo_moo.analysis.confirmation_ledger import FOLDER, confirmation_seed, members_of_run, read_confirmation
from evo_moo.analysis.confirmed_front import Confirmation
from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import UsageError
from evo_moo.evaluation.problem_version import problem_version
from evo_moo.job.budget import Budget
from evo_moo.job.job import Job
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.replication import Replication
from evo_moo.plugins import ProblemSource
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.assembly import pool_of
from evo_moo.run.engine import Engine
from evo_moo.run.preparation import recorded_job
from evo_moo.run.progress import ended_evaluations, shown_progress
from evo_moo.run.tasks import Tasks
from evo_moo.space.variables import json_key
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import guarded_reads, reading
from evo_moo.storage.run_folder import RunFolder

SEEDS = 5


def confirm(
    run_dir: str | Path,
    problem: Any = None,
    *,
    seeds: int | None = None,
    ids: Sequence[int] = (),
    workers: int | None = None,
    verbose: bool = False,
) -> Confirmation:
    """Train members of a run's front anew, at full fidelity with new seeds, and say how much of them holds.

    Repetition ``r`` has the same seed for all members of all runs, so that any two can be compared in pairs. What is
    recorded already is not trained again; profiles, such as latencies, are measured anew each time.

    Args:
        run_dir: The run folder; it is only read, but for its folder ``confirmation``.
        problem: The problem, if the run searched a Python object.
        seeds: Number of repetitions of each member; by default as many as there are, or 5.
        ids: Ids of the evaluations to repeat; by default those of the front.
        workers: Number of worker processes; by default as in the run's job. 1 evaluates in this process.
        verbose: Whether to show progress.

    Raises:
        UsageError: Some argument is wrong, the problem is missing or cannot be built any more, it has changed since an
            unfinished confirmation, or it is a plain problem of pymoo's.
        RunFolderError: It is no run folder, or another process confirms it.
        SearchFailedError: Every repetition failed.
        RunStoppedError: A signal stopped it; call again to go on.
    """
    run_dir = Path(run_dir)
    for name, number in (("seeds", seeds), ("workers", workers)):
        if number is not None and number < 1:
            raise UsageError(f"`{name}` must be at least 1, but is {number}")
    with reading(run_dir) as ledger:
        if ledger.facts().is_confirmation:
            raise UsageError(f"`{run_dir}` must be a search, but is itself a confirmation; name the run above it")
        members = members_of_run(ledger, RunFront.of_ledger(ledger, run_dir), ids)
        goals = ledger.facts().goals
    job, built, source = _job_of(run_dir, problem, workers)
    with RunFolder(run_dir / FOLDER) as folder:
        with guarded_reads(folder.path):
            recorded = list(folder.ledger.evaluations())
            seeds = seeds or max((e.replicate for e in recorded), default=SEEDS)
            candidates = _plan(built, recorded, members, seeds)
            going_on = len(candidates) > len(recorded) or any(e.status == "asked" for e in recorded)
            if going_on:
                _begin(folder, built, goals, problem_version(built, source), run_dir)
        if going_on:
            _evaluate(folder, job, built, source, goals, candidates, verbose)
        with guarded_reads(folder.path):
            folder.write_front(RunFront.of_ledger(folder.ledger, folder.path).rows())
    return read_confirmation(run_dir, [e.id for e in members], seeds)


def _job_of(run_dir: Path, problem: Any, workers: int | None) -> tuple[Job, SearchProblem, ProblemSource]:
    """Build the run's problem again, and say where to evaluate it."""
    changes: dict[str, Any] = {"profile_cache": False}  # a latency that is reused shows nothing of how it varies
    if workers is not None:
        changes["workers"] = workers
    if workers == 1:
        changes |= {"pool": "serial", "memory_mb": None, "address": None}
    changes = {f"evaluation.{key}": value for key, value in changes.items()}
    way_out = "call evo_moo.confirm with it, as `problem`"
    job, built, source = recorded_job(run_dir, problem, changes, way_out)
    if built.is_deterministic:
        raise UsageError(
            f"`{run_dir}` must be of a problem that depends on luck, but searched pymoo's `{job.problem.use}`, "
            "which gives the same each time; there is nothing to confirm"
        )
    return job, built, source


def _plan(
    problem: SearchProblem, recorded: Sequence[Evaluation], members: Sequence[Evaluation], seeds: int
) -> list[Candidate]:
    """Return every replicate: what is recorded in its order, then what is missing, one seed after the other."""
    steps = [(e.configuration, e.replicate) for e in recorded]
    there = {(json_key(configuration), number) for configuration, number in steps}
    wanted = [(e.configuration, number) for number in range(1, seeds + 1) for e in members]
    steps += [step for step in wanted if (json_key(step[0]), step[1]) not in there]
    first: dict[str, int] = {}
    candidates = []
    for key, (configuration, number) in enumerate(steps, 1):
        leader = first.setdefault(json_key(configuration), key)
        x = problem.space.encode([configuration])[0]
        candidate = Candidate(key, number, configuration, x, "replicate", replicate=number)
        candidates.append(
            candidate._replace(seed=confirmation_seed(number), continues=leader if leader < key else None)
        )
    return candidates


def _begin(folder: RunFolder, problem: SearchProblem, goals: Goals, version: str | None, run_dir: Path) -> None:
    """Write what a new folder needs; refuse to mix two versions of a problem."""
    ledger: Ledger = folder.ledger
    facts = ledger.facts()
    if facts.is_confirmation:
        if facts.problem_version != version:
            raise UsageError(
                f"a confirmation must be of one version of its problem, but the problem has changed since "
                f"`{folder.path}` was begun; move that folder away to begin anew"
            )
        return
    folder.write_environment(0)
    with ledger.transaction():
        ledger.set_meta(
            goals=goals.to_json(),
            metrics={name: asdict(metric) for name, metric in problem.known_metrics.items()},
            space=problem.space.to_json(),
            problem_version=version,
            front="archive",
            state="new",
            confirmation={"run": run_dir.absolute().name, "is_seeded": problem.is_seeded},
        )


def _evaluate(
    folder: RunFolder,
    job: Job,
    problem: SearchProblem,
    source: ProblemSource,
    goals: Goals,
    candidates: Sequence[Candidate],
    verbose: bool,
) -> None:
    with guarded_reads(folder.path):
        before = ended_evaluations(folder.ledger, goals)
        elapsed_s = folder.ledger.facts().elapsed_s
    budget = Budget(n_evals=len(candidates))
    pool = pool_of(job, problem, source, goals)
    try:
        with shown_progress(goals, budget, before, elapsed_s, pool, verbose) as observer:
            optimizer = Replication(problem.space, goals, candidates)
            Engine(optimizer, pool, folder, budget, Tasks(seed=0), observer).run()
    finally:
        pool.close()
