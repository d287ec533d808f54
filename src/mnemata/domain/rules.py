"""What a memory may be: limits and checks of input, each with an error that names the field and the remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mnemata.domain.errors import InvalidField, TooLarge
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import GivenVector, JsonValue, Memory, MemoryDraft, Metadata, text_hash

MAX_CONTENT_BYTES = 1_048_576
MAX_METADATA_BYTES = 65_536
MAX_METADATA_DEPTH = 16
MAX_METADATA_NODES = 2_048
MAX_KEY_CHARACTERS = 256
MAX_NAME_CHARACTERS = 256
MAX_TAGS = 64
MAX_TAG_CHARACTERS = 128
MAX_BATCH = 1_000
MAX_IMPORT = 50_000
MAX_SEQUENCE = 2**53 - 1
MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)
FIRST_MOMENT = datetime(1, 1, 2, tzinfo=UTC)
LAST_MOMENT = datetime(9999, 12, 30, tzinfo=UTC)

_NAMES = ("kind", "user_id", "agent_id", "session_id", "role", "source", "external_id")


def check_draft(draft: MemoryDraft) -> MemoryDraft:
    """The draft with times in UTC, tags without repeats; raises InvalidField or TooLarge naming the field.

    Whether a vector that it brings has a direction is seen when it is scaled.
    """
    check_content(draft.content)
    for name in _NAMES:
        check_name(name, getattr(draft, name))
    check_metadata(draft.metadata)
    check_importance(draft.importance)
    check_sequence(draft.sequence)
    if draft.embedding is not None:
        check_vector(draft.embedding)
    tags = check_tags(draft.tags)
    occurred_at = check_moment("occurred_at", draft.occurred_at)
    expires_at = check_moment("expires_at", draft.expires_at)
    # By identity: two moments of different zones may be equal.
    if tags is draft.tags and occurred_at is draft.occurred_at and expires_at is draft.expires_at:
        return draft
    return replace(draft, tags=tags, occurred_at=occurred_at, expires_at=expires_at)


def new_memory(draft: MemoryDraft, *, memory_id: MemoryId, tenant: TenantId, now: datetime) -> Memory:
    """Version 1 of a memory that a checked draft describes."""
    # Written out: a look at every field's name costs more than the memory itself, a thousand times a batch.
    return Memory(
        id=memory_id,
        tenant=tenant,
        content=draft.content,
        content_hash=text_hash(draft.content),
        kind=draft.kind,
        user_id=draft.user_id,
        agent_id=draft.agent_id,
        session_id=draft.session_id,
        sequence=draft.sequence,
        role=draft.role,
        tags=draft.tags,
        metadata=draft.metadata,
        importance=draft.importance,
        source=draft.source,
        external_id=draft.external_id,
        occurred_at=draft.occurred_at,
        created_at=now,
        updated_at=now,
        expires_at=draft.expires_at,
        version=1,
        superseded_by=draft.superseded_by,
        deleted_at=None,
    )


def check_content(content: str) -> None:
    check_text("content", content)
    if not content.strip():
        raise InvalidField(
            field="content", reason="is empty or only white space", remedy="Send the text to remember"
        )
    size = len(content.encode("utf-8"))
    if size > MAX_CONTENT_BYTES:
        raise TooLarge(field="content", limit=MAX_CONTENT_BYTES, unit="bytes of UTF-8", actual=size)


def check_text(field: str, text: str) -> None:
    """Refuse what PostgreSQL and JSON cannot carry: NUL and lone surrogates."""
    if "\x00" in text:
        raise InvalidField(
            field=field, reason="contains the NUL character", remedy="Remove U+0000 from the text"
        )
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidField(
            field=field,
            reason=f"contains half of a surrogate pair at position {error.start}",
            remedy="Send valid Unicode text",
        ) from None


def check_name(field: str, value: str | None) -> None:
    if value is None:
        return
    check_text(field, value)
    if not value.strip():
        raise InvalidField(
            field=field, reason="is empty or only white space", remedy="Leave it out, or give it a value"
        )
    if len(value) > MAX_NAME_CHARACTERS:
        raise TooLarge(field=field, limit=MAX_NAME_CHARACTERS, unit="characters", actual=len(value))


def check_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    for position, tag in enumerate(tags):
        field = f"tags[{position}]"
        check_text(field, tag)
        if not tag.strip():
            raise InvalidField(field=field, reason="is empty", remedy="Leave the tag out")
        if len(tag) > MAX_TAG_CHARACTERS:
            raise TooLarge(field=field, limit=MAX_TAG_CHARACTERS, unit="characters", actual=len(tag))
    distinct = tuple(dict.fromkeys(tags))
    if len(distinct) > MAX_TAGS:
        raise TooLarge(field="tags", limit=MAX_TAGS, unit="tags", actual=len(distinct))
    return tags if len(distinct) == len(tags) else distinct


def check_importance(importance: float) -> None:
    if not (math.isfinite(importance) and 0.0 <= importance <= 1.0):
        raise InvalidField(
            field="importance", reason="is not between 0 and 1", remedy="Send a number from 0 to 1"
        )


def check_sequence(sequence: int | None) -> None:
    if sequence is not None and not 0 <= sequence <= MAX_SEQUENCE:
        raise InvalidField(
            field="sequence",
            reason="is negative or too large",
            remedy=f"Send an integer from 0 to {MAX_SEQUENCE}",
        )


def check_moment(field: str, moment: datetime | None) -> datetime | None:
    """The moment in UTC. A moment without a zone is refused, and so is one outside the years 1 to 9999."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidField(
            field=field, reason="has no time zone", remedy="Add 'Z' or an offset such as '+02:00'"
        )
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        utc = None
    if utc is None or not FIRST_MOMENT <= utc <= LAST_MOMENT:
        raise InvalidField(
            field=field, reason="is too far away to be stored", remedy="Send a moment in the years 1 to 9999"
        )
    return utc


