"""Opaque cursors: where a listing or a search goes on, and a fingerprint of what it belongs to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from mnemata.domain.errors import InvalidCursor

_FORMAT = 1


def fingerprint(*parts: object) -> str:
    """A short digest of everything that must be the same on every page."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "replace"), digest_size=9).hexdigest()


def encode(mark: str, state: list[Any]) -> str:
    """A cursor that goes on from `state` (JSON values) in the listing of fingerprint `mark`."""
    data = json.dumps([_FORMAT, mark, state], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(cursor: str, mark: str) -> list[Any]:
    """The state of a cursor; raises InvalidCursor where it is damaged or belongs to something else."""
    try:
        data = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        kind, owner, state = json.loads(data)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise InvalidCursor(reason="it is damaged") from None
    if kind != _FORMAT or not isinstance(state, list):
        raise InvalidCursor(reason="it is of another version")
    if owner != mark:
        raise InvalidCursor(reason="it belongs to another query, filter or order")
    return state
