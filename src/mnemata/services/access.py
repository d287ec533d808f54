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
from mnemata.domain.errors import InvalidField, KeyNotFound, Unauthenticated
from mnemata.domain.ids import TenantId
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.store.database import Database

_CREDENTIAL = re.compile(r"mk_([a-z0-9]{16})_([A-Za-z0-9_-]{43})")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ID_BYTES = 8
_SECRET_BYTES = 32
_CACHED = 1_024
_CACHED_FOR = timedelta(seconds=5)
_USE_NOTED_EVERY = timedelta(minutes=5)
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
        self._known: OrderedDict[str, tuple[datetime, ApiKey, bytes]] = OrderedDict()

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
        key, digest = await self._look_up(form[1]) if form else (None, _ABSENT)
        same = hmac.compare_digest(_digest(form[2] if form else ""), digest)
        if key is None or not same or key.revoked_at is not None:
            raise Unauthenticated(reason="This API key is not known")
        await self._note_use(key)
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
        key_id = secrets.token_hex(_ID_BYTES)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        key = ApiKey(
            id=key_id,
            tenant=owner,
            role=role,
            label=label,
            created_at=self._clock.now(),
            last_used_at=None,
            revoked_at=None,
        )
        async with self._database.platform() as transaction:
            await transaction.access.ensure_tenant(owner, now=key.created_at)
            await transaction.access.add_key(key, digest=_digest(secret))
        return NewApiKey(key=key, secret=f"mk_{key_id}_{secret}")

    async def list_keys(self, scope: Scope) -> tuple[ApiKey, ...]:
        """The keys of the caller's tenant, newest first; an operator sees those of every tenant."""
        scope.require(Role.ADMIN)
        async with self._database.platform() as transaction:
            return tuple(await transaction.access.keys(None if scope.role is Role.OPERATOR else scope.tenant))

    async def revoke_key(self, scope: Scope, key_id: str) -> None:
        """The key opens nothing any more. Raises KeyNotFound, also for another tenant's key."""
        scope.require(Role.ADMIN)
        owner = None if scope.role is Role.OPERATOR else scope.tenant
        async with self._database.platform() as transaction:
            revoked = await transaction.access.revoke_key(key_id, tenant=owner, now=self._clock.now())
        self._known.pop(key_id, None)
        if not revoked:
            raise KeyNotFound(key_id=key_id)

    async def list_tenants(self, scope: Scope) -> tuple[Tenant, ...]:
        """Every tenant with the count of its memories. Operators only."""
        scope.require(Role.OPERATOR)
        async with self._database.platform() as transaction:
            return tuple(await transaction.access.tenants())

    async def _look_up(self, key_id: str) -> tuple[ApiKey | None, bytes]:
        now = self._clock.now()
        known = self._known.get(key_id)
        if known is not None and now - known[0] < _CACHED_FOR:
            return known[1], known[2]
        async with self._database.platform() as transaction:
            found = await transaction.access.key(key_id)
        if found is None:
            return None, _ABSENT
        self._known[key_id] = (now, *found)
        while len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return found

    async def _note_use(self, key: ApiKey) -> None:
        now = self._clock.now()
        if key.last_used_at is not None and now - key.last_used_at < _USE_NOTED_EVERY:
            return
        async with self._database.platform() as transaction:
            await transaction.access.note_use(key.id, now=now)
        self._known.pop(key.id, None)


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
