from __future__ import annotations

import asyncio

import psycopg
import pytest

from mnemata.domain.change import START, Position
from mnemata.store.leases import REACHED_CHANNEL, Reached, read, read_ahead

pytestmark = pytest.mark.every_postgres

NAMES = [f"index/{number:02}" for number in range(4)]


async def take(database, owner, names=NAMES, ttl_s=60.0):
    async with database.platform() as transaction:
        return await transaction.leases.take(owner, names, ttl_s=ttl_s)


async def every(database, owner="onlooker"):
    async with database.platform() as transaction:
        return await transaction.leases.renew(owner, ttl_s=60.0)


async def held(database):
    return {lease.name: lease.owner for lease in await every(database) if lease.holds_s > 0}


async def test_two_that_take_at_once_share_out_every_lease_and_none_twice(database):
    taken = await asyncio.gather(*(take(database, owner) for owner in "abcd"))
    assert sorted(name for one in taken for name in one) == NAMES


async def test_lease_that_is_held_is_not_given_to_another(database):
    assert set(await take(database, "a")) == set(NAMES)
    assert await take(database, "b") == {}
    assert set((await held(database)).values()) == {"a"}


async def test_lease_that_ran_out_is_another_ones_with_a_higher_token(database):
    before = await take(database, "a", ttl_s=0.0)
    after = await take(database, "b")
    assert {name: token + 1 for name, token in before.items()} == after


async def test_renewing_gives_what_is_still_ones_own(database):
    tokens = await take(database, "a", ttl_s=0.0)
    await take(database, "b", NAMES[:2])
    kept = [lease for lease in await every(database, "a") if lease.owner == "a"]
    assert {lease.name: lease.token for lease in kept} == {name: tokens[name] for name in NAMES[2:]}
    assert all(50 < lease.holds_s <= 60 for lease in kept)
    assert await held(database) == {name: "ab"[name in NAMES[:2]] for name in NAMES}


async def test_lease_that_was_given_back_is_free_at_once(database):
    await take(database, "a")
    await take(database, "b", ["other"])
    async with database.platform() as transaction:
        await transaction.leases.give_back("a", [*NAMES[:2], "other"])
    assert await held(database) == {**dict.fromkeys(NAMES[2:], "a"), "other": "b"}
    assert set(await take(database, "b", NAMES[:2])) == set(NAMES[:2])


async def test_only_long_gone_leases_of_a_kind_are_forgotten(database, url):
    await take(database, "a", ["worker/a", "worker/b", "index/00"], ttl_s=60)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE leases SET expires_at = now() - interval '2 hours' WHERE name <> 'worker/b'"
        )
    async with database.platform() as transaction:
        await transaction.leases.forget("worker/")
    assert [lease.name for lease in await every(database)] == ["index/00", "worker/b"]


async def test_lease_that_is_taken_while_it_is_renewed_is_the_takers(database, url):
    await take(database, "a", ttl_s=0.0)
    async with await psycopg.AsyncConnection.connect(url) as taker:
        await taker.execute("UPDATE leases SET owner = 'b', token = token + 1 WHERE name = %s", [NAMES[0]])
        renewing = asyncio.create_task(every(database, "a"))
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as onlooker:
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not (await (await onlooker.execute(waits)).fetchone())[0]:
                await asyncio.sleep(0.01)
        await taker.commit()
    assert {lease.name for lease in await renewing if lease.owner == "a"} == set(NAMES[1:])


async def reach(database, partition, sequence, *, token, caught_up=True, epoch="e"):
    position = Position(xid=7, sequence=sequence)
    told = Reached(partition=partition, position=position, caught_up=caught_up, token=token)
    async with database.platform() as transaction:
        return await transaction.leases.reach("main", epoch=epoch, told=[told])


async def test_what_an_earlier_owner_says_of_a_partition_is_not_noted(database):
    assert await reach(database, 3, 10, token=2) == {3}
    assert await reach(database, 3, 99, token=1) == set()
    assert await reach(database, 3, 5, token=3, caught_up=False) == {3}
    async with database.platform() as transaction:
        (noted,) = await transaction.leases.reached("main")
        assert await transaction.leases.reached("other") == []
    assert (noted.position, noted.caught_up, noted.epoch) == (Position(xid=7, sequence=5), False, "e")


async def test_those_who_listen_are_told_what_was_noted(database):
    heard = database.listen(REACHED_CHANNEL)
    assert (await asyncio.wait_for(anext(heard), 60)).channel == ""
    await reach(database, 1, 10, token=2)
    await reach(database, 1, 11, token=1)
    await reach(database, 2, 12, token=1)
    told = [await asyncio.wait_for(anext(heard), 60) for _ in range(3)]
    await heard.aclose()
    assert [read(one.payload, "main") for one in told] == [
        [(1, Position(xid=7, sequence=10))],
        [],
        [(2, Position(xid=7, sequence=12))],
    ]
    assert read(told[0].payload, "other") == []
    assert read_ahead(told[0].payload, "main") == []


