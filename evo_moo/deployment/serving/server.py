"""The service as a process: its models, its doors, its socket, and its orderly end."""

import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from evo_moo.deployment.serving.app import App, Doors
from evo_moo.deployment.serving.inputs import Rules
from evo_moo.deployment.serving.members import Member
from evo_moo.deployment.serving.metrics import Metrics
from evo_moo.deployment.serving.models import Model, members_of, read_models
from evo_moo.deployment.serving.request_log import RequestLog
from evo_moo.deployment.serving.service import Service
from evo_moo.deployment.serving.switch import Switch
from evo_moo.deployment.serving.warm_pool import WarmPool
from evo_moo.errors import UsageError

HEADER_S, BODY_S, IDLE_S, DRAIN_S = 10.0, 10.0, 30.0, 30.0
"""Seconds in which the head of a request and its body must come, for which a connection may be idle between requests,
and for which a stop waits for answers."""
_FEWEST_TOKEN, _MOST_INPUTS = 16, 256


@dataclass(frozen=True)
class Serving:
    """How models are served.

    Attributes:
        limit: The deadline, as ``Switch`` takes it.
        by_time: Deadlines by time of day.
        by_queue: Deadlines by number of waiting requests.
        probability: Share of the requests that should keep the deadline.
        workers: Number of requests that are answered at once.
        usual: Number of inputs of a usual request; None: as many as the first card's latency is of.
        memory_mb: Memory for the models that are loaded.
        host: Address to listen at.
        port: Port; 0 is any free one.
        token_file: File with the token that clients must show; needed for addresses that other machines reach.
        log: File of requests and answers.
        logs_inputs: Whether inputs are logged.
        most_waiting: How many requests may wait.
        most_connections: How many connections may be open.
        most_inputs: Number of inputs of a request; None: 256, or those of a usual request if they are more.
        most_bytes: Size of a request's body.
        runtime: What runs the models.
        trust: Whether the code that their files may run is trusted.
    """

    limit: str | float
    by_time: Sequence[tuple[str, float]] = ()
    by_queue: Sequence[tuple[float, float]] = ()
    probability: float = 0.95
    workers: int = 1
    usual: int | None = None
    memory_mb: float = float("inf")
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    log: Path | None = None
    logs_inputs: bool = False
    most_waiting: int = 64
    most_connections: int = 256
    most_inputs: int | None = None
    most_bytes: int = 4_000_000
    runtime: str | None = None
    trust: bool = False


class TimedProtocol(H11Protocol):  # type: ignore[misc]  # uvicorn is not checked
    """HTTP by uvicorn, which also closes a connection whose next request does not come to the end of its head."""

    _overdue: Any = None

    def connection_made(self, transport: Any) -> None:
        """Expect a request."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Take what has come, and expect the rest of a head."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._overdue is None:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._forget()
        super().connection_lost(exc)

    def _expect(self) -> None:
        self._overdue = self.loop.call_later(HEADER_S, self.transport.close)

    def _forget(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


def serve(paths: Sequence[str | Path], serving: Serving, started: Callable[[str, Sequence[Member]], None]) -> None:
    """Serve models until a signal asks to stop; what waits then is answered first.

    Args:
        paths: Their folders.
        serving: How they are served.
        started: Called with the address and the members, sorted by latency, when requests may come.

    Raises:
        UsageError: Something is wrong; all faults that can be seen together are listed.
    """
    token, log = _checked(serving)
    models = read_models(paths, runtime=serving.runtime, trust=serving.trust)
    usual = serving.usual or models[0].card.batch_size
    most_inputs = serving.most_inputs or max(_MOST_INPUTS, usual)
    if usual > most_inputs:
        raise UsageError(f"`--max-inputs` must be at least a usual request's, {usual}, but is {most_inputs}")
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(_bound(serving))
        executor = stack.enter_context(ThreadPoolExecutor(serving.workers, thread_name_prefix="model"))
        switch = Switch(
            members_of(models, usual, executor),
            serving.limit,
            probability=serving.probability,
            workers=serving.workers,
            by_time=serving.by_time,
            by_queue=serving.by_queue,
        )
        app = _app(models, switch, executor, usual, log, _doors(models, serving, most_inputs, token), serving)
        config = uvicorn.Config(
            app,
            http=TimedProtocol,
            ws="none",
            lifespan="on",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=serving.most_connections,
            timeout_keep_alive=int(IDLE_S),
            timeout_graceful_shutdown=int(DRAIN_S),
        )
        host = f"[{serving.host}]" if ":" in serving.host else serving.host
        started(f"http://{host}:{sock.getsockname()[1]}", switch.members)
        # uvicorn raises the signal again at its end; a stop that was asked for is no failure.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        uvicorn.Server(config).run(sockets=[sock])


def _app(
    models: Sequence[Model],
    switch: Switch,
    executor: ThreadPoolExecutor,
    usual: int,
    log: RequestLog,
    doors: Doors,
    serving: Serving,
) -> App:
    pool = WarmPool(
        [m for m in models if m.name in {s.name for s in switch.members}], switch.members, serving.memory_mb
    )
    if faults := pool.follow(switch.current):
        raise UsageError(*faults)
    metrics = Metrics()
    service = Service(switch, pool, executor, metrics, usual=usual, most_waiting=serving.most_waiting)
    return App(service, doors, {model.name: model.card for model in models}, metrics, log)


def _doors(models: Sequence[Model], serving: Serving, most_inputs: int, token: str) -> Doors:
    card = models[0].card
    groups = tuple(sorted(name for name in card.thresholds if name))
    hosts = () if token else ("localhost", "127.0.0.1", "::1", serving.host.lower())
    rules = Rules(models[0].input, groups, most_inputs)
    return Doors(rules, serving.most_bytes, BODY_S, token, tuple(dict.fromkeys(hosts)), serving.logs_inputs)


def _checked(serving: Serving) -> tuple[str, RequestLog]:
    """Return the token and the log.

    Raises:
        UsageError: What can be judged without any model is wrong; all faults are listed.
    """
    faults, token = list[str](), ""
    try:
        Switch([Member("any", 0.0, (1.0,))], serving.limit, by_time=serving.by_time, by_queue=serving.by_queue)
    except UsageError as error:
        faults += error.faults
    if serving.token_file is not None:
        try:
            token = serving.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            faults.append(f"`--token-file` must be a file of text, but {serving.token_file} cannot be read")
        else:
            if len(token) < _FEWEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
                rule = f"`--token-file` must have at least {_FEWEST_TOKEN} printable ASCII characters without spaces"
                faults.append(f"{rule}, but has {len(token)}; write one with `openssl rand -hex 32`")
    elif not _is_loopback(serving.host):
        rule = "`--host` must be an address of this machine alone, such as 127.0.0.1, or needs --token-file"
        faults.append(f"{rule}, but is {serving.host}")
    if serving.logs_inputs and serving.log is None:
        faults.append("`--log-inputs` must come with --log, but comes without")
    if faults:
        raise UsageError(*faults)
    return token, RequestLog(serving.log)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _bound(serving: Serving) -> socket.socket:
    try:
        family = socket.getaddrinfo(serving.host, serving.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((serving.host, serving.port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        rule = "`--host` and `--port` must be an address that is free on this machine"
        raise UsageError(f"{rule}, but {serving.host} and {serving.port} are not: {reason}") from None
