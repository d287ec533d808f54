"""What a write answers, and how a repeated request gets the same answer again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mnemata.domain.memory import Memory


class WaitFor(StrEnum):
    """Whether a write returns when searches find it, or as soon as it is durable."""

    INDEX = "index"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A memory as a write left it.

    `created`: False for an upsert of a known `external_id`, a change or a restore. `changed`: False when the write
    said nothing new. `indexed`: whether searches find it by now; it is durable in any case. `replayed`: the answer
    of an earlier request with the same idempotency key.
    """

    memory: Memory
    created: bool
    changed: bool = True
    indexed: bool = True
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """An Idempotency-Key and the digest of the request it was first used for.

    The key is claimed in the transaction of the write itself: either both are there or neither.
    """

    key: str
    fingerprint: bytes
