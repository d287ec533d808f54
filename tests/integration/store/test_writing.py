from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mnemata.domain.change import START
from mnemata.domain.errors import AlreadyExists, MemoryNotFound, TenantNotFound, VersionMismatch
from mnemata.domain.ids import TenantId
from mnemata.domain.memory import Operation
from mnemata.domain.rules import FIRST_MOMENT, LAST_MOMENT, MAX_SEQUENCE
from mnemata.domain.scope import Scope

pytestmark = pytest.mark.every_postgres


async def test_stored_memory_is_read_back_exactly(database, scope, make):
    memory = make(
        'é "quoted" \\ back\nslash \u2028 🙂 \u202bעברית',
        kind="note",
        user_id="ana",
        agent_id="bot",
        session_id="s",
        sequence=MAX_SEQUENCE,
        role="user",
        tags=("b", "a", 'with "quotes", {braces}', "NULL"),
        metadata={"b": 1, "a": [True, None, 1.5, "x"], "big": 2**63 - 1, "deep": {"n": 1e-300, "e": ""}},
        importance=0.1 + 0.2,
        source="import",
        external_id="e'1",
        occurred_at=FIRST_MOMENT,
        expires_at=LAST_MOMENT,
    )
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
    async with database.tenant(scope) as transaction:
        found = await transaction.memories.get(memory.id)
    assert found == memory
    assert list(found.metadata) == ["b", "a", "big", "deep"]
    assert type(found.metadata["big"]) is int
    assert found.created_at.utcoffset() == timedelta(0)


async def test_memory_with_only_its_content_is_read_back_exactly(database, scope, make):
    memory = make()
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
        assert await transaction.memories.get(memory.id) == memory
        assert await transaction.memories.get_many([memory.id]) == {memory.id: memory}


async def test_largest_content_and_a_long_metadata_path_are_stored(database, scope, make):
    content = "".join(f"w{n:x} " for n in range(200_000))[:1_048_576]
    path: dict = {"k" * 256: "x" * 5_000}
    for _ in range(10):
        path = {"é" * 256: path}
    memory = make(content, metadata=path)
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
        assert await transaction.memories.get(memory.id) == memory


async def test_batch_of_a_thousand_is_one_transaction_with_history_and_feed(database, scope, make):
    memories = [make(f"memory {n}") for n in range(1_000)]
    async with database.tenant(scope) as transaction:
        positions = await transaction.memories.insert(memories, operation=Operation.CREATED)
        history = await transaction.memories.history(memories[500].id)
    async with database.platform() as transaction:
        changes = await transaction.feed.read(START, limit=2_000)
    assert list(positions) == [memory.id for memory in memories]
    assert [change.position for change in changes] == list(positions.values())
    assert {change.position.xid for change in changes} == {changes[0].position.xid}
    assert [version.memory for version in history] == [memories[500]]


async def test_known_external_id_is_left_out_and_told_apart(database, scope, make):
    first = make("one", external_id="x")
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([first], operation=Operation.CREATED)
    second, third, fourth = (
        make("two", external_id="x"),
        make("three", external_id="y"),
        make("4", external_id="y"),
    )
    async with database.tenant(scope) as transaction:
        inserted = await transaction.memories.insert([second, third, fourth], operation=Operation.CREATED)
        known = await transaction.memories.by_external_ids(["x", "y", "z"], lock=True)
        assert await transaction.memories.history(second.id) == []
    assert list(inserted) == [third.id]
    assert known == {"x": first, "y": third}


async def test_same_external_id_of_another_tenant_is_no_conflict(database, scope, other_scope, make):
    mine, other = make(external_id="x"), make(external_id="x", tenant=other_scope.tenant)
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([mine], operation=Operation.CREATED)
    async with database.tenant(other_scope) as transaction:
        assert other.id in await transaction.memories.insert([other], operation=Operation.CREATED)


async def test_id_that_is_in_use_is_refused(database, scope, make):
    memory = make()
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
    with pytest.raises(AlreadyExists) as refused:
        async with database.tenant(scope) as transaction:
            await transaction.memories.insert([memory], operation=Operation.CREATED)
    assert refused.value.facts == {"what": "memory", "identity": str(memory.id)}


async def test_tenant_that_is_not_there_is_refused_by_name(database, make):
    nobody = TenantId("nobody")
    with pytest.raises(TenantNotFound) as refused:
        async with database.tenant(Scope(tenant=nobody)) as transaction:
            await transaction.memories.insert([make(tenant=nobody)], operation=Operation.CREATED)
    assert refused.value.facts == {"tenant": "nobody"}


