"""A process goes by the store's clock: by its own it would be wrong, and would be set at any moment."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from mnemata.domain.clock import SteadyClock
from mnemata.domain.memory import MemoryDraft
from mnemata.observability.metrics import Metrics
from mnemata.platform import Platform
from mnemata.store.database import Database, PoolOptions
from mnemata.workers.timekeeper import Timekeeper

CLOSE = timedelta(seconds=30)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.fixture
async def database(database_url):
    clock = SteadyClock(LONG_AGO)
    opened = await Database.open(
        database_url, options=PoolOptions(pool_min=1), metrics=Metrics(), clock=clock
    )
    yield opened
    await opened.close()


def servers_time(database_url):
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT clock_timestamp()").fetchone()[0]


async def test_clock_that_is_wrong_by_years_is_set_by_the_store(database, database_url):
    clock = SteadyClock(LONG_AGO)
    await Timekeeper(database, clock).look()
    assert abs(clock.now() - servers_time(database_url)) < CLOSE


async def test_answer_that_took_too_long_sets_no_clock(database):
    clock = SteadyClock(LONG_AGO)
    await Timekeeper(database, clock).look(slowest_s=0.0)
    assert clock.now() - LONG_AGO < timedelta(minutes=10)


async def test_platform_keeps_the_time_of_its_store_from_the_first_write_on(
    settings, scope, database_url, monkeypatch
):
    monkeypatch.setattr("mnemata.platform.SystemClock.now", lambda _: LONG_AGO)
    platform = await Platform.open(settings)
    try:
        stored = await platform.services.remember.one(scope, MemoryDraft(content="A heron stood there"))
    finally:
        await platform.close()
    assert abs(stored.memory.created_at - servers_time(database_url)) < CLOSE
    assert platform.services.clock is platform.clock


async def test_clock_goes_on_while_the_store_is_away(database):
    clock = SteadyClock(LONG_AGO)
    await database.close()
    running = asyncio.create_task(Timekeeper(database, clock, every_s=0.01).run())
    await asyncio.sleep(0.1)
    assert not running.done()
    running.cancel()
    assert clock.now() > LONG_AGO
