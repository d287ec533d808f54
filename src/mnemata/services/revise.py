"""Change a memory: every change is a new version, and undo is one too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import MemoryNotFound, VersionMismatch, VersionNotFound
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory, MemoryDraft, Operation
from mnemata.domain.revision import brought_back, next_version, patched
from mnemata.domain.scope import Role, Scope
from mnemata.observability.metrics import Metrics
from mnemata.services.findable import Findable
from mnemata.services.outcome import Once, Remembered, WaitFor
from mnemata.services.remember import own_successor, unknown_successor
from mnemata.services.replay import Replays
from mnemata.store.database import Database, TenantTransaction


class Revise:
    def __init__(
        self, database: Database, findable: Findable, *, clock: Clock, metrics: Metrics, idempotency_s: float
    ) -> None:
        self._database = database
        self._findable = findable
        self._clock = clock
        self._metrics = metrics
        self._replays = Replays(clock=clock, keep_s=idempotency_s)

    async def patch(
        self,
        scope: Scope,
        memory_id: MemoryId,
        changes: Mapping[str, Any],
        *,
        if_match: int | None = None,
        wait_for: WaitFor = WaitFor.INDEX,
        once: Once | None = None,
    ) -> Remembered:
        """The memory after a merge patch (RFC 7396). A patch that changes nothing makes no version.

        Raises MemoryNotFound, VersionMismatch where `if_match` is not the current version, InvalidField,
        AlreadyExists where another memory has the new `external_id`.
        """

        async def successor(transaction: TenantTransaction, memory: Memory) -> MemoryDraft:
            if memory.deleted_at is not None or memory.expired_at(self._clock.now()):
                raise MemoryNotFound(memory_id=memory_id)
            draft = patched(memory, changes)
            await _check_successor(transaction, memory, draft)
            return draft

        return await self._revise(
            scope, memory_id, successor, Operation.UPDATED, if_match=if_match, wait_for=wait_for, once=once
        )

    async def restore(
        self,
        scope: Scope,
        memory_id: MemoryId,
        *,
        version: int | None = None,
        if_match: int | None = None,
        wait_for: WaitFor = WaitFor.INDEX,
        once: Once | None = None,
    ) -> Remembered:
        """The memory as it was at `version`, as a new version. An expiry that is over by now is left out.

        Without `version`: a forgotten or expired memory as it was before, any other as it was one version ago.
        Raises MemoryNotFound, VersionNotFound, VersionMismatch.
        """

        async def successor(transaction: TenantTransaction, memory: Memory) -> MemoryDraft:
            wanted = self._before(memory) if version is None else version
            past = await transaction.memories.version(memory_id, wanted)
            if past is None:
                raise VersionNotFound(memory_id=memory_id, version=wanted)
            return brought_back(past.memory, now=self._clock.now())

        return await self._revise(
            scope, memory_id, successor, Operation.RESTORED, if_match=if_match, wait_for=wait_for, once=once
        )

    def _before(self, memory: Memory) -> int:
        """The version to go back to. One that has expired is as it was until the sweep forgets it, in a version more."""
        swept = memory.deleted_at is not None or not memory.expired_at(self._clock.now())
        return max(memory.version - 1, 1) if swept else memory.version

    async def _revise(
        self,
        scope: Scope,
        memory_id: MemoryId,
        successor: Callable[[TenantTransaction, Memory], Any],
        operation: Operation,
        *,
        if_match: int | None,
        wait_for: WaitFor,
        once: Once | None,
    ) -> Remembered:
        scope.require(Role.WRITER)
        async with self._database.tenant(scope) as transaction:
            replayed = await self._replays.claim(transaction, once)
            if replayed is not None:
                result, written = replayed.results[0], replayed.positions
            else:
                result, written = await self._revised(
                    transaction, memory_id, successor, operation, if_match=if_match
                )
                await self._replays.keep(transaction, once, {0: result}, written)
        if not result.replayed:
            self._metrics.writes.labels(operation.value).inc(len(written))
        indexed = await self._findable.after(written, wait_for, tenant=scope.tenant, ids=[memory_id])
        return replace(result, indexed=indexed)

    async def _revised(
        self,
        transaction: TenantTransaction,
        memory_id: MemoryId,
        successor: Callable[[TenantTransaction, Memory], Any],
        operation: Operation,
        *,
        if_match: int | None,
    ) -> tuple[Remembered, Mapping[MemoryId, Position]]:
        """What became of the memory, and where in the feed that is; nowhere, where nothing changed."""
        before = await locked(transaction, memory_id, if_match=if_match)
        after = next_version(before, await successor(transaction, before), now=self._clock.now())
        if after is None:
            return Remembered(memory=before, created=False, changed=False), {}
        (position,) = await transaction.memories.replace([after], operation=operation)
        return Remembered(memory=after, created=False), {memory_id: position}


async def locked(transaction: TenantTransaction, memory_id: MemoryId, *, if_match: int | None) -> Memory:
    """The memory, its row locked until the transaction ends, at the version that the caller knows."""
    memory = await transaction.memories.get(memory_id, lock=True)
    if memory is None:
        raise MemoryNotFound(memory_id=memory_id)
    if if_match is not None and memory.version != if_match:
        raise VersionMismatch(memory_id=memory_id, expected=if_match, actual=memory.version)
    return memory


async def _check_successor(transaction: TenantTransaction, memory: Memory, draft: MemoryDraft) -> None:
    successor = draft.superseded_by
    if successor is None or successor == memory.superseded_by:
        return
    if successor == memory.id:
        raise own_successor()
    if not await transaction.memories.get_many([successor]):
        raise unknown_successor()
