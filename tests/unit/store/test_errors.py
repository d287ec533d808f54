from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout

from mnemata.domain.errors import (
    DeadlineExceeded,
    MnemataError,
    PoolExhausted,
    StorageFull,
    StoreUnavailable,
    VersionMismatch,
)
from mnemata.store.errors import Limits, translate, translated

LIMITS = Limits(acquire_s=1, statement_s=2, lock_s=3)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.QueryCanceled(), DeadlineExceeded),
        (errors.LockNotAvailable(), DeadlineExceeded),
        (PoolTimeout(), PoolExhausted),
        (PoolClosed(), StoreUnavailable),
        (errors.DiskFull(), StorageFull),
        (psycopg.OperationalError("PANIC: could not write: No space left on device"), StorageFull),
        (errors.AdminShutdown(), StoreUnavailable),
        (errors.CrashShutdown(), StoreUnavailable),
        (errors.CannotConnectNow(), StoreUnavailable),
        (errors.TooManyConnections(), StoreUnavailable),
        (errors.SerializationFailure(), StoreUnavailable),
        (errors.DeadlockDetected(), StoreUnavailable),
        (errors.ReadOnlySqlTransaction(), StoreUnavailable),
        (psycopg.OperationalError("gone"), StoreUnavailable),
        (ConnectionResetError(), StoreUnavailable),
        (errors.UniqueViolation(), MnemataError),
        (errors.ForeignKeyViolation(), MnemataError),
        (errors.SyntaxError(), MnemataError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_drivers_error_says_the_same_in_our_words(error, expected):
    assert type(translate(error, LIMITS)) is expected


def test_cause_is_kept_and_our_own_errors_pass():
    with pytest.raises(StoreUnavailable) as lost, translated(LIMITS):
        raise errors.AdminShutdown
    assert isinstance(lost.value.__cause__, errors.AdminShutdown)
    with pytest.raises(VersionMismatch), translated(LIMITS):
        raise VersionMismatch(memory_id="m", expected=1, actual=2)


def test_what_can_be_tried_again_says_when():
    for error in (errors.AdminShutdown(), PoolTimeout(), errors.DiskFull()):
        assert translate(error, LIMITS).retry_after_s
    assert translate(errors.SyntaxError(), LIMITS).retry_after_s is None
