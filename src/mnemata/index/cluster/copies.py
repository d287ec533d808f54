"""Which copy of a shard answers a question."""

from __future__ import annotations

import hashlib

from mnemata.domain.ids import TenantId
from mnemata.domain.query import Words

_NOTHING_ASKED = Words()


def copy_for(tenant: TenantId, words: Words = _NOTHING_ASKED) -> str:
    """The `preference` of a search: the same question is answered by the same copy, different ones by all in turn.

    Copies of a shard are not alike: each merges for itself, so that what was deleted counts in the statistics of one and
    not of the other, and each has a graph of its own. Asked by turns, a page would not begin where the one before it ended.
    Where a copy is lost another one answers.
    """
    return hashlib.blake2b(repr((tenant, words)).encode(), digest_size=8).hexdigest()
