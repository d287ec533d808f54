"""What the cache answers is never older than a write that had completed, whatever happens to its server."""

import asyncio
import random
import shutil
import signal
from dataclasses import replace
from datetime import timedelta

import pytest

from mnemata.cache.answers import digest_of
from mnemata.domain.change import START
from mnemata.domain.ids import TenantId
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Answer, Hit, Mode
from mnemata.domain.rules import new_memory
from mnemata.query.plan import plan

ZSTD = b"\x28\xb5\x2f\xfd"
"""What every zstd frame begins with."""


def memory(world, clock, **fields):
    return new_memory(
        MemoryDraft(content="tea", **fields), memory_id=world.ids.new(), tenant=world.tenant, now=clock.now()
    )


async def test_answer_asked_again_is_not_searched_again(world, member):
    first = await world.read(member)
    await member.answers.settled()
    second = await world.read(member)

    assert world.searches == 1
    assert second.total == first.total
    assert second.search_id != first.search_id
    assert member.count("hit") == 1


async def test_answer_comes_back_as_it_was(world, member, manual_clock):
    whole = memory(
        world,
        manual_clock,
        tags=("a", "b"),
        metadata={"n": 1, "x": 1.0, "deep": {"list": [1, "two", None, True]}},
        occurred_at=manual_clock.now() + timedelta(microseconds=7),
        importance=0.25,
    )
    hits = (Hit(memory=whole, score=0.1 + 0.2, context=(replace(whole, content="é" * 3_000),)),)

    async def find():
        return Answer(search_id="x", hits=hits, total=3, next_cursor="c", took_ms={"total": 1.0})

    await member.answers.through(world.tenant, world.query, None, find)
    await member.answers.settled()
    again = await member.answers.through(world.tenant, world.query, None, world.find)

    assert world.searches == 0
    assert (again.hits, again.total, again.next_cursor, again.filters) == (hits, 3, "c", world.query.filter)


async def test_every_completed_write_is_seen_by_every_process(world, make_member, member):
    # The others never learn of a position: they have only what the server tells them.
    others = [await make_member(knows=lambda: (START,)) for _ in range(3)]
    done = asyncio.Event()

    async def write():
        for _ in range(60):
            await world.write(member)
            await asyncio.sleep(0.002)
        done.set()

    async def read(reader):
        while not done.is_set():
            await world.read(reader)

    await asyncio.gather(write(), *(read(reader) for reader in (member, *others) for _ in range(2)))

    assert sum(reader.count("hit") for reader in (member, *others)) > 0


async def test_write_is_seen_while_the_server_loses_everything_again_and_again(world, make_member, member):
    other = await make_member()
    done = asyncio.Event()

    async def write():
        for turn in range(60):
            await world.write(member)
            if turn % 7 == 0:
                await member.client.command("FLUSHALL")
            await asyncio.sleep(0.002)
        done.set()

    async def read(reader):
        while not done.is_set():
            await world.read(reader)

    await asyncio.gather(write(), read(member), read(other), read(other))


async def test_paused_reader_cannot_put_back_what_it_found_before_a_write(world, make_member, member):
    slow = await make_member(knows=lambda: (START,))
    searched, go_on = asyncio.Event(), asyncio.Event()

    async def find_and_pause():
        answer = await world.find()
        searched.set()
        await go_on.wait()
        return answer

    paused = asyncio.create_task(slow.answers.through(world.tenant, world.query, None, find_and_pause))
    await searched.wait()
    await world.write(member)
    go_on.set()
    assert (await paused).total == 0
    await slow.answers.settled()

    assert (await world.read(slow)).total == 1
    assert (await world.read(member)).total == 1
    assert slow.refused("outdated") == 1


async def test_server_restarted_empty_answers_nothing_old(world, member, server):
    await world.read(member)
    await member.answers.settled()
    server.kill()
    await world.write(member)
    server.start()
    await asyncio.sleep(0.05)

    assert (await world.read(member)).total == 1
    await member.publisher.look_after()
    await world.read(member)
    await member.answers.settled()
    assert (await world.read(member)).total == 1
    assert member.count("hit") >= 1


async def test_server_put_back_to_an_older_snapshot_answers_nothing_old(world, member, server):
    await world.read(member)
    await member.answers.settled()
    await member.client.command("SAVE")
    snapshot = shutil.copy(server.folder / "dump.rdb", server.folder / "older.rdb")
    await world.write(member)
    await world.read(member)
    await member.answers.settled()

    server.kill()
    shutil.copy(snapshot, server.folder / "dump.rdb")
    server.start()
    await asyncio.sleep(0.05)

    # The old answer and its generation are there again; what was published since is not.
    assert (await world.read(member)).total == 1
    await member.publisher.look_after()
    assert (await world.read(member)).total == 1


async def test_readers_go_past_the_cache_while_it_could_not_be_told(world, make_member, server):
    member = await make_member(timeout_s=0.05)
    member.publisher.resume(START)
    await member.publisher.look_after()
    await world.read(member)
    await member.answers.settled()

    server.signal(signal.SIGSTOP)
    told = await world.write(member)
    server.signal(signal.SIGCONT)
    await asyncio.sleep(0.05)

    assert not told
    assert (await world.read(member)).total == 1


