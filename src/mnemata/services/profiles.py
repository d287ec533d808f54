"""The profiles of users who search often, kept for a short while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from mnemata.ranking.personal import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was found for a user; `profile` is None where the user has no memories."""

    profile: Profile | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    known: Known
    fresh: Hashable
    until: float


class ProfileCache:
    """At most `capacity` users, the least recently asked for going first; each as long as nothing was written, and `keep_s` at most.

    `freshness` gives what changes with every write that searches see. `monotonic`: seconds.
    """

    def __init__(
        self,
        *,
        capacity: int,
        keep_s: float,
        freshness: Callable[[], Hashable],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity
        self._keep_s = keep_s
        self._freshness = freshness
        self._monotonic = monotonic
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def freshness(self) -> Hashable:
        """To be taken before the store is read, and given to `keep`: a write in between must not be missed."""
        return self._freshness()

    def get(self, key: Hashable) -> Known | None:
        """What is known of the user, or None where the store must be asked."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.fresh != self._freshness() or kept.until <= self._monotonic():
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return kept.known

    def keep(self, key: Hashable, known: Known, *, fresh: Hashable) -> None:
        """Remember what was read from the store after `fresh` was taken."""
        self._kept[key] = _Kept(known=known, fresh=fresh, until=self._monotonic() + self._keep_s)
        self._kept.move_to_end(key)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
