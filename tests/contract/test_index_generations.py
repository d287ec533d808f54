"""The generations of an index: made beside the live one, gone on with after a crash, switched to and back, done away with."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.test_search_index import SPACE, Maker, at, by_words

from mnemata.domain.change import START
from mnemata.domain.clock import ManualClock
from mnemata.domain.errors import GenerationNotFound, GenerationRefused, MnemataError
from mnemata.domain.vector import Space
from mnemata.index.local.engine import LocalIndex
from mnemata.index.local.options import LocalOptions
from mnemata.index.protocol import GenerationState

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY_S = 86_400.0


@pytest.fixture
def clock():
    return ManualClock(NOON)


@pytest.fixture(params=["local", "elasticsearch", "opensearch"])
def opened(request, tmp_path, clock):
    """Opens engines on one index, as a process does that starts, or starts again."""
    if request.param == "local":
        options = LocalOptions(fold_interval_s=600.0, keep_old_s=DAY_S)

        def local(*, space=SPACE):
            return LocalIndex(tmp_path / "index", epoch="e", space=space, options=options, clock=clock)

        return local
    make = request.getfixturevalue("cluster_index")
    name = "t" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]

    def cluster(*, space=SPACE):
        return make(request.param, name, epoch="e", space=space, clock=clock, keep_old_s=DAY_S)

    return cluster


@pytest.fixture
async def index(opened):
    engine = opened()
    await engine.open()
    yield engine
    await engine.close()


@pytest.fixture
def make():
    return Maker().upsert


async def states(index):
    return {one.name: one.state for one in await index.generations()}


async def test_live_generation_says_what_it_holds_and_what_it_was_made_for(index, make):
    await index.apply([make(f"walrus {n}", axis=n) for n in range(3)], position=at(4))
    (live,) = await index.generations()
    assert (live.name, live.state, live.fits, live.documents) == (index.name, GenerationState.LIVE, True, 3)
    assert set(live.positions) == {at(4)}
    assert live.bytes_on_disk > 0
    assert (live.made_for["epoch"], live.made_for["space"]) == ("e", SPACE.name)
    assert live.created_at == NOON
    assert live.retired_at is None


async def test_generation_beside_is_neither_searched_nor_lost_when_its_builder_ends(index, opened, make):
    await index.apply([make("live one", axis=0)], position=at(1))
    staged = await index.stage()
    beside = staged.name
    await staged.apply([make("beside", axis=1)], position=START)
    await staged.flush()
    await index.note(beside, {"built_up_to": "x", "done": 7})
    await index.note(beside, {"done": 8, "built_up_to": None})
    assert await by_words(index, "beside") == []
    await index.close()

    again = opened()
    await again.open()
    assert await states(again) == {again.name: GenerationState.LIVE, beside: GenerationState.BESIDE}
    (status,) = [one for one in await again.generations() if one.name == beside]
    assert (dict(status.notes), status.documents, set(status.positions)) == ({"done": 8}, 1, {START})
    resumed = await again.beside(beside)
    await resumed.apply([make("beside too", axis=1)], position=at(2))
    await again.adopt(resumed)
    assert len(await by_words(again, "beside")) == 2
    assert set((await again.statistics()).positions) == {at(2)}
    await again.close()


async def test_replaced_generation_is_taken_up_where_it_was_and_made_live_again(index, make):
    old_one = make("old words", axis=0)
    await index.apply([old_one], position=at(1))
    old = index.name
    staged = await index.stage()
    await staged.apply([make("new words", axis=1)], position=at(2))
    await index.adopt(staged)
    new = index.name
    assert await states(index) == {old: GenerationState.OLD, new: GenerationState.LIVE}

    again = await index.beside(old)
    assert set((await again.statistics()).positions) == {at(1)}
    assert await by_words(index, "new") != []
    await again.apply([make("missed words", axis=2)], position=at(3), ticket=3)
    await index.adopt(again)

    assert await states(index) == {old: GenerationState.LIVE, new: GenerationState.OLD}
    assert await by_words(index, "old") == [old_one.memory.id]
    assert len(await by_words(index, "words")) == 2
    await index.apply([make("later words", axis=3)], position=at(4), ticket=4)
    assert len(await by_words(index, "words")) == 3


async def test_replaced_generation_goes_after_its_day_and_what_is_touched_stays(index, clock):
    old = index.name
    await index.adopt(await index.stage())
    beside = (await index.stage()).name
    await index.note(beside, {"done": 1})
    clock.set(NOON + timedelta(hours=23))
    await index.note(beside, {"done": 2})
    await index.flush()
    assert old in await states(index)
    clock.set(NOON + timedelta(hours=25))
    await index.flush()
    assert await states(index) == {index.name: GenerationState.LIVE, beside: GenerationState.BESIDE}


async def test_generation_is_discarded_unless_it_is_live(index, make):
    await index.apply([make("stays", axis=0)], position=at(1))
    beside = (await index.stage()).name
    with pytest.raises(GenerationRefused):
        await index.discard(index.name)
    await index.discard(beside)
    assert await states(index) == {index.name: GenerationState.LIVE}
    for attempt in (
        index.discard(beside),
        index.beside(beside),
        index.note(beside, {}),
        index.beside("../x"),
    ):
        with pytest.raises(GenerationNotFound):
            await attempt
    assert len(await by_words(index, "stays")) == 1


async def test_neither_the_live_one_nor_one_of_another_space_is_gone_on_with(index, opened):
    live = index.name
    with pytest.raises(GenerationRefused):
        await index.beside(live)
    other = await index.stage(space=Space(name="other/1", dimensions=4))
    await other.flush()
    beside = other.name
    (status,) = [one for one in await index.generations() if one.name == beside]
    assert not status.fits
    await index.close()
    again = opened()
    await again.open()
    with pytest.raises(GenerationRefused):
        await again.beside(beside)
    await again.close()


async def test_closed_index_has_no_name(opened):
    with pytest.raises(MnemataError):
        _ = opened().name
