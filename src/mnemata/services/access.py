"""Who may come in: API keys, hashed in the store, each bound to one tenant and one role."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from mnemata.domain.access import ApiKey, Tenant
from mnemata.domain.clock import Clock
from mnemata.domain.errors import InvalidField, KeyNotFound, MnemataError, Unauthenticated
from mnemata.domain.ids import TenantId
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.observability.logging import get_logger
from mnemata.store.access import StoredKey
from mnemata.store.database import Database

log = get_logger("services")

_CREDENTIAL = re.compile(r"mk_([a-z0-9]{16})_([A-Za-z0-9_-]{43})")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ID_BYTES = 8
_SECRET_BYTES = 32
_CACHED = 1_024
_CACHED_FOR = timedelta(seconds=5)
_MAX_LABEL = 128
_ABSENT = hashlib.sha256(b"no such key").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiKey:
    """A key with its secret, which is shown this once and stored only as a hash."""

    key: ApiKey
    secret: str


class Access:
    def __init__(self, database: Database, *, required: bool, clock: Clock) -> None:
        self._database = database
        self._required = required
        self._clock = clock
        self._known: OrderedDict[str, tuple[datetime, StoredKey]] = OrderedDict()

    @property
    def required(self) -> bool:
        return self._required

    async def authenticate(self, credential: str | None) -> Scope:
        """The scope of a credential. Without one, where none is required: the default tenant, every right.

        Raises Unauthenticated with the same words for an unknown, a wrong and a revoked key.
        """
        if credential is None:
            if self._required:
                raise Unauthenticated(reason="This needs an API key")
            return Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)
        form = _CREDENTIAL.fullmatch(credential)
        key = await self._look_up(form[1]) if form else None
        # Compared in any case: how long this takes tells nothing of whether there is such a key.
        same = hmac.compare_digest(
            _digest(form[2] if form else ""), _ABSENT if key is None else key.secret_hash
        )
        if key is None or not same or key.revoked_at is not None:
            raise Unauthenticated(reason="This API key is not known")
        return Scope(tenant=key.tenant, role=key.role)

    async def create_key(
        self, scope: Scope, *, role: Role, label: str = "", tenant: TenantId | None = None
    ) -> NewApiKey:
        """A new key of the caller's tenant; an operator may name another tenant, which is made when it is new.

        Raises Forbidden for a role above the caller's or a tenant that is not the caller's.
        """
        scope.require(Role.ADMIN)
        scope.require(role)
        owner = scope.tenant if tenant is None else tenant
        if owner != scope.tenant:
            scope.require(Role.OPERATOR)
        _check_names(owner, label)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        key = StoredKey(
            id=secrets.token_hex(_ID_BYTES),
            tenant=owner,
            role=role,
            label=label,
            secret_hash=_digest(secret),
            created_at=self._clock.now(),
        )
        async with self._database.platform() as transaction:
            await transaction.access.add_tenant(owner, now=key.created_at)
            await transaction.access.add_key(key)
        return NewApiKey(key=_shown(key), secret=f"mk_{key.id}_{secret}")

    async def list_keys(self, scope: Scope) -> tuple[ApiKey, ...]:
        """The keys of the caller's tenant, revoked ones too; an operator sees those of every tenant."""
        scope.require(Role.ADMIN)
        async with self._database.platform() as transaction:
            owners = [scope.tenant]
            if scope.role is Role.OPERATOR:
                owners = [tenant.id for tenant in await transaction.access.tenants()]
            found = [key for owner in owners for key in await transaction.access.keys(owner)]
        return tuple(_shown(key) for key in found)

    async def revoke_key(self, scope: Scope, key_id: str) -> None:
        """The key opens nothing any more. Raises KeyNotFound, also for another tenant's key."""
        scope.require(Role.ADMIN)
        async with self._database.platform() as transaction:
            key = await transaction.access.key(key_id)
            if key is None or (key.tenant != scope.tenant and scope.role is not Role.OPERATOR):
                raise KeyNotFound(key_id=key_id)
            await transaction.access.revoke(key_id, tenant=key.tenant, now=self._clock.now())
        self._known.pop(key_id, None)

    async def list_tenants(self, scope: Scope) -> tuple[Tenant, ...]:
        """Every tenant with the count of its memories. Operators only."""
        scope.require(Role.OPERATOR)
        async with self._database.platform() as transaction:
            found = await transaction.access.tenants()
        return tuple(Tenant(id=row.id, created_at=row.created_at, memories=row.memories) for row in found)

    async def _look_up(self, key_id: str) -> StoredKey | None:
        """The key, at most a few seconds old: another process may have revoked it."""
        now = self._clock.now()
        known = self._known.get(key_id)
        # Not from the future either: a clock that was set back would keep a revoked key for as long.
        if known is not None and timedelta(0) <= now - known[0] < _CACHED_FOR:
            return known[1]
        async with self._database.platform() as transaction:
            found = await transaction.access.key(key_id)
        if found is not None:
            self._known[key_id] = (now, found)
            await self._note_use(found, now)
        while len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return found

    async def _note_use(self, key: StoredKey, now: datetime) -> None:
        """Noting is a courtesy: where nothing can be written, reading goes on."""
        if key.revoked_at is not None:
            return
        try:
            async with self._database.platform() as transaction:
                await transaction.access.touch(key.id, now=now)
        except MnemataError as error:
            log.warning("key_use_not_noted", key_id=key.id, code=error.code)


def _shown(key: StoredKey) -> ApiKey:
    return ApiKey(
        id=key.id,
        tenant=key.tenant,
        role=key.role,
        label=key.label,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
    )


def _digest(secret: str) -> bytes:
    # A plain hash is enough: the secret is 256 random bits, nothing that could be guessed from a list.
    return hashlib.sha256(secret.encode()).digest()


def _check_names(tenant: str, label: str) -> None:
    if not _TENANT.fullmatch(tenant):
        raise InvalidField(
            field="tenant",
            reason="is not a tenant's name",
            remedy="Use 1 to 63 lower-case letters, digits, '-' and '_', beginning with a letter or digit",
        )
    if len(label) > _MAX_LABEL or not label.isprintable():
        raise InvalidField(
            field="label", reason="is too long or not printable", remedy=f"Use up to {_MAX_LABEL} characters"
        )
