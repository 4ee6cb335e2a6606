"""Check of a whole job: every fault at once."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from evo_moo.errors import EvoMooError, JobError
from evo_moo.job.budget import StopWhen
from evo_moo.job.command import in_keys_of_job, with_command_as_options
from evo_moo.job.fault_text import fault_text
from evo_moo.job.file import override, with_absolute_paths
from evo_moo.job.job import EvaluationSection, Job
from evo_moo.job.listening import listen_faults
from evo_moo.job.refinement import refinement_faults
from evo_moo.job.start import complete_start, read_known
from evo_moo.optimizer.algorithms import EVOLUTIONARY, FURTHER, PARETO
from evo_moo.optimizer.arguments import is_pymoos, pymoo_faults
from evo_moo.optimizer.given_algorithm import is_given
from evo_moo.pareto import MOST_OBJECTIVES
from evo_moo.plugins import ProblemSource, load_surrogate
from evo_moo.problem.command.words import COMMAND
from evo_moo.problem.goal_faults import find_faults
from evo_moo.problem.pymoo_problem import as_search_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.designs import grid_faults
from evo_moo.values import plain

_DECIDES = {"algorithm", "pool", "model", "rungs"}


def check_job(
    data: Mapping[str, Any],
    problem: Any = None,
    *,
    changes: Mapping[str, Any] | None = None,
    base: Path | None = None,
    more: Callable[[Job], list[str]] | None = None,
) -> tuple[Job, SearchProblem, ProblemSource]:
    """Check a job as a whole, and build its problem.

    Args:
        data: The job as plain data.
        problem: The problem as a Python object, where the job names it only for display.
        changes: Values by dotted keys, such as ``search.seed``, that replace those of ``data``.
        base: Folder that paths in the job are relative to; by default the present one.
        more: Returns further faults of a job, which stand outside of it; it is asked of the sound part of a faulty one.

    Raises:
        JobError: With every fault, each with its key, the rule and the value.
    """
    data, faults = override(plain(data), plain(changes or {}))
    data = with_command_as_options(with_absolute_paths(data, base or Path()))
    data, source, built, problem_faults = _read_problem(data, problem)
    job, job_faults = _sound_part(data)
    faults += [*job_faults, *problem_faults]
    if built is not None:
        faults += _goal_faults(data, built)
        # Of a problem with faults the rest is checked as far as it goes.
        with contextlib.suppress(*((Exception,) if problem_faults else ())):
            job, known_faults = _with_known(job, built)
            faults += [*known_faults, *_search_faults(job, built), *refinement_faults(job.refinement, built)]
    faults += [*_surrogate_faults(data), *_pool_faults(job.evaluation), *_unwritable(job)]
    budget = data.get("budget", {})
    if isinstance(budget, dict) and all(value is None for key, value in budget.items() if key != "deadline"):
        faults.append("`budget` must set n_evals, n_gen, time or stop_when, but sets none; try --n-evals 100")
    if job.budget.stop_when is not None:
        objectives = job.objectives or (built.objectives if built else {})
        faults += _stop_when_faults(job.budget.stop_when, len(objectives))
    faults += [] if more is None else more(job)
    if faults or source is None or built is None:
        raise JobError(*faults)
    return job, built, source


def _sound_part(data: Mapping[str, Any]) -> tuple[Job, list[str]]:
    """Return a job of the data without what is faulty in itself, and the faults of that."""
    try:
        return Job.model_validate(data), []
    except ValidationError as error:
        faulty = [list(map(str, fault["loc"])) for fault in error.errors()]
        faults = [fault_text(fault, Job) for fault in error.errors()]
    sound: dict[str, Any] = {"problem": {"use": ""}}
    for section, table in data.items():
        keys = {path[1] for path in faulty if path[0] == section and len(path) > 1}
        if [section] not in faulty and not keys & _DECIDES:  # on these keys the sense of others depends
            sound[section] = {k: v for k, v in table.items() if k not in keys} if isinstance(table, dict) else table
    try:
        return Job.model_validate(sound), faults
    except ValidationError:
        return Job.model_validate({"problem": {"use": ""}}), faults


def _read_problem(
    data: Mapping[str, Any], problem: Any
) -> tuple[dict[str, Any], ProblemSource | None, SearchProblem | None, list[str]]:
    """Return a job's data with the options read by their types, the problem's source, the problem, and the faults.

    A problem whose definition has faults is returned all the same: goals and start are checked as far as it goes.
    """
    data, section = dict(data), data.get("problem")
    use = section.get("use") if isinstance(section, dict) else None
    options = section.get("options", {}) if isinstance(section, dict) else {}
    if not isinstance(use, str) or not isinstance(options, dict):
        return data, None, None, []
    built, rule = None, "`problem.use`" if problem is None else "`problem`"
    try:
        if problem is not None:
            built = as_search_problem(problem, check=False)
            source = ProblemSource.of_object(problem)
            return data, source, source.build(), []
        source = ProblemSource(use, options)
        data["problem"], faults = _with_options_read(data["problem"], source)
        source = replace(source, options=data["problem"].get("options", {}))
        if faults:
            return data, None, None, [in_keys_of_job(fault) if use == COMMAND else fault for fault in faults]
        built, rule = source.build(check=False), f"{rule}: `{use}`"
        built.check()
        return data, source, built, []
    except EvoMooError as error:
        lines = str(error).splitlines()
        return data, None, built, [in_keys_of_job(line) if use == COMMAND else f"{rule}: {line}" for line in lines]


def _with_options_read(section: Mapping[str, Any], source: ProblemSource) -> tuple[dict[str, Any], list[str]]:
    """Return the section of the problem with the options that are sound, read by their types, and all faults."""
    read = source.read_options()
    lost = {name: value for name, value in read.plain.items() if _has_none(value)}
    faults = [f"`problem.options.{fault[1:]}" for fault in read.faults]
    faults += [
        f"`problem.options.{name}` must be a value that TOML has a word for, but is {value!r}; let None be the "
        "option's default, or give it another word"
        for name, value in lost.items()
    ]
    return {**section, "options": {name: v for name, v in read.plain.items() if name not in lost}}, faults


def _has_none(value: Any) -> bool:
    below = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return value is None or any(map(_has_none, below))


def _goal_faults(data: Mapping[str, Any], problem: SearchProblem) -> list[str]:
    objectives, constraints = data.get("objectives"), data.get("constraints")
    if not all(isinstance(table, dict | None) for table in (objectives, constraints)):
        return []
    faults = _context_faults(data.get("contexts"), problem.by_context.contexts)
    faults += _policy_faults(data, problem)
    if objectives is None and constraints is None:
        return faults  # the problem's own are part of its definition
    declared = problem.objectives if objectives is None else objectives
    with contextlib.suppress(TypeError):  # the metrics of a problem whose definition has faults
        faults += find_faults(declared, constraints or {}, problem.declared_metrics | problem.known_metrics)
    return faults


def _policy_faults(data: Mapping[str, Any], problem: SearchProblem) -> list[str]:
    """Say which policies are of metrics that are neither objectives nor limits."""
    declared = (problem.objectives, problem.constraints)
    given = (data.get("objectives"), data.get("constraints"))
    goals = dict.fromkeys(
        name for own, job in zip(declared, given, strict=True) for name in (own if job is None else job)
    )
    policies = data.get("policies")
    unknown = [name for name in policies if name not in goals] if isinstance(policies, dict) else []
    rule = f"must be of an objective or a limit, {', '.join(goals)}, but is of neither; drop it, or add the goal"
    return [f"`policies.{name}` {rule}" for name in unknown]


def _context_faults(weights: Any, contexts: Sequence[str]) -> list[str]:
    """Say which weights are of contexts that the problem does not have."""
    unknown = [name for name in weights if name not in contexts] if isinstance(weights, dict) else []
    there = f"has {', '.join(contexts)}" if contexts else "has none"
    return [f"`contexts.{name}` must be a context of the problem, which {there}" for name in unknown]


def _with_known(job: Job, problem: SearchProblem) -> tuple[Job, list[str]]:
    """Return a job whose start holds what tables tell, and the faults of the start and of the tables."""
    try:
        goals = job.goals(problem)
    except (EvoMooError, TypeError, ValueError, AttributeError):
        return job, []  # the goals have faults of their own
    known = problem.point_space, problem.by_context
    start, faults = complete_start(job.search.start, problem.space, goals, job.search.seed, *known)
    faults = [f"`search.start{fault.replace(']', ']`', 1)}" for fault in faults]
    for path in job.search.known or []:
        entries, faults_of_table = read_known(Path(path), problem, goals)
        start += entries
        faults += faults_of_table
    return job.starting_with(start), faults


def _search_faults(job: Job, problem: SearchProblem) -> list[str]:
    search, faults = job.search, []
    n_obj = len(problem.objectives if job.objectives is None else job.objectives)
    if search.algorithm == "nsga3" and (search.pop_size or n_obj) < n_obj:
        faults.append(
            f"`search.pop_size` must be at least the number of objectives for nsga3, {n_obj}, but is {search.pop_size}"
        )
    with contextlib.suppress(EvoMooError, TypeError, ValueError, AttributeError):  # goals have faults of their own
        faults += _pymoo_faults(job, problem)
    if search.algorithm == "grid":
        faults += [f"`search.grid_points` {fault}" for fault in grid_faults(problem.space, search.grid_points)]
    elif search.grid_points is not None:
        faults.append(f"`search.grid_points` must go with algorithm = 'grid', but it is {search.algorithm!r}")
    if search.sampling != "random" and not is_pymoos(search.algorithm):
        faults += _algorithm_faults("search.sampling", search.algorithm, EVOLUTIONARY)
    if job.surrogate is not None and job.surrogate.model != "none":
        faults += _algorithm_faults("surrogate", search.algorithm, PARETO)
    return faults


def _pymoo_faults(job: Job, problem: SearchProblem) -> list[str]:
    """Say what an algorithm that is pymoo's own cannot do of what a job asks for."""
    search = job.search
    algorithm = search.algorithm if search.given is None else search.given
    faults = pymoo_faults(algorithm, problem, job.goals(problem), search.pop_size, search.mode)
    faults = [fault.replace("`", "`search.", 1) for fault in faults]
    if (is_given(algorithm) or algorithm in FURTHER) and job.refinement is not None:
        faults += _algorithm_faults("refinement", search.algorithm, PARETO)
    return faults


