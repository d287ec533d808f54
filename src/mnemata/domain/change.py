"""The change feed: what happened, in an order in which nothing can appear behind a reader."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import total_ordering

from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Operation


@total_ordering
@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the feed: the writing transaction's xid8, then the sequence number, within one epoch.

    Positions of different epochs are not comparable: an index of another epoch is rebuilt, never trusted.
    """

    xid: int
    sequence: int

    def __lt__(self, other: Position) -> bool:
        return (self.xid, self.sequence) < (other.xid, other.sequence)

    def __str__(self) -> str:
        return f"{self.xid}-{self.sequence}"


START = Position(xid=0, sequence=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of the feed."""

    position: Position
    tenant: TenantId
    memory_id: MemoryId
    version: int
    operation: Operation
    recorded_at: datetime
