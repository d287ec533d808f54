"""ETags and the headers that depend on them: the ETag of a memory is its version in quotes."""

from __future__ import annotations

import re

from starlette.requests import Request

from mnemata.domain.errors import InvalidField
from mnemata.domain.memory import Memory

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_STRONG = re.compile(r'"(\d{1,18})"')


def etag(memory: Memory) -> str:
    return f'"{memory.version}"'


def if_match(request: Request) -> int | None:
    """The version that the caller expects; None without the header, or for `*`."""
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    found = _STRONG.fullmatch(given.strip())
    if found is None:
        raise InvalidField(
            field="If-Match",
            reason="is not one strong entity tag",
            remedy='Send the ETag as it came, such as "3", or *',
        )
    return int(found.group(1))


def unchanged(request: Request, memory: Memory) -> bool:
    """Whether If-None-Match says that the caller has this version already."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    return given.strip() == "*" or str(memory.version) in _TAG.findall(given)
