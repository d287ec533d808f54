"""Jobs: asked for by one process and done by another, once, to be looked at and cancelled from anywhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

import mnemata.store
from mnemata.api.rest.app import create_app
from mnemata.api.rest.options import HttpOptions
from mnemata.domain.clock import SystemClock
from mnemata.domain.errors import Forbidden, IndexUnavailable, JobFailed, JobNotFound
from mnemata.domain.ids import JobId
from mnemata.domain.job import JobKind, JobState
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.services.jobs import Jobs
from mnemata.services.operations import no_progress
from mnemata.store.job_queue import JobQueue, QueueOptions

pytestmark = pytest.mark.slow

QUICK = QueueOptions(poll_s=0.2, heartbeat_s=0.2, stalled_s=1.0, grace_s=0.2)


@pytest.fixture
async def database(platform):
    """The store of a platform with a local index, whose own work is done without jobs."""
    return platform.store.database


def queue_of(database, handler) -> JobQueue:
    return JobQueue(database, clock=SystemClock(), handlers={JobKind.SWEEP: handler}, options=QUICK)


class Working:
    """A queue that is run while the block runs."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._queue.run())

    async def __aexit__(self, *_) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


async def over(jobs, scope, job_id):
    async with asyncio.timeout(60):
        while not (job := await jobs.get(scope, job_id)).state.over:
            await asyncio.sleep(0.05)
    return job


async def test_job_is_done_once_and_tells_how_far_it_is_and_what_it_made(database, scope):
    done = []

    async def handler(arguments, progress):
        progress(3, 4)
        done.append(arguments)
        await asyncio.sleep(1)
        return {"swept": 4}

    queue = queue_of(database, handler)
    jobs = Jobs(database, queue.enqueue, clock=SystemClock())
    job_id = await jobs.ask(scope, JobKind.SWEEP, {"why": "test"})
    assert (await jobs.get(scope, job_id)).state is JobState.WAITING
    async with Working(queue), Working(queue_of(database, handler)):
        job = await over(jobs, scope, job_id)
    assert [one["why"] for one in done] == ["test"]
    assert (job.state, job.done, job.total, job.outcome, job.code) == (
        JobState.SUCCEEDED,
        3,
        4,
        {"swept": 4},
        None,
    )
    assert [one.id for one in await jobs.list(scope, limit=10)] == [job_id]


async def test_every_door_says_how_far_a_job_is_that_runs_anywhere(platform, database, scope):
    enough = asyncio.Event()

    async def handler(_, progress):
        progress(3, 4)
        await enough.wait()
        return {}

    queue = queue_of(database, handler)
    jobs = Jobs(database, queue.enqueue, clock=SystemClock())
    door = create_app(replace(platform.services, jobs=jobs), options=HttpOptions(), metrics=platform.metrics)
    job_id = await jobs.ask(scope, JobKind.SWEEP, {})
    async with (
        Working(queue),
        httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://mnemata") as client,
        asyncio.timeout(60),
    ):
        while (running := (await client.get("/v1/status")).json()["running"]) != {
            "sweep": {"done": 3, "total": 4}
        }:
            assert running in ({}, {"sweep": {"done": 0, "total": None}})
            await asyncio.sleep(0.05)
        enough.set()
        await over(jobs, scope, job_id)
        assert (await client.get("/v1/status")).json()["running"] == {}


async def test_job_of_a_transaction_that_is_rolled_back_was_never_asked_for(database, scope):
    async def handler(_, __):
        return {}

    queue = queue_of(database, handler)
    with pytest.raises(RuntimeError):
        async with database.platform() as transaction:
            await transaction.jobs.ask(
                queue.enqueue, JobKind.SWEEP, {}, tenant=DEFAULT_TENANT, now=SystemClock().now()
            )
            raise RuntimeError
    async with database.platform() as transaction:
        assert await transaction.jobs.list(limit=10) == []


async def test_job_that_fails_says_by_its_code_why_and_is_not_tried_again(database, scope):
    tries = []

    async def handler(_, __):
        tries.append(1)
        raise IndexUnavailable(what="the index", reason="it is away", retry_after_s=1)

    queue = queue_of(database, handler)
    jobs = Jobs(database, queue.enqueue, clock=SystemClock())
    async with Working(queue):
        with pytest.raises(JobFailed) as failed:
            await jobs.done(scope, JobKind.SWEEP, {}, no_progress)
    assert failed.value.facts["reason"] == "index_unavailable"
    assert tries == [1]


