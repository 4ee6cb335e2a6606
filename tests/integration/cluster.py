"""A run that listens with TLS, two processes that work for it, and a stranger who knocks.

Each of the three may be killed and started again.
"""

import asyncio
import contextlib
import functools
import pickle
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evo_moo.evaluation.cluster.keys import new_keys, security_of
from evo_moo.storage.folder_lock import reached_at

COMMAND = [sys.executable, "-m", "evo_moo"]
VICTIMS = ("head", "first worker", "second worker")


class Cluster:
    """The three of them, in a folder with a job file.

    Attributes:
        run_dir: The run folder.
        keys: The folder of the keys.
        head: The process of the run.
        workers: The processes that work for it.
    """

    def __init__(self, folder: Path, job: Path) -> None:
        self._folder, self._job, self.run_dir, self.keys = folder, job, folder / "run", folder / "keys"
        self._others = folder / "other keys"
        new_keys(self.keys)
        new_keys(self._others)
        self.head = self._head()
        self.workers = [self._worker(), self._worker()]

    def kill(self, victim: str) -> None:
        """Kill one of ``VICTIMS``, and start it again."""
        number = VICTIMS.index(victim) - 1
        _end(self.head if number < 0 else self.workers[number])
        if number < 0:
            self.head = self._head()
        else:
            self.workers[number] = self._worker()

    def freeze(self, is_frozen: bool) -> None:
        """Let the first worker stand still, or go on."""
        self.workers[0].send_signal(signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def wait(self) -> list[int]:
        """Return the exit codes of all three, once the run is over."""
        return [process.wait() for process in (self.head, *self.workers)]

    def close(self) -> None:
        """Kill what is left."""
        for process in (self.head, *self.workers):
            _end(process)

    @property
    def said(self) -> str:
        """What all of them have said."""
        return (self._folder / "said").read_text()

    def refused(self) -> dict[str, bool]:
        """Ask the run to make a file, as a stranger in several ways and as one of them; say who was refused.

        All is empty while the run does not listen.
        """
        reached = reached_at(self.run_dir)
        if reached is None:
            return {}
        nobody = ssl.create_default_context()
        nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
        callers = {
            "plain": (reached.address.replace("tls", "tcp"), {}),
            "without a key": (reached.address, {"ssl_context": nobody, "require_encryption": True}),
            "other keys": (reached.address, security_of(self._others).get_connection_args("worker")),
            "one of them": (reached.address, security_of(self.keys).get_connection_args("worker")),
        }
        made = self._folder / "made by one who called"
        refused = {}
        for name, caller in callers.items():
            made.unlink(missing_ok=True)
            with contextlib.suppress(OSError, TimeoutError):
                asyncio.run(_call(*caller, functools.partial(made.touch)))
            refused[name] = not made.exists()
        return refused

    def _head(self) -> "subprocess.Popen[bytes]":
        listen = ["--listen", "tcp://127.0.0.1:0", "--keys", self.keys]
        return self._start("run", self._job, "--run-dir", self.run_dir, *listen)

    def _worker(self) -> "subprocess.Popen[bytes]":
        return self._start("work", self.run_dir, "--workers", 1, "--keys", self.keys)

    def _start(self, *arguments: Any) -> "subprocess.Popen[bytes]":
        with (self._folder / "said").open("ab") as said:
            return subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=self._folder, stdout=said, stderr=said)


@contextlib.contextmanager
def cluster(folder: Path, job: Path) -> Iterator[Cluster]:
    """The three, which do not outlive the block."""
    opened = Cluster(folder, job)
    try:
        yield opened
    finally:
        opened.close()


async def _call(address: str, arguments: dict[str, Any], function: Callable[[], None]) -> None:
    """Let Dask's scheduler at an address run a function, which it does for whomever it listens to."""
    from distributed import rpc

    async with rpc(address, timeout=5, connection_args=arguments) as scheduler:
        await asyncio.wait_for(scheduler.run_function(function=pickle.dumps(function), wait=True), 20)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait()
