"""The queue of jobs: each is done by whichever worker is free, and begun again where its worker is lost.

The library is procrastinate. Its tables are made by our migrations.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from mnemata.domain.clock import Clock
from mnemata.domain.errors import MnemataError
from mnemata.domain.job import JobKind
from mnemata.observability.logging import get_logger
from mnemata.store.database import Database
from mnemata.store.jobs import Facts

if TYPE_CHECKING:
    from procrastinate import App, JobContext

log = get_logger("store")

_QUEUE = "mnemata"
_ON_AN_INDEX = frozenset({JobKind.REBUILD, JobKind.SWITCH, JobKind.VERIFY, JobKind.WARM})
_KEPT_FOR = timedelta(days=30)
_TELL_EVERY_S = 0.5
_AT_ONCE = 4
_AGAIN_AFTER_S = 1.0
_HARDLY_EVER = "0 0 29 2 *"
"""A leap day: a task that is due then is there, and is next to never done."""

Progress: TypeAlias = Callable[[int, int], None]
Handler: TypeAlias = Callable[[Facts, Progress], Awaitable[Facts]]
"""Does one job with its arguments, its number as `job` among them; tells how much is done of how much, and gives what
it made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """Times in seconds. `stalled_s`: after how long a job whose worker says nothing is begun again.

    `index`: jobs on an index are for workers that use the one of this name.
    """

    index: str = ""
    poll_s: float = 5.0
    heartbeat_s: float = 5.0
    stalled_s: float = 30.0
    grace_s: float = 10.0


class JobQueue:
    def __init__(
        self, database: Database, *, clock: Clock, handlers: Mapping[JobKind, Handler], options: QueueOptions
    ) -> None:
        self._database = database
        self._clock = clock
        self._options = options
        self._queues = list(dict.fromkeys([_queue(), _queue(options.index)]))
        self._app = _app(self._done_by(handlers))

    async def enqueue(self, connection: Any, kind: JobKind, arguments: Facts) -> int:
        """The number of a job that is put into the queue by the transaction of this connection."""
        index = self._options.index if kind in _ON_AN_INDEX else ""
        deferrer = self._app.configure_task(
            kind.value, queue=_queue(index), lock=_lock(kind, arguments, index), connection=connection
        )
        return await deferrer.defer_async(arguments=dict(arguments))

    async def run(self) -> None:
        """Do jobs until cancelled; one that is under way then has the grace to end, and is put back after it."""
        while True:
            await self._run()
            # So the library ends, without an error, where the database was away for a moment.
            log.warning("jobs_go_on_after_an_outage")
            await asyncio.sleep(_AGAIN_AFTER_S)

    async def _run(self) -> None:
        """Do jobs until cancelled, or until the connections of the library are lost."""
        connector = _connector(self._database)
        with self._app.replace_connector(connector):
            async with self._app.open_async():
                rescuing = asyncio.create_task(self._rescue())
                try:
                    await self._work()
                finally:
                    rescuing.cancel()
                    await asyncio.wait({rescuing})

    async def _work(self) -> None:
        options = self._options
        listens = self._database.listens and not self._database.pooled
        await self._app.run_worker_async(
            queues=self._queues,
            concurrency=_AT_ONCE,
            install_signal_handlers=False,
            listen_notify=listens,
            fetch_job_polling_interval=options.poll_s if listens else 1.0,
            abort_job_polling_interval=options.poll_s if listens else 1.0,
            update_heartbeat_interval=options.heartbeat_s,
            stalled_worker_timeout=options.stalled_s,
            shutdown_graceful_timeout=options.grace_s,
        )

    async def _rescue(self) -> None:
        """Have the jobs of lost workers begun again, and forget those that ended long ago."""
        while True:
            try:
                await self.rescue()
            except Exception as error:  # noqa: BLE001 (a worker loop: the library has errors of its own)
                log.warning("jobs_not_rescued", error=type(error).__name__)
            await asyncio.sleep(self._options.stalled_s)

    async def rescue(self) -> None:
        """One round of it."""
        manager = self._app.job_manager
        # Of every queue: any worker can tell that another one is lost.
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._options.stalled_s):
            if job.id is not None:
                await manager.retry_job_by_id_async(job.id, retry_at=self._clock.now())
                log.warning("job_begun_again", job=job.id, kind=job.task_name)
        async with self._database.platform() as transaction:
            await transaction.imports.drop_over()
            await transaction.jobs.forget(before=self._clock.now() - _KEPT_FOR)

    def _done_by(self, handlers: Mapping[JobKind, Handler]) -> Mapping[JobKind, _Task]:
        def task_of(handler: Handler) -> _Task:
            async def task(context: JobContext, *, arguments: dict[str, Any]) -> None:
                from procrastinate.exceptions import JobAborted
                from procrastinate.job_context import AbortReason

                try:
                    await self._do(context.job.id or 0, handler, arguments)
                except asyncio.CancelledError:
                    if context.abort_reason() is AbortReason.USER_REQUEST:
                        raise JobAborted from None
                    raise

            return task

        return {kind: task_of(handler) for kind, handler in handlers.items()}

    async def _do(self, job: int, handler: Handler, arguments: Facts) -> None:
        at = [0, 0]

        def progress(done: int, total: int) -> None:
            at[:] = done, total

        telling = asyncio.create_task(self._tell(job, at))
        try:
            outcome = await handler({**arguments, "job": job}, progress)
        except MnemataError as error:
            await self._note(job, code=error.code)
            raise
        except Exception:
            await self._note(job, code=MnemataError.code)
            raise
        else:
            await self._note(job, outcome=outcome, at=at)
        finally:
            telling.cancel()
            await asyncio.wait({telling})

    async def _tell(self, job: int, at: list[int]) -> None:
        """Write down how far the job is, as often as anybody would look."""
        told = [0, 0]
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            if at != told:
                told = list(at)
                try:
                    async with self._database.platform() as transaction:
                        await transaction.jobs.progress(job, done=at[0], total=at[1], now=self._clock.now())
                except MnemataError as error:
                    log.warning("progress_not_noted", job=job, code=error.code)

    async def _note(
        self, job: int, *, outcome: Facts | None = None, code: str | None = None, at: Sequence[int] = (0, 0)
    ) -> None:
        done, total = at
        async with self._database.platform() as transaction:
            if total:
                await transaction.jobs.progress(job, done=done, total=total, now=self._clock.now())
            await transaction.jobs.outcome(job, outcome=outcome, code=code, now=self._clock.now())