async def test_waiting_job_is_cancelled_at_once_and_a_running_one_is_stopped(database, scope):
    began = asyncio.Event()

    async def handler(_, __):
        began.set()
        await asyncio.sleep(3_600)
        return {}

    queue = queue_of(database, handler)
    jobs = Jobs(database, queue.enqueue, clock=SystemClock())
    waiting = await jobs.ask(scope, JobKind.SWEEP, {})
    assert (await jobs.cancel(scope, waiting)).state is JobState.CANCELLED
    running = await jobs.ask(scope, JobKind.SWEEP, {})
    async with Working(queue):
        await asyncio.wait_for(began.wait(), 60)
        assert (await jobs.cancel(scope, running)).state in {JobState.CANCELLING, JobState.CANCELLED}
        assert (await over(jobs, scope, running)).state is JobState.CANCELLED


async def test_job_of_a_worker_that_ends_is_done_by_another(database, scope):
    began = asyncio.Event()

    async def never(_, __):
        began.set()
        await asyncio.sleep(3_600)
        return {}

    async def quickly(_, __):
        return {"by": "the other"}

    ending = queue_of(database, never)
    jobs = Jobs(database, ending.enqueue, clock=SystemClock())
    job_id = await jobs.ask(scope, JobKind.SWEEP, {})
    async with Working(ending):
        await asyncio.wait_for(began.wait(), 60)
    async with Working(queue_of(database, quickly)):
        job = await over(jobs, scope, job_id)
    assert (job.state, job.outcome, job.attempts) == (JobState.SUCCEEDED, {"by": "the other"}, 2)


async def test_job_of_a_worker_that_is_lost_is_begun_again(database, scope, database_url):
    async def handler(_, __):
        return {"done": 1}

    queue = queue_of(database, handler)
    jobs = Jobs(database, queue.enqueue, clock=SystemClock())
    job_id = await jobs.ask(scope, JobKind.SWEEP, {})
    with psycopg.connect(database_url, autocommit=True) as connection:
        # As a worker leaves it that was killed: taken, and not heard of since.
        connection.execute(
            "WITH lost AS (INSERT INTO procrastinate_workers (last_heartbeat)"
            " VALUES (now() - interval '1 hour') RETURNING id)"
            " SELECT procrastinate_fetch_job_v2(ARRAY['mnemata'], id) FROM lost"
        )
    assert (await jobs.get(scope, job_id)).state is JobState.RUNNING
    async with Working(queue):
        assert (await over(jobs, scope, job_id)).state is JobState.SUCCEEDED


async def test_jobs_of_the_platform_are_for_operators(database, scope):
    queue = queue_of(database, None)
    jobs = Jobs(database, queue.enqueue, clock=SystemClock())
    job_id = await jobs.ask(scope, JobKind.SWEEP, {})
    admin = Scope(tenant=DEFAULT_TENANT, role=Role.ADMIN)
    with pytest.raises(Forbidden):
        await jobs.ask(admin, JobKind.SWEEP, {})
    assert await jobs.list(admin, limit=10) == []
    with pytest.raises(JobNotFound):
        await jobs.get(admin, job_id)
    with pytest.raises(JobNotFound):
        await jobs.cancel(admin, job_id)
    with pytest.raises(Forbidden):
        await jobs.cancel(Scope(tenant=DEFAULT_TENANT, role=Role.READER), job_id)
    with pytest.raises(JobNotFound):
        await jobs.get(scope, JobId(uuid4()))
    assert (await jobs.get(scope, job_id)).state is JobState.WAITING


async def test_rebuild_that_doors_ask_for_is_done_by_a_worker(open_process, remember, find, scope):
    doors = await open_process(works=False)
    await open_process(works=True)
    await asyncio.wait_for(doors.index_ready.wait(), 60)
    await remember(doors, *(f"mole {number}" for number in range(10)))
    outcome = await doors.services.operations.rebuild(scope)
    assert outcome["documents"] == 10
    (job,) = await doors.services.jobs.list(scope, limit=10)
    assert (job.kind, job.state, job.outcome) == (JobKind.REBUILD, JobState.SUCCEEDED, outcome)
    assert len((await find(doors, "mole"))[0]) == 10


async def test_sweep_that_doors_ask_for_is_done_by_a_worker(open_process, scope):
    doors = await open_process(works=False)
    await open_process(works=True)
    assert await doors.services.operations.sweep(scope) == {"expired": 0, "purged": 0}
    assert await doors.services.operations.warm(scope) == {"tenants": 0, "searches": 0}
    kinds = [job.kind for job in await doors.services.jobs.list(scope, limit=10)]
    assert kinds == [JobKind.WARM, JobKind.SWEEP]


def test_our_migration_holds_the_schema_of_the_library_word_for_word():
    whole = (files("procrastinate.sql") / "schema.sql").read_text("utf-8")
    folder = Path(mnemata.store.__file__).parent / "migrations" / "versions"
    ours = (folder / "0007_jobs.sql").read_text("utf-8")
    # What is in front of it only makes sure that PL/pgSQL is there, which it always is.
    assert whole[whole.index("-- Enums") :].strip() in ours
