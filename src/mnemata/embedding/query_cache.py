"""The vectors of recent queries: people and agents ask the same thing again."""

from __future__ import annotations

from collections import OrderedDict

from mnemata.embedding.protocol import Vector

LONGEST_TEXT = 1_000
"""Characters; longer queries are rarely repeated and would make the cache's size depend on its texts."""


class QueryCache:
    """The least recently used text goes first once there are more than `capacity`. For one thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    def get(self, text: str) -> Vector | None:
        """The vector, read-only, or None."""
        vector = self._vectors.get(text)
        if vector is not None:
            self._vectors.move_to_end(text)
        return vector

    def put(self, text: str, vector: Vector) -> None:
        if len(text) > LONGEST_TEXT or self._capacity == 0:
            return
        self._vectors[text] = vector
        self._vectors.move_to_end(text)
        if len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)
