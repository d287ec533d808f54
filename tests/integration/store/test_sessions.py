from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from psycopg import sql

from mnemata.domain.memory import Operation
from mnemata.domain.query import NO_NEIGHBOURS, Neighbours
from mnemata.domain.scope import Scope

pytestmark = pytest.mark.every_postgres


@pytest.fixture
def now(clock):
    return clock.now()


@pytest.fixture
async def talk(database, scope, make):
    """Seven turns in their order: four with a sequence, stored in another order; three without."""
    second, first = make("1", session_id="s", sequence=2), make("0", session_id="s", sequence=1)
    fourth, third = make("3", session_id="s", sequence=10), make("2", session_id="s", sequence=3)
    later = make("5", session_id="s")
    earlier = make("4", session_id="s", occurred_at=later.created_at - timedelta(days=1))
    last = make("6", session_id="s")
    turns = [first, second, third, fourth, earlier, later, last]
    async with database.tenant(scope) as transaction:
        others = [make("alone"), make("elsewhere", session_id="t", sequence=2)]
        stored = [second, first, later, fourth, third, earlier, last, *others]
        await transaction.memories.insert(stored, operation=Operation.CREATED)
    return turns


async def around(database, scope, memory, *, width, now):
    async with database.tenant(scope) as transaction:
        return (await transaction.memories.with_turns([memory.id], width=width, now=now))[1][memory.id]


async def test_turns_stand_by_sequence_then_by_time(database, scope, talk, now):
    before, after = await around(database, scope, talk[3], width=10, now=now)
    assert before == tuple(talk[:3])
    assert after == tuple(talk[4:])


async def test_width_bounds_each_side_to_the_nearest(database, scope, talk, now):
    before, after = await around(database, scope, talk[3], width=2, now=now)
    assert before == tuple(talk[1:3])
    assert after == tuple(talk[4:6])
    assert await around(database, scope, talk[3], width=0, now=now) == ((), ())


async def test_memory_outside_of_sessions_has_no_turns_around_it(database, scope, make, now):
    memory = make()
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
        found = await transaction.memories.with_turns([memory.id], width=3, now=now)
        assert found == ({memory.id: memory}, {memory.id: ((), ())})
        assert await transaction.memories.with_turns([], width=3, now=now) == ({}, {})


async def test_forgotten_superseded_and_expired_turns_are_passed_over(database, scope, talk, now):
    gone = [
        replace(talk[1], version=2, deleted_at=now),
        replace(talk[2], version=2, superseded_by=talk[3].id),
        replace(talk[4], version=2, expires_at=now),
    ]
    async with database.tenant(scope) as transaction:
        await transaction.memories.replace(gone, operation=Operation.UPDATED)
    before, after = await around(database, scope, talk[3], width=1, now=now)
    assert before == (talk[0],)
    assert after == (talk[5],)


async def test_session_of_another_tenant_is_another_session(database, scope, other_scope, make, talk, now):
    theirs = make("x", session_id="s", sequence=3, tenant=other_scope.tenant)
    async with database.tenant(other_scope) as transaction:
        await transaction.memories.insert([theirs], operation=Operation.CREATED)
    assert await around(database, other_scope, theirs, width=5, now=now) == ((), ())
    async with database.platform() as transaction:
        assert await transaction.documents([theirs.id]) == [(theirs, NO_NEIGHBOURS)]


async def test_documents_stand_between_their_neighbours_whatever_their_state(database, scope, talk, now):
    gone = replace(talk[3], version=2, deleted_at=now)
    async with database.tenant(scope) as transaction:
        await transaction.memories.replace([gone], operation=Operation.FORGOTTEN)
    async with database.platform() as transaction:
        found = await transaction.documents([talk[0].id, talk[3].id, talk[4].id, UUID(int=1)])
        assert await transaction.documents([]) == []
    assert sorted(found, key=lambda document: document[0].content) == [
        (talk[0], Neighbours(previous=None, next=talk[1])),
        (gone, Neighbours(previous=talk[2], next=talk[4])),
        (talk[4], Neighbours(previous=talk[2], next=talk[5])),
    ]


