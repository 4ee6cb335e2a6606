"""Search and resume, from Python and from the command line alike."""

import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from evo_moo.analysis.result import Result
from evo_moo.errors import JobError, RunStoppedError, UsageError
from evo_moo.evaluation.problem_version import problem_version
from evo_moo.job.check import check_job
from evo_moo.job.job import Job
from evo_moo.optimizer.given_algorithm import described, is_given
from evo_moo.problem.function_problem import FunctionProblem
from evo_moo.problem.goals import Limits
from evo_moo.problem.trials.problem import TrialProblem
from evo_moo.run.assembly import engine_of, pool_of, refuse_missing_algorithm
from evo_moo.run.callbacks import Callback, Reactions
from evo_moo.run.exploration.exploring import explored
from evo_moo.run.exploration.learnt import left_of_budget
from evo_moo.run.preparation.beginning import begin
from evo_moo.run.preparation.prepared import PreparedJob, outside_faults, prepare
from evo_moo.run.preparation.recorded_job import OBJECT, recorded_job
from evo_moo.run.preparation.warm_start import warm_start_of
from evo_moo.run.progress import shown_progress
from evo_moo.run.replay import ended_evaluations
from evo_moo.space.designs import GridPoints
from evo_moo.space.variables import Variable
from evo_moo.storage.log import write_audit
from evo_moo.storage.own_files import names_in, taken_away_if_refused
from evo_moo.storage.reading import guarded_reads
from evo_moo.storage.run_folder import RunFolder
from evo_moo.user_code import module_label