def check_vector(vector: GivenVector) -> None:
    if not vector.values:
        raise InvalidField(field="embedding.values", reason="is empty", remedy="Send the vector's numbers")


def check_metadata(metadata: Metadata) -> None:
    """Bound the depth, count and size of metadata, and refuse what JSON or PostgreSQL cannot carry."""
    if not metadata:
        return
    counter = _Counter()
    _check_json("metadata", dict(metadata), depth=1, counter=counter)
    if counter.bytes > MAX_METADATA_BYTES:
        raise TooLarge(field="metadata", limit=MAX_METADATA_BYTES, unit="bytes", actual=counter.bytes)


class _Counter:
    """Counts nodes and bytes while metadata is walked once."""

    def __init__(self) -> None:
        self.nodes = 0
        self.bytes = 0

    def add(self, field: str, size: int) -> None:
        self.nodes += 1
        self.bytes += size
        if self.nodes > MAX_METADATA_NODES:
            raise TooLarge(field=field, limit=MAX_METADATA_NODES, unit="values in metadata")


def _check_json(field: str, value: Any, *, depth: int, counter: _Counter) -> None:
    if depth > MAX_METADATA_DEPTH:
        raise TooLarge(field="metadata", limit=MAX_METADATA_DEPTH, unit="levels of nesting")
    match value:
        case None | bool():
            counter.add(field, 5)
        case int():
            counter.add(field, 8)
            _check_integer(field, value)
        case float():
            counter.add(field, 8)
            _check_finite(field, value)
        case str():
            check_text(field, value)
            counter.add(field, len(value.encode("utf-8")) + 2)
        case list():
            counter.add(field, 2)
            for position, element in enumerate(value):
                _check_json(f"{field}[{position}]", element, depth=depth + 1, counter=counter)
        case dict():
            counter.add(field, 2)
            _check_object(field, value, depth=depth, counter=counter)
        case _:
            raise InvalidField(
                field=field,
                reason="is not a JSON value",
                remedy="Send strings, numbers, booleans, arrays or objects",
            )


def _check_object(field: str, value: Mapping[Any, JsonValue], *, depth: int, counter: _Counter) -> None:
    for key, inner in value.items():
        if not isinstance(key, str) or not key:
            raise InvalidField(field=field, reason="has an empty key", remedy="Name every key")
        check_text(f"a key of {field}", key)
        if "\x1f" in key or len(key) > MAX_KEY_CHARACTERS:
            raise InvalidField(
                field=field,
                reason="has a key that is too long or holds a control character",
                remedy=f"Use keys of at most {MAX_KEY_CHARACTERS} printable characters",
            )
        counter.add(field, len(key.encode("utf-8")) + 4)
        _check_json(f"{field}.{key}", inner, depth=depth + 1, counter=counter)


def _check_integer(field: str, value: int) -> None:
    # Larger ones are beyond what most programs, and the encoder of our own answers, can read.
    if not MIN_INTEGER <= value <= MAX_INTEGER:
        raise InvalidField(
            field=field,
            reason="is an integer that does not fit in 64 bits",
            remedy=f"Send one from {MIN_INTEGER} to {MAX_INTEGER}, or a string",
        )


def _check_finite(field: str, value: float) -> None:
    if not math.isfinite(value):
        raise InvalidField(
            field=field, reason="is not a finite number", remedy="Send a finite number, or a string"
        )
