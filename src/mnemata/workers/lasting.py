"""Which errors come again for the same memory, and which may pass."""

from __future__ import annotations

from mnemata.domain.errors import IndexDamaged, IndexUnavailable, Kind, MnemataError

_PASSING = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT})
_RETRY_AFTER_S = 1.0


def lasting(error: Exception) -> str:
    """The code of an error that waiting does not help against; one that may pass is raised, as ours."""
    match error:
        case IndexDamaged():
            # A tenant's files, opened again after a rest. What is set aside is in the index that a start builds anew.
            return error.code
        case MnemataError() if error.kind in _PASSING:
            raise error
        case MnemataError():
            return error.code
        case OSError() | MemoryError():
            reason = type(error).__name__
            raise IndexUnavailable(
                what="the search index", reason=reason, retry_after_s=_RETRY_AFTER_S
            ) from error
        case _:
            return type(error).__name__
