"""Idempotency keys: a repeated request finds what the first one made."""

from __future__ import annotations

from datetime import datetime

from mnemata.domain.clock import Clock
from mnemata.domain.errors import IdempotencyConflict
from mnemata.domain.ids import TenantId
from mnemata.store.connection import Session
from mnemata.store.repository import TenantRepository
from mnemata.store.statements import statements

_SQL = statements("bookkeeping")


class Idempotency(TenantRepository):
    """Claim and outcome belong into the transaction of the write itself: then they stand with it, or not at all."""

    def __init__(self, session: Session, tenant: TenantId, clock: Clock) -> None:
        super().__init__(session, tenant)
        self._clock = clock

    async def claim(self, key: str, fingerprint: bytes, *, expires_at: datetime) -> bytes | None:
        """None where the key is taken now; else the outcome of the request that took it.

        A request with the same key that is still running is waited for, up to the lock timeout. Raises
        IdempotencyConflict where the key was taken for another fingerprint, DeadlineExceeded.
        """
        parameters = {
            "tenant": self._tenant,
            "key": key,
            "fingerprint": fingerprint,
            "expires_at": expires_at,
            "now": self._clock.now(),
        }
        row = await self._session.row(_SQL["claim"], parameters)
        if row is None or row[0] != fingerprint:
            raise IdempotencyConflict(key=key)
        return row[1]

    async def keep(self, key: str, outcome: bytes) -> None:
        """Store what the write under a claimed key made."""
        await self._session.rows(_SQL["keep"], {"tenant": self._tenant, "key": key, "outcome": outcome})
