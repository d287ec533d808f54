"""What the cache holds of memories, to be compared with the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from mnemata.cache.client import CacheClient
from mnemata.cache.keys import Keys
from mnemata.cache.memory_codec import memory_in
from mnemata.cache.packing import Damaged, Packer
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory

_MARK = ":m:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A value under a memory's key. `memory` None: there is none, it says. `readable`: False where its bytes are damaged."""

    key: str
    tenant: TenantId
    memory_id: MemoryId
    memory: Memory | None
    readable: bool
    raw: bytes


class Entries:
    def __init__(self, client: CacheClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._packer = Packer()

    async def all(self) -> AsyncIterator[Entry]:
        """Every memory that is cached, whatever is written meanwhile; none twice but by chance. Raises CacheDown."""
        async for _, key in self._client.scan(f"{self._keys.prefix}*{_MARK}*"):
            entry = await self.get(key.decode() if isinstance(key, bytes) else str(key))
            if entry is not None:
                yield entry

    async def get(self, key: str) -> Entry | None:
        """What is under a key; None where nothing is, or only a claim to fill it."""
        named = _named(key)
        raw = await self._client.command("GET", key)
        if named is None or not isinstance(raw, bytes):
            return None
        kind, payload = _taken_apart(raw)
        if kind == b"C":
            return None
        tenant, memory_id = named
        try:
            # Of another kind than a value it has no payload, which is damaged, too.
            _, values = self._packer.unpack(payload if kind == b"V" else b"")
            memory = None if values is None else memory_in(values)
        except (Damaged, ValueError, TypeError, IndexError, KeyError, AttributeError):
            return Entry(key=key, tenant=tenant, memory_id=memory_id, memory=None, readable=False, raw=raw)
        return Entry(key=key, tenant=tenant, memory_id=memory_id, memory=memory, readable=True, raw=raw)

    async def drop(self, entry: Entry) -> None:
        await self._client.command("DEL", entry.key)


def _named(key: str) -> tuple[TenantId, MemoryId] | None:
    """The tenant and the memory that a key is of."""
    head, mark, tail = key.rpartition(_MARK)
    _, brace, tenant = head.partition("}:")
    if not mark or not brace:
        return None
    try:
        return TenantId(tenant), MemoryId(UUID(tail))
    except ValueError:
        return None


def _taken_apart(raw: bytes) -> tuple[bytes, bytes]:
    """What kind of value it is, and the value: behind the epoch that it was written in."""
    _, _, rest = raw.partition(b"\n")
    return rest[:1], rest[1:]
