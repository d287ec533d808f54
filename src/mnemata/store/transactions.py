"""What one transaction can do: repositories on one connection. They never commit; who opened the transaction does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from psycopg import sql

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory
from mnemata.domain.query import Neighbours
from mnemata.domain.scope import Scope
from mnemata.store import rows
from mnemata.store.access import Access
from mnemata.store.connection import Parameters, Row, Session
from mnemata.store.doubts import Doubts
from mnemata.store.embeddings import Embeddings, TenantEmbeddings
from mnemata.store.feed import Feed
from mnemata.store.idempotency import Idempotency
from mnemata.store.imports import Imports
from mnemata.store.jobs import JobBook
from mnemata.store.leases import Leases
from mnemata.store.memories import Memories
from mnemata.store.poison import Poison
from mnemata.store.repository import filled
from mnemata.store.statements import Statement, statements
from mnemata.store.verify import Verification

_BOOKS = statements("bookkeeping")
_RETENTION = statements("retention")
_SESSIONS = statements("sessions")
_TRANSACTION = statements("transaction")
_CONTENTS = filled(statements("memories")["get_many"], {"columns": rows.memory_columns("m")})
_FIRST_ID = "00000000-0000-0000-0000-000000000000"

_PURGE_LOCK = 0x6D6E7075726765
"""The advisory lock that purging transactions share: 'mnpurge' in ASCII."""

Known: TypeAlias = "Callable[[MemoryId, int], Memory | None]"
"""Gives a memory at a version where the caller has it already."""


def _nothing(_: MemoryId, __: int) -> None:
    """Known by a caller that has no memories of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPosition:
    """How far an index has come, as it reported."""

    name: str
    epoch: str
    position: Position
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatistics:
    """`bytes` of the database on disk. Tenants are counted; the other counts are estimates, a second or more old."""

    server_version: str
    bytes: int
    memories: int
    versions: int
    changes: int
    embeddings: int
    tenants: int


class TenantTransaction:
    """Sees one tenant: row-level security holds for every statement in it."""

    def __init__(self, session: Session, *, scope: Scope, clock: Clock) -> None:
        self.session = session
        self.scope = scope
        self.memories = Memories(session, scope.tenant)
        self.embeddings = TenantEmbeddings(session, scope.tenant)
        self.idempotency = Idempotency(session, scope.tenant, clock)


