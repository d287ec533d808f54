"""Vectors by (tenant, space, embedding key): the same text of a tenant is embedded once per space."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.errors import SpaceMismatch
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory
from mnemata.domain.vector import Space
from mnemata.store import rows
from mnemata.store.repository import Repository, TenantRepository, filled
from mnemata.store.statements import statements

_SQL = statements("embeddings")
_MISSING = filled(_SQL["missing"], {"columns": rows.memory_columns("m")})
_FIRST_ID = "00000000-0000-0000-0000-000000000000"
_LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

Vector: TypeAlias = NDArray[np.float32]
"""(d,) float32, of unit length."""

EmbeddingKey: TypeAlias = "tuple[TenantId, bytes]"
"""The tenant and the hash of the embedded text (Memory.embedding_key)."""


class Embeddings(Repository):
    """The vectors of every tenant, for workers."""

    async def get(self, space: Space, keys: Sequence[EmbeddingKey]) -> dict[EmbeddingKey, Vector]:
        """Those vectors that are there, read-only. Raises SpaceMismatch where one has another length than the space."""
        if not keys:
            return {}
        found = await self._session.rows(_SQL["get"], {"space": space.name, **_packed(keys)})
        return {(TenantId(row[0]), row[1]): _vector(space, row[2]) for row in found}

    async def put(self, space: Space, vectors: Mapping[EmbeddingKey, Vector]) -> set[EmbeddingKey]:
        """Keep the vectors; a key that has one keeps the one it has. Raises SpaceMismatch for a wrong length.

        The keys under which the given vectors now stand.
        """
        if not vectors:
            return set()
        # One row after another in one parameter: nothing is parsed, nothing is escaped.
        given = [_bytes(space, vector) for vector in vectors.values()]
        parameters = {
            "space": space.name,
            "dimensions": space.dimensions,
            "vectors": b"".join(given),
            "checksums": [zlib.crc32(vector) for vector in given],
        }
        found = await self._session.rows(_SQL["put"], parameters | _packed(list(vectors)))
        return {(TenantId(row[0]), row[1]) for row in found}

    async def missing(
        self, space: Space, *, limit: int, after: MemoryId | None = None, until: MemoryId | None = None
    ) -> list[Memory]:
        """The first `limit` memories behind `after`, by id, that are neither deleted nor superseded and have no vector.

        Where few are without one, every memory up to `until` is looked at: name one, where there may be millions.
        """
        bounds = {"after": after or _FIRST_ID, "until": until or _LAST_ID}
        parameters = {"space": space.name, "limit": limit, **bounds}
        return [rows.memory(row) for row in await self._session.rows(_MISSING, parameters)]

    async def spaces(self) -> list[Space]:
        """Every space that has vectors here."""
        return [Space(name=row[0], dimensions=row[1]) for row in await self._session.rows(_SQL["spaces"])]


class TenantEmbeddings(TenantRepository):
    """The vectors of one tenant."""

    async def get(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """Those vectors that are there, read-only. Raises as Embeddings.get."""
        found = await Embeddings(self._session).get(space, [(self._tenant, key) for key in keys])
        return {key: vector for (_, key), vector in found.items()}

    async def put(self, space: Space, vectors: Mapping[bytes, Vector]) -> set[bytes]:
        """As Embeddings.put."""
        given = {(self._tenant, key): vector for key, vector in vectors.items()}
        return {key for _, key in await Embeddings(self._session).put(space, given)}


def _packed(keys: Sequence[EmbeddingKey]) -> dict[str, Any]:
    return {"tenants": [tenant for tenant, _ in keys], "keys": b"".join(key for _, key in keys)}


def _bytes(space: Space, vector: Vector) -> memoryview:
    if vector.shape != (space.dimensions,):
        raise _mismatch(space, vector.size)
    return np.ascontiguousarray(vector, "<f4").data


def _vector(space: Space, data: bytes) -> Vector:
    vector = np.frombuffer(data, dtype="<f4")
    if vector.size != space.dimensions:
        raise _mismatch(space, vector.size)
    return vector


def _mismatch(space: Space, dimensions: int) -> SpaceMismatch:
    return SpaceMismatch(
        expected=f"{space.name} ({space.dimensions} dimensions)",
        actual=f"{space.name} ({dimensions} dimensions)",
    )
