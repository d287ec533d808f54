import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mnemata.domain.errors import Forbidden, IdempotencyConflict, InvalidField, SpaceMismatch, TooLarge
from mnemata.domain.filter import EVERYTHING
from mnemata.domain.ids import TenantId
from mnemata.domain.memory import GivenVector, Memory, MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.platform import Platform
from mnemata.services.outcome import Once, Remembered, WaitFor
from mnemata.store.memories import Memories


def ask(text: str, **fields: object) -> Query:
    return Query(**{"text": text, "words": Words(text=text), **fields})


async def found(platform: Platform, scope: Scope, text: str, mode: Mode = Mode.LEXICAL) -> list[str]:
    answer = await platform.services.recall.search(scope, ask(text, mode=mode))
    return [hit.memory.content for hit in answer.hits]


async def test_a_stored_memory_is_found_on_return_by_both_legs(platform: Platform, scope: Scope) -> None:
    for number in range(20):
        stored = await platform.services.remember.one(
            scope, MemoryDraft(content=f"a walrus numbered w{number}x")
        )
        assert stored.created
        assert stored.indexed
        for mode in Mode:
            answer = await platform.services.recall.search(scope, ask(f"w{number}x", mode=mode))
            assert answer.hits[0].memory == stored.memory
            assert answer.degraded == ()


async def test_content_comes_back_verbatim(platform: Platform, scope: Scope) -> None:
    content = "  spaces, tabs\t, emoji 👩🏽‍🚀, العربية, \u202eodd\u202c, e\u0301 \n"
    stored = await platform.services.remember.one(
        scope, MemoryDraft(content=content, metadata={"k": [1, {"x": None}]})
    )
    read = await platform.services.read.get(scope, stored.memory.id)
    assert read == stored.memory
    assert read.content == content
    assert read.metadata == {"k": [1, {"x": None}]}


async def test_an_external_id_makes_an_upsert(platform: Platform, scope: Scope) -> None:
    remember = platform.services.remember
    first = await remember.one(scope, MemoryDraft(content="first", external_id="x", user_id="ana"))
    same = await remember.one(scope, MemoryDraft(content="first", external_id="x", user_id="ana"))
    second = await remember.one(scope, MemoryDraft(content="second", external_id="x"))
    assert (same.created, same.changed, same.memory) == (False, False, first.memory)
    assert (second.memory.id, second.memory.version, second.memory.user_id) == (first.memory.id, 2, None)
    assert await found(platform, scope, "first") == []
    assert await found(platform, scope, "second") == ["second"]
    history = await platform.services.read.history(scope, first.memory.id)
    assert [entry.memory.content for entry in history] == ["second", "first"]


async def test_concurrent_upserts_of_one_external_id_make_one_memory(
    platform: Platform, scope: Scope
) -> None:
    drafts = [MemoryDraft(content=f"writer {n}", external_id="shared") for n in range(8)]
    results = await asyncio.gather(*(platform.services.remember.one(scope, draft) for draft in drafts))
    assert len({result.memory.id for result in results}) == 1
    assert sum(result.created for result in results) == 1
    assert sorted(result.memory.version for result in results) == list(range(1, 9))


