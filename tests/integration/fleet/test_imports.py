"""Memories handed over to a fleet's workers: durable at once, stored once, told of to their tenant alone."""

from __future__ import annotations

import asyncio
from array import array
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from mnemata.domain.clock import SystemClock
from mnemata.domain.errors import IdempotencyConflict, JobNotFound, NoWorkers, TooLarge
from mnemata.domain.filter import EVERYTHING
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.job import JobKind, JobState
from mnemata.domain.memory import GivenVector, MemoryDraft
from mnemata.domain.rules import MAX_IMPORT
from mnemata.domain.scope import Role, Scope
from mnemata.services.import_memories import CHUNK_MEMORIES, chunks_of
from mnemata.services.outcome import Once
from mnemata.store.draft_codec import drafts_in, drafts_out
from mnemata.workers.imports import Importer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOST = MemoryId(UUID("01890000-0000-7000-8000-000000000000"))


def numbered(count, **fields):
    return [(place, MemoryDraft(content=f"vole {place}", **fields)) for place in range(count)]


async def over(platform, scope, job_id):
    async with asyncio.timeout(120):
        while not (job := await platform.services.jobs.get(scope, job_id)).state.over:
            await asyncio.sleep(0.05)
    return job


async def staged(platform):
    async with platform.store.database.platform() as transaction:
        await transaction.imports.drop_over()
        return (await transaction.imports.state(1)).total


async def test_import_is_stored_by_a_worker_and_tells_what_came_of_it(open_process, find, scope):
    doors = await open_process(works=False)
    sent = numbered(CHUNK_MEMORIES + 30)
    sent[3] = (3, MemoryDraft(content="old news", superseded_by=LOST))
    handed_over = await doors.services.imports.hand_over(scope, sent)
    waiting = await doors.services.jobs.get(scope, handed_over.job)
    await open_process(works=True)

    job = await over(doors, scope, handed_over.job)

    assert (waiting.kind, waiting.state) == (JobKind.IMPORT, JobState.WAITING)
    assert job.state is JobState.SUCCEEDED
    assert (job.done, job.total) == (len(sent), len(sent))
    refusal = {**job.outcome["refusals"][0]}
    assert (refusal["index"], refusal["code"]) == (3, "invalid_field")
    assert {name: job.outcome[name] for name in ("stored", "updated", "unchanged", "refused")} == {
        "stored": len(sent) - 1,
        "updated": 0,
        "unchanged": 0,
        "refused": 1,
    }
    assert "vole 529" in (await find(doors, "vole 529", limit=10))[0]


async def test_later_line_changes_an_earlier_one_of_the_same_import(open_process, find, scope):
    doors = await open_process(works=True)
    drafts = [
        (0, MemoryDraft(content="first word", external_id="x")),
        (1, MemoryDraft(content="last word", external_id="x")),
        (2, MemoryDraft(content="last word", external_id="x")),
    ]

    job = await over(doors, scope, (await doors.services.imports.hand_over(scope, drafts)).job)

    assert [job.outcome[name] for name in ("stored", "updated", "unchanged")] == [1, 1, 1]
    assert (await find(doors, "word"))[0] == ["last word"]


async def test_chunk_that_was_stored_and_not_noted_is_not_stored_again(open_process, scope, monkeypatch):
    doors = await open_process(works=False)
    handed_over = await doors.services.imports.hand_over(scope, numbered(10))
    worker = await open_process(works=False, index={"wait_timeout_s": 0.5})
    importer = Importer(worker.store.database, worker.services.remember)
    async with doors.store.database.platform() as transaction:
        ((number,),) = await transaction.session.rows(sql.SQL("SELECT job_id FROM job_reports").format())
        chunk = await transaction.imports.next(number)
    # What a worker does that is lost just before it notes what it has stored.
    await asyncio.wait_for(importer._stored(number, chunk), 120)

    await open_process(works=True)
    job = await over(doors, scope, handed_over.job)

    assert job.outcome["stored"] == 10
    page = await doors.services.read.list(scope, condition=EVERYTHING, limit=50, with_total=True)
    assert page.total == 10


async def test_job_that_is_over_leaves_nothing_staged(open_process, scope):
    doors = await open_process(works=False)
    handed_over = await doors.services.imports.hand_over(scope, numbered(10))
    assert await staged(doors) == 10

    cancelled = await doors.services.jobs.cancel(scope, handed_over.job)

    assert cancelled.state is JobState.CANCELLED
    assert await staged(doors) == 0


