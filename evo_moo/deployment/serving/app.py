"""The doors of the service: what HTTP requests must look like, and what they get."""

import asyncio
import hmac
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from evo_moo.deployment.card import ModelCard
from evo_moo.deployment.measure import decided
from evo_moo.deployment.model_folder import Array
from evo_moo.deployment.serving.inputs import JSON, RefusedError, Rules, parsed, read_inputs
from evo_moo.deployment.serving.metrics import CONTENT_TYPE, Metrics
from evo_moo.deployment.serving.request_log import RequestLog
from evo_moo.deployment.serving.service import Answer, Service

DEADLINE = "X-Deadline-Ms"
_LONGEST_MS = 3_600_000
_DRAINED = 4
"""By how much a body may be too large and still be read: many clients see no answer before they have sent all."""
_OPEN = ("/health", "/ready")
_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


@dataclass(frozen=True)
class Doors:
    """What is asked of every request.

    Attributes:
        rules: What inputs must be.
        most_bytes: Size of a body.
        patience_s: Seconds in which a body must have come.
        token: What a client must show; empty where nobody asks for it.
        hosts: Names by which the service may be called; empty: any. Without a token, pages of strangers in a browser of
            this machine are kept out by it.
        logs_inputs: Whether inputs are logged.
    """

    rules: Rules
    most_bytes: int
    patience_s: float
    token: str = ""
    hosts: tuple[str, ...] = ()
    logs_inputs: bool = False