@pytest.mark.parametrize("taken_by", ["purge", "patch"])
async def test_an_upsert_whose_memory_loses_the_external_id_in_between_stores_a_new_one(
    platform: Platform, scope: Scope, monkeypatch: pytest.MonkeyPatch, taken_by: str
) -> None:
    services = platform.services
    first = await services.remember.one(scope, MemoryDraft(content="a walrus", external_id="x"))
    other = await services.remember.one(scope, MemoryDraft(content="a zebra", external_id="y"))
    if taken_by == "purge":
        await services.forget.one(scope, first.memory.id)
    look = Memories.by_external_ids

    async def look_after_the_other(
        memories: Memories, external_ids: Sequence[str], *, lock: bool = False
    ) -> dict[str, Memory]:
        monkeypatch.setattr(Memories, "by_external_ids", look)
        if taken_by == "purge":
            async with platform.store.database.platform() as transaction:
                assert await transaction.purge_due(datetime(2100, 1, 1, tzinfo=UTC), limit=10) == 1
        else:
            # Not found before the upsert is over: the feed waits for that.
            await services.revise.patch(scope, first.memory.id, {"external_id": "z"}, wait_for=WaitFor.NONE)
        return await look(memories, external_ids, lock=lock)

    monkeypatch.setattr(Memories, "by_external_ids", look_after_the_other)
    drafts = [
        MemoryDraft(content="a new walrus", external_id="x"),
        MemoryDraft(content="a new zebra", external_id="y"),
        MemoryDraft(content="a whale"),
    ]
    again, updated, whale = await services.remember.many(scope, drafts)

    assert isinstance(again, Remembered)
    assert isinstance(updated, Remembered)
    assert isinstance(whale, Remembered)
    assert (again.created, again.memory.version, again.memory.id != first.memory.id) == (True, 1, True)
    assert (updated.created, updated.memory.id, updated.memory.version) == (False, other.memory.id, 2)
    assert whale.created
    for text in ("new walrus", "new zebra", "whale"):
        assert (await found(platform, scope, text))[0] == f"a {text}"


async def test_one_bad_item_never_loses_the_others(platform: Platform, scope: Scope) -> None:
    bad = InvalidField(field="content", reason="is empty", remedy="Send text")
    results = await platform.services.remember.many(
        scope,
        [
            MemoryDraft(content="good one", external_id="a"),
            bad,
            MemoryDraft(content="twice", external_id="a"),
            MemoryDraft(content="wrong space", embedding=GivenVector(space="other", values=(1.0,))),
            MemoryDraft(content="good two"),
        ],
    )
    assert isinstance(results[0], Remembered)
    assert results[1] is bad
    assert isinstance(results[2], InvalidField)
    assert "item 0" in str(results[2])
    assert isinstance(results[3], SpaceMismatch)
    assert isinstance(results[4], Remembered)
    assert sorted(await found(platform, scope, "good")) == ["good one", "good two"]


async def test_a_batch_has_an_end(platform: Platform, scope: Scope) -> None:
    with pytest.raises(TooLarge):
        await platform.services.remember.many(scope, [MemoryDraft(content="x")] * 1_001)


async def test_a_given_vector_is_used_as_it_is(platform: Platform, scope: Scope) -> None:
    report = await platform.services.status.report(scope)
    about = report["embedding"]
    values = (0.0,) * (about["dimensions"] - 1) + (3.0,)
    draft = MemoryDraft(content="brought its own", embedding=GivenVector(space=about["space"], values=values))
    stored = await platform.services.remember.one(scope, draft)
    other = replace(draft, content="the same direction")
    await platform.services.remember.one(scope, other)
    answer = await platform.services.recall.similar(scope, stored.memory.id, limit=1)
    assert answer.hits[0].memory.content == "the same direction"
    assert answer.hits[0].score == pytest.approx(answer.hits[0].score)


async def test_a_vector_without_a_direction_is_refused_and_the_others_are_stored(
    platform: Platform, scope: Scope
) -> None:
    about = (await platform.services.status.report(scope))["embedding"]
    zero = GivenVector(space=about["space"], values=(0.0,) * about["dimensions"])
    results = await platform.services.remember.many(
        scope, [MemoryDraft(content="of no direction", embedding=zero), MemoryDraft(content="of its own")]
    )
    assert isinstance(results[0], InvalidField)
    assert results[0].field == "embedding.values"
    assert await found(platform, scope, "of") == ["of its own"]


async def test_of_two_vectors_for_one_text_the_index_has_the_one_that_is_kept(
    platform: Platform, scope: Scope
) -> None:
    about = (await platform.services.status.report(scope))["embedding"]
    east = (1.0,) + (0.0,) * (about["dimensions"] - 1)
    north = (0.0, 1.0) + (0.0,) * (about["dimensions"] - 2)
    ids = []
    for values in (east, north):
        given = GivenVector(space=about["space"], values=values)
        stored = await platform.services.remember.one(
            scope, MemoryDraft(content="said twice", embedding=given)
        )
        ids.append(stored.memory.id)
    vectors = await platform.index.vectors(scope.tenant, ids)
    assert vectors[ids[1]].tolist() == vectors[ids[0]].tolist() == list(east)


