"""API keys and tenants, as they may be shown: a key's secret is not part of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mnemata.domain.ids import TenantId
from mnemata.domain.scope import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    id: str
    tenant: TenantId
    role: Role
    label: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """`memories`: how many it has stored and not purged."""

    id: TenantId
    created_at: datetime
    memories: int
