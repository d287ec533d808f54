"""A whole platform on its embedded cache: quicker, and never another answer."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from mnemata.domain.errors import MemoryNotFound
from mnemata.domain.memory import MemoryDraft
from mnemata.platform import Platform
from mnemata.query.plan import plan
from mnemata.services.outcome import WaitFor

QUERY = plan("green tea")


async def until_up(platform):
    async with asyncio.timeout(60):
        while (
            platform.metrics.cache_up._value.get() != 1 or not platform.services.recall._index_ready.is_set()
        ):
            await asyncio.sleep(0.01)


async def settled(platform):
    await platform.cache.answers.settled()
    await platform.cache.memories.settled()


@pytest.fixture
async def cached(platform):
    await until_up(platform)
    return platform


async def search(platform, scope, query=QUERY):
    answer = await platform.services.recall.search(scope, query)
    await settled(platform)
    return answer


def contents(answer):
    return [hit.memory.content for hit in answer.hits]


async def test_search_asked_again_is_answered_from_the_cache_with_the_same_hits(cached, scope):
    for number in range(5):
        await cached.services.remember.one(scope, MemoryDraft(content=f"green tea {number}"))
    first = await search(cached, scope)
    async with asyncio.timeout(60):
        while "cache" not in (again := await search(cached, scope)).took_ms:
            pass

    assert "cache" not in first.took_ms
    assert again.hits == first.hits
    assert again.search_id != first.search_id


async def test_write_is_found_and_forgotten_at_once(cached, scope):
    for number in range(10):
        await search(cached, scope)
        stored = await cached.services.remember.one(scope, MemoryDraft(content=f"green tea {number}"))
        assert f"green tea {number}" in contents(await search(cached, scope))
        await cached.services.forget.one(scope, stored.memory.id)
        assert contents(await search(cached, scope)) == []


async def test_write_that_does_not_wait_is_read_by_its_id_at_once(cached, scope):
    stored = (await cached.services.remember.one(scope, MemoryDraft(content="green tea"))).memory
    for version in range(2, 8):
        assert (await cached.services.read.get(scope, stored.id)).version == version - 1
        await settled(cached)
        await cached.services.revise.patch(
            scope, stored.id, {"content": f"tea {version}"}, wait_for=WaitFor.NONE
        )
        assert (await cached.services.read.get(scope, stored.id)).version == version
    await cached.services.forget.one(scope, stored.id, wait_for=WaitFor.NONE)
    with pytest.raises(MemoryNotFound):
        await cached.services.read.get(scope, stored.id)


async def test_searches_and_writes_go_on_when_the_server_is_killed_and_it_comes_back(cached, scope):
    before = cached.cache.embedded.pid
    os.kill(before, signal.SIGKILL)
    stored = await cached.services.remember.one(scope, MemoryDraft(content="green tea"))
    answer = await search(cached, scope)

    assert contents(answer) == ["green tea"]
    assert answer.degraded == ()
    assert await cached.services.read.get(scope, stored.memory.id) == stored.memory
    async with asyncio.timeout(60):
        while "cache" not in (await search(cached, scope)).took_ms:
            await asyncio.sleep(0.02)
    assert cached.cache.embedded.pid != before


async def test_searches_and_writes_go_on_while_the_server_stands_still(cached, scope):
    os.kill(cached.cache.embedded.pid, signal.SIGSTOP)
    try:
        for number in range(5):
            await cached.services.remember.one(scope, MemoryDraft(content=f"green tea {number}"))
            assert len((await search(cached, scope)).hits) == number + 1
        assert not cached.cache.client.available
    finally:
        os.kill(cached.cache.embedded.pid, signal.SIGCONT)
    async with asyncio.timeout(60):
        while "cache" not in (await search(cached, scope)).took_ms:
            await asyncio.sleep(0.02)


async def test_rebuilt_index_answers_anew(cached, scope):
    await cached.services.remember.one(scope, MemoryDraft(content="green tea"))
    await search(cached, scope)
    await cached.services.operations.rebuild(scope)

    assert "cache" not in (await search(cached, scope)).took_ms


async def test_metrics_of_a_platform_show_what_its_cache_server_uses(cached):
    async with asyncio.timeout(60):
        while cached.metrics.cache_server_bytes._value.get() == 0:
            await asyncio.sleep(0.05)


async def test_embedded_server_ends_with_the_platform(settings):
    platform = await Platform.open(settings)
    await until_up(platform)
    pid = platform.cache.embedded.pid
    await platform.close()

    assert not psutil.pid_exists(pid)
    assert not list((settings.data_dir / "cache").glob("*.sock"))


_CHILD = """
import asyncio, sys
from pathlib import Path
from mnemata.cache.client import CacheClient, ClientOptions
from mnemata.cache.embedded import EmbeddedValkey
from mnemata.observability.logging import configure
from mnemata.observability.metrics import Metrics
async def main():
    configure(format="json", level="error")
    metrics = Metrics()
    server = EmbeddedValkey(Path(sys.argv[1]), bytes_limit=8_000_000, metrics=metrics)
    client = CacheClient(ClientOptions(url=server.url), metrics=metrics)
    await client.open()
    ready = asyncio.Event()
    running = asyncio.create_task(server.run(client, ready))
    await ready.wait()
    print(server.pid, flush=True)
    await running
asyncio.run(main())
"""


def lives(process):
    try:
        # Without an init process the dead stay as zombies.
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_embedded_server_ends_when_its_process_is_killed(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with child:
        try:
            server = psutil.Process(int(child.stdout.readline()))
            listening = [one for one in server.net_connections() if one.status == psutil.CONN_LISTEN]
        finally:
            child.kill()
    deadline = time.monotonic() + 60
    while (alive := lives(server)) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not alive
    assert listening == []


async def test_no_cache_is_used_where_it_is_switched_off(settings, scope):
    off = settings.model_copy(
        update={"cache": type(settings.cache)(url="off")},
    )
    platform = await Platform.open(off)
    try:
        await platform.services.remember.one(scope, MemoryDraft(content="green tea"))
        assert len((await platform.services.recall.search(scope, QUERY)).hits) == 1
        assert platform.cache is None
    finally:
        await platform.close()
