"""Platforms that share one PostgreSQL and one Elasticsearch, as the processes of a fleet do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from mnemata import settings as settings_module
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.embedding.protocol import Embedder
from mnemata.platform import Platform
from mnemata.settings import Settings

_NUMBERS = itertools.count()
PATIENCE_S = 60.0


@pytest.fixture
def fleet_settings(tmp_path, database_url, cluster_url, patience) -> Callable[..., Settings]:
    """Settings of one process; all calls of a test name the same database and the same index."""
    index = f"fleet_{next(_NUMBERS)}"
    processes = itertools.count()

    def make(**overrides: Any) -> Settings:
        database = {"url": database_url, **patience["database"], **overrides.pop("database", {})}
        return settings_module.load(
            environment={},
            data_dir=tmp_path / f"process-{next(processes)}",
            database=database,
            cache=overrides.pop("cache", {"url": "off"}),
            search={
                "kind": "elasticsearch",
                "url": cluster_url("elasticsearch"),
                "index": index,
                "shards": 1,
                **overrides.pop("search", {}),
            },
            worker={"lease_s": 3, "port": 0, **overrides.pop("worker", {})},
            embedding={"model": "hashing"},
            index={**patience["index"], **overrides.pop("index", {})},
            **overrides,
        )

    return make


@pytest.fixture
async def open_process(fleet_settings) -> AsyncIterator[Callable[..., Awaitable[Platform]]]:
    """Opens a process of the fleet in this one: doors only, or a worker. Closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_(*, works: bool, embedder: Embedder | None = None, **overrides: Any) -> Platform:
            platform = await Platform.open(fleet_settings(**overrides), embedder=embedder, works=works)
            stack.push_async_callback(platform.close)
            return platform

        yield open_


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Waits for a condition, plain or async, to be true."""
    return _until


@pytest.fixture
def remember(scope):
    """Stores texts through a platform, and gives what was stored."""

    async def remember(platform: Platform, *texts: str):
        return await platform.services.remember.many(scope, [MemoryDraft(content=text) for text in texts])

    return remember


@pytest.fixture
def find(scope):
    """The contents that a search for some words finds in the index, through a platform; and what was degraded."""

    async def find(platform: Platform, text: str, limit: int = 200):
        query = Query(text=text, words=Words(text=text), mode=Mode.LEXICAL, limit=limit)
        answer = await platform.services.recall.search(scope, query)
        return [hit.memory.content for hit in answer.hits], answer.degraded

    return find
