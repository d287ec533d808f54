"""The vectors of recent queries: people and agents ask the same thing again."""

from __future__ import annotations

from collections import OrderedDict

from mnemata.domain.ids import TenantId
from mnemata.embedding.protocol import Vector

LONGEST_TEXT = 1_000
"""Characters; longer queries are rarely repeated and would make the size depend on its texts."""


class RecentVectors:
    """The least recently used text goes first once there are more than `capacity`. For one thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._vectors: OrderedDict[tuple[TenantId, str], Vector] = OrderedDict()

    def get(self, tenant: TenantId, text: str) -> Vector | None:
        """The vector, read-only, or None."""
        vector = self._vectors.get((tenant, text))
        if vector is not None:
            self._vectors.move_to_end((tenant, text))
        return vector

    def put(self, tenant: TenantId, text: str, vector: Vector) -> None:
        if len(text) > LONGEST_TEXT or self._capacity == 0:
            return
        self._vectors[tenant, text] = vector
        self._vectors.move_to_end((tenant, text))
        if len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)
