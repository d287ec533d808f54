"""The Idempotency-Key of a write: the same key with the same request gives the first answer again."""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request

from mnemata.domain.errors import InvalidField
from mnemata.services.outcome import Once

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def once_of(request: Request) -> Once | None:
    """The key and the digest of everything that makes the request what it is; None without the header."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidField(
            field=HEADER,
            reason="is not 1 to 255 printable ASCII characters without spaces",
            remedy="Send a new UUID for every new request",
        )
    digest = hashlib.sha256()
    for part in (
        request.method.encode(),
        request.url.path.encode(),
        request.url.query.encode(),
        request.headers.get("if-match", "").encode(),
        await request.body(),
    ):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return Once(key=key, fingerprint=digest.digest())
