"""Fresh memories: a small segment in memory, searched together with the main one until it is folded into it.

One thread writes; searches read `FreshView`s. The segment only grows, and a view knows how far it may look, so that a
view never changes and needs no lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mnemata.domain.filter import Filter, matches
from mnemata.index.local.document import TEXT_FIELDS, IndexedMemory
from mnemata.index.local.words import Constraints
from mnemata.index.weights import CONTENT


class FreshSegment:
    """Memories in the order they came, and by field and token the ordinals of those that have it."""

    def __init__(self) -> None:
        self.documents: list[IndexedMemory] = []
        self.postings: dict[str, defaultdict[str, list[int]]] = {
            name: defaultdict(list) for name in TEXT_FIELDS
        }

    def add(self, memory: IndexedMemory) -> int:
        ordinal = len(self.documents)
        self.documents.append(memory)
        for field, frequencies in memory.frequencies.items():
            postings = self.postings[field]
            for token in frequencies:
                postings[token].append(ordinal)
        return ordinal


@dataclass(frozen=True, slots=True)
class FreshView:
    """The segment as it was at one moment.

    `current`: key -> ordinal of its newest version. `touched`: every key upserted or removed since the segment began:
    older layers must not show those.
    """

    segment: FreshSegment
    current: Mapping[int, int]
    touched: frozenset[int]

    @classmethod
    def empty(cls) -> FreshView:
        return cls(FreshSegment(), {}, frozenset())

    def after(self, changes: Sequence[IndexedMemory | int]) -> FreshView:
        """The view once the changes happened, in order: a memory came, or the one with that key went."""
        current = dict(self.current)
        for change in changes:
            if isinstance(change, int):
                current.pop(change, None)
            else:
                current[change.key] = self.segment.add(change)
        keys = (change if isinstance(change, int) else change.key for change in changes)
        return FreshView(self.segment, current, self.touched.union(keys))

    @property
    def removed(self) -> frozenset[int]:
        return self.touched - self.current.keys()

    def memories(self) -> Iterator[IndexedMemory]:
        return (self.segment.documents[ordinal] for ordinal in self.current.values())

    def having(self, field: str, token: str) -> list[IndexedMemory]:
        """The current memories that have the token in the field."""
        found = self.segment.postings[field].get(token)
        if found is None:
            return []
        # A copy: the writer may append to this very list while it is read.
        documents = map(self.segment.documents.__getitem__, tuple(found))
        return [memory for memory in documents if self._is_current(memory)]

    def tokens_starting_with(self, field: str, prefix: str) -> list[str]:
        return [token for token in list(self.segment.postings[field]) if token.startswith(prefix)]

    def lengths(self, field: str) -> int:
        """Tokens of the field over all current memories."""
        return sum(memory.lengths.get(field, 0) for memory in self.memories())

    def _is_current(self, memory: IndexedMemory) -> bool:
        ordinal = self.current.get(memory.key)
        return ordinal is not None and self.segment.documents[ordinal] is memory


def satisfies(memory: IndexedMemory, condition: Filter, constraints: Constraints) -> bool:
    """Whether the filter holds for a memory, and it has the words that must be there and none that must not."""
    return (
        matches(condition, memory.upsert.memory, memory.terms)
        and all(has_phrase(memory, phrase) for phrase in constraints.phrases)
        and all(_has_prefix(memory, prefix) for prefix in constraints.prefixes)
        and not any(has_phrase(memory, phrase) for phrase in constraints.excluded)
    )


def has_phrase(memory: IndexedMemory, phrase: tuple[str, ...]) -> bool:
    """Whether the content has the tokens one after the other."""
    counts = memory.frequencies[CONTENT]
    if any(token not in counts for token in phrase):
        return False
    if len(phrase) == 1:
        return True
    content, size = memory.content, len(phrase)
    return any(content[i : i + size] == phrase for i in range(len(content) - size + 1))


def _has_prefix(memory: IndexedMemory, prefix: str) -> bool:
    return any(token.startswith(prefix) for token in memory.frequencies[CONTENT])
