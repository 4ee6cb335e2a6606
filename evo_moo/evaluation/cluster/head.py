"""Dask's own scheduler in the process of a run, which workers of any host join.

It ends with its process, so a kill of the run leaves no scheduler behind.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from evo_moo.errors import UsageError
from evo_moo.evaluation.cluster.keys import security_of
from evo_moo.evaluation.cluster.terms import Terms

ASK_TERMS = "evo_moo_terms"
"""Name of the call by which a worker asks for the terms of the run."""
QUIET: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
"""Dask's settings: its pages, which ask nobody for a key, show nothing."""
NOWHERE = "127.0.0.1:0"
"""Where its empty pages are, since it always has some."""


class Listening(NamedTuple):
    """Where a run listens, and what it tells whoever joins.

    Attributes:
        host, port: The address; port 0 is any that is free.
        keys: Folder of the keys; None only where no other host can reach the address.
        terms: What a worker needs to know, for the token of this head.
        is_over: Returns whether the run has ended for good, so that its workers need not wait for it.
    """

    host: str
    port: int
    keys: Path | None
    terms: Callable[[str], Terms]
    is_over: Callable[[], bool]


def scheduler_of(listening: Listening, token: str) -> Any:
    """Start a scheduler in this process, as a Dask cluster without workers of its own.

    Raises:
        UsageError: It cannot listen there, or the keys cannot be used.
    """
    import dask
    from distributed import LocalCluster

    security = security_of(listening.keys)
    with dask.config.set(QUIET):
        try:
            cluster = LocalCluster(
                n_workers=0,
                host=listening.host,
                scheduler_port=listening.port,
                protocol="tls://" if security else "tcp://",
                security=security,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": NOWHERE},
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError) as error:
            cause = error.__cause__ or error
            raise UsageError(
                "`evaluation.listen` must be a free address of this host, but "
                f"tcp://{listening.host}:{listening.port} is none: {cause}; with port 0 a free one is taken"
            ) from error
    terms = listening.terms(token).to_message()
    cluster.scheduler.handlers[ASK_TERMS] = lambda: terms
    return cluster