async def test_answers_are_cached_again_after_the_cache_could_not_be_told(world, make_member, server):
    member = await make_member(timeout_s=0.2)
    member.publisher.resume(START)
    await member.publisher.look_after()
    server.signal(signal.SIGSTOP)
    await world.write(member)
    server.signal(signal.SIGCONT)

    async with asyncio.timeout(60):
        while not member.count("hit"):
            await member.publisher.look_after()
            await world.read(member)
            await member.answers.settled()


async def test_lost_invalidation_of_an_unindexed_write_stops_reading_until_a_new_epoch(
    world, make_member, server
):
    member = await make_member(timeout_s=0.2)
    member.publisher.resume(START)
    await member.publisher.look_after()
    await world.read(member)
    await member.answers.settled()

    server.signal(signal.SIGSTOP)
    await member.publisher.changed(world.tenant, [world.ids.new()])
    server.signal(signal.SIGCONT)
    await asyncio.sleep(0.05)
    await world.read(member)

    assert not member.standing.trusted
    assert world.searches == 2
    async with asyncio.timeout(60):
        while not member.standing.trusted:
            await member.publisher.look_after()
    await world.read(member)
    assert world.searches == 3


async def test_worker_that_takes_over_trusts_what_was_told_up_to_its_position(world, make_member, member):
    await world.write(member)
    await world.read(member)
    await member.answers.settled()

    heir = await make_member()
    heir.publisher.resume(world.position)
    await heir.publisher.look_after()
    await world.read(heir)

    assert heir.count("hit") == 1


async def test_worker_that_takes_over_from_one_that_died_before_telling_begins_anew(
    world, make_member, member
):
    await world.read(member)
    await member.answers.settled()
    change = world.apply()

    heir = await make_member(knows=lambda: (START,))
    heir.publisher.resume(change.position)
    await heir.publisher.look_after()
    world.completed = world.visible

    assert (await world.read(heir)).total == 1


async def test_one_process_computes_while_the_others_wait(world, make_member, member):
    other = await make_member()
    computing, go_on = asyncio.Event(), asyncio.Event()

    async def slowly():
        computing.set()
        await go_on.wait()
        return await world.find()

    first = asyncio.create_task(member.answers.through(world.tenant, world.query, None, slowly))
    await computing.wait()
    waiting = [asyncio.create_task(world.read(reader)) for reader in (member, other, other)]
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.gather(first, *waiting)

    assert world.searches == 1


async def test_waiting_for_another_process_has_an_end(world, make_member, member):
    impatient = await make_member(wait_s=0.02)
    computing = asyncio.Event()

    async def for_ever():
        computing.set()
        await asyncio.Event().wait()

    stuck = asyncio.create_task(member.answers.through(world.tenant, world.query, None, for_ever))
    await computing.wait()
    await world.read(impatient)
    stuck.cancel()
    await asyncio.wait([stuck])

    assert world.searches == 1
    assert impatient.count("waited_in_vain") == 1


async def test_search_that_fails_lets_the_next_one_compute(world, member):
    async def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await member.answers.through(world.tenant, world.query, None, fail)
    await member.answers.settled()
    await world.read(member)

    assert member.count("waited_in_vain") == 0


async def test_answer_near_its_end_is_taken_while_one_refreshes_it(world, member):
    await world.read(member)
    await member.answers.settled()
    key = member.keys.answer(world.tenant, digest_of(world.query, None))
    await member.client.command("PEXPIRE", key, 5_000)

    await world.read(member)
    await member.answers.settled()

    assert member.count("hit") == 1
    assert world.searches == 2
    assert await member.client.command("PTTL", key) > 100_000


async def test_degraded_answer_is_not_kept(world, member):
    async def half():
        return Answer(search_id="x", hits=(), total=0, degraded=("vector",))

    await member.answers.through(world.tenant, world.query, None, half)
    await member.answers.settled()
    await world.read(member)

    assert world.searches == 1


async def test_answer_ends_when_a_memory_that_it_shows_expires(world, make_member, member, manual_clock):
    timed = await make_member(clock=manual_clock)
    soon = memory(world, manual_clock, expires_at=manual_clock.now() + timedelta(seconds=60))

    async def find():
        return Answer(search_id="x", hits=(Hit(memory=soon, score=1.0),), total=1)

    await timed.answers.through(world.tenant, world.query, None, find)
    await timed.answers.settled()
    key = timed.keys.answer(world.tenant, digest_of(world.query, None))
    assert await timed.client.command("PTTL", key) <= 60_000

    await world.read(timed)
    assert world.searches == 0
    manual_clock.set(soon.expires_at)
    await world.read(timed)
    assert world.searches == 1


