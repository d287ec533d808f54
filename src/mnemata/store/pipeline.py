"""Pipelines of statements that leave a transaction in a state in which the server's timeouts count."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeAlias

import psycopg
from psycopg.abc import PQGen
from psycopg.generators import send
from psycopg.rows import TupleRow

Connection: TypeAlias = "psycopg.AsyncConnection[TupleRow]"


class Pipeline(psycopg.AsyncPipeline):
    """A pipeline of psycopg. From `hold` on nothing leaves before its end, and nothing is said after its end.

    A server that waits for more of a pipeline, or has been sent anything after its end, counts no
    `idle_in_transaction_session_timeout`: what a client has locked then stays so for as long as it is paused. psycopg sends
    a statement as soon as the socket takes it, and a request to flush after the end of each pipeline.
    """

    _holds = False

    def hold(self) -> None:
        """Send nothing more before the end of the pipeline: what follows takes locks."""
        self._holds = True

    def _communicate_gen(self) -> PQGen[None]:
        if not self._holds:
            yield from super()._communicate_gen()

    def _exit_gen(self) -> PQGen[None]:
        try:
            self._enqueue_sync()
            # Into one buffer, which the last of them sends: that a socket takes one is not waited for in between.
            while self.command_queue:
                self.command_queue.popleft()()
            yield from send(self.pgconn)
        finally:
            yield from self._fetch_gen(flush=False)


@asynccontextmanager
async def together(connection: Connection) -> AsyncGenerator[Pipeline]:
    """Statements in the block travel in one pipeline. As `connection.pipeline()`, which takes no class of pipeline."""
    pipeline = Pipeline(connection)
    connection._pipeline = pipeline  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    try:
        async with pipeline:
            yield pipeline
    finally:
        connection._pipeline = None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
