import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from mnemata.domain.errors import (
    AlreadyExists,
    Forbidden,
    InvalidField,
    MemoryNotFound,
    VersionMismatch,
    VersionNotFound,
)
from mnemata.domain.filter import AnyOf, Field
from mnemata.domain.memory import Memory, MemoryDraft, Operation
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.platform import Platform
from mnemata.services import forget
from mnemata.services.outcome import Once, Remembered, WaitFor


async def store(platform: Platform, scope: Scope, content: str, **fields: object) -> Memory:
    return (await platform.services.remember.one(scope, MemoryDraft(**{"content": content, **fields}))).memory


async def found(platform: Platform, scope: Scope, text: str, mode: Mode = Mode.LEXICAL) -> list[str]:
    answer = await platform.services.recall.search(scope, Query(text=text, words=Words(text=text), mode=mode))
    return [hit.memory.content for hit in answer.hits]


async def test_a_patch_is_a_new_version_that_searches_find(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "likes tea", metadata={"a": 1, "b": {"c": 2}})
    changed = await platform.services.revise.patch(
        scope, memory.id, {"content": "likes coffee", "metadata": {"b": {"c": None}}}, if_match=1
    )
    assert (changed.memory.version, changed.memory.metadata) == (2, {"a": 1, "b": {}})
    assert await found(platform, scope, "tea") == []
    assert await found(platform, scope, "coffee") == ["likes coffee"]


async def test_a_change_of_an_old_version_is_refused(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "one")
    await platform.services.revise.patch(scope, memory.id, {"content": "two"})
    with pytest.raises(VersionMismatch, match="version 2"):
        await platform.services.revise.patch(scope, memory.id, {"content": "three"}, if_match=1)


async def test_a_patch_that_says_nothing_new_makes_no_version(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "one", user_id="ana")
    same = await platform.services.revise.patch(scope, memory.id, {"user_id": "ana"})
    assert (same.changed, same.memory) == (False, memory)


async def test_an_external_id_that_is_taken_cannot_be_given(platform: Platform, scope: Scope) -> None:
    await store(platform, scope, "first", external_id="taken")
    memory = await store(platform, scope, "second")
    with pytest.raises(AlreadyExists):
        await platform.services.revise.patch(scope, memory.id, {"external_id": "taken"})
    assert (await platform.services.read.get(scope, memory.id)).version == 1


async def test_a_memory_does_not_supersede_itself(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "one")
    with pytest.raises(InvalidField, match="superseded_by"):
        await platform.services.revise.patch(scope, memory.id, {"superseded_by": memory.id})


async def test_forgetting_takes_a_memory_from_every_read_and_leg(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "a secret zebra")
    await platform.services.forget.one(scope, memory.id, if_match=1)
    for mode in Mode:
        assert await found(platform, scope, "zebra", mode) == []
    with pytest.raises(MemoryNotFound):
        await platform.services.read.get(scope, memory.id)
    with pytest.raises(MemoryNotFound):
        await platform.services.forget.one(scope, memory.id)
    with pytest.raises(MemoryNotFound):
        await platform.services.revise.patch(scope, memory.id, {"content": "x"})
    history = await platform.services.read.history(scope, memory.id)
    assert [entry.operation for entry in history] == [Operation.FORGOTTEN, Operation.CREATED]


async def test_a_forgotten_memory_can_be_brought_back(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "a precious zebra")
    await platform.services.forget.one(scope, memory.id)
    back = await platform.services.revise.restore(scope, memory.id)
    assert (back.memory.content, back.memory.version, back.memory.deleted_at) == ("a precious zebra", 3, None)
    assert await found(platform, scope, "zebra") == ["a precious zebra"]


async def test_undo_goes_one_version_back_and_restore_to_any(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "one")
    await platform.services.revise.patch(scope, memory.id, {"content": "two"})
    await platform.services.revise.patch(scope, memory.id, {"content": "three"})
    assert (await platform.services.revise.restore(scope, memory.id)).memory.content == "two"
    assert (await platform.services.revise.restore(scope, memory.id, version=1)).memory.content == "one"
    with pytest.raises(VersionNotFound):
        await platform.services.revise.restore(scope, memory.id, version=99)


