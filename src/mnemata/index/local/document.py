"""A memory as the lexical leg sees it: its text fields and its filter fields, analysed once for tantivy and for fresh."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import tantivy

from mnemata.domain.attributes import SEPARATOR, attribute_terms
from mnemata.domain.filter import FIELD_TYPES, FieldType
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory
from mnemata.index.local import trie
from mnemata.index.local.analysis import PLAIN, STEMMED, normalised, plain_tokens, stemmed_tokens, uninflected
from mnemata.index.protocol import Upsert
from mnemata.index.weights import CONTENT, CONTENT_ENGLISH, NEIGHBOURS, SPEAKER, TAGS

ID = "id"
ID_HIGH, ID_LOW = "id_high", "id_low"
MARK = "mark"
ALIVE = "alive"
ATTRIBUTES = "attributes"
BEGINNINGS = "beginnings"
PRESENT = "present"
POSITION = "position"
MARKER = "\x00"
"""A token that no text has: the document that keeps the position has it in every text field."""

TEXT_FIELDS = (CONTENT, CONTENT_ENGLISH, SPEAKER, TAGS, NEIGHBOURS)
STEMMED_FIELDS = frozenset({CONTENT_ENGLISH, NEIGHBOURS})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOW_BITS = (1 << 64) - 1
# A dot that parts two keys, not one that is escaped within a key.
_PATH_DOT = re.compile(r"(?<!\\)((?:\\\\)*)\.")


def schema() -> tantivy.Schema:
    """The fields of a partition. Texts are indexed, not stored: the store has them."""
    builder = tantivy.SchemaBuilder()
    for name in TEXT_FIELDS:
        option = "position" if name == CONTENT else "freq"
        builder.add_text_field(
            name, tokenizer_name=STEMMED if name in STEMMED_FIELDS else PLAIN, index_option=option
        )
    for name, kind in FIELD_TYPES.items():
        match kind:
            case FieldType.NUMBER:
                builder.add_float_field(name, indexed=True, fast=True)
            case FieldType.TIME:
                builder.add_integer_field(name, indexed=True, fast=True)
            case _:
                builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in (ALIVE, ATTRIBUTES, BEGINNINGS, PRESENT):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field(ID_HIGH, fast=True)
    builder.add_unsigned_field(ID_LOW, fast=True)
    builder.add_unsigned_field(MARK, fast=True)
    builder.add_text_field(POSITION, stored=True, tokenizer_name="raw", index_option="basic")
    return builder.build()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedMemory:
    """One version of a memory, ready to be searched, and to be folded.

    `frequencies` and `lengths` in tokens by text field, `terms` of its metadata. `document`: what tantivy will get, made
    at once, so that a memory of which none can be made is known before it waits among others.
    """

    upsert: Upsert
    key: int
    document: tantivy.Document
    content: tuple[str, ...]
    frequencies: dict[str, Counter[str]]
    lengths: dict[str, int]
    terms: frozenset[str]


def analysed(upsert: Upsert) -> IndexedMemory:
    tokens = {name: _tokens(name, text) for name, text in texts(upsert).items()}
    return IndexedMemory(
        upsert=upsert,
        key=upsert.memory.id.int,
        document=tantivy_document(upsert),
        content=tuple(tokens[CONTENT]),
        frequencies={name: Counter(found) for name, found in tokens.items()},
        lengths={name: len(found) for name, found in tokens.items()},
        terms=frozenset(attribute_terms(upsert.memory.metadata)),
    )


def texts(upsert: Upsert) -> dict[str, str]:
    """What each text field holds, before analysis; empty ones are left out, but for the content."""
    memory = upsert.memory
    found = {
        CONTENT: memory.content,
        CONTENT_ENGLISH: memory.content,
        SPEAKER: memory.role or "",
        TAGS: " ".join(memory.tags),
        # The turn itself stands among its neighbours, so that words spread over them score as one passage.
        NEIGHBOURS: f"{upsert.before} {memory.embedded_text} {upsert.after}".strip(),
    }
    return {name: text for name, text in found.items() if text}


def tantivy_document(upsert: Upsert) -> tantivy.Document:
    memory = upsert.memory
    document = tantivy.Document()
    for name, text in texts(upsert).items():
        document.add_text(name, uninflected(text) if name in STEMMED_FIELDS else normalised(text))
    terms = attribute_terms(memory.metadata)
    _add_fields(document, memory)
    _add_all(document, ATTRIBUTES, terms)
    _add_all(document, BEGINNINGS, set(trie.beginnings(terms)))
    _add_all(document, PRESENT, present(memory, terms))
    document.add_text(ALIVE, ALIVE)
    document.add_unsigned(ID_HIGH, memory.id.int >> 64)
    document.add_unsigned(ID_LOW, memory.id.int & _LOW_BITS)
    document.add_unsigned(MARK, upsert.mark)
    return document


def position_document(position: str, lengths: Mapping[str, int]) -> tantivy.Document:
    """The document that a partition keeps its position in, replaced with every commit.

    It has `lengths` tokens in the text fields: as many as a memory has on average, so that the average, which BM25
    uses, stays what it is.
    """
    document = tantivy.Document()
    document.add_text(POSITION, position)
    for name in TEXT_FIELDS:
        tokens = [tantivy.Token(MARKER, n, 0, 1) for n in range(max(1, lengths.get(name, 1)))]
        document.add_pre_tokenized_text(name, tantivy.PreTokenizedString(MARKER, tokens))
    return document


def memory_id(key: int) -> MemoryId:
    return MemoryId(UUID(int=key))


def microseconds(moment: datetime) -> int:
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def present(memory: Memory, terms: tuple[str, ...]) -> set[str]:
    """The names of what has a value: fields, and `metadata.<path>` with every path above it."""
    names = {name for name in FIELD_TYPES if _has(memory, name)}
    for term in terms:
        path = term.split(SEPARATOR, 1)[0]
        names.add(f"metadata.{path}")
        names.update(f"metadata.{path[: dot.end() - 1]}" for dot in _PATH_DOT.finditer(path))
    return names


def _has(memory: Memory, name: str) -> bool:
    value = getattr(memory, name)
    return value is not None and value != ()


def _add_fields(document: tantivy.Document, memory: Memory) -> None:
    document.add_text(ID, str(memory.id))
    _add_all(document, "tags", memory.tags)
    for name, kind in FIELD_TYPES.items():
        value = getattr(memory, name)
        if value is None or name in {ID, "tags"}:
            continue
        match kind:
            case FieldType.NUMBER:
                document.add_float(name, float(value) + 0.0)
            case FieldType.TIME:
                document.add_integer(name, microseconds(value))
            case _:
                document.add_text(name, value)


def _add_all(document: tantivy.Document, name: str, values: tuple[str, ...] | set[str]) -> None:
    for value in values:
        document.add_text(name, value)


def _tokens(name: str, text: str) -> list[str]:
    return stemmed_tokens(text) if name in STEMMED_FIELDS else plain_tokens(text)
