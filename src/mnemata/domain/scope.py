"""Who asks, and what they may see. Every read and write carries a scope that comes from the credential."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mnemata.domain.errors import Forbidden
from mnemata.domain.ids import TenantId

DEFAULT_TENANT = TenantId("default")


class Role(StrEnum):
    """What a credential may do, each including the one before: read, write, administer a tenant, run the platform."""

    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"
    OPERATOR = "operator"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The tenant and role of a credential. Required by every use case, down to the SQL and the index filter."""

    tenant: TenantId
    role: Role = Role.WRITER

    def require(self, needed: Role) -> None:
        """Pass, or raise Forbidden."""
        if self.role.rank < needed.rank:
            raise Forbidden(role=self.role.value, needed=needed.value)
