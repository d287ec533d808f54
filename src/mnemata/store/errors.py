"""The driver's errors in our words: translated here, once, cause chained."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout

from mnemata.domain.errors import (
    AlreadyExists,
    DeadlineExceeded,
    MnemataError,
    OutcomeUnknown,
    PoolExhausted,
    StorageFull,
    StoreUnavailable,
    TenantNotFound,
)
from mnemata.observability.logging import get_logger

log = get_logger("store")

RETRY_AFTER_S = 1.0
FULL_RETRY_AFTER_S = 30.0

_NO_SPACE = re.compile(r"No space left on device|could not extend file|Disk quota exceeded", re.IGNORECASE)

_UNIQUE = {
    "memories_pkey": "memory",
    "memories_by_external_id": "memory with the external_id",
    "api_keys_pkey": "API key",
}
_NOTHING_NAMED: Mapping[str, str] = MappingProxyType({})
_TENANT_KEYS = frozenset({"memories_tenant_fkey", "api_keys_tenant_fkey"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a sentence about a limit needs to say: seconds."""

    acquire_s: float
    statement_s: float
    lock_s: float


@contextmanager
def translated(limits: Limits, identities: Mapping[str, str] = _NOTHING_NAMED) -> Generator[None]:
    """Raise the driver's errors as StoreUnavailable, StorageFull, DeadlineExceeded, PoolExhausted and their like.

    `identities`: what to name where a constraint, by its name, is violated. PostgreSQL keeps the values to itself under
    row-level security.
    """
    try:
        yield
    except (psycopg.Error, OSError) as error:
        raise translate(error, limits, identities) from error


def translate(
    error: BaseException, limits: Limits, identities: Mapping[str, str] = _NOTHING_NAMED
) -> MnemataError:
    """The error of ours that says the same. What is nobody's fault but ours becomes a MnemataError, logged."""
    constraint = (error.diag.constraint_name if isinstance(error, psycopg.Error) else None) or ""
    match error:
        case errors.QueryCanceled():
            return DeadlineExceeded(what="A database statement", limit_s=limits.statement_s)
        case errors.LockNotAvailable():
            return DeadlineExceeded(what="Waiting for a locked row", limit_s=limits.lock_s)
        case PoolTimeout():
            return PoolExhausted(
                what="A database connection",
                reason=f"all were busy for {limits.acquire_s:g} s",
                retry_after_s=RETRY_AFTER_S,
            )
        case psycopg.Error() if is_full(error):
            return full()
        case errors.UniqueViolation() if constraint in _UNIQUE:
            return AlreadyExists(what=_UNIQUE[constraint], identity=identities.get(constraint, ""))
        case errors.ForeignKeyViolation() if constraint in _TENANT_KEYS:
            return TenantNotFound(tenant=identities.get(constraint, ""))
        case PoolClosed() | OSError():
            return unavailable("it is closed" if isinstance(error, PoolClosed) else "the connection broke")
        case errors.SerializationFailure() | errors.DeadlockDetected():
            return unavailable("another transaction was in the way")
        case errors.ReadOnlySqlTransaction():
            return unavailable("the server is a standby")
        case psycopg.OperationalError():
            return unavailable(_reason(error))
        case _:
            log.error(
                "statement_failed", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None)
            )
            return MnemataError()


def full() -> StorageFull:
    return StorageFull(what="Storage", reason="the disk is full", retry_after_s=FULL_RETRY_AFTER_S)


def unavailable(reason: str) -> StoreUnavailable:
    return StoreUnavailable(what="The store", reason=reason, retry_after_s=RETRY_AFTER_S)


def outcome_unknown() -> OutcomeUnknown:
    return OutcomeUnknown(what="The store", reason="the connection broke", retry_after_s=RETRY_AFTER_S)


def was_refused(error: BaseException | None) -> bool:
    """Whether the server itself said that it did not commit. One that was being ended may have, and have no time to say so."""
    return (
        isinstance(error, psycopg.Error)
        and error.sqlstate is not None
        and not error.sqlstate.startswith(("08", "57P"))
    )


def is_full(error: psycopg.Error) -> bool:
    """Whether the disk is full: said by code, or, where the server went down over it, only in words."""
    return isinstance(error, errors.DiskFull) or bool(_NO_SPACE.search(str(error)))


def _reason(error: psycopg.OperationalError) -> str:
    match error:
        case errors.AdminShutdown() | errors.CrashShutdown():
            return "the server is shutting down"
        case errors.CannotConnectNow():
            return "the server is starting"
        case errors.TooManyConnections():
            return "the server has no connection left"
        case _:
            return "the connection broke"