class App:
    """The application: an ASGI callable.

    Args:
        service: What answers.
        doors: What is asked of every request.
        cards: Names of models to cards.
        metrics: What is counted.
        log: What was asked and answered.
    """

    def __init__(
        self, service: Service, doors: Doors, cards: Mapping[str, ModelCard], metrics: Metrics, log: RequestLog
    ) -> None:
        self._service, self._doors, self._cards, self._metrics, self._log = service, doors, cards, metrics, log
        routes = [
            Route("/predict", self._predict, methods=["POST"]),
            Route("/labels", self._labels, methods=["POST"]),
            Route("/health", self._health),
            Route("/ready", self._ready),
            Route("/metrics", self._show_metrics),
            Route("/card", self._show_cards),
        ]
        handlers = {RefusedError: _refused, HTTPException: _unknown, Exception: _failed}
        self._app = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let in who may enter."""
        fault = self._fault(Request(scope)) if scope["type"] == "http" else None
        await (self._app if fault is None else _said(fault))(scope, receive, send)

    def _fault(self, request: Request) -> RefusedError | None:
        host = re.sub(r":\d+$", "", request.headers.get("host", "")).strip("[]").lower()
        if self._doors.hosts and host not in self._doors.hosts:
            return RefusedError(
                421, f"the host must be {' or '.join(self._doors.hosts)}; else the service needs a token"
            )
        given = request.headers.get("authorization", "").encode("utf-8", "replace")
        wanted = f"Bearer {self._doors.token}".encode()
        if self._doors.token and request.url.path not in _OPEN and not hmac.compare_digest(given, wanted):
            words = "the request must show the token, as Authorization: Bearer TOKEN"
            return RefusedError(401, words, headers={"WWW-Authenticate": "Bearer"})
        return None

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._service.start()
        yield
        await self._service.stop()
        self._log.close()

    async def _predict(self, request: Request) -> Response:
        name, status, started, request_id = "", 500, time.perf_counter(), ""
        try:
            request_id = _id(request)
            body = await _body(request, self._doors)
            started = time.perf_counter()
            inputs, groups = read_inputs(body, _kind(request), self._doors.rules)
            answer = await self._service.answer(inputs, _deadline(request), started)
            name, status = answer.model, 200
            return _json(self._told(answer, inputs, groups, request_id))
        except RefusedError as error:
            status = error.status
            if status >= 500:
                took_ms = round((time.perf_counter() - started) * 1e3, 3)
                self._log.write([{"time": time.time(), "id": request_id, "latency_ms": took_ms, "status": status}])
            raise
        finally:
            self._metrics.requests.labels(name, str(status)).inc()

    def _told(self, answer: Answer, inputs: Array, groups: list[str] | None, request_id: str) -> dict[str, Any]:
        """Log an answer, and return what the client gets."""
        card = self._cards[answer.model]
        of = None if groups is None else np.array(groups)
        values = card.outputs == "values"
        found = answer.outputs if values else decided(answer.outputs, card.outputs, card.thresholds, of)
        n = len(inputs)
        ids = [request_id] if n == 1 else [f"{request_id}/{i}" for i in range(n)]
        predictions = (found.reshape(n) if found.size == n else found).tolist()
        latency = round(answer.latency_ms, 3)
        if self._log.is_open:
            outputs = answer.outputs.reshape(n, -1).tolist()
            # A watch knows a model by its card.
            shared = {"time": time.time(), "model": card.name, "latency_ms": latency, "status": 200}
            rows: list[dict[str, Any]] = [
                {**shared, "id": ids[i], "output": outputs[i], "prediction": predictions[i]} for i in range(n)
            ]
            for i, row in enumerate(rows):
                row |= {} if groups is None else {"group": groups[i]}
                row |= {"inputs": inputs[i].ravel().tolist()} if self._doors.logs_inputs else {}
            self._log.write(rows)
        told = {
            "ids": ids,
            "model": answer.model,
            "outputs": answer.outputs.tolist(),
            "predictions": predictions,
            "latency_ms": latency,
            "deadline_ms": answer.deadline_ms,
            "why": answer.why,
        }
        if card.classes and not values:
            told["classes"] = [card.classes[i] for i in predictions]
        return told

    async def _labels(self, request: Request) -> Response:
        if not self._log.is_open:
            raise RefusedError(409, "labels are kept in the log, but the service has none; start it with --log")
        body = await _body(request, self._doors)
        if _kind(request) != JSON:
            raise RefusedError(415, f"the content type must be {JSON}")
        rows = parsed(body).get("labels")
        card = next(iter(self._cards.values()))
        if not isinstance(rows, list) or not rows:
            raise RefusedError(422, '`labels` must be a list such as [{"id": "…", "label": 3}]')
        if faults := [fault for i, row in enumerate(rows) for fault in _label_faults(i, row, card)]:
            raise RefusedError(422, *faults[:20])
        now = time.time()
        if not self._log.write([{"time": now, "id": row["id"], "label": row["label"]} for row in rows]):
            raise RefusedError(507, "the labels must be written to the log, but cannot be; ask for its disk")
        return _json({"n_labels": len(rows)})

    async def _health(self, request: Request) -> Response:
        return _json({"status": "ok"})

    async def _ready(self, request: Request) -> Response:
        ready = self._service.is_ready
        return _json({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    async def _show_metrics(self, request: Request) -> Response:
        self._service.observe()
        self._metrics.log_lost.set(self._log.n_lost)
        return Response(self._metrics.text(), media_type=None, headers={"Content-Type": CONTENT_TYPE})

    async def _show_cards(self, request: Request) -> Response:
        return _json({name: card.model_dump(mode="json") for name, card in self._cards.items()})


async def _body(request: Request, doors: Doors) -> bytes:
    """Read a body that is neither too large nor too slow."""
    closed = {"Connection": "close"}  # what still comes of it is not read
    too_large = RefusedError(413, f"the body must have at most {doors.most_bytes:,} bytes", headers=closed)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError(415, "the body must not be compressed", headers=closed)
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > _DRAINED * doors.most_bytes:
        raise too_large
    parts, size = list[bytes](), 0
    try:
        async with asyncio.timeout(doors.patience_s):
            async for part in request.stream():
                size += len(part)
                if size > _DRAINED * doors.most_bytes:
                    raise too_large
                if size <= doors.most_bytes:
                    parts.append(part)
    except TimeoutError:
        raise RefusedError(408, f"the body must come within {doors.patience_s:g} s", headers=closed) from None
    except ClientDisconnect:
        raise RefusedError(400, "the body must be whole", headers=closed) from None
    if size > doors.most_bytes:
        raise too_large
    return b"".join(parts)


def _kind(request: Request) -> str:
    return str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _deadline(request: Request) -> float | None:
    text = request.headers.get(DEADLINE)
    try:
        deadline = None if text is None else float(text)
    except ValueError:
        deadline = 0.0
    if deadline is not None and not 0 < deadline <= _LONGEST_MS:
        raise RefusedError(422, f"{DEADLINE} must be milliseconds above 0, at most {_LONGEST_MS}, but is {text!r}")
    return deadline


def _id(request: Request) -> str:
    given = request.headers.get("x-request-id")
    if given is not None and not _ID.fullmatch(given):
        raise RefusedError(422, "X-Request-Id must be at most 128 letters, digits, or any of . : _ -")
    return given or uuid.uuid4().hex


def _label_faults(i: int, row: Any, card: ModelCard) -> Sequence[str]:
    if not isinstance(row, dict) or row.keys() != {"id", "label"} or not isinstance(row["id"], str):
        return [f"label {i} must be an object of `id` and `label`"]
    label = row["label"]
    is_number = isinstance(label, int | float) and not isinstance(label, bool)
    if card.outputs == "values":
        return [] if is_number else [f"label {i} must be a number"]
    n = len(card.classes)
    whole = isinstance(label, int) and is_number
    return [] if whole and 0 <= label < (n or label + 1) else [f"label {i} must be the number of a class, from 0 on"]


def _json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(data), status, headers, media_type=JSON)


def _said(error: RefusedError) -> Response:
    return _json({"errors": list(error.faults)}, error.status, error.headers)


async def _refused(request: Request, error: Any) -> Response:
    return _said(error)


async def _unknown(request: Request, error: Any) -> Response:
    words = f"{request.method} {request.url.path[:100]}: {error.detail}; there are POST /predict, POST /labels, "
    return _said(RefusedError(error.status_code, f"{words}GET /health, /ready, /metrics, /card"))


async def _failed(request: Request, error: Any) -> Response:
    return _said(RefusedError(500, f"the service failed: {type(error).__name__}"))
