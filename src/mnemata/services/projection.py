"""A memory as the index sees it: its neighbours' words and a share of their vectors beside its own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory
from mnemata.domain.query import Neighbours
from mnemata.domain.vector import Space
from mnemata.index.protocol import PENDING, Action, Embedded, Remove, Upsert, Vector
from mnemata.index.weights import NEIGHBOUR_VECTOR_WEIGHT

VectorKey = tuple[TenantId, bytes]
"""A vector's key within a space: the tenant and the hash of the embedded text."""


def vector_key(memory: Memory) -> VectorKey:
    return memory.tenant, memory.embedding_key


def project(
    memory: Memory, neighbours: Neighbours, vectors: Mapping[MemoryId, Vector], *, space: Space
) -> Action:
    """What to tell the index of a memory: put it in, or take it out where default reads do not see it.

    `vectors`: those that are there of the memory and of its neighbours.
    """
    if memory.deleted_at is not None or memory.superseded_by is not None:
        return Remove(tenant=memory.tenant, memory_id=memory.id)
    own = vectors.get(memory.id)
    around = [near.id for near in (neighbours.previous, neighbours.next) if near is not None]
    vector = None if own is None else mix(own, [vectors[near] for near in around if near in vectors])
    return Upsert(
        memory=memory,
        vector=PENDING if vector is None else Embedded(vector=vector, space=space),
        before=_spoken(neighbours.previous),
        after=_spoken(neighbours.next),
    )


def mix(own: Vector, neighbours: list[Vector]) -> Vector:
    """(d,) float32 of unit length: the turn's own direction, drawn towards its neighbours by a fixed weight each.

    There are two of them at most.
    """
    if not neighbours:
        return own
    beside = neighbours[0] if len(neighbours) == 1 else neighbours[0] + neighbours[1]
    mixed = own + NEIGHBOUR_VECTOR_WEIGHT * beside
    # In doubles: in which order a processor adds would show in the last digit, and marks must be alike everywhere.
    wide = mixed.astype(np.float64)
    length = math.sqrt(wide.dot(wide))
    return own if length == 0.0 else (mixed / length).astype(np.float32, copy=False)


def _spoken(memory: Memory | None) -> str:
    return "" if memory is None else memory.embedded_text
