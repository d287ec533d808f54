"""The most asked queries are asked again before anybody does."""

import asyncio
import itertools

import pytest
from pydantic import SecretStr

from mnemata.cache.popular import PopularQueries
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Mode
from mnemata.platform import Platform
from mnemata.query.filters import parse_filter
from mnemata.query.plan import plan
from mnemata.services.operations import no_progress
from mnemata.services.warming import Warming, WarmingOptions, packed_query, unpacked_query


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def test_popular_query_is_answered_from_the_cache_after_a_write_of_others(platform, scope):
    query = plan("green tea")
    await until(lambda: platform.metrics.cache_up._value.get() == 1)
    await platform.services.remember.one(scope, MemoryDraft(content="green tea"))
    await platform.services.recall.search(scope, query)
    await platform.cache.answers.settled()
    await platform.services.remember.one(scope, MemoryDraft(content="more green tea"))

    await until(lambda: platform.metrics.cache_warmed._value.get() >= 1)
    answer = await platform.services.recall.search(scope, query)

    assert "cache" in answer.took_ms
    assert len(answer.hits) == 2


async def test_platform_asks_at_its_start_what_was_asked_most_before_it(settings, scope, server):
    def shared(**options):
        options["url"] = SecretStr(server.url)
        return settings.model_copy(update={"cache": settings.cache.model_copy(update=options)})

    queries = [plan(text) for text in ("green tea", "black tea")]
    earlier = await Platform.open(shared(warm_queries=0))
    try:
        await until(lambda: earlier.metrics.cache_up._value.get() == 1 and earlier.index_ready.is_set())
        while not await earlier.cache.popular.tenants(limit=1):
            for query in queries:
                await earlier.services.recall.search(scope, query)
            await earlier.cache.popular.flush()
        await earlier.cache.answers.settled()
        # All that was answered is given up: what is asked, and how often, is not.
        assert await earlier.cache.publisher.renew(cause="cleared")
    finally:
        await earlier.close()

    platform = await Platform.open(shared())
    try:
        await until(lambda: platform.metrics.cache_warmed._value.get() == len(queries))
        for query in queries:
            await until(lambda: platform.index_ready.is_set())
            assert "cache" in (await platform.services.recall.search(scope, query)).took_ms
    finally:
        await platform.close()


async def test_warming_makes_no_more_searches_in_a_second_than_it_may(member, world):
    class Asked:
        async def search(self, *_):
            asked_at.append(asyncio.get_running_loop().time())
            return await world.find()

    asked_at = []
    popular = PopularQueries(member.client, member.keys)
    ready = asyncio.Event()
    ready.set()
    warming = Warming(
        Asked(),
        member.answers,
        popular,
        index_ready=ready,
        metrics=member.metrics,
        options=WarmingOptions(queries=4, per_s=20),
    )
    for number in range(6):
        warming.note(world.tenant, plan(f"question {number}"))
    await popular.flush()

    assert await warming.everything(no_progress) == {"tenants": 1, "searches": 4}
    assert len(asked_at) == member.metrics.cache_warmed._value.get() == 4
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked_at)]
    assert min(pauses) > 0.9 / 20


async def test_counts_of_all_processes_are_kept_together_and_bounded(make_member, member, world):
    others = [PopularQueries(one.client, one.keys) for one in (member, await make_member())]
    for number in range(70):
        for place, popular in enumerate(others):
            for _ in range(number + place):
                if not popular.known(world.tenant, f"d{number}"):
                    popular.note(world.tenant, f"d{number}", f"q{number}".encode())
    for popular in others:
        assert await popular.flush() == {world.tenant}

    assert await others[0].top(world.tenant, limit=3) == [b"q69", b"q68", b"q67"]
    assert len(await others[0].top(world.tenant, limit=1_000)) == 50
    assert await others[0].tenants(limit=5) == [world.tenant]
    assert await others[0].flush() == set()


@pytest.mark.parametrize(
    "query",
    [
        plan("green tea"),
        plan(
            '"exact words" -draft aeropl* tag:work before:2026-05-01', mode=Mode.LEXICAL, limit=3, context=2
        ),
        plan(
            "é",
            condition=parse_filter({"metadata.n": {"gte": 1, "lt": 2.5}, "not": {"tags": {"any": ["x"]}}}),
        ),
        plan("tea", diversity=0.3, explain=True, offset=10),
    ],
)
def test_query_comes_back_as_it_was_asked(query):
    packed = packed_query(query)

    assert packed is not None
    assert unpacked_query(packed) == query


@pytest.mark.parametrize("packed", [b"", b"[]", b"{}", b'{"words": 1}', b"\xff"])
def test_bytes_that_are_no_query_are_none(packed):
    assert unpacked_query(packed) is None
