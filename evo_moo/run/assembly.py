"""What a job asks for, put together: the optimizer, the pool that evaluates, and the engine between them."""

import multiprocessing
from collections.abc import Sequence
from typing import assert_never

from evo_moo.errors import UsageError
from evo_moo.evaluation.evaluate import can_interrupt
from evo_moo.evaluation.latencies import Latencies
from evo_moo.evaluation.places import Devices
from evo_moo.evaluation.pool import BatchPool, Pool, SerialPool
from evo_moo.evaluation.task import PoolOptions
from evo_moo.evaluation.weight_store import WeightStore
from evo_moo.job.job import Job
from evo_moo.job.start import asked_first, told
from evo_moo.optimizer.given_algorithm import GIVEN
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.protocol import AskTell
from evo_moo.optimizer.refinement.refinement import Refinement
from evo_moo.plugins import ProblemSource
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.early_stopping import EarlyStopping
from evo_moo.run.engine import Engine
from evo_moo.run.observer import Observer
from evo_moo.run.tasks import Tasks
from evo_moo.space.designs import GridDesign
from evo_moo.storage.reading import guarded_reads
from evo_moo.storage.run_folder import RunFolder
from evo_moo.surrogate.transfer import EarlierOutcomes


def engine_of(
    job: Job, problem: SearchProblem, goals: Goals, pool: Pool, folder: RunFolder, observer: Observer
) -> Engine:
    """Put together what searches.

    Args:
        job: The job, with models decided, and with all configurations that it begins with.
        problem: Its problem.
        goals: Objectives and limits.
        pool: Where evaluations run.
        folder: The run folder.
        observer: Is told what happens.
    """
    weights = stopping = None
    if (refinement := job.refinement) is not None:
        if problem.continues:
            weights = WeightStore(folder.weights, refinement.weights_mb)
        if refinement.risk is not None and not problem.post_training:  # a learning curve is not of one point
            cheap = [name for name, metric in problem.known_metrics.items() if metric.cheap]
            stopping = EarlyStopping(goals, refinement.ladder(problem), cheap, refinement.risk, job.search.seed)
    latencies = Latencies(problem.architecture_key) if problem.profiles else None
    known = told(job.search.start, problem.space, goals, problem.point_space)
    tasks = Tasks(None if problem.is_plain else job.search.seed, weights, stopping, latencies, known)
    with guarded_reads(folder.path):
        n_var, facts = problem.point_space.n_var, folder.ledger.facts()
        earlier = [EarlierOutcomes.from_json(outcomes, n_var) for outcomes in facts.earlier_outcomes]
    return Engine(optimizer_of(job, problem, goals, earlier), pool, folder, job.budget.limits(), tasks, observer)


def refuse_missing_algorithm(job: Job) -> None:
    """Refuse to search where the algorithm is an object that is not there.

    Raises:
        UsageError: It is not.
    """
    if job.search.algorithm.startswith(GIVEN) and job.search.given is None:
        raise UsageError(
            f"the run searches by {job.search.algorithm}, which no run folder holds; call evo_moo.search again as "
            "before, with this run_dir"
        )


def optimizer_of(job: Job, problem: SearchProblem, goals: Goals, earlier: Sequence[EarlierOutcomes] = ()) -> AskTell:
    """Build the optimizer that a job asks for; arguments as for ``engine_of``, and what earlier runs teach models."""
    search, refinement = job.search, job.refinement
    settings = {key: value for key, value in search if key not in ("from_runs", "known", "given")}
    if search.given is not None:
        settings["algorithm"] = search.given
    refuse_missing_algorithm(job)
    settings |= {"goals": goals, "start": asked_first(search.start, problem.space)}
    if job.surrogate is None:
        inner = Optimizer(problem, **settings)
    else:
        from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer

        settings |= dict(job.surrogate)
        if refinement is not None:  # which repeats by a rule of its own
            settings["repeats"] = False
        inner = SurrogateOptimizer(problem, **settings, earlier=earlier)
    if refinement is None:
        return inner
    ladder = refinement.ladder(problem), refinement.eta, refinement.replicates
    return Refinement(inner, *ladder, continues=problem.continues, metrics=problem.known_metrics, seed=search.seed)


