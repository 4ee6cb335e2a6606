"""The first words of a run in its folder, or why the folder belongs to another job."""

import logging
from dataclasses import asdict
from typing import Any

from evo_moo.errors import JobError, RunFolderError
from evo_moo.job.identity import (
    as_begun,
    changes,
    ends_alike,
    named_code,
    of_anybody,
)
from evo_moo.job.job import Job
from evo_moo.object_code import changed_parts
from evo_moo.problem.fronts import true_fronts
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.preparation.prepared import PreparedJob, misfits_with, n_evals_faults
from evo_moo.run.preparation.warm_start import WarmStart
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.run_folder import RunFolder

LOGGER = logging.getLogger("evo_moo")


def begin(folder: RunFolder, prepared: PreparedJob, version: str | None, warm: WarmStart | None) -> Job:
    """Write what a new folder needs; refuse one that belongs to another job, but let its budget be extended.

    Args:
        folder: The run folder.
        prepared: The job.
        version: Version of the problem.
        warm: What a new search takes from earlier runs.

    Returns:
        The job, with the configurations that its search began with.
    """
    facts = folder.ledger.facts()
    if facts.job:
        return _go_on(folder, facts, prepared, version)
    job, problem, goals = prepared.job, prepared.problem, prepared.goals
    job = job if warm is None else job.starting_with(warm.start)
    folder.write_seal(of_anybody(named_code(job.to_toml()).values()))
    folder.write_job(job.to_toml())
    folder.write_environment(job.search.seed)
    front = "population" if job.is_searched_as_by_pymoo(problem) else "archive"
    with folder.ledger.transaction():
        more = {"job": job.to_toml(), "front": front, "true_front": true_fronts(problem, goals)}
        more |= {"parts": prepared.parts, "place": _place(folder)}
        given_start = prepared.job.search.start
        if prepared.exploration is not None:
            given_start = prepared.exploration.given_start
            more |= {**prepared.exploration.facts(), "given_start": given_start}
        record_problem(folder.ledger, problem, goals, version, **more)
        if warm is not None:
            folder.ledger.set_meta(
                given_start=given_start,
                known_outcomes=warm.known,
                earlier_outcomes=[outcomes.to_json() for outcomes in warm.earlier],
            )
            folder.ledger.record_event("warm start", n_start=len(warm.start), n_known=len(warm.known))
            LOGGER.info("begins with %d configurations, the outcomes of %d known", len(warm.start), len(warm.known))
            for outcomes in warm.earlier:
                LOGGER.info("models learn %s", outcomes.in_words())
    return job


def record_problem(ledger: Ledger, problem: SearchProblem, goals: Goals, version: str | None, **facts: Any) -> None:
    """Record in a new ledger what is evaluated, with more facts on the run by their names."""
    ledger.set_meta(
        goals=goals.to_json(),
        metrics={name: asdict(metric) for name, metric in problem.known_metrics.items()},
        space=problem.point_space.to_json(),
        problem_version=version,
        state="new",
        **facts,
    )


def _go_on(folder: RunFolder, facts: RunFacts, prepared: PreparedJob, version: str | None) -> Job:
    if changed := misfits_with(facts, prepared, folder.path):
        raise RunFolderError(
            f"a run folder belongs to one job, but `{folder.path}` was made for another: {'; '.join(changed)}; "
            "name a new folder, and this one by --from to begin with what it knows"
        )
    if faults := n_evals_faults(prepared.job, folder.ledger.cost()):
        raise JobError(*faults)
    job = as_begun(prepared.job, facts)
    folder.write_seal(of_anybody(named_code(job.to_toml()).values()))
    state = facts.state if ends_alike(facts.job, job) else "stopped"
    if edited := changes(facts.job, job):
        folder.write_job(job.to_toml(), replace=True)
        with folder.ledger.transaction():
            folder.ledger.set_meta(job=job.to_toml(), state=state)
            folder.ledger.record_event("job changed", **edited)
    with folder.ledger.transaction():
        if facts.place != _place(folder):
            folder.ledger.set_meta(place=_place(folder))
        if facts.space != (space := prepared.problem.point_space.to_json()):
            folder.ledger.set_meta(space=space)  # the same, but for what an older version did not record of tuples
        if state != "finished":
            _record_version(folder.ledger, facts, prepared.parts, version)
        elif changed_parts(facts.parts, prepared.parts):
            LOGGER.warning("finished before its code changed: nothing of it is evaluated by the new code")
    return job


def _record_version(ledger: Ledger, facts: RunFacts, parts: dict[str, str], version: str | None) -> None:
    """Record that what follows is evaluated by other code, if it is: as a whole the run then is of no version."""
    if changed := changed_parts(facts.parts, parts):
        n = sum(ledger.counts().values())
        ledger.record_event("code changed", changed=changed, n_asked=n)
        LOGGER.warning("goes on after %d evaluations although %s, as accepted", n, "; ".join(changed))
    if changed or facts.problem_version != version:
        ledger.set_meta(problem_version=None, **({"parts": parts} if facts.parts else {}))


def _place(folder: RunFolder) -> str:
    return str(folder.path or "")
