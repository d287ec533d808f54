"""The change feed: read in an order in which nothing can appear behind the reader."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mnemata.domain.change import START, Change, Position
from mnemata.domain.errors import IndexMoved
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory, Operation
from mnemata.store.connection import Row
from mnemata.store.errors import RETRY_AFTER_S, unavailable
from mnemata.store.repository import Repository, filled
from mnemata.store.statements import statements

_SQL = statements("feed")
# The epoch comes in the same round trip, and is that of the very server that was read.
_READ, _READ_PARTITIONS = (
    filled(_SQL[name], {"epoch": _SQL["epoch"].text}) for name in ("read", "read_partitions")
)
_STANDBY = "/standby"
_COUNTED = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """`changes` that wait (a million at most are counted), and when the first of them was made."""

    changes: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """A change further back, and the how manieth of its tenant it is there, from 1."""

    change: Change
    number: int


class Feed(Repository):
    async def read(self, after: Position, *, limit: int, epoch: str | None = None) -> list[Change]:
        """The next changes behind a position, in order.

        A transaction's changes appear once every older transaction has ended, so no later call gives one in front.
        `epoch`: of which the position is. Raises IndexMoved where the store is of another one now: there the position says nothing.
        """
        parameters = {**_place(after), "limit": limit}
        return _changes(await self._session.rows(_READ, parameters), epoch)

    async def read_partitions(
        self, after: Mapping[int, Position], *, limit: int, epoch: str | None = None
    ) -> list[Change]:
        """As `read`, of some partitions of an index with sixteen, each behind its own position; `limit` in all."""
        parameters = {**_places(after), "limit": limit}
        return _changes(await self._session.rows(_READ_PARTITIONS, parameters), epoch)

    async def glimpse(
        self,
        after: Position,
        *,
        partitions: Collection[int],
        left_out: Sequence[TenantId],
        most: int,
        window: int,
    ) -> list[Glimpse]:
        """Some of the next `window` changes that are of partitions of an index with sixteen, in the order of the feed.

        Of each tenant the first `most` and one more, of the tenants `left_out` none of these; and of every tenant its last.
        """
        parameters = {
            **_place(after),
            "partitions": list(partitions),
            "left_out": list(left_out),
            "most": most,
            "window": window,
        }
        rows = await self._session.rows(_SQL["glimpse"], parameters)
        return [Glimpse(change=_change(row), number=row[7]) for row in rows]

    async def head(self) -> Position:
        """The position of the last change that can be read now, or START: whatever comes will be behind it."""
        row = await self._session.row(_SQL["head"])
        return START if row is None else Position(xid=row[0], sequence=row[1])

    async def lag(self, after: Position) -> Lag:
        """What has committed behind a position, also what cannot be read yet."""
        row = await self._session.row(_SQL["lag"], {**_place(after), "bound": _COUNTED})
        return Lag(changes=0, oldest=None) if row is None else Lag(changes=row[0], oldest=row[1])

    async def lag_partitions(self, after: Mapping[int, Position]) -> Lag:
        """As `lag`, of partitions of an index with sixteen, each behind its own position."""
        bound = _COUNTED // max(len(after), 1)
        row = await self._session.row(_SQL["lag_partitions"], {**_places(after), "bound": bound})
        return Lag(changes=0, oldest=None) if row is None else Lag(changes=row[0], oldest=row[1])

    async def epoch(self) -> str:
        """The name of the history that positions are of. Another one after a restore, a recovery or a promotion."""
        row = await self._session.row(_SQL["epoch"])
        return "" if row is None else str(row[0])

    async def new_epoch(self) -> None:
        """Begin another history: nothing trusts what was derived before.

        Changes keep their positions: also in an older copy of its data, a server's own transactions are before those to come.
        A restore from a dump, whose transactions were another server's, ages them too.
        """
        await self._session.rows(_SQL["begin_epoch"])

    async def knows(self, position: Position) -> bool:
        """Whether the position can be of this history. False: the data is an older copy than the one it was read from."""
        row = await self._session.row(_SQL["known"], _place(position))
        return row is not None and bool(row[0])

    async def ticket(self) -> int:
        """A number above every one given before: take it before reading memories to index.

        Of two readings the one with the higher ticket began after the other's ticket was taken, so that an index that keeps
        what the higher ticket said never goes back. Each statement must see what was committed before it: read committed.
        """
        row = await self._session.row(_SQL["ticket"])
        return 0 if row is None else int(row[0])

    async def announce_embedded(self, memories: Sequence[Memory], *, now: datetime) -> None:
        """Tell the feed that the vectors of these memories have arrived."""
        await self.announce_again([memory.id for memory in memories], now=now)

    async def announce_again(self, ids: Sequence[MemoryId], *, now: datetime) -> None:
        """Let the feed tell of these memories once more, as if their vectors had arrived: indexes take them anew."""
        if ids:
            parameters = {"ids": list(ids), "operation": Operation.EMBEDDED.value, "now": now}
            await self._session.rows(_SQL["announce"], parameters)
            self._session.announce()

    async def announce_gone(self, keys: Sequence[tuple[TenantId, MemoryId]], *, now: datetime) -> None:
        """Let the feed tell that these are no memories of these tenants: indexes take them out."""
        if keys:
            parameters = {
                "ids": [memory_id for _, memory_id in keys],
                "tenants": [tenant for tenant, _ in keys],
                "operation": Operation.PURGED.value,
                "now": now,
            }
            await self._session.rows(_SQL["announce_gone"], parameters)
            self._session.announce()

    async def horizon(self) -> int:
        """An xid above that of every change that can be seen now."""
        row = await self._session.row(_SQL["horizon"])
        return 0 if row is None else int(row[0])

    async def unseen(self, after: Sequence[Position], *, below: int) -> bool:
        """Whether changes of transactions below an xid lie behind the positions, one for the feed or sixteen by partition."""
        if len(after) == 1:
            row = await self._session.row(_SQL["unseen"], {**_place(after[0]), "below": str(below)})
        else:
            parameters = {**_places(dict(enumerate(after))), "below": str(below)}
            row = await self._session.row(_SQL["unseen_partitions"], parameters)
        return row is not None and bool(row[0])


def _place(position: Position) -> dict[str, str | int]:
    return {"xid": str(position.xid), "seq": position.sequence}


def _places(after: Mapping[int, Position]) -> dict[str, Sequence[int] | Sequence[str]]:
    return {
        "partitions": list(after),
        "xids": [str(position.xid) for position in after.values()],
        "seqs": [position.sequence for position in after.values()],
    }


def _changes(rows: Sequence[Row], epoch: str | None) -> list[Change]:
    """Of rows that end with the epoch. Raises as `Feed.read`, and StoreUnavailable for a standby that is not promoted yet."""
    read = str(rows[0][7]) if rows else ""
    if epoch is not None and read != epoch:
        if read.endswith(_STANDBY):
            raise unavailable("the server is a standby")
        raise IndexMoved(
            what="the search index",
            reason="the store's history is another one than it was built on",
            retry_after_s=RETRY_AFTER_S,
        )
    return [_change(row) for row in rows if row[0] is not None]


def _change(row: Row) -> Change:
    return Change(
        position=Position(xid=row[0], sequence=row[1]),
        tenant=TenantId(row[2]),
        memory_id=MemoryId(row[3]),
        version=row[4],
        operation=Operation(row[5]),
        recorded_at=row[6],
    )
