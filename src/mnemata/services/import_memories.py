"""Hand memories over to be stored in the background: durable when this returns, stored by a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from mnemata.domain.clock import Clock
from mnemata.domain.errors import NoWorkers, TooLarge
from mnemata.domain.ids import JobId
from mnemata.domain.job import JobKind
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.rules import MAX_IMPORT
from mnemata.domain.scope import Role, Scope
from mnemata.services.outcome import Once
from mnemata.store.database import Database, PlatformTransaction
from mnemata.store.draft_codec import Placed
from mnemata.store.idempotency import Idempotency
from mnemata.store.jobs import Enqueue

CHUNK_MEMORIES = 500
CHUNK_BYTES = 4 * 1_048_576
_BESIDE_CONTENT = 256
_NUMBER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """`job`: the one that stores them. `replayed`: it was asked for by an earlier request with the same idempotency key."""

    job: JobId
    memories: int
    replayed: bool = False


class ImportMemories:
    """Without `enqueue` there are no workers to hand anything over to."""

    def __init__(
        self, database: Database, enqueue: Enqueue | None, *, clock: Clock, idempotency_s: float
    ) -> None:
        self._database = database
        self._enqueue = enqueue
        self._clock = clock
        self._keep = timedelta(seconds=idempotency_s)

    async def hand_over(
        self, scope: Scope, drafts: Sequence[Placed], *, once: Once | None = None
    ) -> HandedOver:
        """The job that stores them, in the order of the drafts. Raises NoWorkers, TooLarge, IdempotencyConflict."""
        scope.require(Role.WRITER)
        if self._enqueue is None:
            raise NoWorkers(what="imports in the background", instead="POST /v1/memories:batch")
        if len(drafts) > MAX_IMPORT:
            raise TooLarge(field="items", limit=MAX_IMPORT, unit="memories", actual=len(drafts))
        now = self._clock.now()
        async with self._database.platform() as transaction:
            known = await self._known(transaction, scope, once)
            if known is not None:
                return HandedOver(job=known, memories=len(drafts), replayed=True)
            arguments = {"tenant": scope.tenant, "memories": len(drafts)}
            job = await transaction.jobs.ask(
                self._enqueue, JobKind.IMPORT, arguments, tenant=scope.tenant, now=now
            )
            await transaction.imports.stage(job.number, scope.tenant, list(chunks_of(drafts)))
            if once is not None:
                await self._keys(transaction, scope).keep(once.key, json.dumps({"job": str(job.id)}).encode())
        return HandedOver(job=job.id, memories=len(drafts))

    async def _known(self, transaction: PlatformTransaction, scope: Scope, once: Once | None) -> JobId | None:
        if once is None:
            return None
        outcome = await self._keys(transaction, scope).claim(
            once.key, once.fingerprint, expires_at=self._clock.now() + self._keep
        )
        return None if outcome is None else JobId(UUID(json.loads(outcome)["job"]))

    def _keys(self, transaction: PlatformTransaction, scope: Scope) -> Idempotency:
        return Idempotency(transaction.session, scope.tenant, self._clock)


def chunks_of(drafts: Sequence[Placed]) -> Iterator[list[Placed]]:
    """The drafts in order, in pieces that one transaction stores.

    A draft that changes a memory of the same piece begins the next one: each is stored after the one before it.
    """
    chunk: list[Placed] = []
    names: set[str] = set()
    size = 0
    for place, draft in drafts:
        weight = _weight(draft)
        full = len(chunk) >= CHUNK_MEMORIES or size + weight > CHUNK_BYTES
        if chunk and (full or draft.external_id in names):
            yield chunk
            chunk, names, size = [], set(), 0
        chunk.append((place, draft))
        size += weight
        if draft.external_id is not None:
            names.add(draft.external_id)
    if chunk:
        yield chunk


def _weight(draft: MemoryDraft) -> int:
    """About how many bytes it takes."""
    numbers = 0 if draft.embedding is None else len(draft.embedding.values)
    return len(draft.content) + _NUMBER * numbers + _BESIDE_CONTENT
