"""Cached memories that are not the stored ones: found, named, taken away."""

from dataclasses import replace

import pytest

from mnemata.cache.client import CacheDown
from mnemata.cache.entries import Entries
from mnemata.cache.memory_codec import memory_out
from mnemata.cache.packing import Packer


@pytest.fixture
def settings(settings):
    """With patience for a server on a machine that has more to do."""
    return settings.model_copy(update={"cache": settings.cache.model_copy(update={"timeout_s": 10.0})})


async def cached(platform, scope, memory, until):
    """The key under which the memory is cached, once it is."""
    entries = Entries(platform.cache.client, platform.cache.keys)
    key = platform.cache.keys.memory(memory.tenant, memory.id)

    async def kept():
        await platform.services.read.get(scope, memory.id)
        try:
            entry = await entries.get(key)
        except CacheDown:
            # The embedded server is only starting.
            return False
        return entry is not None and entry.readable

    await until(kept)
    return key


async def put(platform, key, change):
    """Put another value in place of the cached one, as a damaged or foreign program would."""
    raw = await platform.cache.client.command("GET", key)
    head, _, _ = raw.partition(b"\nV")
    await platform.cache.client.command("SET", key, head + b"\nV" + change(raw[len(head) + 2 :]))


async def test_cached_memory_that_is_another_old_or_damaged_is_named_and_taken_away(
    platform, store, scope, verified, named, until
):
    memories = await store(platform, "one", "two", "three", "four")
    keys = [await cached(platform, scope, memory, until) for memory in memories]
    assert (await verified(platform, store=False, index=False))["checked"]["cached_memories"] == 4

    def packed(memory, **values):
        return lambda _: Packer().pack([1.0, memory_out(replace(memory, **values))])

    await put(platform, keys[0], packed(memories[0], content="another"))
    await put(platform, keys[1], packed(memories[1], version=7))
    await put(platform, keys[2], lambda payload: payload[:-1] + bytes([payload[-1] ^ 1]))
    report = await verified(platform, store=False, index=False)
    assert sorted(named(report)) == sorted(
        [
            ("cache.different", str(memories[0].id), "content", False),
            ("cache.stale", str(memories[1].id), "version", False),
            ("cache.damaged", str(memories[2].id), None, False),
        ]
    )
    mended = await verified(platform, store=False, index=False, repair=True)
    assert (mended["faults"], mended["left"]) == (3, 0)
    assert (await platform.services.read.get(scope, memories[0].id)).content == "one"
    assert (await verified(platform))["faults"] == 0
