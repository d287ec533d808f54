"""Generations built, verified, switched to and back on a whole platform, with writes going on."""

import asyncio

import pytest

from mnemata.domain.errors import AlreadyExists, GenerationRefused
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.index.protocol import GenerationState


@pytest.fixture
async def memories(platform, store):
    return await store(platform, *(f"walrus number {n}" for n in range(40)))


@pytest.fixture
def find(scope):
    async def find(platform, text):
        asked = Query(text=text, words=Words(text=text), mode=Mode.LEXICAL, limit=100)
        return [hit.memory.content for hit in (await platform.services.recall.search(scope, asked)).hits]

    return find


async def built(platform, scope, **arguments):
    return await platform.services.operations.rebuild(scope, arguments=arguments)


async def listed(platform, scope):
    return {one["name"]: one for one in (await platform.services.index.status(scope))["generations"]}


async def test_built_generation_is_verified_compared_and_live(platform, memories, scope):
    before = platform.index.name
    outcome = await built(platform, scope)
    assert (outcome["documents"], outcome["switched"], outcome["overlap"]) == (40, True, 1.0)
    assert (outcome["verified"]["left"], outcome["verified"]["checked"]["memories"]) == (0, 40)
    status = await listed(platform, scope)
    assert (status[before]["state"], status[outcome["generation"]]["state"]) == ("old", "live")
    assert status[outcome["generation"]]["notes"]["verified"]["memories"] == 40


async def test_old_generation_comes_back_with_what_it_missed(
    platform, memories, scope, store, find, verified
):
    before = platform.index.name
    await built(platform, scope)
    await store(platform, "written to the new one")
    await platform.services.forget.one(scope, memories[0].id)
    outcome = await platform.services.operations.switch(scope, {"generation": before})
    assert outcome["generation"] == before == platform.index.name
    assert await find(platform, "written") == ["written to the new one"]
    await store(platform, "written to the old one again")
    assert len(await find(platform, "written")) == 2
    assert (await verified(platform))["faults"] == 0


async def test_build_that_was_broken_off_goes_on_where_it_was(
    platform, memories, scope, monkeypatch, verified
):
    monkeypatch.setattr("mnemata.workers.rebuild._NOTE_EVERY_S", 0.0)
    reached = asyncio.Event()

    def progress(done, _):
        # The second page is told of when the first is noted.
        if done >= 20:
            reached.set()

    arguments = {"rate": 10.0}
    building = asyncio.create_task(platform.services.operations.rebuild(scope, progress, arguments=arguments))
    await asyncio.wait_for(reached.wait(), 60)
    with pytest.raises(AlreadyExists):
        await built(platform, scope)
    building.cancel()
    await asyncio.wait({building})
    (beside,) = [one for one in (await listed(platform, scope)).values() if one["state"] == "beside"]
    assert beside["notes"]["filled_to"]
    late = await platform.services.remember.one(scope, MemoryDraft(content="written meanwhile"))
    outcome = await built(platform, scope)
    assert outcome["generation"] == beside["name"]
    assert 0 < outcome["resumed"] < outcome["documents"] == 41
    assert (await verified(platform))["faults"] == 0
    assert late.memory is not None


async def test_rate_bounds_how_fast_a_build_is(platform, memories, scope):
    outcome = await built(platform, scope, rate=40.0, switch=False)
    # Forty to fill and forty to verify, of which the first second is free.
    assert outcome["seconds"] >= 0.9


async def test_unverified_generation_is_not_switched_to_unless_forced(platform, memories, scope, find):
    made = await platform.services.index.create(scope)
    with pytest.raises(GenerationRefused):
        await platform.services.index.create(scope)
    with pytest.raises(GenerationRefused) as refused:
        await platform.services.operations.switch(scope, made)
    assert "verify" in str(refused.value)
    await platform.services.operations.switch(scope, {**made, "force": True})
    # Empty when it was made, it has followed the whole feed since.
    assert len(await find(platform, "walrus")) == 40


async def test_generation_beside_is_verified_and_dropped(platform, memories, scope, verified):
    outcome = await built(platform, scope, switch=False)
    name = outcome["generation"]
    assert not outcome["switched"]
    await platform.services.remember.one(scope, MemoryDraft(content="after it was built"))
    report = await verified(platform, generation=name)
    assert (report["faults"], report["checked"]["memories"]) == (0, 41)
    await platform.services.index.drop(scope, name)
    states = {one.name: one.state for one in await platform.index.generations()}
    assert states == {platform.index.name: GenerationState.LIVE}


async def test_generation_that_answers_unlike_the_live_one_is_not_switched_to(
    platform, memories, scope, monkeypatch
):
    async def unlike(*_):
        return 0.5

    monkeypatch.setattr("mnemata.workers.rebuild.overlap", unlike)
    with pytest.raises(GenerationRefused) as refused:
        await built(platform, scope)
    assert "50%" in str(refused.value)
    assert (await built(platform, scope, force=True))["switched"]