def search(
    problem: Any,
    algorithm: Any = "nsga2",
    pop_size: int | None = None,
    termination: tuple[str, Any] | Mapping[str, Any] | None = None,
    seed: int = 1,
    workers: int | None = None,
    surrogate: str | Mapping[str, Any] | None = None,
    run_dir: str | Path | None = None,
    *,
    n_evals: int | None = None,
    variables: Mapping[str, Variable] | None = None,
    post_training: Mapping[str, Variable] | None = None,
    directions: Sequence[str] | Mapping[str, str] | None = None,
    constraints_func: Any = None,
    explore: int | None = None,
    objectives: Mapping[str, Any] | None = None,
    constraints: Limits | None = None,
    contexts: Mapping[str, float] | None = None,
    options: Mapping[str, Any] | None = None,
    mode: str = "generational",
    sampling: str = "random",
    start: Sequence[Mapping[str, Any]] = (),
    from_runs: Sequence[str | Path] = (),
    grid_points: GridPoints | None = None,
    refinement: Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
    gpus: str | Sequence[int | str] | None = None,
    n_per_gpu: int | None = None,
    cpus_per_worker: int | None = None,
    accept_changes: bool = False,
    callbacks: Sequence[Callback] = (),
    verbose: bool = False,
) -> Result:
    """Search a problem for its Pareto front.

    Args:
        problem: A reference such as ``"digits_cnn"`` or ``"my_problem.py:MyProblem"``, a ``SearchProblem``,
            any plain pymoo ``Problem``; with ``variables`` and ``objectives`` a function that takes a
            configuration and returns metrics; or with ``directions`` an objective of Optuna's, unchanged.
        algorithm: ``"nsga2"`` or ``"nsga3"``; ``"unsga3"``, ``"agemoea2"``, ``"smsemoa"``, ``"spea2"``, ``"ctaea"``,
            ``"moead"``, or any object of such an algorithm of pymoo's, which searches as pymoo lets it, without models
            (``evo_moo.optimizer.given_evolution`` says how); or a baseline: ``"weighted-sum"`` or ``"tchebycheff"``, a
            sweep of weights; ``"random"``, ``"sobol"`` or ``"grid"``, which do not learn.
        pop_size: Size of the population; by default 100 on a plain pymoo problem, else 20.
        termination: ``("n_evals", n)``, ``("n_gen", n)``, ``("time", seconds)`` or ``("stop_when", "ftol")``; or
            several of them as a dict, of which whichever comes first. By default ``("n_evals", 100)``.
        n_evals: The number of evaluations, alone or beside other terminations.
        seed: Decides everything but measured times.
        workers: Number of worker processes; by default one per core, or per place on ``gpus``. 1 evaluates in this
            process, but in a worker where that is pinned, and with ``timeout_s`` where this thread is not the main one:
            there nothing can interrupt it.
        surrogate: ``"auto"`` lets models propose the candidates, chosen by validation for each metric; ``"gp"``,
            ``"rf"`` or a reference names the model; ``"none"`` is the algorithm alone. A dict has the keys of a job
            file's section: ``{"model": "rf", "infill": "prescreen"}``. By default ``"auto"`` up to 1000 evaluations,
            except for plain pymoo problems, and ``"none"`` beyond.
        run_dir: Folder for the ledger and the checkpoints; an unfinished run in it is continued. By default
            nothing is written.
        variables: Names to variables, where the problem is a function.
        post_training: What is chosen after a training, likewise; the function then returns a list of ``Point``.
        directions: ``"maximize"`` or ``"minimize"`` for each value that a define-by-run objective returns, or names of
            the values to them. What it asks its trial for is learnt by the first evaluations, up to ``explore``.
        constraints_func: Of such an objective: takes a trial, and returns numbers that are feasible up to 0.
        explore: By default up to half of the evaluations.
        objectives: Metric names to ``"min"`` or ``"max"``, instead of the problem's own.
        constraints: Metric names to limits such as ``{"at_most": 20}``, instead of the problem's own.
        contexts: Names of those of the problem's contexts that count to how much each does; by default all alike.
        options: Keyword arguments of the problem's class, where it is named by a reference.
        mode: ``"generational"``, or ``"steady-state"``: no worker waits for the last evaluation of a generation,
            but with several workers the result depends on which evaluation ends first.
        sampling: How the first population is drawn: ``"random"``, ``"lhs"`` or ``"sobol"``.
        start: Configurations that the first population begins with; any of ``Result.configurations`` can be one. With
            ``{"configuration": …, "metrics": …}`` one that was measured elsewhere is told, and not evaluated.
        from_runs: Run folders of earlier runs, the best of which make up to half of the first population, and from
            which models learn; ``evo_moo.run.preparation.warm_start`` says what is taken and which outcomes are reused.
        grid_points: Number of points of every ``Real`` of a grid, by default 5; or by the names of variables the
            number of points or the values of each.
        refinement: Lets evaluations begin short: the section of that name in a job file, such as
            ``{"rungs": [2, 6, 18]}``; ``{}`` takes the rungs from what the problem declares.
        timeout_s: Time limit of one evaluation, in seconds.
        gpus: Pins each worker to a GPU: ``"auto"`` to one of all, ``[0, 1]`` to one of these.
        n_per_gpu: Number of workers that share a GPU, by default 1.
        cpus_per_worker: Cores and threads of each worker, by default one thread on any core.
        accept_changes: Whether to go on with the run in ``run_dir`` although the problem's code has changed since,
            which the run then says; other variables or goals are always refused.
        callbacks: Are called for each evaluation and each generation; see ``evo_moo.run.callbacks``.
        verbose: Whether to show progress: a bar on a terminal or in a notebook, else lines.

    Raises:
        JobError: Some argument is wrong; all faults are listed.
        UsageError: A callback is none.
        RunFolderError: The folder cannot be written, is held, or belongs to another job.
        SearchFailedError: Every evaluation failed.
        RunStoppedError: A signal stopped the search; ``error.result`` has what was measured. Call again with the same
            ``run_dir`` to go on.
    """
    budget = _budget(termination, n_evals)
    named = isinstance(problem, str)
    if directions is not None:
        given = {"directions": directions, "constraints_func": constraints_func, "explore": explore}
        if named:
            options = {**(options or {}), **{name: value for name, value in given.items() if value is not None}}
        else:
            problem = TrialProblem(problem, directions, constraints_func, constraints, explore)
            constraints = None
    if variables is not None:
        problem = FunctionProblem(problem, variables, objectives or {}, constraints, post_training)
        objectives = constraints = None
    if options and not named:
        raise JobError(f"`options` must go with a problem named by a reference, but `problem` is {problem!r}")
    pins = {"gpus": gpus, "n_per_gpu": n_per_gpu, "cpus_per_worker": cpus_per_worker}
    pins = {key: value for key, value in pins.items() if value is not None}
    data: dict[str, Any] = {
        "problem": {"use": problem if named else _described(problem), "options": dict(options or {})},
        "search": {
            "algorithm": described(algorithm) if is_given(algorithm) else algorithm,
            "given": algorithm if is_given(algorithm) else None,
            "pop_size": pop_size,
            "seed": seed,
            "mode": mode,
            "sampling": sampling,
            "start": start,
            "from": [str(path) for path in from_runs] or None,
            "grid_points": grid_points,
        },
        "budget": budget,
        "surrogate": {"model": surrogate} if isinstance(surrogate, str) else surrogate,
        "refinement": None if refinement is None else dict(refinement),
        "evaluation": {"timeout": timeout_s, "pool": "serial" if workers == 1 and not pins else "auto", **pins},
        "objectives": objectives,
        "constraints": constraints,
        "contexts": contexts,
    }
    changes = {} if workers is None else {"evaluation.workers": workers}
    folder = Path(run_dir) if run_dir else None
    checked = check_job(data, None if named else problem, changes=changes, more=outside_faults(folder))
    prepared = prepare(*checked, folder, accept_changes=accept_changes)
    return run_job(prepared, folder, callbacks, verbose=verbose)


