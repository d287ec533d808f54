"""Identifiers: UUIDv7 (RFC 9562, section 5.7), ordered by time and, within one process, strictly increasing."""

from __future__ import annotations

import secrets
import threading
import time
from typing import NewType, Protocol
from uuid import UUID

MemoryId = NewType("MemoryId", UUID)
TenantId = NewType("TenantId", str)
JobId = NewType("JobId", UUID)
"""What callers know a job by: random, so that it tells nothing of other jobs."""

_RANDOM_BITS = 74


class IdFactory(Protocol):
    """Makes identifiers. Two implementations: UUIDv7 and, in tests, a seeded one."""

    def new(self) -> MemoryId: ...


class Uuid7Factory:
    """UUIDv7 with 74 random bits that count upwards within one millisecond (RFC 9562, section 6.2, method 2)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = 0
        self._tail = 0

    def new(self) -> MemoryId:
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            if now_ms > self._last_ms:
                self._last_ms = now_ms
                # The top bit is left free, so that counting up within the millisecond cannot overflow.
                self._tail = secrets.randbits(_RANDOM_BITS - 1)
            else:
                self._tail += 1 + secrets.randbits(32)
            return MemoryId(_uuid7(self._last_ms, self._tail))


class SequentialIds:
    """Identifiers that are the same in every run: for tests."""

    def __init__(self, start_ms: int = 1_767_225_600_000) -> None:
        self._ms = start_ms
        self._count = 0

    def new(self) -> MemoryId:
        self._count += 1
        return MemoryId(_uuid7(self._ms, self._count))


def _uuid7(unix_ms: int, tail: int) -> UUID:
    rand_a = (tail >> 62) & 0xFFF
    rand_b = tail & ((1 << 62) - 1)
    value = (unix_ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b
    return UUID(int=value)
