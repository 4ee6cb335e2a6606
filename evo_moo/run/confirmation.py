"""Trains the members of a run's front anew, with seeds that the search never used.

The repetitions are a recorded run of their own, in the folder ``confirmation`` of the run: the engine's loop over a
``Replication``. Whatever is asked for later, more members or more seeds, is appended to what is there.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from evo_moo.analysis.confirmation_ledger import FOLDER, confirmation_seed, members_of_run, read_confirmation
from evo_moo.analysis.confirmed_front import Confirmation
from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import RunStoppedError, UsageError
from evo_moo.evaluation.problem_version import problem_parts, problem_version
from evo_moo.job.budget import Budget
from evo_moo.job.job import Job
from evo_moo.object_code import changed_parts
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.replication import Replication
from evo_moo.plugins import ProblemSource
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import Key
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.assembly import pool_of
from evo_moo.run.engine import Engine
from evo_moo.run.preparation.beginning import record_problem
from evo_moo.run.preparation.recorded_job import recorded_job
from evo_moo.run.progress import shown_progress
from evo_moo.run.replay import ended_evaluations
from evo_moo.run.tasks import Tasks
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.log import write_audit
from evo_moo.storage.reading import guarded_reads, reading
from evo_moo.storage.run_folder import RunFolder
from evo_moo.values import json_key

SEEDS = 5


def confirm(
    run_dir: str | Path,
    problem: Any = None,
    *,
    seeds: int | None = None,
    ids: Sequence[Key] = (),
    workers: int | None = None,
    verbose: bool = False,
) -> Confirmation:
    """Train members of a run's front anew, at full fidelity with new seeds, and say how much of them holds.

    Repetition ``r`` has the same seed for all members of all runs, so that any two can be compared in pairs. What is
    recorded already is not trained again; profiles, such as latencies, are measured anew each time.

    Args:
        run_dir: The run folder; it is only read, but for its folder ``confirmation``.
        problem: The problem, if the run searched a Python object; else a reference to its new place, or None.
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
                _begin(folder, built, goals, source, run_dir)
                before, elapsed_s = ended_evaluations(folder, goals), folder.ledger.facts().elapsed_s
        if going_on:
            write_audit(run_dir, "confirm", ids=[e.id for e in members], seeds=seeds)
            pool, budget = pool_of(job, built, source, goals), Budget(n_evals=len(candidates))
            shown = shown_progress(goals, budget, before, elapsed_s, pool, verbose)
            with closing(pool), shown as observer:
                optimizer = Replication(built.space, goals, candidates)
                try:
                    Engine(optimizer, pool, folder, budget, Tasks(seed=0), observer).run()
                except RunStoppedError as error:
                    goes_on = "everything that ended is recorded, and the same call goes on"
                    raise RunStoppedError(f"{error}; {goes_on}") from None
        with guarded_reads(folder.path):
            folder.write_front(RunFront.of_ledger(folder.ledger, folder.path).rows())
    return read_confirmation(run_dir, [e.id for e in members], seeds)


def _job_of(run_dir: Path, problem: Any, workers: int | None) -> tuple[Job, SearchProblem, ProblemSource]:
    """Build the run's problem again, and say where to evaluate it."""
    # A latency that is reused shows nothing of its spread. Few evaluations need no other hosts.
    changes: dict[str, Any] = {"evaluation.profile_cache": False, "evaluation.listen": None, "evaluation.keys": None}
    if workers is not None:
        changes["evaluation.workers"] = workers
    if workers == 1:
        of_processes = ("memory_mb", "address", "gpus", "n_per_gpu", "cpus_per_worker")
        changes |= {"evaluation.pool": "serial", **{f"evaluation.{key}": None for key in of_processes}}
    job, built, source = recorded_job(run_dir, problem, changes, "call evo_moo.confirm with it, as `problem`")
    if built.is_deterministic:
        raise UsageError(
            f"`{run_dir}` must be of a problem that depends on luck, but searched pymoo's `{job.problem.use}`, "
            "which gives the same each time; there is nothing to confirm"
        )
    return job, built, source


def _plan(
    problem: SearchProblem, recorded: Sequence[Evaluation], members: Sequence[Evaluation], seeds: int
) -> list[Candidate]:
    """Return every replicate: what is recorded in its order, then what is missing, one seed after the other.

    A training with several members is repeated once; each member is a point of it.
    """
    names = problem.space.variables
    trainings = [{name: value for name, value in e.configuration.items() if name in names} for e in members]
    steps = [(e.configuration, e.replicate) for e in recorded]
    steps += [(configuration, number) for number in range(1, seeds + 1) for configuration in trainings]
    first: dict[str, int] = {}
    candidates = []
    distinct = {(json_key(configuration), number): configuration for configuration, number in steps}
    for key, ((text, number), configuration) in enumerate(distinct.items(), 1):
        x, seed = problem.space.encode([configuration])[0], confirmation_seed(number)
        candidate = Candidate(key, number, configuration, x, "replicate", replicate=number, seed=seed)
        candidates.append(candidate._replace(continues=first.get(text)))
        first.setdefault(text, key)
    return candidates


def _begin(folder: RunFolder, problem: SearchProblem, goals: Goals, source: ProblemSource, run_dir: Path) -> None:
    """Write what a new folder needs; refuse to mix two versions of a problem."""
    facts, version = folder.ledger.facts(), problem_version(problem, source)
    if facts.is_confirmation:
        changed = changed_parts(facts.parts, problem_parts(problem, source))
        if changed or facts.problem_version != version:
            raise UsageError(
                f"a confirmation must be of one version of its problem, but since `{folder.path}` was begun: "
                f"{'; '.join(changed) or 'a library has changed'}; move that folder away to begin anew"
            )
        return
    folder.write_environment(0)
    facts_of_it = {"run": run_dir.absolute().name, "is_seeded": problem.is_seeded}
    with folder.ledger.transaction():
        record_problem(
            folder.ledger,
            problem,
            goals,
            version,
            front="archive",
            confirmation=facts_of_it,
            parts=problem_parts(problem, source),
        )