async def test_nothing_is_waited_for_when_nobody_wants_to(platform: Platform, scope: Scope) -> None:
    drafts = [MemoryDraft(content=f"in bulk b{n}x") for n in range(100)]
    await platform.services.remember.many(scope, drafts, wait_for=WaitFor.NONE)
    await platform.services.remember.one(scope, MemoryDraft(content="and then one"))
    assert await found(platform, scope, "b77x") == ["in bulk b77x"]


async def test_a_repeated_request_gets_the_first_answer_and_stores_nothing(
    platform: Platform, scope: Scope
) -> None:
    once = Once(key="key-1", fingerprint=b"f" * 32)
    first = await platform.services.remember.one(scope, MemoryDraft(content="only once"), once=once)
    again = await platform.services.remember.one(scope, MemoryDraft(content="only once"), once=once)
    assert again.replayed
    assert (again.memory, again.created) == (first.memory, True)
    page = await platform.services.read.list(scope, condition=EVERYTHING, with_total=True)
    assert page.total == 1
    with pytest.raises(IdempotencyConflict):
        await platform.services.remember.one(
            scope, MemoryDraft(content="another"), once=replace(once, fingerprint=b"g" * 32)
        )


async def test_the_same_request_twice_at_once_stores_once(platform: Platform, scope: Scope) -> None:
    once = Once(key="race", fingerprint=b"f" * 32)
    results = await asyncio.gather(
        *(platform.services.remember.one(scope, MemoryDraft(content="raced"), once=once) for _ in range(6))
    )
    assert len({result.memory.id for result in results}) == 1
    assert sum(not result.replayed for result in results) == 1


async def test_an_idempotency_key_belongs_to_its_tenant(platform: Platform, scope: Scope) -> None:
    other = await platform.services.access.create_key(scope, role=Role.WRITER, tenant=TenantId("other"))
    theirs = await platform.services.access.authenticate(other.secret)
    once = Once(key="same", fingerprint=b"f" * 32)
    await platform.services.remember.one(scope, MemoryDraft(content="ours"), once=once)
    result = await platform.services.remember.one(theirs, MemoryDraft(content="theirs"), once=once)
    assert not result.replayed


async def test_a_reader_may_not_write(platform: Platform, scope: Scope) -> None:
    reader = replace(scope, role=Role.READER)
    with pytest.raises(Forbidden):
        await platform.services.remember.one(reader, MemoryDraft(content="no"))


async def test_a_successor_must_be_there(platform: Platform, scope: Scope) -> None:
    old = await platform.services.remember.one(scope, MemoryDraft(content="moved to Lyon"))
    with pytest.raises(InvalidField, match="superseded_by"):
        await platform.services.remember.one(
            scope, MemoryDraft(content="x", superseded_by=platform_id(platform))
        )
    new = await platform.services.remember.one(scope, MemoryDraft(content="moved to Nice"))
    await platform.services.revise.patch(scope, old.memory.id, {"superseded_by": new.memory.id})
    assert await found(platform, scope, "moved") == ["moved to Nice"]


async def test_a_memory_that_is_stored_again_is_not_its_own_successor(
    platform: Platform, scope: Scope
) -> None:
    first = await platform.services.remember.one(scope, MemoryDraft(content="a tram", external_id="t"))
    itself = MemoryDraft(content="a tram", external_id="t", superseded_by=first.memory.id)

    refused, stored = await platform.services.remember.many(scope, [itself, MemoryDraft(content="a bus")])

    assert isinstance(refused, InvalidField)
    assert (refused.facts["field"], isinstance(stored, InvalidField)) == ("superseded_by", False)
    assert await found(platform, scope, "tram") == ["a tram"]


def platform_id(platform: Platform) -> object:
    return platform.services.remember._ids.new()
