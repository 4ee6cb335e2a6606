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
SETTINGS: dict[str, Any] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.scheduler.worker-ttl": "30 s",
}
"""Dask's settings: its pages, which ask nobody for a key, show nothing; who is silent for 30 to 60 s is lost."""
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
    security = security_of(listening.keys)
    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    place = {"host": host, "scheduler_port": listening.port, "silence_logs": logging.CRITICAL}
    try:
        cluster = cluster_of(0, protocol="tls://" if security else "tcp://", security=security, **place)
    except (OSError, RuntimeError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise UsageError(
            "`evaluation.listen` must be a free address of this host, but "
            f"tcp://{host}:{listening.port} is none: {cause}; with port 0 a free one is taken"
        ) from error
    terms = listening.terms(token).to_message()
    cluster.scheduler.handlers[ASK_TERMS] = lambda: terms
    return cluster


def cluster_of(n_workers: int, **options: Any) -> Any:
    """Start a scheduler in this process, and workers on this host; no pages that others see.

    Args:
        n_workers: Number of workers, each a process.
        options: Further arguments of Dask's ``LocalCluster``.

    Raises:
        OSError, RuntimeError: It cannot listen there.
    """
    import dask
    from distributed import LocalCluster

    with dask.config.set(SETTINGS):
        pages = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": NOWHERE}}
        return LocalCluster(n_workers=n_workers, **pages, **options)
