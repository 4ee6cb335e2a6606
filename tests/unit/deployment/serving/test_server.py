"""What a connection may leave unsaid, and how long."""

import asyncio

import pytest

pytest.importorskip("uvicorn")
from uvicorn import Config
from uvicorn.server import ServerState

from evo_moo.deployment.serving import server


async def empty(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]


@pytest.mark.parametrize("begun", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP"])
def test_a_head_that_does_not_end_closes_the_connection(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_S", 0.05)

    async def connect() -> bytes:
        config, state = Config(empty, lifespan="off", log_config=None), ServerState()
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: server.TimedProtocol(config, state, {}), "127.0.0.1", 0)
        async with listening:
            reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
            writer.write(begun)
            said = await reader.read()
            writer.close()
            return said

    assert asyncio.run(connect()).count(b"204 No Content") == begun.count(b"\r\n\r\n")
