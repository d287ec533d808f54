"""A process that cannot tell the cache of its write has the others stop reading it, by way of PostgreSQL."""

import asyncio
import contextlib
import math
from dataclasses import replace

import pytest

from mnemata.domain.change import START
from mnemata.domain.errors import StoreUnavailable
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.rules import new_memory
from mnemata.store.database import Pooler

LONG_S = 3_600.0
SHORT_S = 0.2


class Stored:
    def __init__(self, memory):
        self.memory = memory
        self.reads = 0

    async def load(self):
        self.reads += 1
        return self.memory

    def change(self):
        self.memory = replace(self.memory, version=self.memory.version + 1)


@pytest.fixture
def stored(world, manual_clock):
    draft = MemoryDraft(content="green tea")
    return Stored(new_memory(draft, memory_id=world.ids.new(), tenant=world.tenant, now=manual_clock.now()))


@pytest.fixture
def get(world, stored):
    async def get(member):
        found = await member.memories.through(world.tenant, stored.memory.id, stored.load)
        await member.memories.settled()
        return found

    return get


@pytest.fixture
async def make_door(make_member, open_database, member):
    """A process that has heard of no write. `follows`: whether it learns of doubts by itself."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(*, follows=True, sure_s=LONG_S, pooler=Pooler.NONE, url=None):
            database = await open_database(pooler=pooler)
            door = await make_member(knows=lambda: (START,), url=url, database=database, sure_s=sure_s)
            door.database = database
            if follows:
                following = asyncio.create_task(door.doubts.run(renew_of(door)))
                stack.push_async_callback(cancelled, following)
                await until(lambda: door.standing.sure_until > 0)
            return door

        yield make


@pytest.fixture
async def cut_off(make_door, tmp_path):
    """A process whose way to the cache is cut."""
    return await make_door(url=f"unix://{tmp_path / 'nobody'}")


def renew_of(door):
    return lambda: door.publisher.renew(cause="doubted")


async def cancelled(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def doubt(door):
    async with door.database.platform() as transaction:
        return await transaction.doubts.read(door.keys.namespace)


@pytest.mark.parametrize("pooler", [Pooler.NONE, Pooler.TRANSACTION])
async def test_write_of_which_the_cache_cannot_be_told_is_read_at_another_door(
    world, make_door, cut_off, stored, get, pooler
):
    door = await make_door(pooler=pooler)
    await get(door)
    await get(door)
    assert stored.reads == 1

    stored.change()
    async with asyncio.timeout(60):
        await cut_off.publisher.changed(world.tenant, [stored.memory.id])

    assert (await get(door)).version == 2


async def test_write_waits_while_neither_the_cache_nor_postgresql_can_be_told(
    world, make_door, cut_off, stored, get, monkeypatch
):
    door, tried, back = await make_door(), [], asyncio.Event()
    await get(door)
    transaction = cut_off.database.platform

    def platform(**options):
        if back.is_set():
            return transaction(**options)
        tried.append(options)
        raise StoreUnavailable(what="PostgreSQL", reason="it is away", retry_after_s=1.0)

    monkeypatch.setattr(cut_off.database, "platform", platform)
    stored.change()
    telling = asyncio.create_task(cut_off.publisher.changed(world.tenant, [stored.memory.id]))
    await until(lambda: len(tried) > 3)
    assert not telling.done()

    back.set()
    async with asyncio.timeout(60):
        await telling
    assert (await get(door)).version == 2


async def test_door_reads_the_cache_again_once_everything_in_it_was_given_up(
    world, make_door, cut_off, stored, get
):
    door = await make_door()
    stored.change()
    await cut_off.publisher.changed(world.tenant, None)

    async with asyncio.timeout(60):
        while not door.count("hit", "memory"):
            assert (await get(door)).version == 2


async def test_indexed_change_of_which_the_cache_cannot_be_told_is_read_at_a_door_that_has_not_heard_of_it(
    world, make_door, cut_off, stored, get
):
    door = await make_door()
    await get(door)
    stored.change()
    change = replace(world.apply(), memory_id=stored.memory.id)
    assert not await cut_off.publisher.publish([change], position=change.position)

    assert (await get(door)).version == 2


async def test_door_that_learns_of_nothing_stops_reading_by_itself_before_the_write_returns(
    world, make_door, tmp_path, stored, get
):
    writer = await make_door(url=f"unix://{tmp_path / 'nobody'}", sure_s=SHORT_S, follows=False)
    door = await make_door(sure_s=SHORT_S, follows=False)
    door.standing.sure_until = math.inf
    await get(door)
    stored.change()
    await door.doubts.look(renew_of(door))
    await writer.publisher.changed(world.tenant, [stored.memory.id])

    assert (await get(door)).version == 2
    assert door.count("passed_by", "memory") == 1


async def test_nobody_waits_twice_while_nobody_reaches_the_cache(world, make_door, tmp_path):
    writer = await make_door(url=f"unix://{tmp_path / 'nobody'}", sure_s=SHORT_S, follows=False)
    await writer.publisher.changed(world.tenant, [world.ids.new()])
    writer.doubts._sure_s = LONG_S
    async with asyncio.timeout(60):
        await writer.publisher.changed(world.tenant, [world.ids.new()])

    assert (await doubt(writer)).told == 2


async def test_doubt_that_was_mended_is_waited_for_anew_when_it_comes_back(world, make_door, tmp_path):
    writer = await make_door(url=f"unix://{tmp_path / 'nobody'}", sure_s=SHORT_S, follows=False)
    await writer.publisher.changed(world.tenant, [world.ids.new()])
    door = await make_door()
    writer.doubts._sure_s = LONG_S
    await writer.publisher.changed(world.tenant, [world.ids.new()])

    assert not (await doubt(door)).open


async def test_doubt_raised_while_another_is_mended_stays_open(world, make_door, tmp_path):
    door = await make_door(follows=False)
    name = door.keys.namespace

    async def one_more():
        async with door.database.platform() as transaction:
            await transaction.doubts.raise_(name)

    async def renew_slowly():
        await one_more()
        return True

    await one_more()
    await door.doubts.look(renew_slowly)
    assert door.standing.sure_until == -math.inf
    await door.doubts.look(renew_of(door))
    assert door.standing.sure_until > 0
    assert not (await doubt(door)).open


async def test_writers_that_cannot_tell_the_cache_at_the_same_time_tell_of_it_together(
    world, make_door, cut_off
):
    await make_door()
    writers = [
        asyncio.create_task(cut_off.publisher.changed(world.tenant, [world.ids.new()])) for _ in range(50)
    ]
    await asyncio.sleep(0)
    # Whoever gives up waiting takes nobody along.
    writers[0].cancel()
    done = await asyncio.gather(*writers, return_exceptions=True)

    assert done.count(None) == 49
    assert (await doubt(cut_off)).told <= 3
    assert not (await doubt(cut_off)).open
