from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from mnemata.domain.memory import Operation
from mnemata.domain.vector import Space

pytestmark = pytest.mark.every_postgres

ELSE = Space(name="else/4", dimensions=4)


def row(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


async def kept(transaction, *memories):
    await transaction.memories.insert(list(memories), operation=Operation.CREATED)


async def test_latest_of_a_user_are_the_newest_with_their_vectors(database, scope, space, clock, make):
    first, second, third = (make(f"of ana {n}", user_id="ana", tags=(f"t{n}",)) for n in range(3))
    other, nobodys = make("of bo", user_id="bo"), make("of nobody")
    async with database.tenant(scope) as transaction:
        await kept(transaction, first, second, third, other, nobodys)
        await transaction.embeddings.put(space, {third.embedding_key: row(0, 1, 0, 0)})
        await transaction.embeddings.put(ELSE, {second.embedding_key: row(1, 0, 0, 0)})
    async with database.tenant(scope) as transaction:
        found = await transaction.memories.latest_of_user("ana", space=space, limit=2, now=clock.now())
    assert [(traits.memory_id, traits.tags) for traits in found] == [
        (third.id, ("t2",)),
        (second.id, ("t1",)),
    ]
    assert {traits.user_id for traits in found} == {"ana"}
    assert found[0].vector is not None
    assert found[0].vector.tolist() == [0, 1, 0, 0]
    assert found[1].vector is None


async def test_what_default_reads_do_not_see_is_not_among_the_latest(database, scope, space, clock, make):
    now = clock.now()
    gone = make("forgotten", user_id="ana", deleted_at=now - timedelta(hours=1))
    expired = make("expired", user_id="ana", expires_at=now - timedelta(hours=1))
    seen = make("seen", user_id="ana")
    superseded = make("superseded", user_id="ana", superseded_by=seen.id)
    async with database.tenant(scope) as transaction:
        await kept(transaction, gone, expired, seen, superseded)
        found = await transaction.memories.latest_of_user("ana", space=space, limit=10, now=now)
    assert [traits.memory_id for traits in found] == [seen.id]


async def test_latest_at_a_moment_are_as_they_were_then(database, scope, space, clock, make):
    old = make("was tea", user_id="ana", tags=("tea",))
    later = make("came later", user_id="ana")
    async with database.tenant(scope) as transaction:
        await kept(transaction, old, later)
        changed = replace(old, version=2, updated_at=later.created_at, tags=("war",), user_id="bo")
        await transaction.memories.replace([changed], operation=Operation.UPDATED)
        await transaction.embeddings.put(space, {old.embedding_key: row(1, 0, 0, 0)})
    moment = old.created_at
    async with database.tenant(scope) as transaction:
        asked = {"space": space, "limit": 10, "now": clock.now()}
        then = await transaction.memories.latest_of_user("ana", as_of=moment, **asked)
        now = await transaction.memories.latest_of_user("ana", **asked)
        (was,) = (await transaction.memories.traits([old.id, later.id], space=space, as_of=moment)).values()
    assert [(traits.memory_id, traits.tags) for traits in then] == [(old.id, ("tea",))]
    assert [traits.memory_id for traits in now] == [later.id]
    assert (was.user_id, was.tags) == ("ana", ("tea",))
    assert was.vector is not None


async def test_traits_of_no_memories_ask_nothing(database, scope, space):
    async with database.tenant(scope) as transaction:
        assert await transaction.memories.traits([], space=space) == {}


async def test_another_tenant_s_memories_have_no_traits(database, scope, other_scope, space, clock, make):
    ours = make("of ana", user_id="ana")
    async with database.tenant(scope) as transaction:
        await kept(transaction, ours)
        await transaction.embeddings.put(space, {ours.embedding_key: row(1, 0, 0, 0)})
    moment = clock.now()
    async with database.tenant(other_scope) as transaction:
        memories = transaction.memories
        for as_of in (None, moment):
            assert await memories.latest_of_user("ana", space=space, limit=9, now=moment, as_of=as_of) == []
            assert await memories.traits([ours.id], space=space, as_of=as_of) == {}
