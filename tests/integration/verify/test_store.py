"""What is stored is damaged behind the platform's back, found, named, and mended where it is certain what was right."""

import asyncio

import pytest

from mnemata.domain.memory import MemoryDraft


@pytest.fixture
async def memory(platform, store):
    """A memory with a vector, among others."""
    _, memory, _ = await store(platform, "Ana keeps bees", "Ben mends clocks", "Marta sings")
    return memory


async def test_sound_platform_has_no_faults_whatever_was_done_with_its_memories(
    platform, store, scope, verified
):
    services = platform.services
    turns = await store(
        platform, *(f"turn {n}" for n in range(6)), session_id="s", role="Ana", tags=("a", "b")
    )
    await services.revise.patch(
        scope, turns[1].id, {"content": "changed", "metadata": {"n": 1, "deep": {"x": [1, "y"]}}}
    )
    await services.forget.one(scope, turns[2].id)
    await services.forget.one(scope, turns[3].id)
    await services.revise.restore(scope, turns[3].id)
    await store(platform, "newer", superseded_by=turns[4].id)
    report = await verified(platform)
    assert (report["named"], report["undecided"]) == ([], 0)
    assert report["checked"]["stored_memories"] == 7
    assert report["checked"]["memories"] == 5
    assert report["checked"]["versions"] == 7 + 4


async def test_content_that_was_changed_behind_is_named_and_brought_back_from_its_version(
    platform, memory, behind, verified, named, scope
):
    assert behind("UPDATE memories SET content = 'Ben breaks clocks' WHERE id = %s", memory.id) == 1
    report = await verified(platform, index=False, cache=False)
    assert ("store.content", str(memory.id), "content", False) in named(report)
    assert "bees" not in str(report)
    mended = await verified(platform, index=False, cache=False, repair=True)
    assert ("store.content", str(memory.id), "content", True) in named(mended)
    assert mended["left"] == 0
    assert (await verified(platform))["faults"] == 0
    (again,) = (await platform.services.recall.search(scope, _asking("mends clocks"))).hits[:1]
    assert again.memory.content == "Ben mends clocks"


async def test_damaged_version_is_brought_back_from_its_memory_and_an_old_one_only_named(
    platform, memory, behind, verified, named, scope
):
    behind("UPDATE versions SET content = 'x' WHERE memory_id = %s", memory.id)
    report = await verified(platform, index=False, cache=False, repair=True)
    assert named(report) == [("store.version_content", str(memory.id), "versions[1].content", True)]
    await platform.services.revise.patch(scope, memory.id, {"tags": ["again"]})
    behind("UPDATE versions SET content = 'x' WHERE memory_id = %s AND version = 1", memory.id)
    report = await verified(platform, index=False, cache=False, repair=True)
    assert named(report) == [("store.version_content", str(memory.id), "versions[1].content", False)]
    assert report["left"] == 1


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE memories SET user_id = 'mallory' WHERE id = %s", ("store.differs", "user_id")),
        (
            "UPDATE versions SET replaced_at = now() WHERE memory_id = %s",
            ("store.version_times", "versions[1].replaced_at"),
        ),
        ("UPDATE memories SET version = 2 WHERE id = %s", ("store.versions", None)),
        ("DELETE FROM memories WHERE id = %s", ("store.orphan_version", None)),
        ("UPDATE memories SET tenant = 'nobody' WHERE id = %s", ("store.tenant", "tenant")),
    ],
)
async def test_what_does_not_fit_together_is_named_with_its_field(
    platform, memory, behind, verified, named, statement, expected
):
    assert behind(statement, memory.id) >= 1
    report = await verified(platform, index=False, cache=False)
    assert (expected[0], str(memory.id), expected[1], False) in named(report)
    assert all(fault["remedy"] for fault in report["named"])


async def test_version_that_the_feed_does_not_tell_of_is_announced(platform, memory, behind, verified, named):
    behind("DELETE FROM changes WHERE memory_id = %s", memory.id)
    report = await verified(platform, index=False, cache=False, repair=True)
    assert named(report) == [("store.untold", str(memory.id), None, True)]
    assert (await verified(platform))["faults"] == 0


async def test_everything_that_is_lost_is_told_however_much_it_is(
    platform, store, behind, verified, monkeypatch
):
    monkeypatch.setattr("mnemata.workers.verify_store._MOST", 2)
    await store(platform, *(f"walrus number {n}" for n in range(150)))
    behind("DELETE FROM changes")
    report = await verified(platform, index=False, cache=False)
    assert report["counts"]["store.untold"] == 150
    mended = await verified(platform, index=False, cache=False, repair=True)
    assert (mended["repaired"], mended["left"]) == (150, 0)
    assert (await verified(platform, index=False, cache=False))["faults"] == 0
    behind("DELETE FROM memories")
    assert (await verified(platform, index=False, cache=False))["counts"]["store.orphan_version"] == 150


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE embeddings SET dimensions = 1, vector = '\\x0000803f'::bytea WHERE key = %s",
        "UPDATE embeddings SET key = key, vector = decode(repeat('0000c07f', dimensions::int), 'hex') WHERE key = %s",
        # The last bit of the first number: as long and as finite as before.
        "UPDATE embeddings SET vector = set_byte(vector, 0, get_byte(vector, 0) # 1) WHERE key = %s",
        # The other way round: a sign changes no length.
        "UPDATE embeddings SET vector = set_byte(vector, 3, get_byte(vector, 3) # 128) WHERE key = %s",
    ],
)
async def test_damaged_vector_is_named_by_its_memory_and_made_again(
    platform, memory, behind, verified, named, until, damage
):
    async def damaged():
        return behind(damage, memory.embedding_key) == 1

    await until(damaged)
    report = await verified(platform, index=False, cache=False)
    assert named(report) == [("store.vector", str(memory.id), "vector", False)]
    await verified(platform, index=False, cache=False, repair=True)

    async def made_again():
        async with platform.store.database.platform() as transaction:
            return (
                len(
                    await transaction.embeddings.get(
                        platform.index.space, [(memory.tenant, memory.embedding_key)]
                    )
                )
                == 1
            )

    await until(made_again)
    assert (await verified(platform))["faults"] == 0


async def test_writes_under_way_raise_no_alarm(platform, store, scope, verified):
    stored = await store(platform, *(f"walrus number {n}" for n in range(40)), session_id="s")
    stop = asyncio.Event()

    async def keep_writing():
        writes = 0
        while not stop.is_set():
            await platform.services.revise.patch(
                scope, stored[writes % 40].id, {"content": f"walrus {writes} again"}
            )
            await platform.services.remember.one(scope, MemoryDraft(content=f"more {writes}", session_id="s"))
            writes += 1
        return writes

    writing = asyncio.create_task(keep_writing())
    reports = [await verified(platform) for _ in range(3)]
    stop.set()
    assert await writing > 0
    assert [report["named"] for report in reports] == [[], [], []]
    assert (await verified(platform))["undecided"] == 0


def _asking(text):
    from mnemata.domain.query import Mode, Query, Words

    return Query(text=text, words=Words(text=text), mode=Mode.LEXICAL)
