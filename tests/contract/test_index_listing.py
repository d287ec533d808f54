"""What an index tells of what it holds, so that it can be compared with the store: the same on every engine."""

from dataclasses import replace

import pytest
from tests.contract.test_search_index import ANA, BEN, CLUSTERS, LOCAL, SPACE, Maker, at, name_of

from mnemata.index.marks import Digest, Span
from mnemata.index.protocol import Remove


@pytest.fixture(params=[*sorted(LOCAL), *CLUSTERS])
def engine(request, tmp_path):
    """One in which a tenant has an index of its own, where the engine knows such a thing."""
    if request.param in LOCAL:
        return LOCAL[request.param](tmp_path / "index", "epoch-1", SPACE)
    make = request.getfixturevalue("cluster_index")
    return make(request.param, name_of(tmp_path), epoch="epoch-1", space=SPACE, own=(BEN,))


@pytest.fixture
async def index(engine):
    await engine.open()
    yield engine
    await engine.close()


@pytest.fixture
def make():
    return Maker().upsert


def told(upsert):
    memory = upsert.memory
    return memory.tenant, memory.id, memory.version, upsert.mark, True


def heard(held):
    return [(one.tenant, one.memory_id, one.version, one.mark, one.whole) for one in held]


async def test_everything_held_is_listed_by_id_over_all_tenants(index, make):
    upserts = [make(f"walrus {n}", axis=n % 8, tenant=(ANA, BEN)[n % 2]) for n in range(7)]
    await index.apply(upserts, position=at(1))
    await index.flush()
    fresh = make("not on disk yet", axis=1)
    await index.apply([fresh], position=at(2))
    listing = await index.listing()
    everything = sorted([*upserts, fresh], key=lambda upsert: upsert.memory.id)
    assert heard(await listing.held(Span(), limit=100)) == [told(upsert) for upsert in everything]
    assert heard(await listing.held(Span(), limit=3)) == [told(upsert) for upsert in everything[:3]]
    inner = Span(after=everything[1].memory.id, upto=everything[4].memory.id)
    assert heard(await listing.held(inner, limit=100)) == [told(upsert) for upsert in everything[2:5]]


async def test_digests_of_spans_are_those_of_what_they_list(index, make):
    upserts = [make(f"walrus {n}", axis=n % 8, tenant=(ANA, BEN)[n % 2]) for n in range(9)]
    await index.apply(upserts, position=at(1))
    ids = [upsert.memory.id for upsert in upserts]
    spans = [
        Span(upto=ids[2]),
        Span(after=ids[2], upto=ids[6]),
        Span(after=ids[6]),
        Span(),
        Span(after=ids[8]),
    ]
    listing = await index.listing()
    expected = [Digest.of(await listing.held(span, limit=100)) for span in spans]
    assert list(await listing.digests(spans)) == expected
    assert [digest.count for digest in expected] == [3, 4, 2, 9, 0]
    assert expected[0] != expected[1]


async def test_what_is_removed_or_replaced_is_held_no_more(index, make):
    gone, changed, stays = make("gone"), make("changed", axis=0), make("stays", axis=1)
    await index.apply([gone, changed, stays], position=at(1))
    await index.flush()
    again = replace(changed, memory=replace(changed.memory, version=2, tags=("new",)))
    await index.apply([Remove(tenant=ANA, memory_id=gone.memory.id), again], position=at(2))
    listing = await index.listing()
    assert heard(await listing.held(Span(), limit=100)) == [told(again), told(stays)]
    keys = [(ANA, one.memory.id) for one in (gone, changed)]
    assert heard(await index.held(keys)) == [told(again)]


async def test_memory_is_held_in_its_tenant_only(index, make):
    mine = make("mine", axis=0)
    await index.apply([mine], position=at(1))
    assert await index.held([(BEN, mine.memory.id)]) in ([], ())
    assert heard(await index.held([(ANA, mine.memory.id)])) == [told(mine)]


async def test_mark_tells_of_everything_that_a_memory_is_found_by(index, make):
    first = make("a walrus", axis=0, before="Ana: look", metadata={"score": 1}, tags=("sea",))
    changes = [
        replace(first, before="Ben: look"),
        replace(first, after="Ben: oh"),
        replace(first, vector=make("other", axis=1).vector),
        replace(first, memory=replace(first.memory, metadata={"score": 2})),
        replace(first, memory=replace(first.memory, user_id="ana")),
        replace(first, memory=replace(first.memory, importance=0.6)),
    ]
    seen = {first.mark}
    await index.apply([first], position=at(1))
    for place, change in enumerate(changes, 2):
        await index.apply([change], position=at(place))
        (held,) = await index.held([(ANA, first.memory.id)])
        assert held.mark == change.mark
        seen.add(held.mark)
    assert len(seen) == len(changes) + 1


async def test_files_of_a_sound_index_are_as_they_were_written(index, make):
    await index.apply([make(f"walrus {n}", axis=n % 8) for n in range(20)], position=at(1))
    await index.flush()
    assert list(await index.damages()) == []
