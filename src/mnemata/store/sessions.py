"""A conversation is a memory's neighbourhood: the turns before and after it in its session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory
from mnemata.domain.rules import MAX_SEQUENCE
from mnemata.store import rows
from mnemata.store.connection import Row
from mnemata.store.reading import by_ids, in_order
from mnemata.store.repository import TenantRepository, filled
from mnemata.store.statements import statements

_AROUND = filled(statements("sessions")["around"], {"columns": rows.memory_columns("n")})

Turns: TypeAlias = "tuple[Memory, ...]"


class Sessions(TenantRepository):
    async def with_turns(
        self, ids: Sequence[MemoryId], *, width: int, now: datetime, as_of: datetime | None = None
    ) -> tuple[dict[MemoryId, Memory], dict[MemoryId, tuple[Turns, Turns]]]:
        """The memories as `get_many` gives them, and up to `width` turns before and after each in its session.

        Both sides are in the session's order: by sequence (turns without one behind those with), then by `occurred_at`
        or else `created_at`, then by id. Only turns that default reads see now. One round trip.
        """
        if not ids:
            return {}, {}
        around = _AROUND, {"ids": list(ids), "width": width, "now": now}
        found, turns = await self._session.rows_of(by_ids(ids, as_of), around)
        return in_order(ids, found), _around(ids, turns)


def _around(ids: Sequence[MemoryId], turns: Sequence[Row]) -> dict[MemoryId, tuple[Turns, Turns]]:
    around: dict[MemoryId, tuple[list[Memory], list[Memory]]] = {memory_id: ([], []) for memory_id in ids}
    for row in turns:
        around[MemoryId(row[0])][row[1]].append(rows.memory(row[2:]))
    return {memory_id: (_in_order(before), _in_order(after)) for memory_id, (before, after) in around.items()}


def _in_order(turns: list[Memory]) -> Turns:
    return tuple(sorted(turns, key=_place))


def _place(turn: Memory) -> tuple[int, datetime, MemoryId]:
    sequence = MAX_SEQUENCE + 1 if turn.sequence is None else turn.sequence
    return sequence, turn.occurred_at or turn.created_at, turn.id