async def test_new_turn_affects_those_beside_it(database, scope, make, talk):
    between = make("between", session_id="s", sequence=5)
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([between], operation=Operation.CREATED)
    async with database.platform() as transaction:
        affected = await transaction.affected([between.id])
        assert await transaction.affected([]) == []
    assert affected[0] == between.id
    assert set(affected) == {between.id, talk[2].id, talk[3].id}


async def test_turn_that_moved_affects_those_beside_its_old_and_its_new_place(database, scope, talk, make):
    moved = replace(talk[1], version=2, session_id="t", sequence=9)
    async with database.tenant(scope) as transaction:
        await transaction.memories.replace([moved], operation=Operation.UPDATED)
    async with database.platform() as transaction:
        affected = set(await transaction.affected([moved.id]))
        contents = {memory.content for memory, _ in await transaction.documents(list(affected))}
    assert contents == {"1", "0", "2", "elsewhere"}


async def test_forgotten_turn_affects_those_that_were_beside_it(database, scope, talk, now):
    async with database.tenant(Scope(tenant=scope.tenant)) as transaction:
        gone = replace(talk[5], version=2, deleted_at=now)
        await transaction.memories.replace([gone], operation=Operation.FORGOTTEN)
    async with database.platform() as transaction:
        assert set(await transaction.affected([gone.id])) == {talk[4].id, gone.id, talk[6].id}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"session_id": "t", "sequence": 9}, {"0", "1", "2", "elsewhere"}),
        ({"content": "1, corrected"}, {"0", "1, corrected", "2"}),
        ({"session_id": None, "sequence": None}, {"0", "1", "2"}),
    ],
)
async def test_documents_come_with_those_beside_their_places_of_now_and_before(
    database, scope, talk, change, expected
):
    changed = replace(talk[1], version=2, **change)
    async with database.tenant(scope) as transaction:
        await transaction.memories.replace([changed], operation=Operation.UPDATED)
    async with database.platform() as transaction:
        around_it = await transaction.documents_around([changed.id, UUID(int=1)])
        affected = await transaction.affected([changed.id])
        assert await transaction.documents_around([]) == []
        alone = await transaction.documents([memory.id for memory, _ in around_it])
    assert {memory.content for memory, _ in around_it} == expected
    assert {memory.id: near for memory, near in around_it} == {memory.id: near for memory, near in alone}
    assert {memory.id for memory, _ in around_it} == set(affected)


async def test_memory_that_is_known_at_its_version_is_not_read(database, scope, talk):
    asked: list[tuple[UUID, int]] = []

    def known(memory_id, version):
        asked.append((memory_id, version))
        return replace(talk[1], content="as it is known") if memory_id == talk[1].id else None

    async with database.platform() as transaction:
        found = {
            memory.id: near for memory, near in await transaction.documents_around([talk[1].id], known=known)
        }
    assert set(asked) == {(turn.id, 1) for turn in talk[:4]}
    assert found[talk[0].id].next == replace(talk[1], content="as it is known")
    assert found[talk[2].id] == Neighbours(previous=found[talk[0].id].next, next=talk[3])


async def test_neighbours_are_never_looked_for_by_sorting_and_the_next_transaction_may_sort(
    database, scope, talk
):
    async def sorts(transaction):
        row = await transaction.session.row(sql.SQL("SELECT current_setting('enable_sort')").format())
        return row[0]

    async with database.platform() as transaction:
        assert await sorts(transaction) == "on"
        await transaction.documents_around([talk[1].id])
        assert await sorts(transaction) == "off"
    for _ in range(4):
        async with database.platform() as transaction:
            assert await sorts(transaction) == "on"
