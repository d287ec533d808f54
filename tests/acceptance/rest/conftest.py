"""The REST door as callers meet it: a real server over a real platform, one for all tests, a tenant for each.

Where a test looks into the app or needs other options, `app` is one of its own, called in process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import pytest
import uvloop
from fastapi import FastAPI

from mnemata import settings as settings_module
from mnemata.api.rest.app import create_app
from mnemata.api.rest.options import HttpOptions
from mnemata.api.rest.server import serve
from mnemata.domain.ids import TenantId
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.platform import Platform
from mnemata.settings import Settings
from mnemata.store.embedded import EmbeddedPostgres

T = TypeVar("T")
OPERATOR = Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)
_NUMBERS = count(1)


class Served:
    """A platform with required keys, and its server, on a thread and a loop of their own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="served")
        self.url = ""

    def start(self) -> None:
        self._thread.start()
        started = self._ready.wait(240)
        if self._failure is not None:
            raise self._failure
        assert started

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(240)

    def key(self, tenant: str, role: str) -> str:
        """A new key's secret."""
        access = self._platform.services.access
        made = access.create_key(OPERATOR, role=Role(role), label="test", tenant=TenantId(tenant))
        return self._run(made).secret

    def unfolded(self) -> int:
        """Fresh memories that the index holds beside its segments on disk."""
        return self._run(self._platform.index.statistics()).details["unfolded"]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(240)

    def _main(self) -> None:
        try:
            uvloop.run(self._serve())
        except BaseException as error:
            self._failure = error
            self._ready.set()
            raise

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._platform = await Platform.open(self._settings)
        options = HttpOptions(port=0, request_timeout_s=240)
        app = create_app(self._platform.services, options=options, metrics=self._platform.metrics)
        try:
            await serve(app, options=options, on_ready=self._told, stop=self._stop)
        finally:
            await self._platform.close()

    def _told(self, url: str) -> None:
        self.url = url
        self._ready.set()


@pytest.fixture(scope="session")
def served(
    embedded_postgres: EmbeddedPostgres,
    tmp_path_factory: pytest.TempPathFactory,
    patience: dict[str, dict[str, Any]],
) -> Iterator[Served]:
    name = "mnemata_rest"
    with psycopg.connect(embedded_postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    settings = settings_module.load(
        environment={},
        data_dir=tmp_path_factory.mktemp("rest") / "data",
        database={"url": embedded_postgres.url_of(name), **patience["database"]},
        embedding={"model": "hashing"},
        index=patience["index"],
        personalization={"timeout_s": 60},
        auth={"required": True},
    )
    server = Served(settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def anonymous(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with httpx.AsyncClient(base_url=served.url, timeout=240) as opened:
        yield opened


@pytest.fixture
async def client(anonymous: httpx.AsyncClient, served: Served) -> httpx.AsyncClient:
    """A client with an operator's key, in a tenant of its own."""
    anonymous.headers["Authorization"] = f"Bearer {served.key(f'tenant-{next(_NUMBERS)}', 'operator')}"
    return anonymous


Entrance = Callable[[str, str], Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def enter(served: Served) -> AsyncIterator[Entrance]:
    """`await enter("acme", "reader")`: a client with a new key of that role, in this test's own tenant acme."""
    number = next(_NUMBERS)
    opened: list[httpx.AsyncClient] = []

    async def enter(tenant: str, role: str) -> httpx.AsyncClient:
        secret = served.key(f"{tenant}-{number}", role)
        opened.append(
            httpx.AsyncClient(base_url=served.url, timeout=240, headers={"Authorization": f"Bearer {secret}"})
        )
        return opened[-1]

    yield enter
    for one in opened:
        await one.aclose()


@pytest.fixture
def until_folded(served: Served) -> Callable[[], Awaitable[None]]:
    """Returns when every fresh memory is on disk. There the average length, by which words are weighed, is rounded."""

    async def wait() -> None:
        async with asyncio.timeout(60):
            while served.unfolded():
                await asyncio.sleep(0.05)

    return wait


Store = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def store(client: httpx.AsyncClient) -> Store:
    """`await store("text", user_id="ana")`: a memory stored by `client`, as the API answers it."""
    return storing(client)


@pytest.fixture
def app(platform: Platform) -> FastAPI:
    """An app of its own, in process, where nobody needs a key."""
    return create_app(platform.services, options=HttpOptions(), metrics=platform.metrics)


@pytest.fixture
async def inside(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `app`."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://mnemata") as opened:
        yield opened


def storing(client: httpx.AsyncClient) -> Store:
    async def store(content: str, **fields: Any) -> dict[str, Any]:
        response = await client.post("/v1/memories", json={"content": content, **fields})
        assert response.status_code in {200, 201}, response.text
        return response.json()

    return store


@pytest.fixture
def backup_path(tmp_path: Path) -> Path:
    return tmp_path / "one.backup"
