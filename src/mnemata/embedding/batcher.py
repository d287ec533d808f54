"""The event loop's way to an Embedder: concurrent callers share model calls, and queries never wait for documents."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import numpy as np

from mnemata.domain.errors import EmbedderUnavailable
from mnemata.domain.vector import Space
from mnemata.embedding.lane import Lane
from mnemata.embedding.protocol import Embedder, Vector, Vectors
from mnemata.observability.metrics import Metrics

QUERIES_PER_CALL = 16
RETRY_AFTER_S = 1.0


class Batcher:
    """Joins what waits into model calls, without delay: a call starts as soon as its thread is free.

    Queries have a thread of their own, so that a query waits at most for the queries before it, however
    long the documents in progress are. Belongs to one event loop, and owns the embedder: `close` closes it.

    `batch_size`: documents per call of the embedder at most. `document_calls`: how many such calls run at once. `queue_size`: texts that may wait.
    `timeout_s`: longest wait for a query.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        metrics: Metrics,
        batch_size: int = 64,
        document_calls: int = 1,
        queue_size: int = 10_000,
        timeout_s: float = 30.0,
    ) -> None:
        self._embedder = embedder
        self._metrics = metrics
        self._queue_size = queue_size
        self._timeout_s = timeout_s
        self._closed = False
        self._queries = Lane(
            embedder.embed_queries,
            kind="query",
            batch_size=min(QUERIES_PER_CALL, batch_size),
            metrics=metrics,
        )
        self._documents = Lane(
            embedder.embed_documents,
            kind="document",
            batch_size=batch_size,
            calls=document_calls,
            metrics=metrics,
        )
        metrics.embedding_queue.set_function(lambda: self.waiting)

    @property
    def space(self) -> Space:
        return self._embedder.space

    @property
    def waiting(self) -> int:
        """Texts that no model call has taken yet."""
        return self._queries.waiting + self._documents.waiting

    async def embed_query(self, text: str) -> Vector:
        """The query's vector: (d,) float32 of unit length.

        Raises EmbedderUnavailable (closed, queue full, no answer in `timeout_s`) or ModelDamaged.
        """
        return (await self._wait(self._queries, [text], limit_s=self._timeout_s))[0]

    async def embed_documents(self, texts: Sequence[str], *, timeout_s: float | None = None) -> Vectors:
        """One row per text, in order: (n, d) float32 of unit length.

        A call larger than the queue is taken when nothing else waits. None: no limit to the time; the wait is
        bounded by the queue. Raises as embed_query.
        """
        if not texts:
            return np.zeros((0, self.space.dimensions), np.float32)
        return await self._wait(self._documents, texts, limit_s=timeout_s)

    async def close(self) -> None:
        """Take nothing more, answer what waits, then close the embedder. Idempotent."""
        self._closed = True
        await self._queries.close()
        await self._documents.close()
        self._embedder.close()

    async def _wait(self, lane: Lane, texts: Sequence[str], *, limit_s: float | None) -> Vectors:
        self._admit(lane, len(texts))
        request = lane.add(texts)
        try:
            async with asyncio.timeout(limit_s):
                return await request.answer
        except TimeoutError as error:
            raise _unavailable(f"no answer within {limit_s} s") from error
        finally:
            if not request.answer.done() or request.answer.cancelled():
                lane.drop(request)

    def _admit(self, lane: Lane, texts: int) -> None:
        if self._closed:
            raise _unavailable("it is closing")
        if lane.waiting and lane.waiting + texts > self._queue_size:
            raise _unavailable(f"{lane.waiting:,} texts wait already")


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _unavailable(reason: str) -> EmbedderUnavailable:
    return EmbedderUnavailable(what="The embedding model", reason=reason, retry_after_s=RETRY_AFTER_S)
