"""Search and resume, from Python and from the command line alike."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evo_moo.earlier_runs import WarmStart, read_earlier_runs, warm_start
from evo_moo.engine import LOGGER, Engine
from evo_moo.errors import JobError, RunFolderError
from evo_moo.goals import Goals, Limits
from evo_moo.job import Job, check_job
from evo_moo.ledger import Evaluation, Ledger
from evo_moo.optimizer import Optimizer, default_pop_size
from evo_moo.own_files import names_in, taken_away_if_refused
from evo_moo.plugins import ProblemSource, absolute_reference
from evo_moo.pools import BatchPool, Pool, SerialPool
from evo_moo.problem import FunctionProblem, SearchProblem
from evo_moo.problem_version import problem_version
from evo_moo.progress import shown_progress
from evo_moo.pymoo_problem import PymooProblem
from evo_moo.result import Result
from evo_moo.run_folder import RunFolder, guarded_reads, read_job, reading
from evo_moo.space import Variable

FREE_SECTIONS = ("budget.", "evaluation.")
"""What may change from one call to the next: no evaluation's result depends on it."""
OBJECT = "the Python object "


def search(
    problem: Any,
    algorithm: str = "nsga2",
    pop_size: int | None = None,
    termination: tuple[str, Any] | Mapping[str, Any] = ("n_evals", 100),
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
    from_runs: Sequence[str | Path] = (),
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
        termination: ``("n_evals", n)``, ``("n_gen", n)``, ``("time", seconds)`` or ``("stop_when", "ftol")``; or
            several of them as a dict, of which whichever comes first.
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
        from_runs: Run folders of earlier runs, the best of which make up to half of the first population;
            ``evo_moo.earlier_runs`` says what is taken and which outcomes are reused.
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
    if not isinstance(termination, Mapping):
        if not isinstance(termination, tuple | list) or len(termination) != 2:
            raise JobError([f"`termination` must be a pair such as ('n_evals', 100), but is {termination!r}"])
        termination = dict([termination])
    named, is_function = isinstance(problem, str), variables is not None
    if variables is not None:
        problem = FunctionProblem(problem, variables, objectives or {}, constraints)
    if options and not named:
        raise JobError([f"`options` must go with a problem named by a reference, but `problem` is {problem!r}"])
    data: dict[str, Any] = {
        "problem": {
            "use": absolute_reference(problem, Path()) if named else _described(problem),
            "options": dict(options or {}),
        },
        "search": {
            "algorithm": algorithm,
            "pop_size": pop_size,
            "seed": seed,
            "mode": mode,
            "sampling": sampling,
            "start": start,
            "from": [str(path) for path in from_runs] or None,
        },
        "budget": dict(termination),
        "evaluation": {"timeout": timeout_s, "pool": "serial" if workers == 1 else "auto"},
        "objectives": None if is_function else objectives,
        "constraints": None if is_function else constraints,
    }
    if workers is not None:
        data["evaluation"]["workers"] = workers
    job, built, source = check_job(data, None if named else problem)
    return run_job(job, built, source, Path(run_dir) if run_dir else None, verbose=verbose)


def resume(
    run_dir: str | Path,
    problem: Any = None,
    *,
    n_evals: int | None = None,
    budget: Mapping[str, Any] | None = None,
    verbose: bool = False,
) -> Result:
    """Go on with an unfinished run; a finished one gives its result again, or goes on to a larger budget.

    Args:
        run_dir: The run folder.
        n_evals: A new number of evaluations in all. The run then ends as one asked for so many from the start.
        budget: Other parts of the budget that are to change, by their keys in a job file; None takes one away.
        problem: The problem, if the run searched a Python object: run folders hold no pickles.
        verbose: Whether to show progress.

    Raises:
        RunFolderError: It is no run folder, or another process holds it.
        JobError: The problem is missing or cannot be built any more, or the deadline has passed.
        SearchFailedError: Every evaluation failed.
        RunStoppedError: A signal stopped the search; it can be resumed again.
    """
    data = read_job(Path(run_dir))
    if isinstance(data.setdefault("budget", {}), dict):
        data["budget"].update(budget or {})
        if n_evals is not None:
            data["budget"]["n_evals"] = n_evals
    use = problem_of(data)
    is_object = use.startswith(OBJECT)
    if is_object and problem is None:
        raise JobError([f"`{run_dir}` searched {use}: call evo_moo.search again as before, with this run_dir"])
    job, built, source = check_job(data, problem if is_object else None)
    return run_job(job, built, source, Path(run_dir), verbose=verbose)


def problem_of(job: Mapping[str, Any]) -> str:
    """Give the reference of a job's problem; empty where the job, which may come from anywhere, has none."""
    section = job.get("problem")
    use = section.get("use") if isinstance(section, dict) else None
    return use if isinstance(use, str) else ""


def _described(problem: Any) -> str:
    """Name an object, so that a run folder is not continued with quite another."""
    named = getattr(problem, "function", problem)
    named = named if isinstance(named, type) or hasattr(named, "__qualname__") else type(named)
    return f"{OBJECT}{named.__module__}.{named.__qualname__}"


def run_job(job: Job, problem: SearchProblem, source: ProblemSource, run_dir: Path | None, *, verbose: bool) -> Result:
    """Run a checked job to its end, from where its folder stands.

    Args:
        job: The job.
        problem: Its problem.
        source: How workers build the problem.
        run_dir: The run folder; None keeps everything in memory.
        verbose: Whether to show progress.

    Raises:
        JobError: The deadline has passed.
        RunFolderError: The folder cannot be written, is held, or belongs to another job.
        SearchFailedError: Every evaluation failed.
        RunStoppedError: A signal or the deadline stopped the search.
    """
    goals = job.goals(problem)
    version = problem_version(problem, source)
    warm = None
    if job.search.from_runs and not _has_begun(run_dir):
        runs = read_earlier_runs(job.search.from_runs, problem.space, version, job.search.seed)
        pop_size = job.search.pop_size or default_pop_size(problem)
        warm = warm_start(runs, problem.space, goals, problem.known_metrics, pop_size, job.search.start)
    budget = job.budget.limits()
    refuse_past_deadline(job, run_dir)
    before_run = names_in(run_dir)
    with RunFolder(run_dir) as folder, taken_away_if_refused(folder, before_run):
        with guarded_reads(folder.path):
            refuse_fewer_evaluations(job, folder.ledger)
            start = _begin(folder, job, problem, goals, version, warm)
            meta = folder.ledger.meta()
            before = _ended(folder.ledger, goals) if meta["state"] != "finished" else []
        if meta["state"] != "finished":
            search = job.search
            optimizer = Optimizer(
                problem,
                search.algorithm,
                search.pop_size,
                search.seed,
                goals,
                search.sampling,
                start,
                search.mode,
            )
            pool = _pool(job, problem, source, goals)
            try:
                elapsed_s = meta.get("elapsed_s", 0.0)
                with shown_progress(goals, budget, before, elapsed_s, pool, verbose) as observer:
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
        with guarded_reads(folder.path):
            result = Result.of_ledger(folder.ledger, folder.path)
            folder.write_front(result.rows())
        return result


def _has_begun(run_dir: Path | None) -> bool:
    """Tell whether a folder holds a run that has recorded its job."""
    if run_dir is not None and (run_dir / "run.sqlite").is_file():
        with contextlib.suppress(RunFolderError), reading(run_dir) as ledger:
            return "job" in ledger.meta()
    return False


def _begin(
    folder: RunFolder, job: Job, problem: SearchProblem, goals: Goals, version: str | None, warm: WarmStart | None
) -> list[dict[str, Any]]:
    """Write what a new folder needs; refuse one that belongs to another job, but let its budget be extended.

    Returns:
        The configurations that the search begins with: those that it began with, if it has.
    """
    data = job.to_toml()
    if "job" in (meta := folder.ledger.meta()):
        if meta.get("given_start") == data["search"]["start"]:
            data["search"]["start"] = meta["job"]["search"]["start"]
        before, now = _flat(meta["job"]), _flat(data)
        if changed := differences(meta, data, goals):
            raise RunFolderError(
                f"a run folder belongs to one job, but `{folder.path}` was made for another: {'; '.join(changed)}; "
                "name a new folder"
            )
        state = meta["state"] if _ends_alike(meta["job"], data) else "stopped"
        if before != now:
            folder.write_job(data, replace=True)
            with folder.ledger.transaction():
                folder.ledger.set_meta(job=data, state=state)
                changes = {k: [before.get(k), now.get(k)] for k in sorted(before | now) if before.get(k) != now.get(k)}
                folder.ledger.record_event("job changed", **changes)
        if state != "finished" and meta.get("problem_version") != version:
            # What follows is measured by another version than what is there: as a whole the run is of none.
            with folder.ledger.transaction():
                folder.ledger.set_meta(problem_version=None)
        return list(data["search"]["start"])
    if warm is not None:
        data["search"]["start"] = warm.start
    folder.write_job(data)
    folder.write_environment(job.search.seed)
    with folder.ledger.transaction():
        folder.ledger.set_meta(
            job=data,
            goals=goals.to_json(),
            metrics={name: asdict(metric) for name, metric in problem.known_metrics.items()},
            space=problem.space.to_json(),
            problem_version=version,
            front="population" if problem.is_plain else "archive",
            state="new",
        )
        if warm is not None:
            folder.ledger.set_meta(given_start=job.search.start, known_outcomes=warm.known)
            folder.ledger.record_event("warm start", n_start=len(warm.start), n_known=len(warm.known))
            LOGGER.info("begins with %d configurations, the outcomes of %d known", len(warm.start), len(warm.known))
    return list(data["search"]["start"])


def differences(meta: Mapping[str, Any], job: Mapping[str, Any], goals: Goals) -> list[str]:
    """Say in what a job differs from the one that a run was made for, where it must not.

    Args:
        meta: Facts on the run, as in its ledger.
        job: The job as plain data.
        goals: Its goals.
    """
    if meta.get("given_start") == job["search"]["start"]:
        job = {**job, "search": {**job["search"], "start": meta["job"]["search"]["start"]}}
    before, now = _flat(meta["job"]), _flat(job)
    changed = [
        f"{key}: {before.get(key)!r} there, {now.get(key)!r} here"
        for key in sorted(before | now)
        if before.get(key) != now.get(key) and not key.startswith(FREE_SECTIONS)
    ]
    return changed if Goals.from_json(meta["goals"]) == goals else [*changed, "the problem's goals"]


def refuse_fewer_evaluations(job: Job, ledger: Ledger) -> None:
    """Refuse a budget of fewer evaluations than a run has asked for.

    Raises:
        JobError: It has.
    """
    n_asked, n_evals = sum(ledger.counts().values()), job.budget.n_evals
    if n_evals is not None and n_evals < n_asked:
        raise JobError(
            [
                f"`budget.n_evals` must be at least {n_asked}, as many as the run has asked for, but is {n_evals}; "
                "give more, or name a new folder"
            ]
        )


def _ended(ledger: Ledger, goals: Goals) -> list[Evaluation]:
    """Read the evaluations that ended before.

    Raises:
        TypeError: A metric is no number.
        KeyError: An objective is missing.
    """
    ended = list(ledger.evaluations("status != 'asked'"))
    for e in ended:
        numbers = goals.objective_values(e.metrics) if e.status == "ok" else []
        if not all(isinstance(value, int | float) for value in [*numbers, *e.metrics.values()]):
            raise TypeError(f"evaluation {e.id} has a metric that is no number")
    return ended


def refuse_past_deadline(job: Job, run_dir: Path | None) -> None:
    """Refuse a job that would have to have ended by now, unless its run is finished.

    Raises:
        JobError: The deadline has passed.
    """
    deadline = job.budget.limits().deadline
    if deadline is None or deadline > time.time():
        return
    if run_dir is not None and (run_dir / "run.sqlite").is_file():
        with reading(run_dir) as ledger:
            meta = ledger.meta()
        if meta.get("state") == "finished" and _ends_alike(meta["job"], job.to_toml()):
            return
    raise JobError(
        [
            f"`budget.deadline` must be in the future, but is {job.budget.deadline}; give a later one, or none "
            "(--deadline none)"
        ]
    )


def _ends_alike(job: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two jobs have the same budget; the deadline only interrupts a run."""
    budgets = [{**each.get("budget", {}), "deadline": None} for each in (job, other)]
    return budgets[0] == budgets[1]


def _flat(job: Mapping[str, Any]) -> dict[str, Any]:
    """Give a job's values by their dotted keys."""
    return {f"{s}.{key}": value for s, table in job.items() for key, value in table.items()}


def evaluates_in_process(job: Job, problem: SearchProblem) -> bool:
    """Tell whether a job's evaluations run in its own process: by choice, or where one call evaluates many."""
    vectorised = isinstance(problem, PymooProblem) and not problem.plain.elementwise
    return job.evaluation.pool == "serial" or (job.evaluation.pool == "auto" and vectorised)


def _pool(job: Job, problem: SearchProblem, source: ProblemSource, goals: Goals) -> Pool:
    settings = job.evaluation
    if settings.pool == "auto" and isinstance(problem, PymooProblem) and evaluates_in_process(job, problem):
        return BatchPool(problem, goals)
    if settings.pool == "serial":
        return SerialPool(problem, goals, settings.timeout, settings.profile_cache)
    limits = (settings.timeout, settings.retries, settings.memory_mb, settings.profile_cache)
    if settings.pool == "dask":
        from evo_moo.dask_pool import DaskPool

        return DaskPool(source, goals, settings.workers, settings.address, *limits)
    from evo_moo.loky_pool import LokyPool

    return LokyPool(source, goals, settings.workers, *limits)
