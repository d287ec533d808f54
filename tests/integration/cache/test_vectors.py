"""Vectors of queries: embedded once for all processes, and for each tenant by itself."""

import numpy as np
import pytest

from mnemata.domain.ids import TenantId
from mnemata.embedding.batcher import Batcher
from mnemata.embedding.hashing import HashingEmbedder
from mnemata.services.query_vectors import QueryVectors

BEN = TenantId("ben")


class Process:
    """A member of the fleet that embeds queries."""

    def __init__(self, member, **options):
        self.member = member
        self.batcher = Batcher(HashingEmbedder(), metrics=member.metrics)
        self.vectors = QueryVectors(self.batcher, member.vectors, metrics=member.metrics, **options)

    @property
    def embedded(self):
        return self.member.metrics.embedded_texts.labels("query")._value.get()

    async def of(self, tenant, text):
        vector = await self.vectors.of(tenant, text)
        await self.member.vectors.settled()
        return vector


@pytest.fixture
async def make_process(make_member):
    made = []

    async def make(*, kept=4_096, **options):
        made.append(Process(await make_member(**options), kept=kept))
        return made[-1]

    yield make
    for process in made:
        await process.batcher.close()


async def test_what_one_process_embedded_no_other_embeds(world, make_process):
    first, second = await make_process(), await make_process()
    vector = await first.of(world.tenant, "green tea")

    np.testing.assert_array_equal(await second.of(world.tenant, "green tea"), vector)
    assert (first.embedded, second.embedded) == (1, 0)
    assert second.member.count("hit", "vector") == 1


async def test_query_asked_again_stays_in_the_process(world, make_process):
    process = await make_process()
    for text in ("a", "b", "a"):
        await process.of(world.tenant, text)

    assert process.embedded == 2
    assert process.member.count("miss", "vector") == 2


async def test_queries_kept_by_a_process_are_bounded(world, make_process, server):
    process = await make_process(kept=2)
    server.kill()
    for text in ("a", "b", "a", "c", "a", "b"):
        await process.of(world.tenant, text)

    assert process.embedded == 4


async def test_nobody_is_answered_sooner_because_another_tenant_asked(world, make_process):
    first, second = await make_process(), await make_process()
    await first.of(world.tenant, "shall we buy them?")

    await first.of(BEN, "shall we buy them?")
    assert first.embedded == 2
    await second.of(TenantId("eve"), "shall we buy them?")
    assert second.embedded == 1


async def test_vector_cannot_be_changed_by_a_caller(world, make_process):
    process, other = await make_process(), await make_process()
    for vector in (await process.of(world.tenant, "shared"), await other.of(world.tenant, "shared")):
        with pytest.raises(ValueError, match="read-only"):
            vector[0] = 2.0


@pytest.mark.parametrize("garbage", [b"", b"p0000garbage", b"\x00" * 2_000])
async def test_garbled_vector_is_made_anew(world, make_process, garbage):
    first, second = await make_process(), await make_process()
    vector = await first.of(world.tenant, "green tea")
    key = second.member.vectors._key(world.tenant, "green tea")
    await second.member.client.command("SET", key, garbage)

    np.testing.assert_array_equal(await second.of(world.tenant, "green tea"), vector)
    assert second.embedded == 1


async def test_vector_of_another_length_is_made_anew(world, make_process):
    process = await make_process()
    process.member.vectors.put(world.tenant, "green tea", b"\x00" * 8, took_ms=1.0)
    await process.member.vectors.settled()

    assert len(await process.of(world.tenant, "green tea")) == process.batcher.space.dimensions
    assert process.member.count("damaged", "vector") == 1


async def test_model_answers_while_the_cache_is_not_there(world, make_process, server):
    process = await make_process()
    server.kill()

    assert len(await process.of(world.tenant, "green tea")) == process.batcher.space.dimensions
    assert process.member.count("down", "vector") == 1


async def test_full_cache_keeps_no_vector_and_nothing_fails(world, make_process):
    process = await make_process()
    await process.member.client.command("CONFIG", "SET", "maxmemory", "1")
    await process.member.client.command("CONFIG", "SET", "maxmemory-policy", "noeviction")

    await process.of(world.tenant, "green tea")
    assert process.member.refused("full", "vector") == 1


async def test_vector_that_is_too_large_is_not_kept(world, make_process):
    process = await make_process(largest=100)
    await process.of(world.tenant, "green tea")

    assert process.member.refused("too_large", "vector") == 1


async def test_vectors_live_a_day_and_do_not_end_together(world, make_process):
    process = await make_process()
    lives = []
    for number in range(8):
        await process.of(world.tenant, f"question {number}")
        key = process.member.vectors._key(world.tenant, f"question {number}")
        lives.append(await process.member.client.command("PTTL", key))

    assert all(0.79 * 86_400_000 < life <= 86_400_000 for life in lives)
    assert len(set(lives)) > 1