_Task: TypeAlias = Callable[..., Awaitable[None]]


def _queue(index: str = "") -> str:
    """Whose jobs any worker does, or only one that uses an index."""
    # A name is part of the channel on which workers hear of a job: PostgreSQL takes 63 characters, the library's among them.
    return f"{_QUEUE}/{hashlib.sha256(index.encode()).hexdigest()[:16]}" if index else _QUEUE


def _lock(kind: JobKind, arguments: Facts, index: str) -> str:
    """What only one job at a time may have: two rebuilds would be in each other's way, imports of two tenants are not."""
    whose = arguments["tenant"] if kind is JobKind.IMPORT else index
    return f"{kind.value}/{whose}" if whose else kind.value


def _app(tasks: Mapping[JobKind, _Task]) -> App:
    from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision

    class AfterShutdown(BaseRetryStrategy):
        """A job that was broken off because its worker ends is for another worker to do; one that failed has failed."""

        def get_retry_decision(self, *, exception: BaseException, job: Any) -> RetryDecision | None:  # noqa: ARG002
            cancelled = isinstance(exception, asyncio.CancelledError)
            return RetryDecision(retry_in={"seconds": 0}) if cancelled else None

    app = App(connector=PsycopgConnector())
    for kind, task in tasks.items():
        app.task(name=kind.value, queue=_QUEUE, lock=kind.value, pass_context=True, retry=AfterShutdown())(
            task
        )

    # While no side task of its worker has ended, the library minds what listens, tells that the worker lives and hears of
    # cancellations: it ends the worker where one of those fails. The one for periodic tasks ends at once where there are none.
    @app.periodic(cron=_HARDLY_EVER)
    @app.task(name="nothing", queue=_QUEUE)
    async def nothing(timestamp: int) -> None:
        del timestamp

    return app


def _connector(database: Database) -> Any:
    from procrastinate import PsycopgConnector

    # How it commits is the library's to choose.
    options = {name: value for name, value in database.connection_options.items() if name != "autocommit"}
    return PsycopgConnector(
        conninfo=database.url,
        kwargs=options,
        min_size=1,
        max_size=4,
        name="mnemata-jobs",
    )
