"""Which Mnemata a command speaks to: the one named, the one that runs on the data folder, or its own in process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from mnemata.cli import server_file
from mnemata.cli.call import Call
from mnemata.cli.client import Client
from mnemata.cli.server_file import RunningServer
from mnemata.domain.errors import DataFolderLocked

if TYPE_CHECKING:
    from mnemata.platform import Platform
    from mnemata.settings import Settings

_IN_USE_S = 15.0
_LOOK_EVERY_S = 0.2


@asynccontextmanager
async def connected(call: Call) -> AsyncGenerator[Client]:
    """A client whose Mnemata answers until the block ends.

    Raises ConfigurationError, and DataFolderLocked where another process has the folder but serves nothing.
    """
    settings = call.settings
    async with AsyncExitStack() as stack:
        yield await _client(call, settings, stack)


async def _client(call: Call, settings: Settings, stack: AsyncExitStack) -> Client:
    """Of a server that answers, else of the folder. One in use is waited for: its holder starts to serve, or ends soon."""
    deadline, told = time.monotonic() + _IN_USE_S, False
    while True:
        server = await asyncio.to_thread(running_server, settings)
        if server is not None:
            return await stack.enter_async_context(_over_network(settings, server.url))
        try:
            platform = await stack.enter_async_context(in_process(settings))
        except DataFolderLocked as locked:
            if time.monotonic() > deadline:
                raise
            if not told:
                holder = locked.facts["pid"]
                call.output.note(f"the data folder is in use by process {holder}: waiting until it answers")
            told = True
            await asyncio.sleep(_LOOK_EVERY_S)
        else:
            return await stack.enter_async_context(_through(platform, settings))


def running_server(settings: Settings) -> RunningServer | None:
    """The server that was named (its pid is then 0), or the one that runs on the data folder."""
    if settings.client.url is not None:
        return RunningServer(pid=0, url=settings.client.url)
    server = server_file.read(settings.data_dir)
    return server if server is not None and _answers(server.url) else None


@asynccontextmanager
async def in_process(settings: Settings) -> AsyncGenerator[Platform]:
    """The platform, opened for one command.

    Whoever can open the folder is its operator, so that no key is asked for; that is how the first key is made.
    """
    from mnemata.observability import logging
    from mnemata.platform import Platform

    logging.configure(format=settings.log.format, level="error")
    # The work of a fleet is its workers': a command that comes and goes would only take it from them.
    platform = await Platform.open(without_keys(settings), works=False)
    try:
        yield platform
    finally:
        await platform.close()


def without_keys(settings: Settings) -> Settings:
    """The settings of a platform that nobody but this process can reach."""
    auth = settings.auth.model_copy(update={"required": False})
    backup = settings.backup.model_copy(update={"interval_s": 0.0})
    return settings.model_copy(update={"auth": auth, "backup": backup})


@asynccontextmanager
async def _over_network(settings: Settings, url: str) -> AsyncGenerator[Client]:
    given = settings.client.api_key
    key = given.get_secret_value() if given else None
    if key is None and settings.client.url is None:
        key = server_file.local_key(settings.data_dir)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=settings.client.timeout_s) as http:
        yield Client(http, where=f"The server at {url}", has_key=key is not None)


@asynccontextmanager
async def _through(platform: Platform, settings: Settings) -> AsyncGenerator[Client]:
    from mnemata.api.rest.app import create_app
    from mnemata.cli.http_options import http_options

    app = create_app(platform.services, options=http_options(settings), metrics=platform.metrics)
    transport = httpx.ASGITransport(app=app)
    timeout = settings.client.timeout_s
    async with httpx.AsyncClient(transport=transport, base_url="http://mnemata", timeout=timeout) as http:
        yield Client(http, where="Mnemata", has_key=False)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).is_success
    except httpx.TransportError:
        return False
