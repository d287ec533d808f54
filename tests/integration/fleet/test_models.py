"""Processes of two models on one store and one cluster: each kind has an index, and neither waits for the other."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from mnemata.domain.job import JobKind
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.vector import Space
from mnemata.embedding.hashing import HashingEmbedder
from mnemata.workers.unfollowed import Unfollowed

pytestmark = pytest.mark.slow

KEEP_S = 3_600.0


class Halved(HashingEmbedder):
    """Another model: the first half of each vector, at unit length again."""

    @property
    def space(self) -> Space:
        return Space(name="halved/1", dimensions=super().space.dimensions // 2)

    def embed_documents(self, texts):
        return _halved(super().embed_documents(texts))


def _halved(vectors):
    left = vectors[:, : vectors.shape[1] // 2].copy()
    left[:, 0] += 1e-3
    lengths = (left**2).sum(axis=1, keepdims=True) ** 0.5
    return left / lengths


@pytest.fixture
def open_kind(open_process):
    """A door and a worker of one model, with the index caught up."""

    async def open_(embedder=None, **overrides):
        doors = await open_process(works=False, embedder=embedder, **overrides)
        worker = await open_process(works=True, embedder=embedder, **overrides)
        await asyncio.wait_for(doors.index_ready.wait(), 60)
        return doors, worker

    return open_


async def by_meaning(platform, scope, text):
    query = Query(text=text, words=Words(text=text), mode=Mode.VECTOR, limit=1)
    answer = await platform.services.recall.search(scope, query)
    assert answer.degraded == ()
    return [hit.memory.content for hit in answer.hits]


async def test_a_new_model_is_built_beside_the_old_one_which_never_stops_answering(
    open_kind, remember, scope, until
):
    old, old_worker = await open_kind()
    await remember(old, *(f"curlew number {n}" for n in range(30)), "a heron by the weir")
    (live,) = [one.name for one in await old.index.generations()]

    new, new_worker = await open_kind(Halved())

    # What was there is found by the new model, and what either kind of door stores is found on return by it and soon by both.
    assert await by_meaning(new, scope, "heron weir") == ["a heron by the weir"]
    (by_old,) = await remember(old, "an otter in the reeds")
    (by_new,) = await remember(new, "a badger in the garden")
    assert by_old.indexed
    assert by_new.indexed
    for doors in (old, new):
        for text in ("an otter in the reeds", "a badger in the garden"):
            await until(lambda doors=doors, text=text: _is_found(doors, scope, text))
    # The old index is where it was, fed by its own worker alone; each kind sees the other's.
    assert old.index.name == live
    for doors, others in ((old, new), (new, old)):
        told = (await doors.services.index.status(scope))["generations"]
        assert [(one["name"], one["state"], one["fits"]) for one in told] == [
            (doors.index.name, "live", True),
            (others.index.name, "live", False),
        ]
    assert not old_worker.leasing.held.keys() & new_worker.leasing.held.keys()


async def _is_found(platform, scope, text):
    return await by_meaning(platform, scope, text) == [text]


async def test_a_job_on_an_index_is_done_by_a_worker_that_uses_it(open_kind, scope):
    old, _ = await open_kind()
    new, _ = await open_kind(Halved())
    for doors in (old, new, old, new):
        job = await doors.services.jobs.ask(scope, JobKind.REBUILD, {"switch": False})
        async with asyncio.timeout(60):
            while not (told := await doors.services.jobs.get(scope, job)).state.over:
                await asyncio.sleep(0.05)
        assert told.outcome["generation"].startswith(doors.index.name.rsplit("-", 1)[0])


async def test_the_old_models_index_is_deleted_a_while_after_its_last_worker_has_gone(
    open_kind, remember, database_url
):
    old, old_worker = await open_kind()
    await remember(old, "curlew number 1")
    new, _ = await open_kind(Halved())
    looking = Unfollowed(new.store.database, new.index, keep_s=KEEP_S)
    (family,) = await new.index.relatives()

    # In use, though nothing is written for a long time; then with doors alone, for a shorter time than it is kept.
    assert await looking.look() == []
    await old_worker.close()
    await age(database_url, family, KEEP_S / 2)
    assert await looking.look() == []

    await age(database_url, family, KEEP_S)
    assert await looking.look() == [family]
    assert await new.index.relatives() == {}
    assert (await remember(new, "curlew number 2"))[0].indexed


async def test_an_index_of_which_no_worker_is_known_is_left_alone(open_kind, database_url):
    await open_kind()
    new, _ = await open_kind(Halved())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "DELETE FROM leases WHERE name = 'watch/' || %s", list(await new.index.relatives())
        )
    assert await Unfollowed(new.store.database, new.index, keep_s=0.0).look() == []


async def age(url, family, seconds):
    """Let the lease of who watched an index have run out longer ago."""
    with psycopg.connect(url, autocommit=True) as connection:
        changed = connection.execute(
            "UPDATE leases SET expires_at = expires_at - %s WHERE name = 'watch/' || %s",
            [timedelta(seconds=seconds), family],
        )
        assert changed.rowcount == 1
