"""The memory as JSON: what is sent to be stored or changed, and what comes back."""

from __future__ import annotations

import binascii
import sys
from array import array
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema

from mnemata.api.rest.schemas.base import Model, Moment, told
from mnemata.api.rest.schemas.problem import Problem
from mnemata.domain import rules
from mnemata.domain.memory import DEFAULT_IMPORTANCE, DEFAULT_KIND, Operation

_NUMBERS = frozenset({int, float})
EXAMPLE_ID = "0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d"

DRAFT_EXAMPLE: dict[str, Any] = {
    "content": "Ana prefers the window seat on long flights.",
    "kind": "semantic",
    "user_id": "ana",
    "tags": ["travel", "preference"],
    "metadata": {"airline": "any", "confidence": 0.9},
    "importance": 0.7,
    "occurred_at": "2026-05-01T09:30:00Z",
    "external_id": "crm-4711",
}
MEMORY_EXAMPLE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "tenant": "default",
    **DRAFT_EXAMPLE,
    "content_hash": "5f0c7c1c2f1d8ef8a3ac4ac8fbc9b5cbe1a4c7b6a1a2f54f3b1f0f8c2d9a7e61",
    "agent_id": None,
    "session_id": None,
    "sequence": None,
    "role": None,
    "source": None,
    "created_at": "2026-05-01T09:31:04.120000Z",
    "updated_at": "2026-05-01T09:31:04.120000Z",
    "expires_at": None,
    "version": 1,
    "superseded_by": None,
    "deleted_at": None,
}


def read_values(value: Any) -> array[float]:
    """A vector from an array of numbers, or from base64 of little-endian float32."""
    if isinstance(value, str):
        return _from_base64(value)
    if not isinstance(value, list):
        raise told("is not a vector", "Send an array of numbers, or base64 of little-endian float32")
    if not _NUMBERS.issuperset(map(type, value)):
        raise told("holds something that is not a number", "Send numbers only")
    try:
        return array("d", value)
    except OverflowError:
        raise told("holds a number that is too large", "Send finite numbers") from None


def _from_base64(text: str) -> array[float]:
    values = array("f")
    try:
        # As strict as base64.b64decode(validate=True), without its regular expression over every character.
        values.frombytes(binascii.a2b_base64(text, strict_mode=True))
    except (binascii.Error, ValueError):
        raise told(
            "is not base64 of little-endian float32", "Send 4 bytes a number, or an array of numbers"
        ) from None
    if sys.byteorder == "big":
        values.byteswap()
    return values


Values = Annotated[
    Sequence[float],
    PlainValidator(read_values),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "number"}, "minItems": 1},
                {"type": "string", "contentEncoding": "base64", "description": "Little-endian float32."},
            ]
        }
    ),
]

Name = Annotated[
    str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": rules.MAX_NAME_CHARACTERS})
]
Tag = Annotated[
    str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": rules.MAX_TAG_CHARACTERS})
]
# Any JSON object: rules.check_metadata bounds it and names the path that is wrong.
MetadataObject = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": True,
            "description": f"Any JSON object of at most {rules.MAX_METADATA_BYTES:,} bytes and "
            f"{rules.MAX_METADATA_DEPTH} levels, integers of at most 64 bits. Every path can be filtered as "
            "`metadata.<path>`.",
        }
    ),
]


class Embedding(Model):
    """A vector that the caller brings."""

    space: Name = Field(description="The vector space, as `GET /v1/status` names it.")
    values: Values = Field(description="The vector: numbers, or base64 of little-endian float32.")


class MemoryDraft(Model):
    """A memory to be stored. Only `content` is required."""

    model_config = ConfigDict(json_schema_extra={"examples": [DRAFT_EXAMPLE]})

    content: Annotated[str, Field(json_schema_extra={"minLength": 1})] = Field(
        description="The text to remember, kept verbatim; at most 1 MiB of UTF-8."
    )
    kind: Name = Field(
        default=DEFAULT_KIND, description="semantic, episodic, procedural, working, or a name of your own."
    )
    user_id: Name | None = Field(default=None, description="Whose memory it is.")
    agent_id: Name | None = Field(default=None, description="The agent that it belongs to.")
    session_id: Name | None = Field(default=None, description="The conversation that it is a turn of.")
    sequence: int | None = Field(
        default=None, ge=0, le=rules.MAX_SEQUENCE, description="Its place in the session."
    )
    role: Name | None = Field(default=None, description="Who speaks.")
    tags: list[Tag] = Field(
        default_factory=list, max_length=10_000, description=f"At most {rules.MAX_TAGS} distinct tags."
    )
    metadata: MetadataObject = Field(default_factory=dict)
    importance: float = Field(default=DEFAULT_IMPORTANCE, ge=0, le=1, description="0 to 1.")
    source: Name | None = Field(default=None, description="Where it came from.")
    external_id: Name | None = Field(
        default=None, description="Your own identifier, unique per tenant: storing it again is an update."
    )
    occurred_at: Moment | None = Field(default=None, description="When it was true in the world.")
    expires_at: Moment | None = Field(default=None, description="When it is no longer to be found.")
    ttl_s: float | None = Field(
        default=None, gt=0, le=315_360_000_000, description="Seconds to live; instead of `expires_at`."
    )
    superseded_by: Annotated[UUID, Field(strict=False)] | None = Field(
        default=None, description="The memory that takes its place; this one is no longer found by default."
    )
    embedding: Embedding | None = Field(
        default=None, description="A vector of your own, in the space in use."
    )


