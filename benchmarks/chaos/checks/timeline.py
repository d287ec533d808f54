"""What became of one memory: its versions in the store's order, each with the call that wrote it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.chaos.history import Call, Kind, Outcome, Seen
from benchmarks.chaos.words import word_of

TEXTS = frozenset({Kind.ADD, Kind.UPSERT, Kind.PATCH})
_BY_HAND = {"forgotten": Kind.FORGET, "restored": Kind.RESTORE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One entry of a memory's history as it is at rest. `operation`: as the platform names it."""

    number: int
    operation: str
    content: str
    tenant: str
    external_id: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The same question answered twice, the second time with an empty cache: hits as (id, version)."""

    asked: str
    cached: tuple[tuple[str, int], ...]
    computed: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRest:
    """One tenant when the faults are over and the index has caught up.

    `listed`: every page of a listing of everything; `matched`: every page of a search for the word that all have; `total`: what
    that search counted; `found`: ids by unique word; `degraded`: what those searches said of themselves.
    """

    tenant: str
    histories: Mapping[str, tuple[Version, ...]]
    listed: tuple[Seen, ...] = ()
    matched: tuple[str, ...] = ()
    total: int = 0
    found: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    compared: tuple[Compared, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was broken. `calls`: the numbers of those that show it."""

    promise: str
    what: str
    calls: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeline:
    """`writers[i]` wrote `versions[i]`; None where nobody is known to have."""

    memory: str
    versions: Sequence[Version]
    writers: Sequence[Call | None]

    def at(self, number: int) -> Version | None:
        """The version of that number; None for 0, before the memory was, and for one that is not there."""
        return self.versions[number - 1] if 1 <= number <= len(self.versions) else None

    def window(self, sent: float, ended: float, *, indexed: bool = False) -> range:
        """The versions of which any may have been the current one for somebody who asked then; 0: none yet.

        Not older than the last write that had been acknowledged before; `indexed`: that had also been told that searches
        find it. Not newer than the last one that had been sent by the end.
        """
        oldest = newest = 0
        for version, writer in zip(self.versions, self.writers, strict=True):
            if writer is None:
                newest = version.number if newest == version.number - 1 else newest
                continue
            if writer.done_by < sent and (writer.indexed or not indexed):
                oldest = max(oldest, version.number)
            if writer.sent <= ended:
                newest = max(newest, version.number)
        return range(oldest, max(oldest, newest) + 1)

    def live(self, number: int) -> bool:
        version = self.at(number)
        return version is not None and not version.deleted


class Timelines:
    """Every memory that is known, and who wrote what."""

    def __init__(self, calls: Iterable[Call], rest: Iterable[AtRest]) -> None:
        self.calls = list(calls)
        self.rest = {one.tenant: one for one in rest}
        self.by_word = {word: call for call in self.calls for word in call.asked.get("words", ())}
        """The write that brought a word."""
        self._by_hand: dict[tuple[Kind, str, int], list[Call]] = defaultdict(list)
        for call in self.calls:
            if call.kind in _BY_HAND.values():
                self._by_hand[call.kind, call.asked["id"], call.asked["if_match"] + 1].append(call)
        self.memories = {
            memory: self._timeline(memory, versions)
            for one in self.rest.values()
            for memory, versions in one.histories.items()
        }
        self.places = self._places()
        """Where a word stands: memory and version, for every version of a memory whose content begins with it."""

    def of_call(self, call: Call) -> Timeline | None:
        """The memory that a call named."""
        return self.memories.get(call.asked.get("id", ""))

    def _timeline(self, memory: str, versions: Sequence[Version]) -> Timeline:
        return Timeline(memory, versions, [self._writer(memory, version) for version in versions])

    def _writer(self, memory: str, version: Version) -> Call | None:
        by_hand = _BY_HAND.get(version.operation)
        if by_hand is None:
            return self.by_word.get(word_of(version.content)) if version.operation != "expired" else None
        candidates = self._by_hand[by_hand, memory, version.number]
        # Of several that may have, the one that was told so; else the one that was sent first.
        told = [call for call in candidates if call.outcome is Outcome.OK]
        maybe = [call for call in candidates if call.outcome is Outcome.INFO]
        return next(iter([*told, *sorted(maybe, key=lambda call: call.sent)]), None)

    def _places(self) -> dict[str, list[tuple[str, int]]]:
        places: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for memory, timeline in self.memories.items():
            for version in timeline.versions:
                places[word_of(version.content)].append((memory, version.number))
        return places


def expires_within_the_run(call: Call | None) -> bool:
    """Whether what a call wrote comes to its end by itself, so that only the check of expiry can speak of it."""
    return call is not None and call.asked.get("ttl_s", math.inf) < 300
