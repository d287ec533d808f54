"""What is said of the cache: of a process what it looked up and saved, of the server its memory and evictions."""

import asyncio
from dataclasses import replace

import pytest

from mnemata.cache.answers import digest_of
from mnemata.cache.statistics import CacheStatistics
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.rules import new_memory
from mnemata.query.plan import plan

SLOW_MS = 3_600_000.0


@pytest.fixture
def statistics(member):
    return CacheStatistics(member.client, member.keys, metrics=member.metrics)


async def figures(statistics, kind):
    return (await statistics.report())["classes"][kind]


async def test_answer_from_the_cache_saves_the_time_that_it_took_and_is_counted_in_bytes(
    world, member, statistics
):
    async def slowly():
        return replace(await world.find(), took_ms={"total": SLOW_MS})

    for _ in range(3):
        await member.answers.through(world.tenant, world.query, None, slowly)
        await member.answers.settled()
    kept = await member.client.command("GET", member.keys.answer(world.tenant, digest_of(world.query, None)))
    size = len(kept.partition(b"\n")[2])

    said = await figures(statistics, "answer")
    assert (said["hits"], said["asked"], said["bytes_written"], said["bytes_read"]) == (2, 3, size, 2 * size)
    # Two answers, less what reading them took.
    assert SLOW_MS < said["saved_ms"] < 2 * SLOW_MS


async def test_vector_from_the_cache_saves_the_time_that_it_took(world, member, statistics):
    member.vectors.put(world.tenant, "green tea", b"1234", took_ms=SLOW_MS)
    await member.vectors.settled()
    assert await member.vectors.get(world.tenant, "green tea", size=4) == b"1234"

    said = await figures(statistics, "vector")
    assert said["bytes_read"] == said["bytes_written"] > 4
    assert SLOW_MS / 2 < said["saved_ms"] < SLOW_MS


async def test_memory_from_the_cache_saves_the_time_that_it_took(world, member, statistics, manual_clock):
    memory = new_memory(
        MemoryDraft(content="green tea"),
        memory_id=world.ids.new(),
        tenant=world.tenant,
        now=manual_clock.now(),
    )

    async def slowly():
        await asyncio.sleep(0.2)
        return memory

    for _ in range(2):
        await member.memories.through(world.tenant, memory.id, slowly)
        await member.memories.settled()

    said = await figures(statistics, "memory")
    assert said["bytes_read"] == said["bytes_written"] > len(memory.content)
    assert said["saved_ms"] > 0


async def test_metrics_show_what_the_server_uses_and_evicts(world, member, statistics):
    await statistics.measure()
    assert member.metrics.cache_server_bytes._value.get() > 100_000
    assert member.metrics.cache_server_evictions._value.get() == 0

    await member.client.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    for number in range(20):
        await member.answers.through(world.tenant, plan(f"question {number}"), None, world.find)
    await member.answers.settled()
    await member.client.command("CONFIG", "SET", "maxmemory", 1)
    await member.client.command("CONFIG", "SET", "maxmemory", 0)
    await statistics.measure()

    assert member.metrics.cache_server_evictions._value.get() > 0


async def test_metrics_keep_what_was_read_last_while_the_server_does_not_answer(member, statistics, server):
    await statistics.measure()
    before = member.metrics.cache_server_bytes._value.get()
    server.kill()
    await statistics.measure()

    assert member.metrics.cache_server_bytes._value.get() == before > 0
