"""The memory: what is stored, what a caller may say about it, and what is kept of its past."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from mnemata.domain.ids import MemoryId, TenantId

JsonScalar: TypeAlias = str | int | float | bool | None
JsonValue: TypeAlias = "JsonScalar | list[JsonValue] | dict[str, JsonValue]"
Metadata: TypeAlias = Mapping[str, JsonValue]

NO_METADATA: Metadata = MappingProxyType({})
DEFAULT_KIND = "semantic"
DEFAULT_IMPORTANCE = 0.5


class Operation(StrEnum):
    """What made a version, and what a change row announces."""

    CREATED = "created"
    UPDATED = "updated"
    RESTORED = "restored"
    FORGOTTEN = "forgotten"
    EXPIRED = "expired"
    PURGED = "purged"
    EMBEDDED = "embedded"  # no new version: the vector of the current one has arrived


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenVector:
    """A vector that the caller brings: `values` in the space named `space`; an `array` of them is copied the quickest."""

    space: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDraft:
    """What a caller says of a memory to be stored. Already checked: see rules.check_draft."""

    content: str
    kind: str = DEFAULT_KIND
    user_id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None
    sequence: int | None = None
    role: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=lambda: NO_METADATA)
    importance: float = DEFAULT_IMPORTANCE
    source: str | None = None
    external_id: str | None = None
    occurred_at: datetime | None = None
    expires_at: datetime | None = None
    superseded_by: MemoryId | None = None
    embedding: GivenVector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A stored memory, at one version. Times are timezone-aware UTC."""

    id: MemoryId
    tenant: TenantId
    content: str
    content_hash: bytes
    kind: str
    user_id: str | None
    agent_id: str | None
    session_id: str | None
    sequence: int | None
    role: str | None
    tags: tuple[str, ...]
    metadata: Metadata
    importance: float
    source: str | None
    external_id: str | None
    occurred_at: datetime | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    version: int
    superseded_by: MemoryId | None
    deleted_at: datetime | None

    @property
    def embedded_text(self) -> str:
        """What the model sees: who speaks counts as text."""
        return f"{self.role}: {self.content}" if self.role else self.content

    @property
    def embedding_key(self) -> bytes:
        """The key of this memory's vector within (tenant, space): the hash of the text that is embedded."""
        return text_hash(self.embedded_text)

    def current_at(self, moment: datetime) -> bool:
        """Whether default reads see it: not deleted, not superseded, not expired."""
        return self.deleted_at is None and self.superseded_by is None and not self.expired_at(moment)

    def expired_at(self, moment: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= moment


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryVersion:
    """One entry of a memory's history: the memory as it was from `recorded_at` on."""

    memory: Memory
    operation: Operation
    recorded_at: datetime


def text_hash(text: str) -> bytes:
    """SHA-256 of the text's UTF-8 bytes (32 bytes)."""
    return hashlib.sha256(text.encode("utf-8")).digest()