async def test_a_repeated_change_is_made_once(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "one")
    once = Once(key="patch", fingerprint=b"p" * 32)
    first = await platform.services.revise.patch(scope, memory.id, {"content": "two"}, once=once)
    await platform.services.revise.patch(scope, memory.id, {"content": "three"})
    again = await platform.services.revise.patch(scope, memory.id, {"content": "two"}, once=once)
    assert again.replayed
    assert again.memory == first.memory
    assert (await platform.services.read.get(scope, memory.id)).content == "three"


async def test_forgetting_by_filter_counts_first_and_spares_the_rest(
    platform: Platform, scope: Scope
) -> None:
    for number in range(25):
        await store(platform, scope, f"of ana {number}", user_id="ana")
    await store(platform, scope, "of bo", user_id="bo")
    condition = AnyOf(field=Field(name="user_id"), values=("ana",))
    dry = await platform.services.forget.by_filter(scope, condition)
    assert (dry.matched, dry.forgotten, dry.dry_run) == (25, 0, True)
    real = await platform.services.forget.by_filter(scope, condition, dry_run=False)
    assert (real.matched, real.forgotten) == (25, 25)
    assert await found(platform, scope, "of") == ["of bo"]
    again = await platform.services.forget.by_filter(scope, condition, dry_run=False)
    assert (again.matched, again.forgotten) == (0, 0)


async def test_forgetting_by_filter_goes_on_behind_what_another_call_took_first(
    platform: Platform, scope: Scope, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "_CHUNK", 10)
    ids = [(await store(platform, scope, f"of ana {n}", user_id="ana")).id for n in range(25)]
    condition = AnyOf(field=Field(name="user_id"), values=("ana",))
    with psycopg.connect(database_url) as other, psycopg.connect(database_url, autocommit=True) as watching:
        other.execute("SET session_replication_role = replica")
        other.execute("UPDATE memories SET deleted_at = now() WHERE id = ANY(%s)", [ids[:10]])
        ours = asyncio.create_task(
            platform.services.forget.by_filter(scope, condition, dry_run=False, wait_for=WaitFor.NONE)
        )
        await _until_waiting_for_locks(watching, 1)
        other.commit()
        real = await ours
    assert (real.matched, real.forgotten) == (25, 15)
    assert (await platform.services.forget.by_filter(scope, condition)).matched == 0


async def test_a_batch_of_upserts_and_a_filter_that_forgets_wait_for_each_other_in_one_order(
    platform: Platform, scope: Scope, database_url: str
) -> None:
    services = platform.services
    memories = [await store(platform, scope, name, external_id=name, session_id="s") for name in ("b", "a")]
    again = [MemoryDraft(content=f"{name} anew", external_id=name, session_id="s") for name in ("b", "a")]
    condition = AnyOf(field=Field(name="session_id"), values=("s",))
    with psycopg.connect(database_url) as other, psycopg.connect(database_url, autocommit=True) as watching:
        other.execute("SELECT FROM memories WHERE id = %s FOR UPDATE", [max(one.id for one in memories)])
        upsert = asyncio.create_task(services.remember.many(scope, again, wait_for=WaitFor.NONE))
        await _until_waiting_for_locks(watching, 1)
        forgetting = asyncio.create_task(
            services.forget.by_filter(scope, condition, dry_run=False, wait_for=WaitFor.NONE)
        )
        await _until_waiting_for_locks(watching, 2)
        other.commit()
        stored, gone = await asyncio.gather(upsert, forgetting)
    assert [result.memory.version for result in stored if isinstance(result, Remembered)] == [2, 2]
    assert gone.forgotten == 2


async def _until_waiting_for_locks(connection: psycopg.Connection, sessions: int) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(60):
        while connection.execute(waiting).fetchone() != (sessions,):
            await asyncio.sleep(0.02)


