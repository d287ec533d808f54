"""Runs the workers: each in a task of its own, restarted when it fails, cancelled together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mnemata.observability.logging import get_logger

log = get_logger("workers")

_RESTART_AFTER_S = 1.0
_CANCEL_AGAIN_AFTER_S = 0.5


class Tasks:
    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep `work` running under this name until `stop`."""
        self._tasks.append(asyncio.create_task(_keep_running(name, work), name=name))

    async def stop(self) -> None:
        """Cancel every worker and wait until all have ended."""
        running = set(self._tasks)
        while running:
            for task in running:
                task.cancel()
            # Until Python 3.12 asyncio.wait_for swallows a cancellation that comes with its result: say it again.
            _, running = await asyncio.wait(running, timeout=_CANCEL_AGAIN_AFTER_S)
        self._tasks.clear()


async def _keep_running(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception as error:
            log.exception("worker_failed", worker=name, error=type(error).__name__)
        else:
            return
        await asyncio.sleep(_RESTART_AFTER_S)
