"""Search without an index: by words through PostgreSQL's full-text search, by meaning over vectors that are handed out.

It serves while the index is away, and it searches the past, which no index holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from mnemata.domain.filter import Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate, Words
from mnemata.domain.vector import Space
from mnemata.store.filters import Compiler, Source
from mnemata.store.repository import TenantRepository, filled
from mnemata.store.statements import statements

_SQL = statements("search")
_MAX_WORDS = 256
_TEXT = sql.SQL("text")
_PHRASE = sql.SQL("nullif(phraseto_tsquery('english', {}), ''::tsquery)")
_PREFIX = sql.SQL("nullif(to_tsquery('english', {}), ''::tsquery)")
_NOT = sql.SQL("!! nullif(phraseto_tsquery('english', {}), ''::tsquery)")
# The index leaves out words such as "the": a phrase is looked for again in the words as they were written.
_EXACT = sql.SQL(
    "to_tsvector('simple', left(coalesce(m.role || ' ', '') || m.content, 100000)) @@ phraseto_tsquery('simple', {})"
)
_NOTHING = sql.SQL("NULL::tsquery")
_ALWAYS = sql.SQL("TRUE")
_THEN = sql.SQL("m.recorded_at <= %(moment)s AND (m.replaced_at IS NULL OR m.replaced_at > %(moment)s)")


class Search(TenantRepository):
    async def search_words(
        self, words: Words, condition: Filter, *, limit: int, now: datetime, as_of: datetime | None = None
    ) -> list[Candidate]:
        """The best `limit` memories by how often and how many of the words they have, best first, ties by id.

        Words are compared by their English stems, phrases as they are written; what is said all the time ("the") is not
        looked for. Phrases and prefixes must match, excluded words must not; where nothing must, any of the first 256
        free words may. `as_of`: as default reads saw them then.
        """
        if words.empty:
            return []
        compiler = Compiler(Source.MEMORIES if as_of is None else Source.VERSIONS)
        places: dict[str, sql.Composable] = {
            "required": _together([*_phrases(compiler, words.phrases), *_prefixes(compiler, words.prefixes)]),
            "excluded": _together([_NOT.format(compiler.value(text, _TEXT)) for text in words.excluded]),
            "exact": _all([_EXACT.format(compiler.value(phrase, _TEXT)) for phrase in words.phrases]),
            "key": sql.Identifier(compiler.source.value),
            "source": sql.Identifier("own_memories" if as_of is None else "versions"),
            "at_moment": _ALWAYS if as_of is None else _THEN,
            "condition": compiler.compile(condition),
        }
        parameters = self._parameters(compiler, limit, now, as_of) | {"text": words.text, "words": _MAX_WORDS}
        found = await self._session.rows(filled(_SQL["words"], places), parameters)
        return [Candidate(memory_id=MemoryId(row[0]), score=row[1]) for row in found]

    async def vectors(
        self, space: Space, condition: Filter, *, limit: int, now: datetime, as_of: datetime | None = None
    ) -> tuple[list[MemoryId], NDArray[np.float32]]:
        """The newest `limit` memories that default reads see and that have a vector: ids and (n, d) float32 rows.

        `as_of`: as default reads saw them then, with the vectors of their texts of that time.
        """
        compiler = Compiler(Source.MEMORIES if as_of is None else Source.VERSIONS)
        statement = _SQL["vectors" if as_of is None else "vectors_as_of"]
        query = filled(statement, {"condition": compiler.compile(condition)})
        parameters = self._parameters(compiler, limit, now, as_of)
        parameters |= {"space": space.name, "dimensions": space.dimensions}
        found = await self._session.rows(query, parameters)
        packed = np.frombuffer(b"".join(row[1] for row in found), dtype="<f4")
        return [MemoryId(row[0]) for row in found], packed.reshape(len(found), space.dimensions)

    def _parameters(
        self, compiler: Compiler, limit: int, now: datetime, as_of: datetime | None
    ) -> dict[str, Any]:
        return {"tenant": self._tenant, "limit": limit, "moment": as_of or now, **compiler.parameters}


def _phrases(compiler: Compiler, phrases: Sequence[str]) -> list[sql.Composable]:
    return [_PHRASE.format(compiler.value(phrase, _TEXT)) for phrase in phrases]


def _prefixes(compiler: Compiler, prefixes: Sequence[str]) -> list[sql.Composable]:
    return [_PREFIX.format(compiler.value(f"{_quoted(prefix)}:*", _TEXT)) for prefix in prefixes]


def _together(parts: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("({})").format(sql.SQL(" && ").join(parts)) if parts else _NOTHING


def _all(conditions: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL(" AND ").join(conditions) if conditions else _ALWAYS


def _quoted(text: str) -> str:
    """The text as one operand of a tsquery."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