async def test_answer_above_the_limit_is_not_kept(world, make_member, member, manual_clock):
    small = await make_member(largest=1_000)
    noise = random.Random(1).randbytes(4_000).hex()
    large = replace(memory(world, manual_clock), content=noise)

    async def find():
        return Answer(search_id="x", hits=(Hit(memory=large, score=1.0),), total=1)

    await small.answers.through(world.tenant, world.query, None, find)
    await small.answers.settled()

    assert small.refused("too_large") == 1
    assert (
        await small.client.command("GET", small.keys.answer(world.tenant, digest_of(world.query, None)))
        is None
    )


async def test_only_a_large_value_is_compressed(world, member, manual_clock):
    async def kept(text, content):
        query = plan(text)

        async def find():
            found = replace(memory(world, manual_clock), content=content)
            return Answer(search_id="x", hits=(Hit(memory=found, score=1.0),), total=1)

        for _ in range(2):
            answer = await member.answers.through(world.tenant, query, None, find)
            await member.answers.settled()
        assert answer.hits[0].memory.content == content
        key = member.keys.answer(world.tenant, digest_of(query, None))
        return (await member.client.command("GET", key)).partition(b"\n")[2]

    small, large = await kept("small", "green tea"), await kept("large", "green tea " * 1_000)

    assert member.count("hit") == 2
    assert ZSTD not in small
    assert b"green tea" in small
    assert ZSTD in large[:16]
    assert len(large) < 1_000


async def test_answers_live_five_minutes_and_do_not_end_together(world, member):
    lives = []
    for number in range(8):
        query = plan(f"question {number}")
        await member.answers.through(world.tenant, query, None, world.find)
        await member.answers.settled()
        key = member.keys.answer(world.tenant, digest_of(query, None))
        lives.append(await member.client.command("PTTL", key))

    # Each began to run when it was kept, and the machine may have had more to do since.
    assert all(200_000 < life <= 300_000 for life in lives)
    assert max(lives) - min(lives) > 1_000


async def test_tenants_never_share_an_answer(world, member):
    await world.read(member)
    await member.answers.settled()
    await member.answers.through(TenantId("ben"), world.query, None, world.find)

    assert world.searches == 2


@pytest.mark.parametrize(
    "other",
    [
        plan("green teas"),
        plan("green tea", limit=11),
        plan("green tea", context=1),
        plan("green tea", mode=Mode.LEXICAL),
        plan("green tea", diversity=0.5),
        plan("green tea", explain=True),
        plan("green tea tag:x"),
        plan("green tea", offset=10),
    ],
)
def test_every_field_that_changes_an_answer_is_in_its_key(world, other):
    assert digest_of(other, None) != digest_of(world.query, None)
    assert digest_of(world.query, "page") != digest_of(world.query, None)


@pytest.mark.parametrize("damage", [b"", b"x", b"\x00" * 40, b"z12345678", "list"])
async def test_damaged_value_is_computed_again(world, member, damage):
    await world.read(member)
    await member.answers.settled()
    key = member.keys.answer(world.tenant, digest_of(world.query, None))
    if damage == "list":
        await member.client.command("DEL", key)
        await member.client.command("RPUSH", key, "a")
    else:
        whole = await member.client.command("GET", key)
        stamp = whole[: whole.index(b"\n") + 1]
        await member.client.command("SET", key, stamp + damage)

    await world.read(member)
    await member.answers.settled()

    assert world.searches == 2


@pytest.mark.parametrize("place", ["meta", "generation"])
async def test_record_of_another_type_is_taken_away(world, member, place):
    key = member.keys.meta(0) if place == "meta" else member.keys.generation(world.tenant)
    await member.client.command("DEL", key)
    await member.client.command("RPUSH", key, "a")

    await world.read(member)
    await world.write(member)
    await world.read(member)
    await member.answers.settled()
    await world.read(member)

    assert member.count("hit") == 1


async def test_garbled_record_is_begun_anew(world, member):
    await member.client.command("SET", member.keys.meta(0), b"\xff{nonsense")
    await world.read(member)
    await world.write(member)
    await world.read(member)
    await member.answers.settled()
    await world.read(member)

    assert member.count("hit") == 1


async def test_partition_that_another_process_takes_in_the_middle_of_a_round_is_left_to_it(
    world, make_member
):
    first, second = await make_member(), await make_member()
    for partition in (0, 1):
        first.publisher.resume(START, partition=partition)
    await first.publisher.look_after()
    script = first.client.script

    async def taken_meanwhile(name, keys, arguments):
        lost = await script(name, keys, arguments)
        if arguments[0] == 0:
            first.publisher.leave(1)
            second.publisher.resume(START, partition=1)
            await second.publisher.publish([world.apply()], position=world.position, partition=1)
        return lost

    first.client.script = taken_meanwhile
    await first.publisher.look_after()
    first.client.script = script
    begun = [one.metrics.cache_epochs.labels("lost")._value.get() for one in (first, second)]
    for one in (second, first, second):
        await one.publisher.look_after()

    assert [one.metrics.cache_epochs.labels("lost")._value.get() for one in (first, second)] == begun
