"""How long what is cached lives, by class."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

_JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """In seconds. `stale_s`: how long before its end one caller refreshes an answer while the others still take it."""

    answer_s: float = 300.0
    memory_s: float = 300.0
    unknown_s: float = 30.0
    vector_s: float = 86_400.0
    stale_s: float = 10.0
    lock_s: float = 5.0


def jittered_ms(seconds: float) -> int:
    """Milliseconds, up to a fifth shorter by chance: what was cached together does not end together."""
    whole = seconds * 1_000
    return max(1, int(whole - secrets.randbelow(1_000) / 1_000 * _JITTER * whole))


def until_ms(moment: datetime | None, now: datetime, limit_ms: int) -> int:
    """The limit, or what is left until the moment where that is sooner; 0 where it has passed."""
    if moment is None:
        return limit_ms
    return max(0, min(limit_ms, int((moment - now).total_seconds() * 1_000)))
