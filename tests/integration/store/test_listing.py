from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mnemata.domain.filter import EVERYTHING, AnyOf, Field
from mnemata.domain.memory import Operation
from mnemata.store.listing import SortKey, after_of

WORK = AnyOf(field=Field(name="tags"), values=("work",))


async def store(database, scope, memories):
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert(memories, operation=Operation.CREATED)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", list(SortKey))
async def test_pages_cover_everything_once_in_order(database, scope, make, clock, sort, descending):
    now = clock.now()
    memories = [
        make(str(n), importance=(n % 3) / 2, occurred_at=now - timedelta(days=n % 4) if n % 2 else None)
        for n in range(23)
    ]
    await store(database, scope, memories)
    pages, after = [], None
    while not pages or pages[-1]:
        async with database.tenant(scope) as transaction:
            page = await transaction.memories.page(
                EVERYTHING, sort=sort, descending=descending, after=after, limit=4, now=now
            )
        pages.append(page)
        after = after_of(page[-1], sort) if page else None
    listed = [memory for page in pages for memory in page]
    expected = sorted(
        memories, key=lambda memory: (after_of(memory, sort).value, memory.id), reverse=descending
    )
    assert listed == expected


async def test_pages_hold_while_others_write_between_them(database, scope, make, clock):
    memories = [make(str(n)) for n in range(6)]
    await store(database, scope, memories)
    async with database.tenant(scope) as transaction:
        first = await transaction.memories.page(EVERYTHING, limit=3, now=clock.now())
    await store(database, scope, [make("new")])
    async with database.tenant(scope) as transaction:
        gone = replace(first[0], version=2, deleted_at=clock.now())
        await transaction.memories.replace([gone], operation=Operation.FORGOTTEN)
    after = after_of(first[-1], SortKey.CREATED_AT)
    async with database.tenant(scope) as transaction:
        second = await transaction.memories.page(EVERYTHING, after=after, limit=10, now=clock.now())
    assert first + second == list(reversed(memories))


async def test_default_reads_see_no_forgotten_superseded_or_expired_memory(database, scope, make, clock):
    now = clock.now()
    seen = make("seen", expires_at=now + timedelta(seconds=1))
    hidden = [
        make(deleted_at=now),
        make(superseded_by=seen.id),
        make(expires_at=now),
    ]
    await store(database, scope, [seen, *hidden])
    async with database.tenant(scope) as transaction:
        assert await transaction.memories.page(EVERYTHING, limit=10, now=now) == [seen]
        assert await transaction.memories.count(EVERYTHING, now=now) == 1
        assert await transaction.memories.ids_matching(EVERYTHING, limit=10, now=now) == [seen.id]
        assert len(await transaction.memories.get_many([memory.id for memory in [seen, *hidden]])) == 4


async def test_past_is_listed_and_counted_as_it_was(database, scope, make, clock):
    now = clock.now()
    first, second = make("first", tags=("work",)), make("second", tags=("work",))
    await store(database, scope, [first, second])
    changed = replace(first, version=2, tags=(), updated_at=now)
    gone = replace(second, version=2, deleted_at=now, updated_at=now)
    async with database.tenant(scope) as transaction:
        await transaction.memories.replace([changed, gone], operation=Operation.UPDATED)
        memories = transaction.memories
        before, early = now - timedelta(microseconds=1), first.created_at
        assert await memories.page_as_of(WORK, as_of=before, limit=10, descending=False) == [first, second]
        assert await memories.page_as_of(WORK, as_of=early, limit=10) == [first]
        assert await memories.page_as_of(WORK, as_of=now, limit=10) == []
        assert await memories.page_as_of(EVERYTHING, as_of=now, limit=10, sort=SortKey.UPDATED_AT) == [
            changed
        ]
        assert await memories.count_as_of(WORK, as_of=before) == 2
        after = after_of(first, SortKey.OCCURRED_AT)
        options = {"as_of": before, "limit": 1, "descending": False, "sort": SortKey.OCCURRED_AT}
        assert await memories.page_as_of(WORK, after=after, **options) == [second]


async def test_matching_ids_are_the_oldest_and_locked_ones_cannot_be_changed(
    database, scope, make, clock, options
):
    memories = [make(str(n), tags=("work",) if n % 2 else ()) for n in range(10)]
    await store(database, scope, memories)
    found = [memory.id for memory in memories if memory.tags][:3]
    async with database.tenant(scope) as transaction:
        assert await transaction.memories.ids_matching(WORK, limit=3, now=clock.now()) == found
        locked = await transaction.memories.ids_matching(WORK, limit=3, now=clock.now(), lock=True)
        async with database.tenant(scope) as other:
            free = await other.memories.ids_matching(EVERYTHING, limit=10, now=clock.now())
            skipped = await other.session.rows(_skip_locked())
    assert sorted(locked) == sorted(found)
    assert set(free) - {row[0] for row in skipped} == set(found)


def _skip_locked():
    from psycopg import sql

    return sql.SQL("SELECT id FROM memories FOR UPDATE SKIP LOCKED").format()
