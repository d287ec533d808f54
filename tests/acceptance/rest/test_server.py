"""Serving: the real port is told, and an end is orderly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from mnemata.api.rest.door import Phase
from mnemata.api.rest.options import HttpOptions
from mnemata.api.rest.server import serve
from mnemata.domain.errors import ConfigurationError


@dataclass
class Serving:
    url: str
    stop: asyncio.Event
    task: asyncio.Task[None]
    begun: asyncio.Event
    go_on: asyncio.Event


@asynccontextmanager
async def serving(app: FastAPI, *, grace_s: float = 240.0, drain_s: float = 0.0) -> AsyncIterator[Serving]:
    """The app on a free port, with a call /slow that says when it has begun and waits to be told to go on."""
    begun, go_on, stop, ready = (asyncio.Event() for _ in range(4))
    urls: list[str] = []

    async def slow() -> dict[str, bool]:
        begun.set()
        await go_on.wait()
        return {"done": True}

    app.add_api_route("/slow", slow)

    def told(url: str) -> None:
        urls.append(url)
        ready.set()

    options = HttpOptions(port=0, shutdown_grace_s=grace_s, drain_s=drain_s)
    task = asyncio.create_task(serve(app, options=options, on_ready=told, stop=stop))
    await asyncio.wait_for(ready.wait(), 60)
    try:
        yield Serving(url=urls[0], stop=stop, task=task, begun=begun, go_on=go_on)
    finally:
        go_on.set()
        stop.set()
        await asyncio.wait_for(task, 240)


async def test_on_ready_is_told_the_real_port(app: FastAPI) -> None:
    async with serving(app) as server, httpx.AsyncClient(base_url=server.url, timeout=240) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert not server.url.endswith(":0")


async def test_a_port_in_use_is_refused_with_a_remedy(app: FastAPI) -> None:
    async with serving(app) as server:
        taken = HttpOptions(port=int(server.url.rpartition(":")[2]))
        with pytest.raises(ConfigurationError, match="MNEMATA_HTTP__PORT"):
            await serve(app, options=taken, on_ready=lambda _: None)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /v1/memories HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
    ids=["line", "version", "header", "length", "tls"],
)
async def test_what_is_no_http_is_answered_by_a_problem_and_the_end(app: FastAPI, sent: bytes) -> None:
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()

    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "http/1.1 400 bad request"
    assert {"content-type: application/problem+json", "connection: close", f"content-length: {len(body)}"} < {
        *lines
    }
    assert json.loads(body)["code"] == "malformed_request"


@pytest.mark.parametrize("ending", ["stop", signal.SIGTERM, signal.SIGINT])
async def test_a_running_request_is_finished_and_no_other_is_begun(
    app: FastAPI, ending: str | signal.Signals
) -> None:
    async with serving(app) as server, httpx.AsyncClient(base_url=server.url, timeout=240) as client:
        end: Callable[[], None] = (
            server.stop.set if isinstance(ending, str) else lambda: os.kill(os.getpid(), ending)
        )
        running = asyncio.create_task(client.get("/slow", timeout=240))
        await asyncio.wait_for(server.begun.wait(), 60)

        end()
        await _until_refused(server.url)
        assert app.state.door.lifecycle.phase is Phase.DRAINING
        server.go_on.set()

        assert (await running).json() == {"done": True}
        await asyncio.wait_for(server.task, 60)


async def test_a_request_that_outlasts_the_grace_does_not_hold_the_end_up(app: FastAPI) -> None:
    async with (
        serving(app, grace_s=0.3) as server,
        httpx.AsyncClient(base_url=server.url, timeout=240) as client,
    ):
        running = asyncio.create_task(client.get("/slow", timeout=240))
        await asyncio.wait_for(server.begun.wait(), 60)

        server.stop.set()

        await asyncio.wait_for(server.task, 60)
        with pytest.raises(httpx.HTTPError):
            (await running).raise_for_status()


async def test_requests_are_taken_while_balancers_leave_until_it_is_told_again(app: FastAPI) -> None:
    async with (
        serving(app, drain_s=240) as server,
        httpx.AsyncClient(base_url=server.url, timeout=240) as client,
    ):
        os.kill(os.getpid(), signal.SIGTERM)
        ready = await _until_not_ready(client)
        alive = await client.get("/healthz")

        assert ready.json()["reasons"] == {"process": "shutting down"}
        assert (alive.status_code, alive.headers["connection"]) == (200, "close")
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(server.task, 60)


async def test_it_ends_by_itself_after_the_time_that_balancers_have(app: FastAPI) -> None:
    async with serving(app, drain_s=0.2) as server:
        server.stop.set()

        await asyncio.wait_for(server.task, 60)


async def _until_not_ready(client: httpx.AsyncClient) -> httpx.Response:
    """The answer that says so."""
    for _ in range(1_200):
        answer = await client.get("/readyz")
        if answer.status_code == 503:
            return answer
        await asyncio.sleep(0.05)
    pytest.fail("it stayed ready")


async def _until_refused(url: str) -> None:
    """Return once new connections are refused."""
    for _ in range(1_200):
        try:
            async with httpx.AsyncClient(base_url=url, timeout=240) as other:
                await other.get("/healthz")
        except httpx.TransportError:
            return
        await asyncio.sleep(0.05)
    pytest.fail("new connections were still accepted")
