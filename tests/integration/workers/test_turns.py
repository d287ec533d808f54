"""Whoever writes little is found on return, whatever waits in the feed of whoever writes much."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from mnemata.domain.change import START, Change, Position
from mnemata.domain.ids import TenantId
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.index.protocol import partition_of
from mnemata.platform import Platform
from mnemata.services.outcome import WaitFor
from mnemata.settings import Settings
from mnemata.workers import turns as turns_module
from mnemata.workers.turns import MOST_OF_A_TENANT, Turns

EVERY = range(16)
BATCH = 20

Enter = Callable[[str], Scope]
Store = Callable[..., Awaitable[None]]


@pytest.fixture
def enter(database_url: str) -> Enter:
    """The scope of a new tenant."""

    def enter(name: str) -> Scope:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("INSERT INTO tenants (id) VALUES (%s)", [name])
        return Scope(tenant=TenantId(name), role=Role.OPERATOR)

    return enter


@pytest.fixture
async def platform(settings: Settings):
    small = settings.index.model_copy(update={"batch_size": BATCH})
    opened = await Platform.open(settings.model_copy(update={"index": small}))
    # Until then nothing is taken ahead.
    await asyncio.wait_for(opened.index_ready.wait(), 60)
    yield opened
    await opened.close()


@pytest.fixture
def store(platform: Platform) -> Store:
    """Stores so many memories of a tenant, and does not wait until they are found."""

    async def store(scope: Scope, *texts: str) -> None:
        drafts = [MemoryDraft(content=text) for text in texts]
        await platform.services.remember.many(scope, drafts, wait_for=WaitFor.NONE)

    return store


async def feed(platform: Platform) -> list[Change]:
    async with platform.store.database.platform() as transaction:
        return await transaction.feed.read(START, limit=10_000)


def taken_ahead(platform: Platform) -> float:
    counted = platform.metrics.registry.get_sample_value("mnemata_index_changes_ahead_total")
    assert counted is not None
    return counted


async def until_reached(platform: Platform, position: Position) -> None:
    async with asyncio.timeout(60):
        while platform.barrier.position < position:
            await asyncio.sleep(0.02)


async def test_a_tenant_with_one_memory_is_not_kept_waiting_by_one_with_hundreds(
    platform: Platform, store: Store, enter: Enter
) -> None:
    heavy, light = enter("heavy"), enter("light")
    async with platform.indexer.turn:
        await store(heavy, *(f"a walrus, number {n}" for n in range(600)))
        draft = MemoryDraft(content="a lonely heron")
        writing = asyncio.create_task(platform.services.remember.one(light, draft))
        while not platform.barrier.waited_for:
            await asyncio.sleep(0.01)
        last = (await feed(platform))[-1]

    assert (await writing).indexed
    assert taken_ahead(platform) >= 1
    # Much of the other's is still to come: the memory was not at its place in the feed.
    assert last.tenant == "light"
    assert platform.barrier.position < last.position
    query = Query(text="heron", words=Words(text="heron"), mode=Mode.LEXICAL)
    answer = await platform.services.recall.search(light, query)
    assert [hit.memory.content for hit in answer.hits] == ["a lonely heron"]
    await until_reached(platform, last.position)
    found = await platform.services.recall.search(
        heavy, Query(text="walrus", words=Words(text="walrus"), limit=1)
    )
    assert found.total == 600


async def test_failure_in_the_middle_leaves_no_change_out(
    platform: Platform, store: Store, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    heavy, light = enter("heavy"), enter("light")
    apply, calls = platform.index.apply, Counter[str]()

    async def failing(*given: object, **named: object) -> None:
        calls["all"] += 1
        if calls["all"] in {2, 3, 6}:
            raise ConnectionError
        await apply(*given, **named)

    async with platform.indexer.turn:
        for number in range(12):
            await store(heavy, *(f"a walrus, number {number}, {n}" for n in range(BATCH)))
            await store(light, f"heron {number}")
        monkeypatch.setattr(platform.index, "apply", failing)
        last = (await feed(platform))[-1].position

    await until_reached(platform, last)
    assert calls["all"] > 6
    assert (await platform.index.statistics()).documents == 12 * (BATCH + 1)


async def test_nothing_is_taken_ahead_while_an_index_catches_up(
    platform: Platform, store: Store, enter: Enter
) -> None:
    heavy, light = enter("heavy"), enter("light")
    await store(heavy, *(f"a walrus, number {n}" for n in range(5 * BATCH)))
    await store(light, "a heron")
    last = (await feed(platform))[-1].position
    await until_reached(platform, last)
    settings = platform.settings
    await platform.close()
    shutil.rmtree(settings.data_dir / "index")

    again = await Platform.open(settings)
    await asyncio.wait_for(again.index_ready.wait(), 60)
    assert (await again.index.statistics()).documents == 5 * BATCH + 1
    assert taken_ahead(again) == 0
    await again.close()


@pytest.mark.parametrize("seed", range(6))
async def test_no_change_of_a_tenant_is_left_out_between_those_taken_along(
    platform: Platform, store: Store, enter: Enter, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(turns_module, "_MOST", chance.choice([3, 10, 256]))
    monkeypatch.setattr(turns_module, "_WINDOW", chance.choice([15, 60, 10_000]))
    monkeypatch.setattr(turns_module, "MOST_OF_A_TENANT", chance.choice([1, 4]))
    tenants = [enter(name) for name in ("one", "two", "three", "four")]
    weights = [40, 10, 2, 1]
    async with platform.indexer.turn:
        for _ in range(40):
            (scope,) = chance.choices(tenants, weights)
            await store(scope, *("a walrus" for _ in range(chance.choice([1, 1, 2, 9]))))
        partitions = set(chance.sample(EVERY, chance.choice([5, 16])))
        changes = [one for one in await feed(platform) if partition_of(one.memory_id, 16) in partitions]
        turns, taken = Turns(platform.store.database), set[Position]()
        place = 0
        while place < len(changes):
            place = min(place + chance.choice([1, 7, 20]), len(changes))
            reached = changes[place - 1].position
            if chance.random() < 0.1:
                turns.begin_again()
            for change in await turns.ahead(reached, partitions):
                own = [one.position for one in changes if one.tenant == change.tenant]
                between = {one for one in own if reached < one < change.position}
                assert between <= taken
                taken.add(change.position)
        if partitions == set(EVERY):
            assert taken


async def test_a_tenant_with_much_gets_a_few_along_and_then_waits_for_its_place(
    platform: Platform, store: Store, enter: Enter
) -> None:
    heavy, light = enter("heavy"), enter("light")
    async with platform.indexer.turn:
        await store(heavy, *("a walrus" for _ in range(3 * MOST_OF_A_TENANT)))
        await store(light, "a heron")
        await store(heavy, "a walrus")
        changes = await feed(platform)
        turns, first = Turns(platform.store.database), changes[0].position

        taken = Counter(change.tenant for change in await turns.ahead(first, EVERY))
        assert taken == {"heavy": MOST_OF_A_TENANT, "light": 1}
        assert await turns.ahead(first, EVERY) == []
        await store(heavy, "a walrus")
        await store(light, "a heron")
        assert [change.tenant for change in await turns.ahead(first, EVERY)] == ["light"]
        # All that was left out has been applied: it is a tenant with little now.
        await store(heavy, "a walrus")
        last_left_out = (await feed(platform))[-3].position
        assert [change.tenant for change in await turns.ahead(last_left_out, EVERY)] == ["heavy"]
