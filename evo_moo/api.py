"""Search and resume, from Python and from the command line alike."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evo_moo.engine import Budget, Engine
from evo_moo.errors import JobError, RunFolderError
from evo_moo.goals import Goals, Limits
from evo_moo.job import Job, check_job
from evo_moo.optimizer import Optimizer
from evo_moo.plugins import ProblemSource, absolute_reference
from evo_moo.pools import BatchPool, Pool, SerialPool
from evo_moo.problem import FunctionProblem, SearchProblem
from evo_moo.progress import shown_progress
from evo_moo.pymoo_problem import PymooProblem
from evo_moo.result import Result
from evo_moo.run_folder import RunFolder, read_job
from evo_moo.space import Variable

OBJECT = "a Python object"


def search(
    problem: Any,
    algorithm: str = "nsga2",
    pop_size: int | None = None,
    termination: tuple[str, Any] = ("n_evals", 100),
    seed: int = 1,
    workers: int | None = None,
    surrogate: None = None,
    run_dir: str | Path | None = None,
    *,
    variables: Mapping[str, Variable] | None = None,
    objectives: Mapping[str, Any] | None = None,
    constraints: Limits | None = None,
    options: Mapping[str, Any] | None = None,
    mode: str = "generational",
    sampling: str = "random",
    start: Sequence[Mapping[str, Any]] = (),
    timeout_s: float | None = None,
    verbose: bool = False,
) -> Result:
    """Search a problem for its Pareto front.

    Args:
        problem: A reference such as ``"digits_cnn"`` or ``"my_problem.py:MyProblem"``, a ``SearchProblem``,
            any plain pymoo ``Problem``, or, with ``variables`` and ``objectives``, a function that takes a
            configuration and gives metrics.
        algorithm: ``"nsga2"`` or ``"nsga3"``.
        pop_size: Size of the population; by default 100 on a plain pymoo problem, else 20.
        termination: ``("n_evals", n)``, ``("n_gen", n)`` or ``("time", seconds)``.
        seed: Decides everything but measured times.
        workers: Number of worker processes; by default one per core. 1 evaluates in this process.
        surrogate: None; surrogates are not available yet.
        run_dir: Folder for the ledger and the checkpoints; an unfinished run in it is continued. By default
            nothing is written.
        variables: Names to variables, where the problem is a function.
        objectives: Metric names to ``"min"`` or ``"max"``, instead of the problem's own.
        constraints: Metric names to limits such as ``{"at_most": 20}``, instead of the problem's own.
        options: Keyword arguments of the problem's class, where it is named by a reference.
        mode: ``"generational"``, or ``"steady-state"``: no worker waits for the last evaluation of a generation,
            but with several workers the result depends on which evaluation ends first.
        sampling: How the first population is drawn: ``"random"``, ``"lhs"`` or ``"sobol"``.
        start: Configurations that the first population begins with.
        timeout_s: Time limit of one evaluation, in seconds.
        verbose: Whether to show progress.

    Raises:
        JobError: Some argument is wrong; all faults are listed.
        RunFolderError: The folder cannot be written, is held, or belongs to another job.
        SearchFailedError: Every evaluation failed.
        RunStoppedError: A signal stopped the search; call again with the same ``run_dir`` to go on.
    """
    if surrogate is not None:
        raise JobError([f"`surrogate` must be None, since there are no surrogates yet, but is {surrogate!r}"])
    if not isinstance(termination, tuple) or len(termination) != 2:
        raise JobError([f"`termination` must be a pair such as ('n_evals', 100), but is {termination!r}"])
    if variables is not None:
        problem = FunctionProblem(problem, variables, objectives or {}, constraints)
    named = isinstance(problem, str)
    data: dict[str, Any] = {
        "problem": {
            "use": absolute_reference(problem, Path()) if named else OBJECT,
            "options": dict(options or {}),
        },
        "search": {
            "algorithm": algorithm,
            "pop_size": pop_size,
            "seed": seed,
            "mode": mode,
            "sampling": sampling,
            "start": [dict(configuration) for configuration in start],
        },
        "budget": {termination[0]: termination[1]},
        "evaluation": {"timeout": timeout_s, "pool": "serial" if workers == 1 else "auto"},
        "objectives": dict(objectives) if objectives is not None else None,
        "constraints": {k: dict(v) for k, v in constraints.items()} if constraints is not None else None,
    }
    if workers is not None:
        data["evaluation"]["workers"] = workers
    job, built, source = check_job(data, None if named else problem)
    return run_job(job, built, source, Path(run_dir) if run_dir else None, verbose=verbose)


def resume(run_dir: str | Path, problem: Any = None, *, verbose: bool = False) -> Result:
    """Go on with an unfinished run; a finished one gives its result again.

    Args:
        run_dir: The run folder.
        problem: The problem, if the run searched a Python object: run folders hold no pickles.
        verbose: Whether to show progress.

    Raises:
        RunFolderError: It is no run folder, or another process holds it.
        JobError: The problem is missing or cannot be built any more.
        SearchFailedError: Every evaluation failed.
        RunStoppedError: A signal stopped the search; it can be resumed again.
    """
    data = read_job(Path(run_dir))
    is_object = data.get("problem", {}).get("use") == OBJECT
    if is_object and problem is None:
        raise JobError([f"`{run_dir}` searched {OBJECT}: resume it from Python with evo_moo.resume(run_dir, problem)"])
    job, built, source = check_job(data, problem if is_object else None)
    return run_job(job, built, source, Path(run_dir), verbose=verbose)


def run_job(job: Job, problem: SearchProblem, source: ProblemSource, run_dir: Path | None, *, verbose: bool) -> Result:
    """Run a checked job to its end, from where its folder stands.

    Args:
        job: The job.
        problem: Its problem.
        source: How workers build the problem.
        run_dir: The run folder; None keeps everything in memory.
        verbose: Whether to show progress.

    Raises:
        RunFolderError: The folder cannot be written, is held, or belongs to another job.
        SearchFailedError: Every evaluation failed.
        RunStoppedError: A signal stopped the search.
    """
    goals = job.goals(problem)
    budget = Budget(job.budget.n_evals, job.budget.n_gen, job.budget.time)
    with RunFolder(run_dir) as folder:
        _begin(folder, job, problem, goals)
        meta = folder.ledger.meta()
        if meta["state"] != "finished":
            search = job.search
            optimizer = Optimizer(
                problem,
                search.algorithm,
                search.pop_size,
                search.seed,
                goals,
                search.sampling,
                search.start,
                search.mode,
            )
            counts = folder.ledger.counts()
            n_done = sum(counts.values()) - counts.get("asked", 0)
            pool = _pool(job, problem, source, goals, folder)
            try:
                with shown_progress(goals, budget, n_done, verbose) as observer:
                    Engine(
                        optimizer,
                        pool,
                        folder,
                        budget,
                        goals=goals,
                        seed=job.search.seed,
                        observer=observer,
                        seeded=not problem.is_plain,
                    ).run()
            finally:
                pool.close()
        result = Result.of_ledger(folder.ledger, folder.path)
        folder.write_front(result.rows())
        return result


def _begin(folder: RunFolder, job: Job, problem: SearchProblem, goals: Goals) -> None:
    """Write what a new folder needs; refuse one that belongs to another job."""
    data = job.to_toml()
    if "job" in (meta := folder.ledger.meta()):
        before, now = _without_workers(meta["job"]), _without_workers(data)
        changed = [key for key in sorted(before | now) if before.get(key) != now.get(key)]
        if Goals.from_json(meta["goals"]) != goals:
            changed.append("the problem's goals")
        if changed:
            raise RunFolderError(
                f"a run folder belongs to one job, but `{folder.path}` was made for another, which differs in "
                f"{', '.join(changed)}; name a new folder, or use `evo-moo resume`"
            )
        return
    folder.write_job(data)
    folder.write_environment(job.search.seed)
    with folder.ledger.transaction():
        folder.ledger.set_meta(
            job=data,
            goals=goals.to_json(),
            metrics={name: asdict(metric) for name, metric in problem.known_metrics.items()},
            front="population" if problem.is_plain else "archive",
            state="new",
        )


def _without_workers(job: dict[str, Any]) -> dict[str, Any]:
    """Leave out what changes no result."""
    return {key: value for key, value in job.items() if key != "evaluation"}


def _pool(job: Job, problem: SearchProblem, source: ProblemSource, goals: Goals, folder: RunFolder) -> Pool:
    settings = job.evaluation
    if settings.pool == "auto" and isinstance(problem, PymooProblem) and not problem.plain.elementwise:
        return BatchPool(problem, goals)
    if settings.pool == "serial":
        return SerialPool(problem, goals, settings.timeout)
    from evo_moo.loky_pool import LokyPool

    output = folder.path / "workers.txt" if folder.path else None
    return LokyPool(source, goals, settings.workers, settings.timeout, settings.retries, output)
