"""Who may enter, and what is not waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

pytest.importorskip("starlette")

from evo_moo.deployment.card import Input
from evo_moo.deployment.serving.app import App, Doors
from evo_moo.deployment.serving.inputs import Rules
from evo_moo.deployment.serving.metrics import Metrics
from evo_moo.deployment.serving.request_log import RequestLog

RULES = Rules(Input(shape=(1,), dtype="float32"), (), 9)
TOKEN = "0123456789abcdef"
Receive = Callable[[], Awaitable[dict[str, Any]]]


async def nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def asked(
    doors: Doors, path: str, headers: dict[str, str], method: str = "GET", receive: Receive = nothing
) -> tuple[int, dict[str, Any]]:
    """Status and body of a request to an application whose models are never reached."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    app = App(None, doors, {}, Metrics(), RequestLog(None))  # type: ignore[arg-type]
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": pairs}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], orjson.loads(b"".join(message.get("body", b"") for message in sent))


@pytest.mark.parametrize(
    ("path", "shown", "status"),
    [
        ("/health", "", 200),
        ("/card", "", 401),
        ("/card", "Bearer wrong", 401),
        ("/card", "Bearer wröng", 401),
        ("/metrics", TOKEN, 401),
        ("/card", f"Bearer {TOKEN}", 200),
    ],
)
def test_the_token_opens_all_but_the_probes(path: str, shown: str, status: int) -> None:
    assert asked(Doors(RULES, 99, 9, TOKEN), path, {"authorization": shown})[0] == status


def test_pages_of_strangers_are_kept_out() -> None:
    doors = Doors(RULES, 99, 9, hosts=("127.0.0.1", "::1"))
    found = [asked(doors, "/card", {"host": host})[0] for host in ("127.0.0.1:80", "[::1]:80", "evil.example", "")]
    assert found == [200, 200, 421, 421]


def test_a_slow_body_is_not_waited_for() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    status, said = asked(Doors(RULES, 99, 0.01), "/predict", {}, "POST", never)
    assert status == 408 and said["errors"] == ["the body must come within 0.01 s"]


@pytest.mark.parametrize(("declared", "n_parts"), [("999", 0), ("-1", 0), ("150", 2), (None, 99)])
def test_a_large_body_is_refused(declared: str | None, n_parts: int) -> None:
    taken = 0

    async def part() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 75, "more_body": taken < n_parts}

    headers = {} if declared is None else {"content-length": declared}
    assert asked(Doors(RULES, 100, 9), "/predict", headers, "POST", part)[0] == 413
    assert taken <= 6  # four times too much is the most that is read
