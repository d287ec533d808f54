"""An index that is not what the store says: found memory by memory, named, and brought in line through the feed."""

from dataclasses import replace
from uuid import UUID

import pytest

from mnemata.domain.change import START
from mnemata.domain.clock import SystemClock
from mnemata.domain.fault import Findings
from mnemata.domain.ids import MemoryId
from mnemata.index.protocol import Remove, Upsert
from mnemata.workers.pace import Pace
from mnemata.workers.verify_index import IndexVerifier


@pytest.fixture
async def memories(platform, store):
    return await store(platform, *(f"walrus {n}" for n in range(5)), session_id="s")


async def told(platform, memory):
    """What the index was told of a memory."""
    (action,) = await platform.indexer.projected([memory.id])
    return action


async def put(platform, *actions):
    await platform.index.apply(list(actions), position=START, ticket=10**12)


async def lost(platform, memory):
    await put(platform, Remove(tenant=memory.tenant, memory_id=memory.id))


async def old_version(platform, memory):
    upsert = await told(platform, memory)
    await put(platform, replace(upsert, memory=replace(memory, version=0)))


async def other_words(platform, memory):
    upsert = await told(platform, memory)
    await put(platform, replace(upsert, before="Mallory: was here"))


async def other_vector(platform, memory):
    upsert = await told(platform, memory)
    await put(platform, replace(upsert, vector=replace(upsert.vector, vector=-upsert.vector.vector)))


@pytest.mark.parametrize(
    ("damage", "word", "field"),
    [
        (lost, "missing", None),
        (old_version, "stale", "version"),
        (other_words, "different", "mark"),
        (other_vector, "different", "mark"),
    ],
)
async def test_memory_that_is_not_in_the_index_as_it_should_be_is_named_and_mended(
    platform, memories, verified, named, damage, word, field
):
    await damage(platform, memories[2])
    expected = (f"index.{word}", str(memories[2].id), field)
    assert named(await verified(platform, store=False, cache=False)) == [(*expected, False)]
    mended = await verified(platform, store=False, cache=False, repair=True)
    assert (named(mended), mended["left"]) == ([(*expected, True)], 0)
    assert (await verified(platform))["faults"] == 0


async def test_what_the_store_does_not_have_is_taken_out(platform, memories, verified, named, scope):
    await platform.services.forget.one(scope, memories[0].id)
    unknown = replace(
        await told(platform, memories[1]), memory=replace(memories[1], id=MemoryId(UUID(int=7)))
    )
    strange = replace(await told(platform, memories[1]), memory=replace(memories[1], tenant="strangers"))
    forgotten = Upsert(memory=memories[0], vector=strange.vector)
    await put(platform, unknown, strange, forgotten)
    report = await verified(platform, store=False, cache=False, repair=True)
    extra = [str(unknown.memory.id), str(memories[0].id), str(memories[1].id)]
    assert sorted(named(report)) == sorted(("index.extra", one, None, True) for one in extra)
    assert (await verified(platform))["faults"] == 0


async def test_index_whose_parts_disagree_is_torn(platform, memories, verified, named):
    await platform.index.flush()
    with platform.index.generation.using(memories[0].tenant) as partition:
        partition.lexical.apply([Remove(tenant=memories[0].tenant, memory_id=memories[0].id)], position=START)
    report = await verified(platform, store=False, cache=False, repair=True)
    assert named(report) == [("index.torn", str(memories[0].id), None, True)]


@pytest.mark.parametrize("pattern", ["lexical/*.idx", "lexical/*.fast", "vectors/*.f16", "vectors/*.log"])
async def test_damaged_file_is_named_and_a_whole_index_takes_its_place(platform, memories, verified, pattern):
    await platform.index.flush()
    folder = platform.index.generation.folder
    path = max(folder.rglob(pattern), key=lambda one: one.stat().st_mtime)
    data = bytearray(path.read_bytes())
    data[min(len(data) // 2, 40)] ^= 0xFF
    with path.open("r+b") as file:
        file.write(data)
    report = await verified(platform, store=False, cache=False)
    assert [fault["what"] for fault in report["named"]] == ["damaged_file"]
    assert path.name in report["named"][0]["detail"]
    mended = await verified(platform, store=False, cache=False, repair=True)
    assert mended["left"] == 0
    assert platform.index.generation.folder != folder
    assert (await verified(platform))["faults"] == 0


async def test_change_that_was_set_aside_is_listed_named_and_tried_again(
    platform, memories, behind, verified, named, scope, until
):
    bad = memories[3]

    async def damaged():
        return (
            behind(
                "UPDATE embeddings SET dimensions = 1, vector = '\\x00112233'::bytea WHERE key = %s",
                bad.embedding_key,
            )
            == 1
        )

    await until(damaged)
    await platform.services.revise.patch(scope, bad.id, {"tags": ["again"]})
    listed = await platform.services.index.set_aside(scope, limit=10)
    assert (listed["total"], [item["memory_id"] for item in listed["items"]]) == (1, [str(bad.id)])
    report = await verified(platform, store=False, cache=False)
    assert ("index.not_projected", str(bad.id), None, False) in named(report)

    await verified(platform, index=False, cache=False, repair=True)
    assert (await platform.services.index.retry(scope, None))["retried"] <= 1

    async def sound():
        return (await verified(platform))["faults"] == 0

    await until(sound)
    assert (await platform.services.index.set_aside(scope, limit=10))["total"] == 0


async def test_all_that_was_set_aside_is_tried_again_however_much_it_is(
    platform, memories, behind, scope, monkeypatch
):
    monkeypatch.setattr("mnemata.services.index_admin._AT_ONCE", 10)
    behind(
        "INSERT INTO poison_changes"
        " (memory_id, version, xid, seq, recorded_at, first_seen, last_seen, tenant, operation, code)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, 1, '1'::xid8, n, now(), now(), now() + n * interval '1 second',"
        " %s, 'created', 'internal' FROM generate_series(1, 105) AS n",
        scope.tenant,
    )
    named = [MemoryId(UUID(int=3)), memories[0].id]
    assert await platform.services.index.retry(scope, named) == {"retried": 1}
    assert (await platform.services.index.set_aside(scope, limit=1))["total"] == 104

    assert await platform.services.index.retry(scope, None) == {"retried": 104}
    assert (await platform.services.index.set_aside(scope, limit=1))["total"] == 0


@pytest.mark.parametrize(("reached", "found"), [([False, True], (["missing"], 0)), ([False] * 4, ([], 1))])
async def test_what_could_not_be_decided_is_looked_at_again_before_it_is_said_to_be_so(
    platform, memories, monkeypatch, reached, found
):
    monkeypatch.setattr("mnemata.workers.verify_index._LAST_PAUSE_S", 0.0)
    await lost(platform, memories[0])
    looks = iter(reached)

    async def reach(_):
        return next(looks, True)

    findings = Findings()
    verifier = IndexVerifier(platform.store.database, platform.indexer, clock=SystemClock())
    await verifier.verify(platform.index, reach, repair=False, findings=findings, pace=Pace(0))
    assert ([fault.what for fault in findings.faults], findings.undecided) == found
