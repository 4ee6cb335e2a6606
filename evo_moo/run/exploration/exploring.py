"""Exploration of a problem whose space only its evaluations show.

The first evaluations draw at random whatever is asked for; the next ones go where nothing was looked at yet. Each is a
whole evaluation: what it measured is told to the search, and it counts in the budget. The ledger records each as it
ends, so that a killed run explores on. What is evaluated is decided by whole rounds, never by what ends first.
"""

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from evo_moo.errors import JobError, RunStoppedError, SearchFailedError, SpaceError
from evo_moo.evaluation.task import Outcome, Task
from evo_moo.job.identity import named_code, of_anybody
from evo_moo.job.refinement import refinement_faults
from evo_moo.run.assembly import pool_of
from evo_moo.run.exploration.learnt import Exploration, with_space
from evo_moo.run.preparation.prepared import PreparedJob
from evo_moo.run.stop_signals import StopRequests
from evo_moo.seeding import evaluation_seed
from evo_moo.space.completion import completed
from evo_moo.storage.log import LOGGER, Printable
from evo_moo.storage.run_folder import RunFolder
from evo_moo.values import json_key

AT_FIRST = 8
"""Evaluations that draw everything at random."""
MOST = 64
"""Evaluations that explore, at most, where the budget has no number of evaluations."""
POLL_S = 0.5

Given = dict[str, Any]
Row = dict[str, Any]


def explored(prepared: PreparedJob, folder: RunFolder, *, verbose: bool = False) -> PreparedJob:
    """Return a job whose problem has the space that evaluations show.

    Args:
        prepared: The job.
        folder: Takes what each evaluation shows; what it already holds is not evaluated again.
        verbose: Whether to say on standard error what is learnt.

    Raises:
        SearchFailedError: Every evaluation failed.
        JobError: The evaluations do not agree on a space, or the job does not fit what they showed.
        RunStoppedError: A signal or the deadline stopped it; the same call explores on.
    """
    with _said() if verbose else contextlib.nullcontext():
        return _explored(prepared, folder)


def _explored(prepared: PreparedJob, folder: RunFolder) -> PreparedJob:
    job = prepared.job
    folder.write_seal(of_anybody(named_code(job.to_toml()).values()))
    folder.write_job(job.to_toml())
    folder.write_environment(job.search.seed)
    rows = _Explorer(prepared, folder).run()
    good = [row for row in rows if row["status"] == "ok"]
    if not good:
        raise SearchFailedError(f"every evaluation that explored failed, the first with {rows[0]['reason']}")
    try:
        shown = prepared.problem.explored_by([row["facts"] for row in rows])
    except SpaceError as error:
        raise JobError(*(f"`problem`: {line}" for line in str(error).splitlines())) from None
    problem, source = with_space(prepared.problem, prepared.source, {"explored": shown})
    if faults := refinement_faults(job.refinement, problem):
        raise JobError(*faults)
    for line in problem.doubts:
        LOGGER.warning("%s", line)
    told = [
        {"configuration": completed(problem.space, problem.shown_configuration(row["facts"]), job.search.seed)}
        | {"metrics": row["metrics"]}
        for row in good
    ]
    LOGGER.info(
        "%d evaluations explored %d variables: %s", len(rows), problem.space.n_var, ", ".join(problem.space.names)
    )
    return replace(
        prepared,
        job=job.starting_with([*job.search.start, *told]),
        problem=problem,
        source=source,
        exploration=Exploration(len(rows), shown, job.search.start),
    )


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Let the log be said on standard error too."""
    handler = logging.StreamHandler()
    handler.setFormatter(Printable())
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


class _Explorer:
    """Evaluates round after round, until there is nothing new to look at."""

    def __init__(self, prepared: PreparedJob, folder: RunFolder) -> None:
        self._prepared, self._folder = prepared, folder
        self._code = hashlib.blake2b(orjson.dumps(sorted(prepared.parts.items())), digest_size=8).hexdigest()
        n_evals = prepared.job.budget.n_evals
        by_budget = MOST if n_evals is None else max(1, n_evals // 2)
        self._most = min(n_evals or MOST, prepared.problem.explore or min(MOST, by_budget))

    def run(self) -> list[Row]:
        """Return what the evaluations showed, in the order in which they were asked for."""
        prepared = self._prepared
        recorded = {detail["number"]: detail for _, _, detail in self._folder.ledger.events("explored")}
        recorded = {number: row for number, row in recorded.items() if row["code"] == self._code}
        LOGGER.info("explores by up to %d evaluations what the objective asks for", self._most)
        pool = pool_of(prepared.job, prepared.problem, prepared.source, prepared.goals, self._folder)
        rows: list[Row] = []
        asked: list[Given] = []
        with contextlib.closing(pool), StopRequests(prepared.job.budget.limits().deadline) as self._requests:
            self._pool = pool
            while batch := self._next_round(rows, asked):
                numbers = range(len(rows), len(rows) + len(batch))
                missing = [(n, given) for n, given in zip(numbers, batch, strict=True) if n not in recorded]
                recorded |= self._evaluated(missing)
                rows += [recorded[n] for n in numbers]
                asked += batch
        return rows

    def _next_round(self, rows: Sequence[Row], asked: Sequence[Given]) -> list[Given]:
        left = self._most - len(rows)
        if not rows:
            return [{}] * min(AT_FIRST, left)
        known = {json_key(given) for given in asked}
        wanted = self._prepared.problem.worth_exploring([row["facts"] for row in rows])
        new = {key: given for given in wanted if (key := json_key(given)) not in known}
        return [*new.values()][:left]

    def _evaluated(self, missing: Sequence[tuple[int, Given]]) -> dict[int, Row]:
        waiting, rows = [self._task(*each) for each in missing], dict[int, Row]()
        while waiting or self._pool.running:
            while waiting and self._pool.free:
                self._pool.submit(waiting.pop(0))
            for outcome in self._wait():
                rows[outcome.id] = self._recorded(outcome)
        return rows

    def _task(self, number: int, given: Given) -> Task:
        seed = evaluation_seed(self._prepared.job.search.seed, {"explores": number})
        return Task(number, given, seed, self._folder.workspace(0))

    def _wait(self) -> list[Outcome]:
        if self._pool.in_process:
            none: list[Outcome] = []
            ended = self._requests.interruptible(lambda: self._pool.next_finished(POLL_S), none)
        else:
            ended = self._pool.next_finished(POLL_S)
        if self._requests.reason:
            raise RunStoppedError(f"stopped by {self._requests.reason}; what was explored is recorded, and goes on")
        return ended

    def _recorded(self, outcome: Outcome) -> Row:
        facts = dict(outcome.facts)
        error = facts.pop("error", None)
        row = {"number": outcome.id, "code": self._code, "status": outcome.status, "facts": facts}
        row |= {"metrics": outcome.metrics, "reason": error or outcome.reason, "duration_s": outcome.duration_s}
        with self._folder.ledger.transaction():
            self._folder.ledger.record_event("explored", **row)
        return row