async def test_what_is_seen_ahead_is_told_behind_the_positions_to_those_who_know_of_it(database):
    heard = database.listen(REACHED_CHANNEL)
    await asyncio.wait_for(anext(heard), 60)
    ahead = {2: [Position(xid=9, sequence=n) for n in (70, 75)], 3: [Position(xid=9, sequence=71)]}
    for caught_up in (False, True):
        told = [Reached(partition=2, position=Position(xid=7, sequence=1), caught_up=caught_up)]
        async with database.platform() as transaction:
            await transaction.leases.reach("main", epoch="e", told=told, ahead=ahead)
    # Where searches went back nobody is to take anything for seen.
    back, positions, further = [(await asyncio.wait_for(anext(heard), 60)).payload for _ in range(3)]
    await heard.aclose()
    assert (read(back, "main"), read_ahead(back, "main")) == ([], [])
    assert read(positions, "main") == [(2, Position(xid=7, sequence=1))]
    assert read(further, "main") == []
    assert read_ahead(further, "main") == [(one, place) for one, places in ahead.items() for place in places]
    assert read_ahead(further, "other") == []


async def test_nothing_is_seen_ahead_that_was_lost_to_another(database):
    heard = database.listen(REACHED_CHANNEL)
    await asyncio.wait_for(anext(heard), 60)
    position, ahead = Position(xid=7, sequence=1), {2: [Position(xid=9, sequence=70)]}
    for tokens, further in (((5,), {}), ((4, 1), ahead), ((5, 1), ahead)):
        told = [
            Reached(partition=2 + n, position=position, caught_up=True, token=token)
            for n, token in enumerate(tokens)
        ]
        async with database.platform() as transaction:
            await transaction.leases.reach("main", epoch="e", told=told, ahead=further)
    payloads = [(await asyncio.wait_for(anext(heard), 60)).payload for _ in range(4)]
    await heard.aclose()
    assert [read(one, "main") for one in payloads] == [
        [(2, position)],
        [(3, position)],
        [(2, position), (3, position)],
        [],
    ]
    assert read_ahead(payloads[3], "main") == [(2, ahead[2][0])]


async def test_where_searches_went_back_the_rows_are_to_be_read(database):
    heard = database.listen(REACHED_CHANNEL)
    await asyncio.wait_for(anext(heard), 60)
    places = [
        Reached(partition=one, position=Position(xid=7, sequence=one), caught_up=one != 2) for one in (1, 2)
    ]
    async with database.platform() as transaction:
        assert await transaction.leases.reach("main", epoch="e", told=places) == {1, 2}
    assert read((await asyncio.wait_for(anext(heard), 60)).payload, "main") == []
    await heard.aclose()


async def test_partitions_together_give_the_whole_feed_each_from_its_own_place(database, scope, make):
    from mnemata.domain.memory import Operation
    from mnemata.index.protocol import partition_of

    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([make() for _ in range(40)], operation=Operation.CREATED)
    async with database.platform() as transaction:
        every = await transaction.feed.read(START, limit=1_000)
        everywhere = dict.fromkeys(range(16), START)
        assert await transaction.feed.read_partitions(everywhere, limit=1_000) == every
        assert await transaction.feed.read_partitions(everywhere, limit=7) == every[:7]
        assert (await transaction.feed.lag_partitions(everywhere)).changes == len(every)
        middle = every[20].position
        some = {3: START, 5: middle}
        assert await transaction.feed.read_partitions(some, limit=1_000) == [
            change
            for change in every
            if change.position > some.get(partition_of(change.memory_id, 16), every[-1].position)
        ]
        assert await transaction.feed.read_partitions({}, limit=10) == []


async def test_a_partition_is_read_by_its_index(database, scope, make, url):
    from mnemata.domain.memory import Operation
    from mnemata.store.statements import statements

    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([make() for _ in range(400)], operation=Operation.CREATED)
    places = {"partitions": [3, 5], "xids": ["0", "0"], "seqs": [0, 0], "limit": 10}
    with psycopg.connect(url) as connection:
        connection.execute("ANALYZE changes")
        connection.execute("SET LOCAL enable_seqscan = off")
        connection.execute("SET LOCAL role = mnemata_platform")
        of_feed = statements("feed")
        reading = of_feed["read_partitions"].text.format(epoch=of_feed["epoch"].text)
        found = connection.execute("EXPLAIN " + reading.as_string(), places)
        plan = "\n".join(row[0] for row in found)
    assert "changes_by_partition" in plan, plan
    assert "Index Cond: (((get_byte(uuid_send(" in plan, plan
