from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mnemata.domain.clock import ManualClock
from mnemata.observability.metrics import Metrics
from mnemata.workers import schedule
from mnemata.workers.schedule import BackupSchedule

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR_S = 3_600.0


class Waits:
    """Sleeps as long as it is told in no time, and ends the work at the `last` time."""

    def __init__(self, last: int) -> None:
        self.told: list[float] = []
        self._last = last

    async def sleep(self, seconds: float) -> None:
        self.told.append(seconds)
        if len(self.told) == self._last:
            raise asyncio.CancelledError


async def waits(monkeypatch, back_up, newest, *, last, metrics=None):
    slept, started = Waits(last), asyncio.Event()
    started.set()
    # In that module alone: other tests may keep a server in this process.
    monkeypatch.setattr(schedule, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": slept.sleep}))

    async def newest_at():
        return newest

    with pytest.raises(asyncio.CancelledError):
        await BackupSchedule(
            back_up,
            newest_at,
            started=started,
            interval_s=HOUR_S,
            metrics=metrics or Metrics(),
            clock=ManualClock(NOW),
        ).run()
    return slept.told


async def nothing():
    pass


@pytest.mark.parametrize(
    ("newest", "wait_s"),
    [
        (None, 0.0),
        (NOW - timedelta(hours=2), 0.0),
        (NOW - timedelta(minutes=20), 2_400.0),
        (NOW + timedelta(days=1), HOUR_S),
    ],
)
async def test_the_first_backup_is_made_when_the_newest_is_an_interval_old(monkeypatch, newest, wait_s):
    assert await waits(monkeypatch, nothing, newest, last=3) == [wait_s, HOUR_S, HOUR_S]


async def test_no_backup_is_made_before_the_platform_has_started():
    made, started = asyncio.Event(), asyncio.Event()

    async def back_up():
        made.set()

    async def none():
        return None

    work = BackupSchedule(
        back_up, none, started=started, interval_s=HOUR_S, metrics=Metrics(), clock=ManualClock(NOW)
    )
    running = asyncio.create_task(work.run())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not made.is_set()
    started.set()
    await asyncio.wait_for(made.wait(), 60)
    running.cancel()


async def test_every_failure_is_counted_and_the_next_backup_tried(monkeypatch):
    errors, metrics = [OSError("the disk"), RuntimeError("whatever")], Metrics()

    async def back_up():
        if errors:
            raise errors.pop(0)

    told = await waits(monkeypatch, back_up, None, last=4, metrics=metrics)
    assert told == [0.0, HOUR_S, HOUR_S, HOUR_S]
    assert metrics.backups.labels("failed")._value.get() == 2
    assert metrics.backups.labels("ok")._value.get() == 1
