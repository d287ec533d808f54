"""What an index keeps beside each memory so that it can be compared with the store: a mark of all that it was told.

Ranges of ids are compared by the sum of their marks first; only ranges that differ are looked at memory by memory. That is
the leaf level of the hash trees by which replicas find what they do not share (Merkle 1987; DeCandia et al. 2007, 4.7).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from mnemata.domain.attributes import attribute_terms
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory

HALF_BITS = 32
_LOW = (1 << HALF_BITS) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A memory in an index. `whole`: False where the parts of the index do not agree about it."""

    tenant: TenantId
    memory_id: MemoryId
    version: int
    mark: int
    whole: bool = True

    @property
    def key(self) -> MemoryKey:
        return self.tenant, self.memory_id


MemoryKey = tuple[TenantId, MemoryId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The ids behind `after` up to and with `upto`; None: from the first, to the last."""

    after: MemoryId | None = None
    upto: MemoryId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Of the memories of a span: how many, and the sums of the two halves of their marks.

    In halves, because clusters add in doubles: up to two million memories a span the sums are exact.
    """

    count: int = 0
    low: int = 0
    high: int = 0

    @classmethod
    def of(cls, held: Iterable[Held]) -> Digest:
        marks = [one.mark for one in held]
        return cls(
            count=len(marks),
            low=sum(mark & _LOW for mark in marks),
            high=sum(mark >> HALF_BITS for mark in marks),
        )


class Listing(Protocol):
    """What an index holds, of all tenants, in the order of ids. What changes meanwhile may show or not."""

    async def digests(self, spans: Sequence[Span]) -> Sequence[Digest]:
        """One for each span."""
        ...

    async def held(self, span: Span, *, limit: int) -> Sequence[Held]:
        """The first of the span, at most `limit`."""
        ...


def mark_of(memory: Memory, vector: NDArray[np.float32] | None, *, before: str, after: str) -> int:
    """64 bits (BLAKE2b) of everything that an index is told of a memory.

    The vector counts at half precision, which is what engines keep of it. Metadata counts as the terms it is filtered by.
    """
    said = (
        str(memory.tenant),
        memory.id.hex,
        memory.version,
        memory.content,
        memory.kind,
        memory.user_id,
        memory.agent_id,
        memory.session_id,
        memory.sequence,
        memory.role,
        memory.tags,
        attribute_terms(memory.metadata) if memory.metadata else (),
        float(memory.importance),
        memory.source,
        memory.external_id,
        memory.occurred_at,
        memory.created_at,
        memory.updated_at,
        memory.expires_at,
        before,
        after,
    )
    digest = hashlib.blake2b(orjson.dumps(said, option=orjson.OPT_UTC_Z), digest_size=8)
    if vector is not None:
        digest.update(vector.astype(np.float16).tobytes())
    return int.from_bytes(digest.digest(), "big")


def halves(mark: int) -> tuple[int, int]:
    """The low and the high 32 bits."""
    return mark & _LOW, mark >> HALF_BITS


def joined(low: int, high: int) -> int:
    """The mark of two halves."""
    return high << HALF_BITS | low