def _budget(termination: tuple[str, Any] | Mapping[str, Any] | None, n_evals: int | None) -> dict[str, Any]:
    if termination is None:
        return {"n_evals": 100 if n_evals is None else n_evals}
    if not isinstance(termination, Mapping):
        if not isinstance(termination, tuple | list) or len(termination) != 2:
            raise JobError(f"`termination` must be a pair such as ('n_evals', 100), but is {termination!r}")
        termination = dict([termination])
    if n_evals is not None and termination.get("n_evals", n_evals) != n_evals:
        rule = "`n_evals` must be given once, or alike"
        raise JobError(f"{rule}, but is {n_evals!r}, and in `termination` {termination['n_evals']!r}")
    return dict(termination) | ({} if n_evals is None else {"n_evals": n_evals})


def resume(
    run_dir: str | Path,
    problem: Any = None,
    *,
    n_evals: int | None = None,
    budget: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    accept_changes: bool = False,
    callbacks: Sequence[Callback] = (),
    verbose: bool = False,
) -> Result:
    """Go on with an unfinished run; return the result of a finished one, or go on with it to a larger budget.

    Latencies of a finished front that are in doubt are measured again first.

    Args:
        run_dir: The run folder.
        n_evals: A new number of evaluations in all. The run then ends as one asked for so many from the start.
        budget: Other parts of the budget that are to change, by their keys in a job file; None takes one away.
        evaluation: Where and how evaluations are to run from now on, likewise.
        problem: The problem, if the run searched a Python object: run folders hold no pickles. Else a reference to the
            place where the problem is now; by default it is where it was, or lies to the run folder as it did.
        accept_changes: Whether to go on although the problem's code has changed; see ``search``.
        callbacks: Are called for what is recorded already, and then for what follows; see ``evo_moo.run.callbacks``.
        verbose: Whether to show progress.

    Raises:
        RunFolderError: It is no run folder, or another process holds it.
        JobError: The problem cannot be built any more, or the deadline has passed.
        UsageError: The problem is missing, or a callback is none.
        SearchFailedError: Every evaluation failed.
        RunStoppedError: A signal stopped the search; it can be resumed again.
    """
    sections = {"budget": budget or {}, "evaluation": evaluation or {}}
    changes = {f"{name}.{key}": value for name, section in sections.items() for key, value in section.items()}
    if n_evals is not None:
        changes["budget.n_evals"] = n_evals
    way_out = "call evo_moo.search again as before, with this run_dir"
    folder = Path(run_dir)
    prepared = prepare(*recorded_job(folder, problem, changes, way_out), folder, accept_changes=accept_changes)
    if changes:
        refuse_missing_algorithm(prepared.job)
    return run_job(prepared, folder, callbacks, verbose=verbose)


