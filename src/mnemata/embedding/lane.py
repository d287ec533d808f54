"""One way to the model: what waits is joined into the next call as soon as a thread is free."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mnemata.embedding.protocol import Vectors
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics

log = get_logger("embedding")

# About three seconds of a core: longer calls would hold up closing, and small writes behind large ones.
CHARACTERS_PER_CALL = 65_536

_FEWEST_SHARED = 8
"""Fewer texts are not divided among calls: sorted by length, they pad less together."""


class Request:
    """Texts that one caller waits for. `answer` gets the rows in the order of `texts`."""

    def __init__(self, texts: Sequence[str], answer: asyncio.Future[Vectors]) -> None:
        self.texts = texts
        self.answer = answer
        self._rows: list[np.ndarray | None] = [None] * len(texts)
        self._missing = len(texts)

    def give(self, place: int, row: np.ndarray) -> None:
        if self.answer.done():
            return
        self._rows[place] = row
        self._missing -= 1
        if self._missing == 0:
            self.answer.set_result(np.array(self._rows, np.float32))

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Lane:
    """Takes at most `batch_size` texts a call, first come first served, in `calls` threads. For one event loop.

    A request larger than a batch goes through several calls; small ones share a call. What waits is shared out among
    the calls that may run at once. Equal texts of a call are embedded once. A call's failure reaches the requests that
    had a text in it, and no other.
    """

    def __init__(
        self,
        embed: Callable[[list[str]], Vectors],
        *,
        kind: str,
        batch_size: int,
        calls: int = 1,
        metrics: Metrics,
    ) -> None:
        self._embed = embed
        self._kind = kind
        self._batch_size = batch_size
        self._metrics = metrics
        self._calls = calls
        self._queue: deque[tuple[Request, int]] = deque()
        self._threads = ThreadPoolExecutor(max_workers=calls, thread_name_prefix=f"embed-{kind}")
        self._running: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Texts that no call has taken yet."""
        return len(self._queue)

    def add(self, texts: Sequence[str]) -> Request:
        loop = asyncio.get_running_loop()
        request = Request(texts, loop.create_future())
        self._queue.extend((request, place) for place in range(len(texts)))
        for _ in range(min(self._calls - len(self._running), -(-len(self._queue) // _FEWEST_SHARED))):
            self._running.add(loop.create_task(self._run(), name=f"embed-{self._kind}"))
        return request

    def drop(self, request: Request) -> None:
        """Nobody waits for this request any more: its texts leave the queue."""
        self._queue = deque(item for item in self._queue if item[0] is not request)

    async def close(self) -> None:
        """Wait for everything that was added, then end the threads."""
        while self._running:
            await asyncio.wait(set(self._running))
        self._threads.shutdown(wait=False)

    async def _run(self) -> None:
        try:
            while batch := self._take():
                try:
                    await self._answer(batch)
                except Exception as error:  # noqa: BLE001 (a worker loop: whoever waits decides)
                    self._fail(batch, error)
        finally:
            # In the step that found nothing more: what is added after it starts another.
            self._running.discard(asyncio.current_task())  # pyright: ignore[reportArgumentType]

    async def _answer(self, batch: list[tuple[Request, int]]) -> None:
        texts = list(dict.fromkeys(request.texts[place] for request, place in batch))
        started = time.perf_counter()
        rows = await asyncio.get_running_loop().run_in_executor(self._threads, self._embed, texts)
        self._count(texts, time.perf_counter() - started)
        row_of = dict(zip(texts, rows, strict=True))
        for request, place in batch:
            request.give(place, row_of[request.texts[place]])

    def _take(self) -> list[tuple[Request, int]]:
        batch: list[tuple[Request, int]] = []
        characters = 0
        share = max(_FEWEST_SHARED, -(-len(self._queue) // self._calls))
        while self._queue and len(batch) < min(self._batch_size, share):
            request, place = self._queue[0]
            characters += len(request.texts[place])
            if batch and characters > CHARACTERS_PER_CALL:
                break
            batch.append(self._queue.popleft())
        return batch

    def _fail(self, batch: list[tuple[Request, int]], error: Exception) -> None:
        self._metrics.embedding_failures.inc()
        log.warning("embedding_failed", kind=self._kind, texts=len(batch), error=type(error).__name__)
        failed = {id(request): request for request, _ in batch}
        for request in failed.values():
            request.fail(error)
        self._queue = deque(item for item in self._queue if id(item[0]) not in failed)

    def _count(self, texts: list[str], seconds: float) -> None:
        self._metrics.embedded_texts.labels(kind=self._kind).inc(len(texts))
        self._metrics.embedding_batch.observe(len(texts))
        self._metrics.embedding_seconds.observe(seconds)
