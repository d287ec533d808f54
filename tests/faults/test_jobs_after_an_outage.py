"""The queue of jobs, whose library loses what listens for it where PostgreSQL was away for a moment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from mnemata import settings as settings_module
from mnemata.domain.clock import SystemClock
from mnemata.domain.job import JobKind, JobState
from mnemata.observability.metrics import Metrics
from mnemata.platform import Platform
from mnemata.services.jobs import Jobs
from mnemata.store.embedded import EmbeddedPostgres
from mnemata.store.job_queue import JobQueue, QueueOptions

pytestmark = pytest.mark.slow

_AWAY_S = 3.0
HEARD_ONLY = QueueOptions(poll_s=3_600.0, heartbeat_s=0.2, stalled_s=1.0, grace_s=0.2)
"""Only who listens hears of a job in time."""


@pytest.fixture
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that nobody looks after."""
    server = EmbeddedPostgres.start(open_folder, metrics=Metrics())
    yield server
    server.stop()


@pytest.fixture
async def process(server: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Platform]:
    """A process that has its database by URL."""
    settings = settings_module.load(
        environment={},
        data_dir=tmp_path / "process",
        database={"url": server.url},
        cache={"url": "off"},
        embedding={"model": "hashing"},
    )
    opened = await Platform.open(settings)
    yield opened
    await opened.close()


async def test_jobs_are_done_after_the_database_was_away(process, server, scope):
    async def handler(_, __):
        return {}

    database = process.store.database
    queue = JobQueue(database, clock=SystemClock(), handlers={JobKind.SWEEP: handler}, options=HEARD_ONLY)
    jobs = Jobs(database, queue.enqueue, clock=SystemClock())

    async def done():
        job_id = await jobs.ask(scope, JobKind.SWEEP, {})
        async with asyncio.timeout(120):
            while not (job := await jobs.get(scope, job_id)).state.over:
                await asyncio.sleep(0.05)
        return job.state

    working = asyncio.create_task(queue.run())
    try:
        assert await done() is JobState.SUCCEEDED
        away = psutil.Process(server.pid)
        os.kill(away.pid, signal.SIGINT)
        await asyncio.to_thread(away.wait, 60)
        await asyncio.sleep(_AWAY_S)
        await asyncio.to_thread(server.restart)
        assert await done() is JobState.SUCCEEDED
    finally:
        working.cancel()
        await asyncio.wait({working})
