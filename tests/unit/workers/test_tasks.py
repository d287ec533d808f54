import asyncio

import pytest

from mnemata.workers import tasks as tasks_module
from mnemata.workers.tasks import Tasks


async def test_a_worker_that_fails_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_module, "_RESTART_AFTER_S", 0.01)
    runs: list[int] = []
    done = asyncio.Event()

    async def work() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise RuntimeError("stumbled")
        done.set()

    tasks = Tasks()
    tasks.start("stumbling", work)
    async with asyncio.timeout(60):
        await done.wait()
    await tasks.stop()
    assert len(runs) == 3


async def test_stopping_waits_until_every_worker_has_ended() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            ended.append("tidy")

    tasks = Tasks()
    tasks.start("one", work)
    tasks.start("two", work)
    await asyncio.sleep(0)
    await tasks.stop()
    assert ended == ["tidy", "tidy"]


async def test_worker_that_swallows_a_cancellation_is_stopped_all_the_same():
    tasks, swallowed = Tasks(), asyncio.Event()

    async def work():
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.sleep(3_600)

    tasks.start("deaf", work)
    await asyncio.sleep(0)
    await asyncio.wait_for(tasks.stop(), timeout=60)

    assert swallowed.is_set()
