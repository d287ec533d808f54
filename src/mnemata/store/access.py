"""Tenants and the API keys that open them. Secrets are hashed before they come here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from mnemata.domain.ids import TenantId
from mnemata.domain.scope import Role
from mnemata.store.connection import Row
from mnemata.store.repository import Repository
from mnemata.store.statements import statements

_SQL = statements("access")
_TOUCHED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """An API key as it is stored: a hash stands in for the secret."""

    id: str
    tenant: TenantId
    role: Role
    label: str
    secret_hash: bytes
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRow:
    """A tenant; `memories` are those that are neither deleted nor superseded."""

    id: TenantId
    created_at: datetime
    memories: int


class Access(Repository):
    async def add_tenant(self, tenant: TenantId, *, now: datetime) -> bool:
        """Whether the tenant was new: it is there afterwards."""
        return await self._session.row(_SQL["add_tenant"], {"tenant": tenant, "now": now}) is not None

    async def tenants(self) -> list[TenantRow]:
        """Every tenant, by name."""
        found = await self._session.rows(_SQL["tenants"])
        return [TenantRow(id=TenantId(row[0]), created_at=row[1], memories=row[2]) for row in found]

    async def add_key(self, key: StoredKey) -> None:
        """Store a key. Raises AlreadyExists, TenantNotFound."""
        identities = {"api_keys_pkey": key.id, "api_keys_tenant_fkey": key.tenant}
        await self._session.rows(_SQL["add_key"], asdict(key), identities=identities)

    async def key(self, key_id: str) -> StoredKey | None:
        """The key, revoked or not, or None."""
        row = await self._session.row(_SQL["key"], {"id": key_id})
        return None if row is None else _key(row)

    async def keys(self, tenant: TenantId) -> list[StoredKey]:
        """A tenant's keys, revoked ones too, the oldest first."""
        return [_key(row) for row in await self._session.rows(_SQL["keys"], {"tenant": tenant})]

    async def revoke(self, key_id: str, *, tenant: TenantId, now: datetime) -> bool:
        """Whether the tenant has such a key: it opens nothing from now on."""
        parameters = {"id": key_id, "tenant": tenant, "now": now}
        return await self._session.row(_SQL["revoke"], parameters) is not None

    async def touch(self, key_id: str, *, now: datetime) -> None:
        """Note that the key was used; written at most once a minute."""
        await self._session.rows(_SQL["touch"], {"id": key_id, "now": now, "before": now - _TOUCHED_EVERY})


def _key(row: Row) -> StoredKey:
    return StoredKey(
        id=row[0],
        tenant=TenantId(row[1]),
        role=Role(row[2]),
        label=row[3],
        secret_hash=row[4],
        created_at=row[5],
        last_used_at=row[6],
        revoked_at=row[7],
    )
