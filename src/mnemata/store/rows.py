"""A memory as rows: one JSON document for any number of new ones, a row of columns for one that is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from psycopg import sql

from mnemata.domain.attributes import attribute_terms
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory, MemoryVersion, Metadata, Operation
from mnemata.store.connection import Row

_SHARED = (
    "tenant",
    "content",
    "content_hash",
    "kind",
    "user_id",
    "agent_id",
    "session_id",
    "sequence",
    "role",
    "tags",
    "metadata",
    "importance",
    "source",
    "external_id",
    "occurred_at",
    "created_at",
)
_REST = ("expires_at", "version", "superseded_by", "deleted_at")
_AS_GIVEN = tuple(name for name in _SHARED if name not in {"content_hash", "metadata"}) + _REST

WIDTH = len(_SHARED) + len(_REST) + 2
"""Columns of a memory in a row."""


def memory_columns(table: str) -> sql.Composed:
    """The columns that `memory` reads, of `memories` (or a view of it) under that alias."""
    return _columns(table, ("id", *_SHARED, "updated_at", *_REST))


def version_columns(table: str) -> sql.Composed:
    """The columns that `memory` reads, of `versions` under that alias: the memory as it was."""
    return _columns(table, ("memory_id", *_SHARED, "recorded_at", *_REST))


def memory(row: Row) -> Memory:
    """The memory in a row's first WIDTH columns."""
    metadata: Metadata = row[11]
    return Memory(
        id=MemoryId(row[0]),
        tenant=TenantId(row[1]),
        content=row[2],
        content_hash=row[3],
        kind=row[4],
        user_id=row[5],
        agent_id=row[6],
        session_id=row[7],
        sequence=row[8],
        role=row[9],
        tags=tuple(row[10]),
        metadata=metadata,
        importance=row[12],
        source=row[13],
        external_id=row[14],
        occurred_at=row[15],
        created_at=row[16],
        updated_at=row[17],
        expires_at=row[18],
        version=row[19],
        superseded_by=None if row[20] is None else MemoryId(row[20]),
        deleted_at=row[21],
    )


def memory_version(row: Row) -> MemoryVersion:
    """The version in a row of `version_columns`, followed by its operation."""
    past = memory(row)
    return MemoryVersion(memory=past, operation=Operation(row[WIDTH]), recorded_at=past.updated_at)


def as_json(memories: Iterable[Memory]) -> str:
    """A JSON array with one object per memory, named as the columns are: one parameter for any number of rows."""
    return orjson.dumps([_document(item) for item in memories]).decode("utf-8")


def term_hash(term: str) -> int:
    """A short stand-in for a term in an index: 64 bits, signed."""
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8"), digest_size=8).digest(), "big", signed=True)


def tag_hash(tag: str) -> int:
    """As term_hash, for a tag: no metadata term starts with a separator, so none is taken for a tag."""
    return term_hash(f"\x1f{tag}")


def _document(item: Memory) -> Mapping[str, Any]:
    terms = attribute_terms(item.metadata) if item.metadata else ()
    document = {name: getattr(item, name) for name in _AS_GIVEN}
    document["id"] = item.id
    document["updated_at"] = item.updated_at
    document["content_hash"] = f"\\x{item.content_hash.hex()}"
    document["embedding_key"] = f"\\x{item.embedding_key.hex()}"
    # A string, so that PostgreSQL keeps it as it is, and integers of any size pass.
    document["metadata"] = json.dumps(dict(item.metadata), ensure_ascii=False) if item.metadata else "{}"
    document["attributes"] = terms
    document["term_hashes"] = sorted({*map(tag_hash, item.tags), *map(term_hash, terms)})
    return document


def _columns(table: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in names)