def words_on_the_grid(job: Job, problem: SearchProblem) -> str:
    """Say how much of its grid a job evaluates; empty where it searches otherwise."""
    search = job.search
    if search.algorithm != "grid":
        return ""
    size = len(GridDesign(problem.space, search.seed, search.grid_points))
    n_evals = job.budget.n_evals or size
    share = f", of which n_evals = {n_evals:,} are evaluated, drawn at random" if n_evals < size else ""
    return f"the grid has {size:,} configurations{share}"


def evaluates_in_process(job: Job, problem: SearchProblem) -> bool:
    """Return whether a job's evaluations run in its own process: by choice, or where one call evaluates many."""
    settings = job.evaluation
    if settings.listen is not None:
        return False
    if settings.pool == "serial":
        return settings.timeout is None or can_interrupt()
    one_by_one = job.surrogate is not None and job.search.mode == "steady-state"
    is_limited = settings.timeout is not None or settings.memory_mb is not None or settings.pins
    return settings.pool == "auto" and problem.is_vectorised and not one_by_one and not is_limited


def pool_of(
    job: Job,
    problem: SearchProblem,
    source: ProblemSource,
    goals: Goals,
    folder: RunFolder | None = None,
    *,
    verbose: bool = False,
) -> Pool:
    """Start the workers that a job asks for, or none where it evaluates in this process.

    Outside of the main thread nothing interrupts an evaluation, so one with a time limit has a worker.

    Args:
        job: The job.
        problem: Its problem.
        source: How a worker builds it.
        goals: Objectives and limits.
        folder: The run folder, which says where a run listens; None for one that does not.
        verbose: Whether to say on standard error how workers join.

    Raises:
        UsageError: The cluster cannot be reached, or the run cannot listen where it should.
    """
    settings = job.evaluation
    if evaluates_in_process(job, problem):
        if settings.pool == "serial":
            return SerialPool(problem, goals, settings.timeout, settings.profile_cache)
        return BatchPool(problem, goals)
    limits = settings.timeout, settings.retries, settings.memory_mb
    options = PoolOptions(*limits, settings.profile_cache, _start_method(), devices_of(job))
    if settings.listen is not None and folder is not None:
        from evo_moo.run.listening import listening_pool

        return listening_pool(job, problem, source, goals, options, folder, verbose=verbose)
    match settings.pool:
        case "dask":
            from evo_moo.evaluation.dask_pool import DaskPool

            return DaskPool(source, goals, settings.workers, settings.address, options)
        case "auto" | "loky" | "serial":
            from evo_moo.evaluation.loky_pool import LokyPool

            return LokyPool(source, goals, 1 if settings.pool == "serial" else settings.workers, options)
    assert_never(settings.pool)


def devices_of(job: Job) -> Devices:
    """Return what each worker of a job has of its host."""
    settings = job.evaluation
    gpus = tuple(settings.gpus) if isinstance(settings.gpus, list | tuple) else settings.gpus
    return Devices(gpus, settings.n_per_gpu or 1, settings.cpus_per_worker)


def device_faults(job: Job) -> list[str]:
    """Return what a job wants of this host that it does not have; with Dask it is the workers' hosts that must."""
    is_elsewhere = job.evaluation.pool == "dask" or job.evaluation.listen is not None
    return [] if is_elsewhere else [f"`evaluation.{fault}" for fault in devices_of(job).faults()]


def _start_method() -> str | None:
    """Return how the user's program starts processes, if it says so; a pool that it runs in may have set its own."""
    chosen = multiprocessing.get_start_method(allow_none=True)
    return chosen if chosen in multiprocessing.get_all_start_methods() else None