def _algorithm_faults(key: str, given: str, fitting: Sequence[str]) -> list[str]:
    *most, last = map(repr, fitting)
    words = f"`{key}` must go with algorithm = {', '.join(most)} or {last}, but it is {given!r}"
    return [] if given in fitting else [words]


def _surrogate_faults(data: Mapping[str, Any]) -> list[str]:
    section = data.get("surrogate")
    model = section.get("model") if isinstance(section, dict) else None
    if not isinstance(model, str) or model in ("auto", "none"):
        return []
    try:
        load_surrogate(model)
    except EvoMooError as error:
        return [f"`surrogate.model`: {error}"]
    return []


def _pool_faults(evaluation: EvaluationSection) -> list[str]:
    faults = listen_faults(evaluation.listen, evaluation.keys, evaluation.pool, evaluation.address)
    if evaluation.address is not None and evaluation.pool != "dask":
        faults.append(f"`evaluation.address` must go with pool = 'dask', but pool is {evaluation.pool!r}")
    of_processes = ("memory_mb", "gpus", "cpus_per_worker") if evaluation.pool == "serial" else ()
    faults += [
        f"`evaluation.{key}` must go with worker processes, but pool is 'serial'; try 'loky'"
        for key in of_processes
        if getattr(evaluation, key) is not None
    ]
    if evaluation.n_per_gpu is not None and evaluation.gpus is None:
        faults.append('`evaluation.n_per_gpu` must go with `gpus`, but there is none; try gpus = "auto"')
    return faults


def _unwritable(job: Job) -> list[str]:
    """List the fault of values that a TOML file cannot hold; they can only come from Python."""
    try:
        tomli_w.dumps(job.to_toml())
    except (TypeError, ValueError) as error:
        return [f"`problem.options` and `search.start` must hold values that TOML knows, but: {error}"]
    return []


def _stop_when_faults(stop_when: StopWhen, n_obj: int) -> list[str]:
    faults = [
        f"`budget.stop_when.{key}` must go with another rule, but the rule is {rule!r}"
        for key, rule in (("n_skip", "hypervolume stalls"), ("tol", "default"))
        if getattr(stop_when, key) is not None and stop_when.rule == rule
    ]
    if stop_when.rule == "hypervolume stalls" and n_obj > MOST_OBJECTIVES:
        faults.append(
            f"`budget.stop_when` = 'hypervolume stalls' must go with at most {MOST_OBJECTIVES} objectives, for which "
            f"it is quick to compute, but there are {n_obj}; try 'ftol'"
        )
    return faults
