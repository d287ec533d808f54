"""What the index does without being asked: fold, save, compact, build graphs."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from mnemata.domain.errors import MnemataError
from mnemata.index.local.generation import GenerationClosed, IndexGeneration
from mnemata.index.local.options import LocalOptions
from mnemata.observability.logging import get_logger

log = get_logger("index")

_BULK = 256
"""Memories that come at once: more are likely to follow."""

_BULK_ENDED_S = 2.0
_NICENESS = 10
"""Of the thread that builds: the others get nine tenths of a core that all want."""


class Keeper:
    """Two lanes of one thread each: building a graph may take minutes, and a fold must not wait for it."""

    def __init__(self, generation: Callable[[], IndexGeneration], *, options: LocalOptions) -> None:
        self._generation = generation
        self._options = options
        self._folding = ThreadPoolExecutor(1, thread_name_prefix="index-fold")
        self._tending = ThreadPoolExecutor(1, thread_name_prefix="index-tend", initializer=_step_back)
        self._bulk_at: float | None = None
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._fold_and_save()), asyncio.create_task(self._tend())]

    def wake(self) -> None:
        """Fold now: much is in memory."""
        self._wake.set()

    def came(self, memories: int) -> None:
        """So many were applied at once: while many come, a graph is built later, since vectors are found without it."""
        if memories >= _BULK:
            self._bulk_at = time.monotonic()

    async def stop(self) -> None:
        """Let what runs end. Not by cancelling, which a wait that ends at that very moment swallows."""
        self._stopped.set()
        self._wake.set()
        await asyncio.gather(*self._tasks)
        self._tasks = []
        for pool in (self._folding, self._tending):
            await asyncio.to_thread(pool.shutdown)

    async def _fold_and_save(self) -> None:
        saved_at = time.monotonic()
        while not self._stopped.is_set():
            everything = not await _set_within(self._wake, self._options.fold_interval_s)
            self._wake.clear()
            save = time.monotonic() - saved_at >= self._options.save_interval_s
            await self._run(self._folding, partial(_fold, everything=everything, save=save))
            saved_at = time.monotonic() if save else saved_at

    async def _tend(self) -> None:
        while not await _set_within(self._stopped, self._options.save_interval_s):
            await self._run(self._tending, self._tend_until_done)

    def _tend_until_done(self, generation: IndexGeneration) -> None:
        halted = self._stopped.is_set
        while not halted() and generation.maintain(halted, patient=self._in_bulk()):
            pass

    def _in_bulk(self) -> bool:
        return self._bulk_at is not None and time.monotonic() - self._bulk_at < _BULK_ENDED_S

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[IndexGeneration], None]) -> None:
        try:
            with suppress(GenerationClosed):
                await asyncio.get_running_loop().run_in_executor(pool, lambda: work(self._generation()))
        except (MnemataError, OSError) as error:
            # The changes stay in memory and in the feed; the next round tries again.
            log.warning("index_not_kept", error=type(error).__name__, exc_info=True)


def _step_back() -> None:
    """Let the other threads go first. Only Linux has priorities of threads, and a lower one is always allowed."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _fold(generation: IndexGeneration, *, everything: bool, save: bool) -> None:
    generation.fold(everything=everything)
    if save:
        generation.save()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set before the time was over."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
