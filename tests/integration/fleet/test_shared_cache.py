"""Doors that share one cache: what is written at one is read at the other, also where the cache cannot be told of it."""

from __future__ import annotations

import asyncio

import pytest

from mnemata.cache.client import CacheClient, ClientOptions
from mnemata.cache.embedded import EmbeddedValkey, embedded_available
from mnemata.domain.errors import MemoryNotFound
from mnemata.domain.memory import MemoryDraft
from mnemata.observability.metrics import Metrics
from mnemata.query.plan import plan
from mnemata.services.outcome import WaitFor
from mnemata.workers.rebuild import Rebuilder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not embedded_available(), reason="no valkey-server here"),
]

QUERY = plan("green tea")


@pytest.fixture
async def cache_url(tmp_path):
    """A Valkey that belongs to none of the processes."""
    metrics = Metrics()
    server = EmbeddedValkey(tmp_path / "shared", bytes_limit=32_000_000, metrics=metrics)
    client = CacheClient(ClientOptions(url=server.url, timeout_s=10), metrics=metrics)
    await client.open()
    ready = asyncio.Event()
    running = asyncio.create_task(server.run(client, ready))
    await asyncio.wait_for(ready.wait(), 60)
    yield server.url
    running.cancel()
    await asyncio.wait({running})
    await client.close()
    await asyncio.to_thread(server.close)


@pytest.fixture
async def open_door(open_process, cache_url):
    async def open_(*, works=False, url=cache_url):
        # A call that is late would be another test.
        return await open_process(works=works, cache={"url": url, "timeout_s": 10})

    return open_


async def search(door, scope):
    answer = await door.services.recall.search(scope, QUERY)
    await door.cache.answers.settled()
    return answer


async def cached(door, scope):
    """The contents that the door finds, as soon as it finds them in the cache; the same each time."""
    before = None
    async with asyncio.timeout(60):
        while "cache" not in (answer := await search(door, scope)).took_ms:
            assert before in (None, answer.hits)
            before = answer.hits
            await asyncio.sleep(0.01)
    return [hit.memory.content for hit in answer.hits]


async def found(door, scope):
    return [hit.memory.content for hit in (await search(door, scope)).hits]


async def read(door, scope, memory_id):
    memory = await door.services.read.get(scope, memory_id)
    await door.cache.memories.settled()
    return memory


async def memory_cached(door, scope, memory_id):
    hits = door.metrics.cache_requests.labels("memory", "hit")._value
    before = hits.get()
    async with asyncio.timeout(60):
        while hits.get() == before:
            memory = await read(door, scope, memory_id)
            await asyncio.sleep(0.01)
    return memory


async def test_what_one_door_stores_changes_and_forgets_the_other_does_not_answer_from_before(
    open_door, scope
):
    first, second = await open_door(), await open_door()
    await open_door(works=True)
    for door in (first, second):
        await asyncio.wait_for(door.index_ready.wait(), 60)
    write = first.services
    assert await cached(second, scope) == []

    stored = (await write.remember.one(scope, MemoryDraft(content="green tea"))).memory
    assert await found(second, scope) == ["green tea"]
    assert await cached(second, scope) == ["green tea"]
    assert (await memory_cached(second, scope, stored.id)).version == 1

    await write.revise.patch(scope, stored.id, {"content": "more green tea"})
    assert await found(second, scope) == ["more green tea"]
    assert await cached(second, scope) == ["more green tea"]
    assert (await memory_cached(second, scope, stored.id)).version == 2

    await write.forget.one(scope, stored.id)
    assert await found(second, scope) == []
    with pytest.raises(MemoryNotFound):
        await read(second, scope, stored.id)


async def test_door_whose_way_to_the_cache_is_cut_leaves_nothing_old_at_the_other(open_door, scope, tmp_path):
    first, second = await open_door(url=f"unix://{tmp_path / 'nobody'}"), await open_door()
    # Nobody indexes yet, and nobody tells the cache.
    async with asyncio.timeout(60):
        stored = (
            await first.services.remember.one(scope, MemoryDraft(content="green tea"), wait_for=WaitFor.NONE)
        ).memory
    worker = await open_door(works=True)
    for door in (first, second, worker):
        await asyncio.wait_for(door.index_ready.wait(), 60)
    for version in range(2, 5):
        assert (await memory_cached(second, scope, stored.id)).version == version - 1
        async with worker.indexer.turn, asyncio.timeout(60):
            await first.services.revise.patch(
                scope, stored.id, {"content": f"tea {version}"}, wait_for=WaitFor.NONE
            )
            assert (await read(second, scope, stored.id)).version == version


async def test_what_was_found_while_a_new_index_lacked_writes_of_others_is_not_kept(
    open_door, scope, until, monkeypatch
):
    worker = await open_door(works=True)
    await until(lambda: len(worker.leasing.held) >= worker.index.partitions)
    await worker.services.remember.one(scope, MemoryDraft(content="green tea"))
    renewed = worker.metrics.cache_epochs.labels("rebuild")._value
    bring_up, before = Rebuilder._bring_up, []

    async def noted(self):
        before.append(renewed.get())
        await bring_up(self)

    monkeypatch.setattr(Rebuilder, "_bring_up", noted)
    assert (await worker.services.operations.rebuild(scope))["switched"]

    assert renewed.get() > before[0] > 0
    assert await found(worker, scope) == ["green tea"]