async def test_import_repeated_under_one_key_is_one_job(open_process, scope):
    doors = await open_process(works=False)
    once = Once(key="k", fingerprint=b"f")
    first = await doors.services.imports.hand_over(scope, numbered(3), once=once)
    second = await doors.services.imports.hand_over(scope, numbered(3), once=once)

    assert (second.job, second.replayed, first.replayed) == (first.job, True, False)
    with pytest.raises(IdempotencyConflict):
        await doors.services.imports.hand_over(scope, numbered(3), once=Once(key="k", fingerprint=b"g"))


async def test_import_is_seen_and_cancelled_by_its_own_tenant_alone(open_process):
    doors = await open_process(works=False)
    ana = Scope(tenant=TenantId("ana"), role=Role.WRITER)
    eve = Scope(tenant=TenantId("eve"), role=Role.ADMIN)
    for one in (ana, eve):
        async with doors.store.database.platform() as transaction:
            await transaction.access.add_tenant(one.tenant, now=SystemClock().now())
    job = (await doors.services.imports.hand_over(ana, numbered(1))).job

    assert [one.id for one in await doors.services.jobs.list(ana, limit=10)] == [job]
    assert await doors.services.jobs.list(eve, limit=10) == []
    for call in (doors.services.jobs.get, doors.services.jobs.cancel):
        with pytest.raises(JobNotFound):
            await call(eve, job)
    assert (await doors.services.jobs.cancel(ana, job)).state is JobState.CANCELLED


async def test_job_tells_nothing_of_how_many_others_there_are(open_process, scope):
    doors = await open_process(works=False)
    jobs = [(await doors.services.imports.hand_over(scope, numbered(1))).job for _ in range(3)]

    assert all(abs(later.int - earlier.int) > 2**64 for earlier, later in pairwise(jobs))


async def test_where_there_are_no_workers_the_other_way_is_named(platform, scope):
    with pytest.raises(NoWorkers, match="memories:batch"):
        await platform.services.imports.hand_over(scope, numbered(1))


async def test_import_of_too_many_is_refused_before_anything_is_kept(database_url, open_process, scope):
    doors = await open_process(works=False)
    with pytest.raises(TooLarge):
        await doors.services.imports.hand_over(scope, [(0, MemoryDraft(content="x"))] * (MAX_IMPORT + 1))
    assert await doors.services.jobs.list(scope, limit=1) == []


def test_chunks_hold_everything_in_order_and_no_external_id_twice():
    drafts = [
        (place, MemoryDraft(content="x" * 3_000_000 if place == 4 else "x", external_id=name))
        for place, name in enumerate(["a", "b", "a", None, None, "c", "c"])
    ]
    chunks = list(chunks_of(drafts))

    assert [draft for chunk in chunks for draft in chunk] == drafts
    assert [[place for place, _ in chunk] for chunk in chunks] == [[0, 1], [2, 3, 4, 5], [6]]


names = st.none() | st.text(min_size=1, max_size=5)
moments = st.none() | st.integers(-(10**15), 10**15).map(lambda us: EPOCH + timedelta(microseconds=us))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(
    draft=st.builds(
        MemoryDraft,
        content=st.text(min_size=1, max_size=20),
        kind=st.text(min_size=1, max_size=5),
        user_id=names,
        sequence=st.none() | st.integers(0, 2**53 - 1),
        role=names,
        tags=st.lists(st.text(min_size=1, max_size=4), max_size=3).map(tuple),
        metadata=st.dictionaries(st.text(min_size=1, max_size=3), json_values, max_size=3),
        importance=st.floats(0, 1),
        external_id=names,
        occurred_at=moments,
        expires_at=moments,
        superseded_by=st.none() | st.uuids().map(MemoryId),
        embedding=st.none()
        | st.builds(
            GivenVector,
            space=st.text(min_size=1, max_size=4),
            values=st.lists(st.floats(allow_nan=False), max_size=4).map(lambda values: array("d", values)),
        ),
    )
)
def test_draft_comes_back_exactly_as_it_was_handed_over(draft):
    assert drafts_in(drafts_out([(7, draft)])) == [(7, draft)]
