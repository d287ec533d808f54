import asyncio

import psycopg
import pytest

from mnemata.domain.memory import MemoryDraft
from mnemata.domain.scope import Scope
from mnemata.observability.metrics import Metrics
from mnemata.platform import Platform
from mnemata.services.barrier import IndexBarrier
from mnemata.services.outcome import WaitFor
from mnemata.workers import watch as watch_module
from mnemata.workers.watch import Watch


def value(metrics: Metrics, name: str) -> float:
    found = metrics.registry.get_sample_value(name)
    assert found is not None
    return found


async def waiting(platform: Platform) -> int:
    async with platform.store.database.platform() as transaction:
        return (await transaction.feed.lag(platform.barrier.position)).changes


async def test_a_feed_that_a_forgotten_transaction_holds_up_is_an_alarm_and_goes_on_when_it_ends(
    platform: Platform, scope: Scope, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_STALL_AFTER_S", 0.2)
    # The platform has a watch of its own, with metrics of its own.
    metrics = Metrics()
    watch = Watch(
        platform.store.database, platform.index, platform.barrier, clock=platform.clock, metrics=metrics
    )
    async with await psycopg.AsyncConnection.connect(database_url) as forgotten:
        # It holds a transaction id: nothing written after it may be read from the feed before it ends.
        await forgotten.execute("SELECT pg_current_xact_id()")
        stored = await platform.services.remember.one(
            scope, MemoryDraft(content="behind it"), wait_for=WaitFor.NONE
        )
        assert not stored.indexed
        await watch.report()
        await asyncio.sleep(0.3)
        await watch.report()
        # Its vector may have followed by now, which is a change of its own.
        assert value(metrics, "mnemata_index_lag_changes") in {1, 2}
        assert value(metrics, "mnemata_feed_stalls_total") == 1
        await forgotten.rollback()
    async with asyncio.timeout(60):
        while await waiting(platform) > 0:
            await asyncio.sleep(0.02)
    await watch.report()
    assert value(metrics, "mnemata_index_lag_changes") == 0
    assert value(metrics, "mnemata_feed_stalls_total") == 1


async def test_what_is_flushed_is_noted_in_the_store(platform: Platform, scope: Scope) -> None:
    await platform.services.remember.one(scope, MemoryDraft(content="to be durable"))
    barrier: IndexBarrier = platform.barrier
    watch = Watch(
        platform.store.database, platform.index, barrier, clock=platform.clock, metrics=platform.metrics
    )
    await watch.flush()
    async with platform.store.database.platform() as transaction:
        (noted,) = await transaction.positions()
    assert noted.position == barrier.position
    await watch.flush()
