"""Whether what the server holds may be read: its epoch, and whether it has been told of everything this process knows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from mnemata.domain.change import START, Position

Known = Callable[[], Sequence[Position]]
"""How far searches see, by partition of the feed, as this process knows it: writes up to there are complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Of one bucket: nothing of another `epoch` is read; `published` is the watermark by partition."""

    epoch: str
    published: tuple[tuple[int, Position], ...]


class Standing:
    """Reads the record of epoch and watermarks, and compares it with what this process knows."""

    def __init__(self, known: Known, *, caught_up: Callable[[], bool]) -> None:
        self._known = known
        self._caught_up = caught_up
        self._last: tuple[bytes, Meta | None] = (b"", None)
        self.trusted = True
        """False from an invalidation that may not have arrived until a new epoch has begun."""
        self.sure_until = math.inf
        """By the monotonic clock: from then on another process may not have been able to tell the cache something."""

    def epoch_of(self, raw: bytes | None) -> str | None:
        """The epoch, where the server knows all that this process knows; else None: go past the cache."""
        if not raw or not self.trusted or time.monotonic() > self.sure_until:
            return None
        if not self._caught_up():
            # Who uses another index changes memories long before this one's followers, who tell this cache, come to that.
            return None
        meta = self._read(raw)
        if meta is None:
            return None
        published = dict(meta.published)
        for partition, position in enumerate(self._known()):
            if published.get(partition, START) < position:
                return None
        return meta.epoch

    def _read(self, raw: bytes) -> Meta | None:
        # It changes with a write, and is read by every search in between.
        if raw != self._last[0]:
            self._last = (raw, _parsed(raw))
        return self._last[1]


def _parsed(raw: bytes) -> Meta | None:
    try:
        decoded = msgspec.json.decode(raw)
        published = {int(partition): position_of(text) for partition, text in decoded["p"].items()}
        return Meta(epoch=str(decoded["e"]), published=tuple(published.items()))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError):
        return None


def position_of(text: str) -> Position:
    """The position that `str` gave. Raises ValueError."""
    xid, _, sequence = text.partition("-")
    return Position(xid=int(xid), sequence=int(sequence))
