"""A memory as a document of the cluster, and what a document gives back of it."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.attributes import attribute_terms
from mnemata.domain.filter import FIELD_TYPES, FieldType
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.index.cluster.texts import Texts
from mnemata.index.local.analysis import plain_tokens
from mnemata.index.local.document import microseconds, present, texts
from mnemata.index.marks import halves
from mnemata.index.protocol import Embedded, Upsert
from mnemata.index.weights import CONTENT, SPEAKER, TAGS

HALF = "vector_half"
MARK_LOW, MARK_HIGH = "mark_low", "mark_high"
VECTOR = "vector"
WORDS = "words"


def document_id(tenant: TenantId, memory_id: MemoryId) -> str:
    """The tenant is part of it: two tenants in one shard must not meet in one document."""
    return f"{tenant}/{memory_id}"


def document_of(upsert: Upsert, analysis: Texts) -> dict[str, Any]:
    """Every field of the mapping that the memory has a value for; the vector as an array, to be written in few digits."""
    memory = upsert.memory
    terms = attribute_terms(memory.metadata)
    found: dict[str, Any] = {"tenant": memory.tenant, "id": str(memory.id)}
    found |= {name: analysis.indexed(name, text) for name, text in texts(upsert).items()}
    found |= _fields(upsert)
    found["attributes"] = terms
    found["present"] = sorted(present(memory, terms))
    found[WORDS] = _words(upsert)
    found[MARK_LOW], found[MARK_HIGH] = halves(upsert.mark)
    if isinstance(upsert.vector, Embedded):
        vector = upsert.vector.vector.astype(np.float32)
        found["embedded"] = True
        found[VECTOR] = np.ascontiguousarray(vector)
        found[HALF] = base64.b64encode(vector.astype(np.float16).tobytes()).decode()
    return found


def rows_of(packed: list[str], dimensions: int) -> NDArray[np.float32]:
    """(n, d) float32: the vectors that `document_of` packed in half precision."""
    if not packed:
        return np.empty((0, dimensions), np.float32)
    # OpenSearch leaves the padding of base64 away.
    data = b"".join(binascii.a2b_base64(text + "=" * (-len(text) % 4)) for text in packed)
    return np.frombuffer(data, np.float16).reshape(len(packed), dimensions).astype(np.float32)


def _fields(upsert: Upsert) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind in FIELD_TYPES.items():
        value = getattr(upsert.memory, name)
        if name == "id" or value is None or value == ():
            continue
        match kind:
            case FieldType.NUMBER:
                found[name] = float(value) + 0.0
            case FieldType.TIME:
                found[name] = microseconds(value)
            case _:
                found[name] = value
    return found


def _words(upsert: Upsert) -> list[str]:
    """The distinct words of the memory itself, as they are suggested: a column, which is counted within a tenant."""
    said = texts(upsert)
    return sorted({word for field in (CONTENT, SPEAKER, TAGS) for word in plain_tokens(said.get(field, ""))})
