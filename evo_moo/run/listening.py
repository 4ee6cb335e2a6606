"""A run that listens for workers of other hosts."""

import logging
import shlex
import sys
from pathlib import Path

from evo_moo.evaluation.cluster.head import Listening
from evo_moo.evaluation.cluster.terms import Terms
from evo_moo.evaluation.dask_pool import DaskPool
from evo_moo.evaluation.problem_version import problem_parts, problem_version
from evo_moo.evaluation.task import PoolOptions
from evo_moo.job.job import Job
from evo_moo.job.listening import Address
from evo_moo.plugins import ProblemSource
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.storage.run_folder import RunFolder
from evo_moo.text import printable

LOGGER = logging.getLogger("evo_moo")


def listening_pool(
    job: Job,
    problem: SearchProblem,
    source: ProblemSource,
    goals: Goals,
    options: PoolOptions,
    folder: RunFolder,
    *,
    verbose: bool,
) -> DaskPool:
    """Listen for workers, let the run folder say where, and say how they join.

    Raises:
        UsageError: It cannot listen there, or the keys cannot be used.
        RunFolderError: The folder cannot be written.
    """
    settings = job.evaluation
    address = Address.read(str(settings.listen), "evaluation.listen")
    needs_folder = job.refinement is not None and problem.continues
    version, parts = problem_version(problem, source), problem_parts(problem, source)

    def terms(token: str) -> Terms:
        place = str(folder.path) if folder.path else None
        return Terms(token, source, version, parts, place, needs_folder, options.devices)

    listening = Listening(
        *address,
        Path(settings.keys) if settings.keys else None,
        terms,
        lambda: folder.ledger.facts().state in ("finished", "failed"),
    )
    pool = DaskPool(source, goals, settings.workers, None, options, listening)
    try:
        folder.announce(pool.address, pool.token)
    except BaseException:
        pool.close()
        raise
    reached_at = f"tcp{pool.address[3:]}"
    keys = f" --keys {shlex.quote(settings.keys)}" if settings.keys else ""
    ways = [shlex.quote(str(folder.path)), reached_at] if folder.path else [reached_at]
    words = f"listens at {reached_at} for {' or '.join(f'`evo-moo work {way}{keys}`' for way in ways)}"
    LOGGER.info("%s", words)
    if verbose:
        print(f"evo-moo: {printable(words)}", file=sys.stderr)  # noqa: T201
    return pool