def _described(problem: Any) -> str:
    """Name an object, so that a run folder is not continued with quite another."""
    named = getattr(problem, "function", problem)
    named = named if isinstance(named, type) or hasattr(named, "__qualname__") else type(named)
    return f"{OBJECT}{module_label(named.__module__)}.{named.__qualname__}"


def run_job(
    prepared: PreparedJob, run_dir: Path | None, callbacks: Sequence[Callback] = (), *, verbose: bool
) -> Result:
    """Run a job to its end, from where its folder stands.

    Args:
        prepared: The job.
        run_dir: The run folder; None keeps everything in memory.
        callbacks: Are called for each evaluation and each generation.
        verbose: Whether to show progress.

    Raises:
        JobError: The earlier runs cannot be used, or the budget is smaller than what the run has asked for.
        UsageError: A callback is none.
        RunFolderError: The folder cannot be written, is held, or belongs to another job.
        SearchFailedError: Every evaluation failed.
        RunStoppedError: A signal or the deadline stopped the search.
    """
    if wrong := [each for each in callbacks if not isinstance(each, Callback)]:
        rule = "`callbacks` must hold objects of classes that inherit evo_moo.Callback"
        raise UsageError(*(f"{rule}, but holds {each!r}" for each in wrong))
    before_run = names_in(run_dir)
    warm = warm_start_of(prepared) if prepared.problem.is_explored else None
    with RunFolder(run_dir) as folder, taken_away_if_refused(folder, before_run):
        if not prepared.problem.is_explored:
            prepared = explored(prepared, folder, verbose=verbose)
            warm = warm_start_of(prepared)
        problem, goals, version = prepared.problem, prepared.goals, problem_version(prepared.problem, prepared.source)
        with guarded_reads(folder.path):
            job = begin(folder, prepared, version, warm)
            facts = folder.ledger.facts()
            job = left_of_budget(job, facts)
            result = Result.of_ledger(folder.ledger, folder.path) if facts.state == "finished" else None
            goes_on = result is None or bool(result.doubts_in_words())
            if goes_on:
                write_audit(folder.path, "resume" if folder.ledger.counts() else "run", budget=job.to_toml()["budget"])
            before = ended_evaluations(folder, goals)
        with Reactions(callbacks, facts, folder.ledger) as reactions:
            if goes_on:
                pool = pool_of(job, problem, prepared.source, goals, folder, verbose=verbose)
                shown = shown_progress(
                    goals, job.budget.limits(), before, facts.elapsed_s, pool, verbose, folder.ledger
                )
                try:
                    with closing(pool), shown as observer:
                        engine = engine_of(job, problem, goals, pool, folder, reactions.beside(observer))
                        engine.measure_doubts() if result else engine.run()
                except RunStoppedError as error:
                    result = Result.of_ledger(folder.ledger, folder.path)
                    raise RunStoppedError(f"{error}; {_way_on(job, folder.path)}", result) from None
            with guarded_reads(folder.path):
                if result is None or goes_on:
                    result = Result.of_ledger(folder.ledger, folder.path)
                folder.write_front(result.rows())
            return result


def _way_on(job: Job, run_dir: Path | None) -> str:
    """Say what is left of a run that was stopped, and how it goes on."""
    if run_dir is None:
        return "there is no run folder, so it cannot go on, but `error.result` has what was measured"
    limits = job.budget.limits()
    is_late = limits.deadline is not None and limits.deadline <= time.time()
    command = f"`evo-moo resume {shlex.quote(str(run_dir))}{' --deadline none' if is_late else ''}`"
    if job.problem.use.startswith(OBJECT):
        command = f"`evo_moo.search` as before, with this `run_dir`{' and a later deadline,' if is_late else ','}"
    return f"everything that ended is recorded, and {command} goes on"