class MemoryPatch(Model):
    """A JSON Merge Patch (RFC 7396): named fields change, `null` clears, metadata merges in depth."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"importance": 0.9, "metadata": {"airline": None, "seat": "14A"}}]}
    )

    content: str | None = Field(default=None, description="New text. It cannot be cleared.")
    kind: Name | None = None
    user_id: Name | None = None
    agent_id: Name | None = None
    session_id: Name | None = None
    sequence: int | None = Field(default=None, ge=0, le=rules.MAX_SEQUENCE)
    role: Name | None = None
    tags: list[Tag] | None = Field(default=None, max_length=10_000)
    metadata: MetadataObject | None = None
    importance: float | None = Field(default=None, ge=0, le=1)
    source: Name | None = None
    external_id: Name | None = None
    occurred_at: Moment | None = None
    expires_at: Moment | None = None
    ttl_s: float | None = Field(
        default=None, gt=0, le=315_360_000_000, description="Seconds to live from now."
    )
    superseded_by: Annotated[UUID, Field(strict=False)] | None = None


class Memory(Model):
    """A stored memory at one version. Times are RFC 3339 in UTC."""

    model_config = ConfigDict(json_schema_extra={"examples": [MEMORY_EXAMPLE]})

    id: Annotated[UUID, Field(strict=False)]
    tenant: str
    content: str
    content_hash: str = Field(description="SHA-256 of the content's UTF-8 bytes, in hex.")
    kind: str
    user_id: str | None
    agent_id: str | None
    session_id: str | None
    sequence: int | None
    role: str | None
    tags: list[str]
    metadata: MetadataObject
    importance: float
    source: str | None
    external_id: str | None
    occurred_at: Moment | None
    created_at: Moment
    updated_at: Moment
    expires_at: Moment | None
    version: int = Field(ge=1, description="Counts up with every change; the ETag is this number in quotes.")
    superseded_by: Annotated[UUID, Field(strict=False)] | None
    deleted_at: Moment | None


class Batch(Model):
    """Up to 1,000 memories. Each is judged by itself: a bad one never loses the others."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [DRAFT_EXAMPLE, {"content": "Ana's flight leaves at 9:40."}]}]
        }
    )

    items: Annotated[
        list[Any],
        WithJsonSchema(
            {
                "type": "array",
                "items": {"$ref": "#/components/schemas/MemoryDraft"},
                "minItems": 1,
                "maxItems": rules.MAX_BATCH,
            }
        ),
    ]


class Import(Model):
    """Up to 50,000 memories, stored in their order: one may change an earlier one by its `external_id`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [DRAFT_EXAMPLE]}]})

    items: Annotated[
        list[Any],
        WithJsonSchema(
            {
                "type": "array",
                "items": {"$ref": "#/components/schemas/MemoryDraft"},
                "minItems": 1,
                "maxItems": rules.MAX_IMPORT,
            }
        ),
    ]


class BatchItem(Model):
    """The outcome of one item: `memory`, or `error` where its status says so.

    `changed`: false where the memory was there already and the item says nothing new.
    """

    index: int
    status: Literal[200, 201, 400, 409, 413, 422, 500, 503]
    changed: bool | None = None
    memory: Memory | None = None
    error: Problem | None = None


class BatchAnswer(Model):
    """Outcomes in the order of the items."""

    items: list[BatchItem]
    created: int
    updated: int
    unchanged: int
    failed: int


class Version(Model):
    """One entry of a memory's history."""

    operation: Literal[tuple(operation.value for operation in Operation)]  # pyright: ignore[reportInvalidTypeForm]
    recorded_at: Moment
    memory: Memory


class History(Model):
    """Every version, newest first."""

    items: list[Version]


class Page(Model):
    """One page of a listing. `next_cursor` is null on the last one; `total` is counted only when asked for."""

    items: list[Memory]
    next_cursor: str | None
    total: int | None
