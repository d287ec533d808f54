"""The queue of a fleet's jobs."""

from __future__ import annotations

from collections.abc import Mapping

from mnemata.domain.job import JobKind
from mnemata.platform.parts import Parts
from mnemata.services.operations import Handler
from mnemata.store.job_queue import JobQueue, QueueOptions


def job_queue_of(parts: Parts, handlers: Mapping[JobKind, Handler]) -> JobQueue:
    """The queue, which any process may put jobs into, and which does them where it is run."""
    lease_s = parts.settings.worker.lease_s
    return JobQueue(
        parts.store.database,
        clock=parts.clock,
        handlers=handlers,
        options=QueueOptions(
            index=parts.index_name,
            poll_s=lease_s / 2,
            heartbeat_s=lease_s / 2,
            stalled_s=3 * lease_s,
            grace_s=parts.settings.http.shutdown_grace_s,
        ),
    )