async def test_the_past_can_be_read(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "lives in Rome")
    then = (await platform.services.read.get(scope, memory.id)).updated_at
    changed = await platform.services.revise.patch(scope, memory.id, {"content": "lives in Oslo"})
    await platform.services.forget.one(scope, memory.id)
    assert (await platform.services.read.get(scope, memory.id, as_of=then)).content == "lives in Rome"
    later = changed.memory.updated_at
    assert (await platform.services.read.get(scope, memory.id, as_of=later)).content == "lives in Oslo"
    with pytest.raises(MemoryNotFound):
        await platform.services.read.get(scope, memory.id, as_of=then - timedelta(days=1))
    for mode in Mode:
        query = Query(text="lives", words=Words(text="lives"), mode=mode, as_of=then)
        answer = await platform.services.recall.search(scope, query)
        assert [hit.memory.content for hit in answer.hits] == ["lives in Rome"]
        assert answer.degraded == ()


async def test_an_expired_memory_is_gone_at_once(platform: Platform, scope: Scope) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    memory = await store(platform, scope, "already over", expires_at=past)
    with pytest.raises(MemoryNotFound):
        await platform.services.read.get(scope, memory.id)
    assert await found(platform, scope, "over") == []


async def test_an_expired_memory_takes_no_place_of_a_living_one(platform: Platform, scope: Scope) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    for _ in range(3):
        await store(platform, scope, "walrus walrus", expires_at=past)
    await store(platform, scope, "a walrus among many other words of this text")
    for mode in (Mode.LEXICAL, Mode.VECTOR, Mode.HYBRID):
        query = Query(text="walrus", words=Words(text="walrus"), mode=mode, limit=1)
        answer = await platform.services.recall.search(scope, query)
        assert [hit.memory.content[:8] for hit in answer.hits] == ["a walrus"]
        assert (answer.total, answer.next_cursor) == (1, None)


async def test_an_expired_memory_is_not_there_for_changes_either(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "already over", expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(MemoryNotFound):
        await platform.services.revise.patch(scope, memory.id, {"content": "another"})
    with pytest.raises(MemoryNotFound):
        await platform.services.forget.one(scope, memory.id)


@pytest.mark.parametrize("swept", [True, False])
async def test_an_expired_memory_is_brought_back_as_it_was_last(
    platform: Platform, scope: Scope, swept: bool
) -> None:
    memory = await store(platform, scope, "first text")
    over = {"content": "second text", "expires_at": datetime(2020, 1, 1, tzinfo=UTC)}
    await platform.services.revise.patch(scope, memory.id, over)
    if swept:
        await platform.services.operations.sweep(scope)

    back = await platform.services.revise.restore(scope, memory.id)

    assert (back.memory.content, back.memory.expires_at) == ("second text", None)


@pytest.mark.parametrize("version", [None, 1])
async def test_an_expired_memory_that_is_brought_back_stays(
    platform: Platform, scope: Scope, version: int | None
) -> None:
    revise, operations = platform.services.revise, platform.services.operations
    memory = await store(platform, scope, "a zebra", expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    await operations.sweep(scope)

    back = await revise.restore(scope, memory.id, version=version)

    assert (back.memory.content, back.memory.expires_at, back.memory.deleted_at) == ("a zebra", None, None)
    await operations.sweep(scope)
    assert await found(platform, scope, "zebra") == ["a zebra"]
    changed = await revise.patch(scope, memory.id, {"content": "a zebra again"})
    assert changed.memory == await platform.services.read.get(scope, memory.id)


async def test_an_expiry_that_is_still_to_come_is_restored(platform: Platform, scope: Scope) -> None:
    later = datetime(2100, 1, 1, tzinfo=UTC)
    memory = await store(platform, scope, "one", expires_at=later)
    await platform.services.forget.one(scope, memory.id)
    assert (await platform.services.revise.restore(scope, memory.id)).memory.expires_at == later


async def test_a_reader_may_not_change_or_forget(platform: Platform, scope: Scope) -> None:
    memory = await store(platform, scope, "one")
    reader = replace(scope, role=Role.READER)
    with pytest.raises(Forbidden):
        await platform.services.revise.patch(reader, memory.id, {"content": "two"})
    with pytest.raises(Forbidden):
        await platform.services.forget.one(reader, memory.id)
