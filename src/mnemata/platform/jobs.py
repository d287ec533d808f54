"""The jobs of a fleet, and what does each of them."""

from __future__ import annotations

from pathlib import Path

from mnemata.domain.job import JobKind
from mnemata.platform.backups import BackUp
from mnemata.platform.crew import sweeper_of
from mnemata.platform.parts import Parts
from mnemata.services.operations import Facts, Progress
from mnemata.store.job_queue import JobQueue, QueueOptions
from mnemata.workers.rebuild import Rebuilder


def job_queue_of(parts: Parts, rebuilder: Rebuilder, back_up: BackUp) -> JobQueue:
    """The queue, which any process may put jobs into, and which does them where it is run."""
    sweeper = sweeper_of(parts)

    async def rebuild(_: Facts, progress: Progress) -> Facts:
        rebuilt = await rebuilder.rebuild(cause="asked", progress=progress)
        return {"documents": rebuilt.documents, "seconds": round(rebuilt.seconds, 3)}

    async def backup(arguments: Facts, progress: Progress) -> Facts:
        path = arguments.get("path")
        return await back_up(Path(path) if isinstance(path, str) else None, progress)

    async def sweep(_: Facts, __: Progress) -> Facts:
        return {**await sweeper.sweep()}

    lease_s = parts.settings.worker.lease_s
    return JobQueue(
        parts.store.database,
        clock=parts.clock,
        handlers={JobKind.REBUILD: rebuild, JobKind.BACKUP: backup, JobKind.SWEEP: sweep},
        options=QueueOptions(
            poll_s=lease_s / 2,
            heartbeat_s=lease_s / 2,
            stalled_s=3 * lease_s,
            grace_s=parts.settings.http.shutdown_grace_s,
        ),
    )
