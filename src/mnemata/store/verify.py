"""Whether what is stored is what was stored: contents against hashes, memories against versions, versions against the feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnemata.domain.ids import MemoryId, TenantId
from mnemata.store.connection import Row
from mnemata.store.repository import Repository
from mnemata.store.statements import statements

_SQL = statements("verify")
_FIRST_ID = "00000000-0000-0000-0000-000000000000"

SLICES = 16
"""Parts into which what must be read as a whole is divided: a statement's time is bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A memory and what is wrong with it. `broken`: versions whose content has another hash.

    `loose`: versions that do not end where the next one begins. `differing`: columns in which the newest version is another;
    None where there is no such version.
    """

    memory_id: MemoryId
    tenant: TenantId
    version: int
    content_sound: bool
    key_sound: bool
    versions: int
    lowest: int
    highest: int
    broken: tuple[int, ...]
    loose: tuple[int, ...]
    differing: tuple[str, ...] | None
    tenant_known: bool

    @property
    def gapless(self) -> bool:
        return (self.lowest, self.highest, self.versions) == (1, self.version, self.version)

    @property
    def sound(self) -> bool:
        whole = self.content_sound and self.key_sound and self.gapless and self.tenant_known
        return whole and not self.broken and not self.loose and self.differing == ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of a memory by name."""

    memory_id: MemoryId
    tenant: TenantId
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVector:
    """A vector as it lies there: `data` is little-endian float32, `checksum` the CRC-32 that it had, where one was noted."""

    tenant: TenantId
    space: str
    key: bytes
    dimensions: int
    data: bytes
    checksum: int | None

    @property
    def place(self) -> tuple[TenantId, str, bytes]:
        return self.tenant, self.space, self.key


FIRST_VECTOR = (TenantId(""), "", b"")


class Verification(Repository):
    """Reads for comparing, and the few repairs of which it is certain what is right."""

    async def memories(self, *, after: MemoryId | None, limit: int) -> list[Checked]:
        """The next memories by id, each compared in one snapshot."""
        parameters = {"after": after or _FIRST_ID, "limit": limit}
        return [_checked(row) for row in await self._session.rows(_SQL["memories"], parameters)]

    async def untold(self, part: int, *, after: Version | None, limit: int) -> list[Version]:
        """The next memories by id whose current versions no change tells of."""
        parameters = {"slice": part, "after": after.memory_id if after else _FIRST_ID, "limit": limit}
        rows = await self._session.rows(_SQL["untold"], parameters)
        return [_version(row) for row in rows]

    async def orphans(self, part: int, *, after: Version | None, limit: int) -> list[Version]:
        """The next versions, by memory, of memories that are not there."""
        memory_id, version = (after.memory_id, after.version) if after else (_FIRST_ID, 0)
        parameters = {"slice": part, "after": memory_id, "version": version, "limit": limit}
        rows = await self._session.rows(_SQL["orphans"], parameters)
        return [_version(row) for row in rows]

    async def vectors(self, *, after: tuple[TenantId, str, bytes], limit: int) -> list[StoredVector]:
        """The next vectors by (tenant, space, key)."""
        tenant, space, key = after
        parameters = {"tenant": tenant, "space": space, "key": key, "limit": limit}
        rows = await self._session.rows(_SQL["vectors"], parameters)
        return [
            StoredVector(
                tenant=TenantId(row[0]),
                space=row[1],
                key=row[2],
                dimensions=row[3],
                data=row[4],
                checksum=row[5],
            )
            for row in rows
        ]

    async def memories_of(self, vector: StoredVector, *, limit: int) -> list[MemoryId]:
        """Memories whose current text the vector is of."""
        parameters = {"tenant": vector.tenant, "key": vector.key, "limit": limit}
        rows = await self._session.rows(_SQL["memory_of_vector"], parameters)
        return [MemoryId(row[0]) for row in rows]

    async def drop_vector(self, vector: StoredVector) -> None:
        parameters = {"tenant": vector.tenant, "space": vector.space, "key": vector.key}
        await self._session.rows(_SQL["drop_vector"], parameters)

    async def mend(self, statement: str, memory_id: MemoryId, version: int) -> bool:
        """Whether one of the repairs, by its name, applied to a memory at a version."""
        return bool(await self._session.rows(_SQL[statement], {"id": memory_id, "version": version}))


def _checked(row: Row) -> Checked:
    differing: Sequence[str] | None = row[10]
    return Checked(
        memory_id=MemoryId(row[0]),
        tenant=TenantId(row[1]),
        version=row[2],
        content_sound=row[3],
        key_sound=row[4],
        versions=row[5],
        lowest=row[6] or 0,
        highest=row[7] or 0,
        broken=tuple(row[8] or ()),
        loose=tuple(row[9] or ()),
        differing=None if differing is None else tuple(differing),
        tenant_known=row[11],
    )


def _version(row: Row) -> Version:
    return Version(memory_id=MemoryId(row[0]), tenant=TenantId(row[1]), version=row[2])
