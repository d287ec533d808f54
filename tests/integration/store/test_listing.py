from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from mnemata.domain.filter import EVERYTHING, AnyOf, Field
from mnemata.domain.memory import Operation
from mnemata.store.listing import SortKey, after_of

pytestmark = pytest.mark.every_postgres

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


@pytest.mark.parametrize(
    ("sort", "descending"),
    [
        (SortKey.CREATED_AT, True),
        (SortKey.UPDATED_AT, False),
        (SortKey.OCCURRED_AT, True),
        (SortKey.IMPORTANCE, False),
    ],
)
async def test_what_nobody_touches_is_listed_once_and_in_order_while_others_write_without_a_pause(
    database, scope, make, clock, sort, descending
):
    now = clock.now()
    still = [
        make(f"still {n}", importance=(n % 5) / 4, occurred_at=now - timedelta(days=n % 4) if n % 2 else None)
        for n in range(40)
    ]
    moved = [make(f"moved {n}") for n in range(20)]
    await store(database, scope, [*still, *moved])
    done, written = asyncio.Event(), asyncio.Semaphore(0)

    async def write(seed):
        chance, mine = random.Random(seed), moved[seed::2]
        # So many that they are among what is listed, and no more: else the list could grow as fast as it is read.
        new = [make("new", importance=chance.random()) for _ in range(20)]
        while not done.is_set():
            place = chance.randrange(len(mine))
            mine[place] = replace(
                mine[place],
                version=mine[place].version + 1,
                importance=chance.random(),
                occurred_at=now - timedelta(hours=chance.randrange(96)),
                updated_at=now - timedelta(seconds=chance.randrange(86_400)),
                deleted_at=now if chance.random() < 0.3 else None,
            )
            async with database.tenant(scope) as transaction:
                await transaction.memories.insert(new[:1], operation=Operation.CREATED)
                await transaction.memories.replace([mine[place]], operation=Operation.UPDATED)
            del new[:1]
            written.release()

    async def listed():
        seen, after = [], None
        while True:
            for _ in range(3):
                await written.acquire()
            async with database.tenant(scope) as transaction:
                page = await transaction.memories.page(
                    EVERYTHING, sort=sort, descending=descending, after=after, limit=7, now=now
                )
            if not page:
                return seen
            seen += page
            after = after_of(page[-1], sort)

    writers = [asyncio.create_task(write(seed)) for seed in (0, 1)]
    seen = await listed()
    done.set()
    await asyncio.gather(*writers)
    untouched = {memory.id for memory in still}
    expected = sorted(still, key=lambda memory: (after_of(memory, sort).value, memory.id), reverse=descending)
    assert [memory for memory in seen if memory.id in untouched] == expected
    places = [(after_of(memory, sort).value, memory.id) for memory in seen]
    assert places == sorted(places, reverse=descending)


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
