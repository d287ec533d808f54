"""What this process wrote last, so that its indexer need not read it back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory
from mnemata.domain.vector import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A memory as it was committed. `vector`: the one that the store keeps for it; None: ask the store."""

    memory: Memory
    vector: NDArray[np.float32] | None = None


class JustWritten:
    """Memories by id and version, the last few thousand, and their vectors in the space in use. Whoever has not what he seeks here reads the store.

    A version of a memory never changes once it is committed, within one epoch of the store, so that nothing here can be stale: what the indexer is to
    show, and in which order, it learns from the store alone.
    """

    def __init__(self, *, space: Space, memories: int = 4_096, characters: int = 16_000_000) -> None:
        self._space = space
        self._memories = memories
        self._characters = characters
        self._kept: OrderedDict[MemoryId, Written] = OrderedDict()
        self._size = 0

    def note(self, written: Iterable[Written]) -> None:
        """Keep what has been committed, and let go of what was kept the longest. Never call it before the commit."""
        for one in written:
            self._drop(self._kept.pop(one.memory.id, None))
            self._kept[one.memory.id] = one
            self._size += len(one.memory.content)
        while len(self._kept) > self._memories or self._size > self._characters:
            self._drop(self._kept.popitem(last=False)[1])

    def forget(self) -> None:
        """Keep nothing: after a promotion another version may have the number of one that was lost."""
        self._kept.clear()
        self._size = 0

    def memory(self, memory_id: MemoryId, version: int) -> Memory | None:
        """The memory at that very version, or None."""
        found = self._kept.get(memory_id)
        return found.memory if found is not None and found.memory.version == version else None

    def vector(self, memory: Memory, space: Space) -> NDArray[np.float32] | None:
        """(d,) float32 of unit length in that space, or None."""
        if space != self._space:
            return None
        found = self._kept.get(memory.id)
        return found.vector if found is not None and found.memory.version == memory.version else None

    def _drop(self, dropped: Written | None) -> None:
        self._size -= 0 if dropped is None else len(dropped.memory.content)
