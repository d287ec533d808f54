"""Memories by id from the cache: at their current version, or not at all."""

import asyncio
import random
from dataclasses import replace

import pytest

from mnemata.domain.change import START
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.rules import new_memory

ZSTD = b"\x28\xb5\x2f\xfd"
"""What every zstd frame begins with."""


class Stored:
    def __init__(self, memory):
        self.memory = memory
        self.reads = 0

    async def load(self):
        self.reads += 1
        return self.memory


@pytest.fixture
def stored(world, manual_clock):
    draft = MemoryDraft(content="green tea", metadata={"n": 1})
    return Stored(new_memory(draft, memory_id=world.ids.new(), tenant=world.tenant, now=manual_clock.now()))


async def get(world, member, stored, memory_id=None):
    found = await member.memories.through(world.tenant, memory_id or stored.memory.id, stored.load)
    await member.memories.settled()
    return found


async def test_memory_read_again_comes_from_the_cache(world, member, stored):
    assert await get(world, member, stored) == stored.memory
    assert await get(world, member, stored) == stored.memory
    assert stored.reads == 1


async def test_changed_memory_is_read_anew_by_every_process(world, make_member, member, stored):
    other = await make_member(knows=lambda: (START,))
    await get(world, member, stored)
    stored.memory = replace(stored.memory, version=2, content="black tea")
    await member.publisher.changed(world.tenant, [stored.memory.id])

    assert (await get(world, other, stored)).version == 2
    assert (await get(world, member, stored)).version == 2


async def test_indexed_change_takes_the_memory_away_too(world, member, stored):
    await get(world, member, stored)
    stored.memory = replace(stored.memory, version=2)
    change = replace(world.apply(), memory_id=stored.memory.id)
    await member.publisher.publish([change], position=change.position)

    assert (await get(world, member, stored)).version == 2


async def test_paused_reader_cannot_put_an_old_version_back(world, make_member, member, stored):
    slow = await make_member()
    read, go_on = asyncio.Event(), asyncio.Event()
    before = stored.memory

    async def load_and_pause():
        read.set()
        await go_on.wait()
        return before

    paused = asyncio.create_task(slow.memories.through(world.tenant, before.id, load_and_pause))
    await read.wait()
    stored.memory = replace(before, version=2)
    await member.publisher.changed(world.tenant, [before.id])
    go_on.set()
    assert (await paused).version == 1
    await slow.memories.settled()

    assert (await get(world, slow, stored)).version == 2
    assert slow.refused("outdated", "memory") == 1


async def test_unknown_id_is_remembered_as_unknown(world, member, stored):
    known, stored.memory = stored.memory, None

    assert await get(world, member, stored, known.id) is None
    assert await get(world, member, stored, known.id) is None
    assert stored.reads == 1
    assert await member.client.command("PTTL", member.keys.memory(world.tenant, known.id)) <= 30_000


async def test_memory_of_another_key_is_never_given(world, member, stored):
    await get(world, member, stored)
    other = world.ids.new()
    value = await member.client.command("GET", member.keys.memory(world.tenant, stored.memory.id))
    await member.client.command("SET", member.keys.memory(world.tenant, other), value)
    nothing = Stored(None)

    assert await get(world, member, nothing, other) is None
    assert nothing.reads == 1


async def test_store_is_read_while_the_cache_is_not_there(world, member, stored, server):
    await get(world, member, stored)
    server.kill()

    assert await get(world, member, stored) == stored.memory
    assert stored.reads == 2


async def test_memory_above_the_limit_is_not_kept(world, make_member, member, stored):
    small = await make_member(largest=1_000)
    stored.memory = replace(stored.memory, content=random.Random(1).randbytes(4_000).hex())
    assert await get(world, small, stored) == stored.memory
    assert await get(world, small, stored) == stored.memory

    assert stored.reads == 2
    assert small.refused("too_large", "memory") == 1


async def test_only_a_large_memory_is_compressed(world, member, stored):
    kept = []
    for content in ("green tea", "green tea " * 1_000):
        stored.memory = replace(stored.memory, id=world.ids.new(), content=content)
        for _ in range(2):
            assert await get(world, member, stored) == stored.memory
        kept.append(await member.client.command("GET", member.keys.memory(world.tenant, stored.memory.id)))
    small, large = kept

    assert stored.reads == 2
    assert b"\nVp" in small
    assert b"green tea" in small
    assert b"\nVz" in large
    assert ZSTD in large
    assert len(large) < 1_000


async def test_memories_live_five_minutes_and_do_not_end_together(world, member, stored):
    lives = []
    for _ in range(8):
        memory_id = world.ids.new()
        stored.memory = replace(stored.memory, id=memory_id)
        await get(world, member, stored)
        lives.append(await member.client.command("PTTL", member.keys.memory(world.tenant, memory_id)))

    # Each began to run when it was kept, and the machine may have had more to do since.
    assert all(200_000 < life <= 300_000 for life in lives)
    assert max(lives) - min(lives) > 1_000