async def test_replacing_makes_the_next_version_and_keeps_the_one_before(database, scope, make):
    memory = make("old", tags=("a",))
    later = datetime(2026, 5, 2, tzinfo=UTC)
    changed = replace(memory, content="new", tags=(), version=2, updated_at=later, external_id="now")
    async with database.tenant(scope) as transaction:
        (created,) = (await transaction.memories.insert([memory], operation=Operation.CREATED)).values()
    async with database.tenant(scope) as transaction:
        (updated,) = await transaction.memories.replace([changed], operation=Operation.UPDATED)
    async with database.tenant(scope) as transaction:
        history = await transaction.memories.history(memory.id)
        assert await transaction.memories.get(memory.id) == changed
        assert (await transaction.memories.version(memory.id, 1)).memory == memory
        assert await transaction.memories.version(memory.id, 3) is None
    assert [(item.memory, item.operation, item.recorded_at) for item in history] == [
        (changed, Operation.UPDATED, later),
        (memory, Operation.CREATED, memory.updated_at),
    ]
    assert updated > created


async def test_replacing_a_version_that_is_gone_is_refused_and_changes_nothing(database, scope, make):
    memory, bystander = make(), make()
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory, bystander], operation=Operation.CREATED)
    wrong = [replace(bystander, content="x", version=2), replace(memory, content="x", version=5)]
    with pytest.raises(VersionMismatch) as refused:
        async with database.tenant(scope) as transaction:
            await transaction.memories.replace(wrong, operation=Operation.UPDATED)
    assert refused.value.facts == {"memory_id": memory.id, "expected": 4, "actual": 1}
    async with database.tenant(scope) as transaction:
        assert await transaction.memories.get(bystander.id) == bystander


async def test_replacing_what_is_not_there_is_refused(database, scope, make):
    with pytest.raises(MemoryNotFound):
        async with database.tenant(scope) as transaction:
            await transaction.memories.replace([replace(make(), version=2)], operation=Operation.UPDATED)


async def test_taking_another_memorys_external_id_is_refused(database, scope, make):
    first, second = make(external_id="x"), make()
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([first, second], operation=Operation.CREATED)
    with pytest.raises(AlreadyExists) as refused:
        async with database.tenant(scope) as transaction:
            taking = replace(second, external_id="x", version=2)
            await transaction.memories.replace([taking], operation=Operation.UPDATED)
    assert refused.value.facts == {"what": "memory with the external_id", "identity": "x"}


async def test_exception_in_the_callers_code_undoes_everything(database, scope, make):
    memory = make()
    with pytest.raises(LookupError):
        async with database.tenant(scope) as transaction:
            await transaction.memories.insert([memory], operation=Operation.CREATED)
            raise LookupError
    async with database.tenant(scope) as transaction:
        assert await transaction.memories.get(memory.id) is None


async def test_nothing_to_write_or_read_needs_no_statement(database, scope):
    async with database.tenant(scope) as transaction:
        assert await transaction.memories.insert([], operation=Operation.CREATED) == {}
        assert await transaction.memories.replace([], operation=Operation.UPDATED) == []
        assert await transaction.memories.get_many([]) == {}
        assert await transaction.memories.by_external_ids([]) == {}


async def test_many_are_read_in_the_order_asked_for_and_without_the_missing(database, scope, make):
    memories = [make(str(n)) for n in range(5)]
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert(memories, operation=Operation.CREATED)
        asked = [memories[3].id, UUID(int=7), memories[0].id]
        assert list(await transaction.memories.get_many(asked)) == [memories[3].id, memories[0].id]


async def test_memory_is_read_as_it_was_at_a_moment(database, scope, make):
    memory = make("old", expires_at=datetime(2027, 1, 1, tzinfo=UTC))
    second, third = memory.updated_at + timedelta(hours=1), memory.updated_at + timedelta(hours=2)
    changed = replace(memory, content="new", version=2, updated_at=second)
    gone = replace(changed, version=3, updated_at=third, deleted_at=third)
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
        await transaction.memories.replace([changed], operation=Operation.UPDATED)
        await transaction.memories.replace([gone], operation=Operation.FORGOTTEN)
        as_of = transaction.memories.as_of
        assert await as_of(memory.id, memory.created_at - timedelta(seconds=1)) is None
        assert await as_of(memory.id, memory.created_at) == memory
        assert await as_of(memory.id, second) == changed
        assert await as_of(memory.id, third) is None
        assert await as_of(memory.id, datetime(2028, 1, 1, tzinfo=UTC)) is None
