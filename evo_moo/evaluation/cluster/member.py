"""A host that works for a run which listens: it joins, leaves, and joins again, until the run is over.

One Dask worker with as many threads as there are workers, each of which evaluates in a process of its own, see
``dask_worker``. So what evaluations do ends no Dask worker, and all share the host's measurement slot.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

from evo_moo import threads
from evo_moo.errors import RunStoppedError, UsageError, missing_extra
from evo_moo.evaluation.cluster.dask_worker import be_quiet, part_from, without_workspaces
from evo_moo.evaluation.cluster.head import ASK_TERMS, NOWHERE, SETTINGS
from evo_moo.evaluation.cluster.keys import security_of
from evo_moo.evaluation.cluster.terms import Terms
from evo_moo.evaluation.loky_pool import START_S
from evo_moo.evaluation.places import Places
from evo_moo.evaluation.processes import end_with_parent

RETRY_S = 1.0
CONNECT_S = 5.0
LEAVE_S = 10.0
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


class Head(NamedTuple):
    """Where a run can be joined.

    Attributes:
        address: As Dask names it.
        token: Stands for the head that listens there; empty where that is not known.
        is_alive: Whether it surely listens there, so that who answers is the run.
    """

    address: str
    token: str = ""
    is_alive: bool = True


@dataclass(frozen=True)
class Whereabouts:
    """What a host knows of the run that it works for.

    Attributes:
        words: The run, for messages.
        head: Returns where it can be joined; None where nothing is known of it now.
        is_over: Returns whether it has ended for good.
        sees: Returns whether a folder is that of the head with a token.
    """

    words: str
    head: Callable[[], Head | None]
    is_over: Callable[[], bool]
    sees: Callable[[str, str], bool]


class Member:
    """Works for a run.

    Args:
        run: The run.
        n_workers: Number of processes that evaluate; None: one at each place for what the run wants of a host, or one
            for each core.
        keys: Folder of the keys; None only on the loopback.
        say: Takes a line for the user.

    Raises:
        UsageError: ``distributed`` is not installed, or the keys cannot be used.
    """

    def __init__(self, run: Whereabouts, n_workers: int | None, keys: Path | None, say: Callable[[str], None]) -> None:
        try:
            import distributed  # noqa: F401
        except ImportError as error:
            raise missing_extra("dask", "`evo-moo work`") from error
        be_quiet()
        self._run, self._n_workers, self._say_line = run, n_workers, say
        self._security, self._said, self._tried, self._received = security_of(keys), "", "", ""
        self._n_places = n_workers or 0

    def work(self) -> None:
        """Join the run whenever it can be joined, until it is over.

        Raises:
            UsageError: This host cannot work for the run, or its keys are others.
            RunStoppedError: A signal asked to stop; the second one acts at once.
        """
        asyncio.run(self._work())

    async def _work(self) -> None:
        self._stop, loop = asyncio.Event(), asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # on Windows, where an interrupt ends it at once
            for number in SIGNALS:
                loop.add_signal_handler(number, self._note, number)
        while not self._stop.is_set():
            head = self._run.head()
            terms = await self._terms_of(head) if head else None
            is_over = await self._join(head, terms) if head and terms else self._run.is_over()
            if is_over:
                return self._say("is over")
            if terms is None and "waits" not in self._said:
                self._say("cannot be joined yet; waits for it")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), RETRY_S)
        raise RunStoppedError(f"stopped by {self._received}; the same command joins again")

    def _note(self, number: int) -> None:
        if self._received:
            os._exit(75)
        self._received = signal.Signals(number).name
        self._stop.set()

    def _say(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._say_line(f"{self._run.words} {words}")

    async def _terms_of(self, head: Head) -> Terms | None:
        """Ask the run what a worker must know; None where nobody answers, or another run does."""
        from distributed import rpc
        from distributed.comm import CommClosedError
        from distributed.comm.core import FatalCommClosedError

        arguments = self._security.get_connection_args("worker") if self._security else {}
        try:
            async with rpc(head.address, timeout=CONNECT_S, connection_args=arguments) as scheduler:
                message = await asyncio.wait_for(getattr(scheduler, ASK_TERMS)(), 2 * CONNECT_S)
        except Exception as error:  # whatever listens at an address that may be another's by now
            if self._security and isinstance(error.__cause__ or error, FatalCommClosedError | ValueError):
                if not head.is_alive:
                    self._say(f"does not take these keys, or left {head.address} to another; waits for it")
                    return None
                raise UsageError(
                    f"a worker must have the keys of its run, but {self._run.words} does not take these; "
                    "name its own by --keys DIR, or leave them out if it has none"
                ) from error
            if not self._security and isinstance(error, CommClosedError):
                self._say("closes the connection, as it does if it has keys and is asked without; waits for it")
            return None
        if not isinstance(message, dict) or "terms" not in message:
            return None
        terms, doubts = Terms.of_message(message)
        if head.token and terms.token != head.token:
            return None
        if terms.token != self._tried:
            for doubt in doubts:
                self._say_line(f"{doubt}; results may differ in their last digits")
            await self._try(terms)
            self._tried = terms.token
        return terms

    async def _try(self, terms: Terms) -> None:
        """See that this host can evaluate for the run, before it is given anything to evaluate.

        Raises:
            UsageError: It cannot.
        """
        if terms.folder is not None and not self._run.sees(terms.folder, terms.token):
            if terms.needs_folder:
                raise UsageError(
                    "a worker must see the run folder where trainings go on from saved weights, but "
                    f"`{terms.folder}` is not there on this host; let both share a disk"
                )
            without_workspaces(terms.token)
        if fault := await asyncio.to_thread(_tried, terms):
            raise UsageError(*fault.splitlines())
        for note in (places := Places(terms.devices)).notes(self._n_workers):
            self._say_line(note)
        self._n_places = places.n_workers(self._n_workers)

    async def _join(self, head: Head, terms: Terms) -> bool:
        """Work for the run until it has no more use of this host, or a signal comes; return whether it is over."""
        import dask
        from distributed import Worker
        from distributed.comm import get_address_host

        host = get_address_host(head.address) if self._security is None else None
        host = f"[{host}]" if host and ":" in host else host
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        options: dict[str, Any] = {"host": host, "security": self._security, "memory_limit": None, "name": name}
        with dask.config.set(SETTINGS):
            worker = Worker(head.address, nthreads=self._n_places, dashboard_address=NOWHERE, **options)
            try:
                await asyncio.wait_for(worker, 2 * CONNECT_S)
            except (OSError, TimeoutError, ValueError):
                await worker.close()
                return False
        now = await self._terms_of(head)
        if now is None or now.token != terms.token:  # another head has taken the address meanwhile
            await worker.close()
            return False
        self._say(f"has {self._n_places} more worker{'s' if self._n_places > 1 else ''} at {head.address}")
        ends = [asyncio.create_task(each) for each in (worker.finished(), self._stop.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._stop.is_set():
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(worker.close_gracefully(), LEAVE_S)
        await worker.close()
        for each in ends:
            each.cancel()
        is_over = await asyncio.to_thread(part_from, terms.token)
        if not is_over and not self._stop.is_set():
            self._say("is out of reach; waits for it")
        return is_over


def _tried(terms: Terms) -> str:
    """Build the problem in a process of its own, and return what is wrong with it here."""
    follows: dict[str, Any] = {"initializer": end_with_parent, "initargs": (os.getpid(),)}
    executor = ProcessPoolExecutor(max_workers=1, env=dict.fromkeys(threads.VARIABLES, "1"), **follows)
    try:
        fault: str = executor.submit(Terms.fault_of_problem, terms).result(START_S)
    except (BrokenProcessPool, TimeoutError) as error:
        fault = f"a worker must be able to build the problem of its run, but here that ended badly: {error!r}"
    finally:
        executor.shutdown(wait=True, kill_workers=True)
    return fault
