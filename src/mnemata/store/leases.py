"""Leases by which processes share work, and what each partition of an index has reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from mnemata.domain.change import Position
from mnemata.store.repository import Repository
from mnemata.store.statements import statements

_SQL = statements("leases")

REACHED_CHANNEL = "mnemata_reached"
# Told by another name: whoever knows only of positions takes it for another index's.
_AHEAD = "+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`holds_s`: for how much longer, in seconds by the server's clock. Not above zero: nobody has it."""

    name: str
    owner: str
    token: int
    holds_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What searches see of one partition. `token`: of the lease under which it is said."""

    partition: int
    position: Position
    caught_up: bool
    token: int = 0
    epoch: str = ""


class Leases(Repository):
    """Times are the server's: no process needs a clock that is right."""

    async def renew(self, owner: str, *, ttl_s: float) -> list[Lease]:
        """Keep what the owner has for so many seconds from now; every lease there ever was, by name, as it is then."""
        found = await self._session.rows(_SQL["renew"], {"owner": owner, "ttl_s": ttl_s})
        return [Lease(name=row[0], owner=row[1], token=row[2], holds_s=row[3]) for row in found]

    async def take(self, owner: str, names: Sequence[str], *, ttl_s: float) -> dict[str, int]:
        """Those of the names that nobody had and the owner has now, each with its token."""
        if not names:
            return {}
        parameters = {"owner": owner, "names": list(names), "ttl_s": ttl_s}
        return {row[0]: row[1] for row in await self._session.rows(_SQL["take"], parameters)}

    async def give_back(self, owner: str, names: Sequence[str]) -> None:
        """Let others have them at once. Those that the owner had lost are not touched."""
        if names:
            await self._session.rows(_SQL["give_back"], {"owner": owner, "names": list(names)})

    async def over_for(self, name: str) -> float | None:
        """How many seconds ago a lease ran out; not above zero while somebody has it; None: nobody ever had it."""
        row = await self._session.row(_SQL["over_for"], {"name": name})
        return None if row is None else float(row[0])

    async def forget(self, prefix: str) -> None:
        """Forget the leases whose names begin so and which ran out an hour ago."""
        await self._session.rows(_SQL["forget"], {"prefix": prefix})

    async def reach(
        self,
        index: str,
        *,
        epoch: str,
        told: Sequence[Reached],
        ahead: Mapping[int, Sequence[Position]] = MappingProxyType({}),
    ) -> set[int]:
        """Say what searches see, to whoever listens too; the partitions of which it was not said under a later lease.

        `ahead`: what they see behind the positions, in partitions that are told of; only who listens hears of it, and only
        where all were noted. Not durable: after a crash of the server it is said again.
        """
        if not told:
            return set()
        self._session.first(_SQL["relax"])
        parameters = {
            "index": index,
            "epoch": epoch,
            "partitions": [one.partition for one in told],
            "tokens": [one.token for one in told],
            "xids": [str(one.position.xid) for one in told],
            "seqs": [one.position.sequence for one in told],
            "caught_up": [one.caught_up for one in told],
            "ahead": "".join(f" {one}:{position}" for one, places in ahead.items() for position in places),
            "ahead_of": index + _AHEAD,
            "channel": REACHED_CHANNEL,
        }
        ((noted, *_),) = await self._session.rows(_SQL["reach"], parameters)
        return set(noted)

    async def reached(self, index: str) -> list[Reached]:
        """What searches see of each partition, as it was said last."""
        found = await self._session.rows(_SQL["reached"], {"index": index})
        return [
            Reached(
                partition=row[0],
                epoch=row[1],
                position=Position(xid=row[2], sequence=row[3]),
                caught_up=row[4],
                token=row[5],
            )
            for row in found
        ]


def read(payload: str, index: str) -> list[tuple[int, Position]]:
    """The positions with their partitions that `reach` told of this index; none where it is another's, or rows are to be read."""
    return _read(payload, index)


def read_ahead(payload: str, index: str) -> list[tuple[int, Position]]:
    """As `read`: what searches see ahead of those positions."""
    return _read(payload, index + _AHEAD)


def _read(payload: str, name: str) -> list[tuple[int, Position]]:
    told, *parts = payload.split(" ")
    return [_place(part) for part in parts] if told == name else []


def _place(part: str) -> tuple[int, Position]:
    partition, _, position = part.partition(":")
    xid, _, sequence = position.partition("-")
    return int(partition), Position(xid=int(xid), sequence=int(sequence))
