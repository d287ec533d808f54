"""Which Mnemata a command speaks to: the one named, the one that runs on the data folder, or its own in process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from mnemata.cli import server_file
from mnemata.cli.call import Call
from mnemata.cli.client import Client
from mnemata.cli.server_file import RunningServer

if TYPE_CHECKING:
    from mnemata.platform import Platform
    from mnemata.settings import Settings


@asynccontextmanager
async def connected(call: Call) -> AsyncGenerator[Client]:
    """A client whose Mnemata answers until the block ends.

    Raises ConfigurationError, and DataFolderLocked where another process has the folder but serves nothing.
    """
    settings = call.settings
    server = running_server(settings)
    if server is not None:
        async with _over_network(settings, server.url) as client:
            yield client
    else:
        async with in_process(settings) as platform, _through(platform, settings) as client:
            yield client


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
    platform = await Platform.open(without_keys(settings))
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
