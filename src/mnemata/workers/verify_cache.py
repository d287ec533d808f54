"""Compares the memories that are cached with the store. What cannot be read, is old or is another, is taken away."""

from __future__ import annotations

import asyncio

from mnemata.cache.client import CacheDown
from mnemata.cache.entries import Entries, Entry
from mnemata.domain.errors import CacheUnavailable
from mnemata.domain.fault import Fault, Findings, Part
from mnemata.domain.memory import Memory
from mnemata.domain.scope import Scope
from mnemata.observability.logging import get_logger
from mnemata.store.database import Database

log = get_logger("workers")

_REPAIR = "mnemata verify --cache --repair"
_PAUSE_S = 0.2
_LOOKS = 3
"""A write takes away what is cached right after its commit: what differs is looked at again before it is believed."""


class CacheVerifier:
    def __init__(self, database: Database, entries: Entries | None) -> None:
        self._database = database
        self._entries = entries

    async def verify(self, *, repair: bool, findings: Findings) -> None:
        """Compare every memory that is cached; nothing where there is no cache. Raises CacheUnavailable."""
        if self._entries is None:
            return
        try:
            async for entry in self._entries.all():
                findings.checked["cached_memories"] += 1
                fault = await self._fault(self._entries, entry)
                if fault is None:
                    continue
                if repair:
                    await self._entries.drop(entry)
                    fault = fault.mended()
                log.error("cache_differs", what=fault.what, memory_id=str(entry.memory_id), repaired=repair)
                findings.add(fault)
        except CacheDown as error:
            raise CacheUnavailable(what="The cache", reason=f"it gave no answer ({error.reason})") from error

    async def _fault(self, entries: Entries, entry: Entry) -> Fault | None:
        """What is wrong with it, and still is after a while in which it did not change."""
        told = await self._told(entry)
        for _ in range(_LOOKS):
            if told is None:
                return None
            await asyncio.sleep(_PAUSE_S)
            again = await entries.get(entry.key)
            if again is None or again.raw != entry.raw:
                return None
            told = await self._told(entry)
        if told is None:
            return None
        what, field, detail = told
        return Fault(
            part=Part.CACHE,
            what=what,
            detail=detail,
            remedy=_REPAIR,
            tenant=entry.tenant,
            memory_id=entry.memory_id,
            field=field,
        )

    async def _told(self, entry: Entry) -> tuple[str, str | None, str] | None:
        if not entry.readable:
            return "damaged", None, "its bytes do not have their checksum"
        async with self._database.tenant(Scope(tenant=entry.tenant)) as transaction:
            stored = await transaction.memories.get(entry.memory_id)
        return _difference(entry.memory, stored)


def _difference(cached: Memory | None, stored: Memory | None) -> tuple[str, str | None, str] | None:
    if cached == stored:
        return None
    if cached is None or stored is None:
        there, gone = ("store", "cache") if cached is None else ("cache", "store")
        return "stale", None, f"it is in the {there}, and by the {gone} there is none"
    if cached.version != stored.version:
        return "stale", "version", f"version {cached.version} is cached, {stored.version} is stored"
    for name in cached.__slots__:
        if getattr(cached, name) != getattr(stored, name):
            return "different", name, f"{name} is another at the same version"
    return "different", None, "it is another at the same version"
