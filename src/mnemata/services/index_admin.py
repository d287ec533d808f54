"""What an operator does with the generations of the index, and with the changes that it could not take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mnemata.domain.change import Change
from mnemata.domain.clock import Clock
from mnemata.domain.errors import GenerationRefused
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import JsonValue
from mnemata.domain.scope import Role, Scope
from mnemata.index.protocol import GenerationState, GenerationStatus, SearchIndex
from mnemata.services.barrier import IndexBarrier
from mnemata.services.lag import lag_behind
from mnemata.store.database import Database
from mnemata.store.poison import PoisonChange

Facts = Mapping[str, JsonValue]

_AT_ONCE = 1_000


class IndexAdmin:
    def __init__(
        self, database: Database, index: SearchIndex, barrier: IndexBarrier, *, kind: str, clock: Clock
    ) -> None:
        self._database = database
        self._index = index
        self._barrier = barrier
        self._kind = kind
        self._clock = clock

    async def status(self, scope: Scope) -> Facts:
        """Every generation with its state, size, positions and notes; what waits for the live one.

        Last come those for other models and formats, which processes beside this one may use.
        """
        scope.require(Role.OPERATOR)
        generations = list(await self._index.generations())
        for others in (await self._index.relatives()).values():
            generations += others
        async with self._database.platform() as transaction:
            lag = await lag_behind(transaction, self._barrier)
            set_aside = await transaction.poison.count()
        return {
            "engine": self._kind,
            "changes_waiting": lag.changes,
            "set_aside": set_aside,
            "generations": [_facts(one) for one in generations],
        }

    async def create(self, scope: Scope) -> Facts:
        """An empty generation beside the live one: its name. Raises GenerationRefused where one is on its way already."""
        scope.require(Role.OPERATOR)
        for one in await self._index.generations():
            if one.state is GenerationState.BESIDE and one.fits:
                raise GenerationRefused(
                    name=one.name,
                    reason="it is on its way already",
                    remedy=f"Go on with `mnemata index rebuild {one.name}`, or drop it",
                )
        staged = await self._index.stage()
        await self._index.note(staged.name, {"made": "asked"})
        return {"generation": staged.name}

    async def drop(self, scope: Scope, name: str) -> Facts:
        """Delete a generation that is not live. Raises GenerationNotFound, GenerationRefused."""
        scope.require(Role.OPERATOR)
        await self._index.discard(name)
        return {"dropped": name}

    async def set_aside(self, scope: Scope, *, limit: int) -> Facts:
        """The changes that the index could not take, the latest failure first, and how many there are."""
        scope.require(Role.OPERATOR)
        async with self._database.platform() as transaction:
            found = await transaction.poison.all(limit=limit)
            total = await transaction.poison.count()
        return {"total": total, "items": [_poison_facts(one) for one in found]}

    async def retry(self, scope: Scope, ids: Sequence[MemoryId] | None) -> Facts:
        """Let the feed tell of memories that were set aside once more, of all of them where none is named: how many.

        One that fails again is set aside again.
        """
        scope.require(Role.OPERATOR)
        retried = 0
        last: MemoryId | None = None
        # By memory, so that one that fails again meanwhile is not tried again and again.
        while taken := await self._take(ids, after=last):
            retried += len(taken)
            last = max(change.memory_id for change in taken)
        self._barrier.wake()
        return {"retried": retried}

    async def _take(self, ids: Sequence[MemoryId] | None, *, after: MemoryId | None) -> list[Change]:
        """The next changes that were set aside, of which the feed tells once more."""
        async with self._database.platform() as transaction:
            taken = [one.change for one in await transaction.poison.take(ids, after=after, limit=_AT_ONCE)]
            again = [change.memory_id for change in taken]
            await transaction.feed.announce_again(again, now=self._clock.now())
            # Of those that are purged no memory is left to tell of.
            there = {memory.id for memory, _ in await transaction.documents(again)}
            gone = [(change.tenant, change.memory_id) for change in taken if change.memory_id not in there]
            await transaction.feed.announce_gone(gone, now=self._clock.now())
        return taken


def _facts(status: GenerationStatus) -> JsonValue:
    return {
        "name": status.name,
        "state": status.state.value,
        "fits": status.fits,
        "documents": status.documents,
        "bytes": status.bytes_on_disk,
        "position": str(min(status.positions)),
        "created_at": None if status.created_at is None else status.created_at.isoformat(),
        "retired_at": None if status.retired_at is None else status.retired_at.isoformat(),
        "made_for": dict(status.made_for),
        "notes": dict(status.notes),
    }


def _poison_facts(one: PoisonChange) -> JsonValue:
    return {
        "memory_id": str(one.change.memory_id),
        "tenant": one.change.tenant,
        "version": one.change.version,
        "operation": one.change.operation.value,
        "position": str(one.change.position),
        "code": one.code,
        "attempts": one.attempts,
        "first_seen": one.first_seen.isoformat(),
        "last_seen": one.last_seen.isoformat(),
    }