class PlatformTransaction:
    """Sees every tenant: for workers and operators."""

    def __init__(self, session: Session, *, clock: Clock) -> None:
        self.session = session
        self._clock = clock
        self.feed = Feed(session)
        self.embeddings = Embeddings(session)
        self.poison = Poison(session)
        self.access = Access(session)
        self.leases = Leases(session)
        self.doubts = Doubts(session)
        self.jobs = JobBook(session)
        self.verification = Verification(session)
        self.imports = Imports(session)

    async def time(self) -> datetime:
        """What time it is by the server's clock."""
        (row,) = await self.session.rows(_TRANSACTION["time"])
        return row[0]

    async def documents(
        self, ids: Sequence[MemoryId], *, known: Known = _nothing
    ) -> list[tuple[Memory, Neighbours]]:
        """Those of the memories that are there, whatever their state, each with its current session neighbours.

        Neighbours are neither deleted nor superseded; that one has expired shows once the sweeper has been there, so
        that the same feed always gives the same documents. In no particular order. What is `known` is not read.
        """
        return await self._documents(await self._neighbours(ids), known)

    async def documents_around(
        self, ids: Sequence[MemoryId], *, known: Known = _nothing
    ) -> list[tuple[Memory, Neighbours]]:
        """As `documents`, and those of the memories whose neighbours changed with them: see `affected`."""
        places = await self._neighbours(ids)
        near = [beside for row in places for beside in (row[2], row[4]) if beside is not None]
        # A first version has no other place than the one it stands at.
        settled = {row[0] for row in places if row[1] == 1}
        near += await self.affected([memory_id for memory_id in ids if memory_id not in settled])
        there = set(ids)
        places += await self._neighbours([beside for beside in dict.fromkeys(near) if beside not in there])
        return await self._documents(places, known)

    async def affected(self, ids: Sequence[MemoryId]) -> list[MemoryId]:
        """The ids, and those of the memories that are, or in an earlier version were, next to them in a session."""
        if not ids:
            return []
        found = await self._look_around(_SESSIONS["affected"], ids)
        return list(dict.fromkeys([*ids, *(MemoryId(row[0]) for row in found)]))

    async def scan(self, *, after: MemoryId | None, limit: int) -> list[MemoryId]:
        """The next ids, in order, of the memories that are neither deleted nor superseded."""
        parameters = {"after": after or _FIRST_ID, "limit": limit}
        return [MemoryId(row[0]) for row in await self.session.rows(_RETENTION["scan"], parameters)]

    async def memories_in_all(self) -> int:
        """How many memories of all tenants are neither deleted nor superseded."""
        row = await self.session.row(_RETENTION["memories_in_all"])
        return 0 if row is None else int(row[0])

    async def next_expiry(self) -> datetime | None:
        """When the next memory expires; None where none does."""
        row = await self.session.row(_RETENTION["next_expiry"])
        return None if row is None else row[0]

    async def expire_due(self, now: datetime, *, limit: int) -> int:
        """Mark up to `limit` memories as deleted whose time has come, with a version and a change each; how many."""
        found = await self.session.rows(_RETENTION["lock_expired"], {"now": now, "limit": limit})
        if not found:
            return 0
        # A statement of its own: it sees what was committed until the rows were locked, and so the versions that end.
        return await self._told(_RETENTION["expire"], {"now": now, "ids": [row[0] for row in found]})

    async def purge_due(self, before: datetime, *, limit: int) -> int:
        """Erase up to `limit` memories that were deleted before the moment: contents, versions, vectors; how many.

        A vector stays where another memory of the tenant has the same text. A `purged` change stays. One transaction at a
        time: raises DeadlineExceeded where another one purges for longer than a lock is waited for.
        """
        # Two at once would each see the other's memory with the same text, and both leave its vector.
        await self.session.rows(_RETENTION["purge_alone"], {"lock": _PURGE_LOCK})
        spaces = [space.name for space in await self.embeddings.spaces()]
        parameters = {"before": before, "limit": limit, "now": self._clock.now(), "spaces": spaces}
        return await self._told(_RETENTION["purge_due"], parameters)

    async def drop_idempotency_keys(self, now: datetime) -> None:
        """Forget the idempotency keys that have expired."""
        await self.session.rows(_BOOKS["drop_keys"], {"now": now})

    async def report_position(self, name: str, *, epoch: str, position: Position, now: datetime) -> None:
        """Note how far an index has come."""
        place = {"xid": str(position.xid), "seq": position.sequence}
        await self.session.rows(
            _BOOKS["report_position"], {"name": name, "epoch": epoch, "now": now, **place}
        )

    async def positions(self) -> list[IndexPosition]:
        """How far the indexes have come, by name."""
        found = await self.session.rows(_BOOKS["list_positions"])
        return [
            IndexPosition(
                name=row[0], epoch=row[1], position=Position(xid=row[2], sequence=row[3]), updated_at=row[4]
            )
            for row in found
        ]

    async def forget_position(self, name: str) -> None:
        """Forget what an index that is gone has said."""
        await self.session.rows(_BOOKS["forget_position"], {"name": name})

    async def statistics(self) -> StoreStatistics:
        """What is stored, and how much room it takes."""
        (row,) = await self.session.rows(_BOOKS["statistics"])
        return StoreStatistics(server_version=row[0], bytes=row[1], tenants=row[3], **row[2])

    async def _neighbours(self, ids: Sequence[MemoryId]) -> list[Row]:
        """For each that is there: its id and version, those of the one before it, and those of the one behind it."""
        return list(await self._look_around(_SESSIONS["neighbours"], ids)) if ids else []

    async def _documents(self, places: Sequence[Row], known: Known) -> list[tuple[Memory, Neighbours]]:
        versions = {row[at]: row[at + 1] for row in places for at in (0, 2, 4) if row[at] is not None}
        memories = {memory_id: known(memory_id, version) for memory_id, version in versions.items()}
        unknown = [memory_id for memory_id, memory in memories.items() if memory is None]
        if unknown:
            # One may have been purged since, and is no longer there: its change is still to come.
            found = map(rows.memory, await self.session.rows(_CONTENTS, {"ids": unknown}))
            memories.update((memory.id, memory) for memory in found)
        return [
            (memory, Neighbours(previous=memories.get(row[2]), next=memories.get(row[4])))
            for row in places
            if (memory := memories[row[0]]) is not None
        ]

    async def _look_around(
        self, statement: Statement | sql.Composed, ids: Sequence[MemoryId]
    ) -> Sequence[Row]:
        # A plan that was kept from a young, small table reads the whole of the grown one, again and again. So does one that
        # is made anew while the table is analysed for the first time: it may read all of a tenant's memories for each one
        # and sort them. The index of sessions has them in order.
        self.session.first(_SESSIONS["by_order"])
        return await self.session.rows(statement, {"ids": list(ids)}, plan_again=True)

    async def _told(self, statement: Statement, parameters: Parameters) -> int:
        """Run what gives one row per change that it makes, and wake the feed's readers."""
        found = await self.session.rows(statement, parameters)
        if found:
            self.session.announce()
        return len(found)
