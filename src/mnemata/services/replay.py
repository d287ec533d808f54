"""Idempotency keys: the claim and the outcome stand in the transaction of the write itself, or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import MemoryNotFound, MnemataError
from mnemata.domain.ids import MemoryId
from mnemata.services.outcome import Once, Remembered
from mnemata.store.database import TenantTransaction

_WITHOUT_POSITION = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What the first request stored, by place, and where in the feed searches come to see it."""

    results: Mapping[int, Remembered]
    positions: Mapping[MemoryId, Position]


class Replays:
    """Remembers what became of the items of a write, by their places, and gives it again from the history."""

    def __init__(self, *, clock: Clock, keep_s: float) -> None:
        self._clock = clock
        self._keep = timedelta(seconds=keep_s)

    async def claim(self, transaction: TenantTransaction, once: Once | None) -> Replayed | None:
        """What the first request with this key stored; None where this is the first one.

        Raises IdempotencyConflict where the key belongs to another request. A second request at the same time waits
        here until the first one has committed.
        """
        if once is None:
            return None
        expires_at = self._clock.now() + self._keep
        outcome = await transaction.idempotency.claim(once.key, once.fingerprint, expires_at=expires_at)
        if outcome is None:
            return None
        entries: list[list[Any]] = json.loads(outcome)
        return Replayed(
            results={place: await _again(transaction, entry) for place, *entry in entries},
            # Keys of before have none: their writes are long findable.
            positions={
                MemoryId(UUID(entry[1])): Position(xid=entry[5], sequence=entry[6])
                for entry in entries
                if len(entry) > _WITHOUT_POSITION
            },
        )

    async def keep(
        self,
        transaction: TenantTransaction,
        once: Once | None,
        results: Mapping[int, Remembered | MnemataError],
        positions: Mapping[MemoryId, Position],
    ) -> None:
        """Store the outcome, by place, under the claimed key."""
        if once is None:
            return
        entries = [
            [
                *(place, str(result.memory.id), result.memory.version, result.created, result.changed),
                *_place(positions.get(result.memory.id)),
            ]
            for place, result in results.items()
            if isinstance(result, Remembered)
        ]
        await transaction.idempotency.keep(once.key, json.dumps(entries).encode())


def _place(position: Position | None) -> tuple[int, ...]:
    return () if position is None else (position.xid, position.sequence)


async def _again(transaction: TenantTransaction, entry: Sequence[object]) -> Remembered:
    memory_id, version, created, changed, *_ = entry
    known = MemoryId(UUID(str(memory_id)))
    before = await transaction.memories.version(known, int(str(version)))
    if before is None:
        raise MemoryNotFound(memory_id=known)
    return Remembered(memory=before.memory, created=bool(created), changed=bool(changed), replayed=True)
