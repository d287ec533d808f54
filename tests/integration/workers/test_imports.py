"""What was handed over is stored however long the store refuses it, and kept where it cannot be stored."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg import sql

from mnemata.domain.clock import SystemClock
from mnemata.domain.errors import Forbidden, JobNotFound, StoreUnavailable
from mnemata.domain.filter import EVERYTHING
from mnemata.domain.ids import TenantId
from mnemata.domain.job import JobKind, JobState
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.scope import Role, Scope
from mnemata.services.import_memories import CHUNK_MEMORIES, ImportMemories
from mnemata.services.jobs import Jobs
from mnemata.services.operations import no_progress
from mnemata.store.imports import Imports
from mnemata.store.job_queue import JobQueue, QueueOptions
from mnemata.workers.imports import Importer

QUICK = QueueOptions(poll_s=0.2, heartbeat_s=0.2, stalled_s=60.0, grace_s=0.2)
MANY = 25
FULL, WRONG = "53100", "P0001"


class Handed:
    """Imports of a platform, a queue that does them where it is run, and the pauses that the importer makes."""

    def __init__(self, platform) -> None:
        self.database = platform.store.database
        self.pauses: list[float] = []
        self.waits = asyncio.Event()
        self.after_pause = lambda: None
        self.importer = Importer(self.database, platform.services.remember, pause=self._pause)
        clock = SystemClock()
        self.queue = JobQueue(self.database, clock=clock, handlers={JobKind.IMPORT: self._do}, options=QUICK)
        self.jobs = Jobs(self.database, self.queue.enqueue, clock=clock)
        self._imports = ImportMemories(self.database, self.queue.enqueue, clock=clock, idempotency_s=3600)

    async def over(self, scope, count):
        """The id of a job, and its number in the queue."""
        drafts = [(place, MemoryDraft(content=f"vole {place}")) for place in range(count)]
        job = (await self._imports.hand_over(scope, drafts)).job
        async with self.database.platform() as transaction:
            rows = await transaction.session.rows(sql.SQL("SELECT max(job_id) FROM job_reports").format())
        return job, rows[0][0]

    async def left(self, number):
        """How many memories there are still to be stored, after a round of tidying."""
        await self.queue.rescue()
        async with self.database.platform() as transaction:
            state = await transaction.imports.state(number)
        return state.total - state.done

    async def ended(self, scope, job, *states):
        async with asyncio.timeout(120):
            while (found := await self.jobs.get(scope, job)).state not in states:
                await asyncio.sleep(0.05)
        return found

    async def _do(self, arguments, progress):
        return await self.importer.run(int(arguments["job"]), progress)

    async def _pause(self, seconds):
        self.pauses.append(seconds)
        self.waits.set()
        # Shorter than it asks for, and one at which it can be cancelled.
        await asyncio.sleep(0.01)
        self.after_pause()


@pytest.fixture
def handed(platform):
    return Handed(platform)


@pytest.fixture
async def working(handed):
    """The queue is run while the test does."""
    task = asyncio.create_task(handed.queue.run())
    yield
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
def behind(database_url):
    """Runs statements as the owner of everything."""

    def run(*statements):
        with psycopg.connect(database_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    return run


def refusal(table, when, code=FULL):
    """Lets the server refuse rows with an error of its own."""
    function = (
        f"CREATE OR REPLACE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$"
    )
    trigger = (
        f"CREATE TRIGGER refused BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW WHEN ({when}) "
        f"EXECUTE FUNCTION refuse_{table}()"
    )
    return function, trigger


def end_of_refusal(table):
    return f"DROP TRIGGER IF EXISTS refused ON {table}"


async def stored(platform, scope):
    page = await platform.services.read.list(scope, condition=EVERYTHING, limit=1, with_total=True)
    return page.total


async def test_import_goes_on_once_a_disk_that_was_full_for_long_has_room(platform, handed, behind, scope):
    _, number = await handed.over(scope, CHUNK_MEMORIES + 30)
    behind(*refusal("memories", "NEW.content = 'vole 510'"), *refusal("import_chunks", "NEW.items IS NULL"))

    def make_room():
        if len(handed.pauses) == MANY:
            behind(end_of_refusal("import_chunks"))
        if len(handed.pauses) == 2 * MANY:
            behind(end_of_refusal("memories"))

    handed.after_pause = make_room
    outcome = await handed.importer.run(number, no_progress)

    assert (outcome["stored"], outcome["refused"]) == (CHUNK_MEMORIES + 30, 0)
    assert await stored(platform, scope) == CHUNK_MEMORIES + 30
    assert len(handed.pauses) == 2 * MANY
    assert handed.pauses[:3] == [0.5, 1.0, 2.0]
    assert max(handed.pauses) == handed.pauses[MANY - 1] == 30.0


@pytest.mark.parametrize("name", ["state", "next", "stored"])
async def test_every_statement_of_an_import_is_tried_until_it_is_answered(
    platform, handed, scope, monkeypatch, name
):
    _, number = await handed.over(scope, 3)
    answered = getattr(Imports, name)

    async def refused(*arguments):
        if len(handed.pauses) < MANY:
            raise StoreUnavailable(what="The store", reason="it fails over", retry_after_s=None)
        return await answered(*arguments)

    monkeypatch.setattr(Imports, name, refused)
    assert (await handed.importer.run(number, no_progress))["stored"] == 3
    assert await stored(platform, scope) == 3


async def test_import_that_waits_tells_how_far_it_is_and_can_be_cancelled(
    platform, handed, behind, working, scope
):
    behind(*refusal("memories", "NEW.content = 'vole 510'"))
    job, number = await handed.over(scope, CHUNK_MEMORIES + 30)
    async with asyncio.timeout(120):
        await handed.waits.wait()
        while (waiting := await handed.jobs.get(scope, job)).done == 0:
            await asyncio.sleep(0.05)
    assert (waiting.state, waiting.done, waiting.total) == (
        JobState.RUNNING,
        CHUNK_MEMORIES,
        CHUNK_MEMORIES + 30,
    )

    await handed.jobs.cancel(scope, job)

    await handed.ended(scope, job, JobState.CANCELLED)
    assert await stored(platform, scope) == CHUNK_MEMORIES
    assert await handed.left(number) == 0


async def test_import_that_failed_keeps_what_it_could_not_store(handed, behind, working, scope):
    behind(*refusal("memories", "NEW.content = 'vole 510'", WRONG))
    job, number = await handed.over(scope, CHUNK_MEMORIES + 30)

    failed = await handed.ended(scope, job, JobState.FAILED)

    assert failed.code == "internal"
    assert await handed.left(number) == 30


async def test_import_that_failed_is_begun_again_with_what_it_has_not_stored(
    platform, handed, behind, working, scope
):
    behind(*refusal("memories", "NEW.content = 'vole 510'", WRONG))
    job, number = await handed.over(scope, CHUNK_MEMORIES + 30)
    await handed.ended(scope, job, JobState.FAILED)
    assert await handed.left(number) == 30
    behind(end_of_refusal("memories"))

    again = await handed.jobs.retry(scope, job)

    assert (again.state.over, again.code) == (False, None)
    done = await handed.ended(scope, job, JobState.SUCCEEDED, JobState.FAILED)
    assert (done.state, done.outcome["stored"]) == (JobState.SUCCEEDED, CHUNK_MEMORIES + 30)
    assert await stored(platform, scope) == CHUNK_MEMORIES + 30
    assert await handed.left(number) == 0
    assert (await handed.jobs.retry(scope, job)).state is JobState.SUCCEEDED
    stranger = Scope(tenant=TenantId("stranger"), role=Role.WRITER)
    with pytest.raises(JobNotFound):
        await handed.jobs.retry(stranger, job)
    with pytest.raises(Forbidden):
        await handed.jobs.retry(Scope(tenant=scope.tenant, role=Role.READER), job)
