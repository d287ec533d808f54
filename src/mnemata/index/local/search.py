"""One search of one partition: the legs one after the other, joined by memory.

One after the other, because handing one to another thread costs a tenth of what a leg takes, and a core that another
search could use.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from mnemata.domain.errors import IndexUnavailable
from mnemata.domain.filter import AnyOf, Field, Filter, Not, both
from mnemata.domain.found import NOTHING_FOUND, Found
from mnemata.domain.query import Leg, Mode
from mnemata.index.local.document import memory_id
from mnemata.index.local.failures import translated
from mnemata.index.local.lexical import LexicalLeg
from mnemata.index.local.vectors import VectorLeg
from mnemata.index.local.words import Constraints, analysed_words
from mnemata.index.protocol import IndexQuery, Legs, Vector
from mnemata.observability.logging import get_logger

log = get_logger("index")

_NOTHING = (NOTHING_FOUND, 0)


class LegSearch:
    """Runs the legs that the query's mode asks for; one that fails is named in `degraded`, both raise."""

    def __init__(self, lexical: LexicalLeg, vectors: VectorLeg, query: IndexQuery) -> None:
        self._lexical = lexical
        self._vectors = vectors
        self._query = query
        self._words = analysed_words(query.words)
        self._vector = None if query.mode is Mode.LEXICAL else query.vector
        self._took: dict[str, float] = {}
        self._failed: dict[str, IndexUnavailable] = {}

    def run(self) -> Legs:
        by_words, matched = self._search_words()
        by_meaning, within = self._search_vectors(by_words)
        if self._failed and len(self._failed) == len(self._took):
            raise next(iter(self._failed.values()))
        return Legs(
            lexical=by_words,
            vector=by_meaning,
            total=within if self._answered(Leg.VECTOR) else matched,
            degraded=tuple(self._failed),
            took_ms=self._took,
        )

    def _search_words(self) -> tuple[Found, int]:
        query = self._query
        if query.mode is Mode.VECTOR or self._words.empty:
            return _NOTHING
        # Only a search by words alone needs the count of those that have the words.
        count = query.count and self._vector is None
        return self._leg(
            Leg.LEXICAL,
            lambda: self._lexical.search(self._words, query.filter, depth=query.depth, count=count),
        )

    def _search_vectors(self, by_words: Found) -> tuple[Found, int]:
        vector = self._vector
        if vector is None:
            return _NOTHING
        return self._leg(Leg.VECTOR, lambda: self._nearest(vector, by_words))

    def _nearest(self, vector: Vector, by_words: Found) -> tuple[Found, int]:
        """The nearest, and the exact scores of those that the words found besides."""
        query = self._query
        condition = self._narrowed(query.filter, self._words.constraints)
        with translated("search"):
            return self._vectors.joined(vector, by_words.numbers, k=query.depth, condition=condition)

    def _narrowed(self, condition: Filter, constraints: Constraints) -> Filter:
        """The filter with what the words demand: who must have a phrase must have it in this leg, too."""
        if constraints.required:
            return both(condition, _one_of(self._lexical.matching(condition, constraints)))
        for phrase in constraints.excluded:
            unwanted = self._lexical.matching(condition, Constraints(phrases=(phrase,)))
            condition = both(condition, Not(item=_one_of(unwanted)))
        return condition

    def _leg(self, leg: Leg, search: Callable[[], tuple[Found, int]]) -> tuple[Found, int]:
        started = time.perf_counter()
        try:
            return search()
        except IndexUnavailable as error:
            log.warning("leg_failed", leg=leg.value, error=error.code, exc_info=True)
            self._failed[leg.value] = error
            return _NOTHING
        finally:
            self._took[leg.value] = (time.perf_counter() - started) * 1e3

    def _answered(self, leg: Leg) -> bool:
        return leg.value in self._took and leg.value not in self._failed


def _one_of(keys: Iterable[int]) -> Filter:
    return AnyOf(field=Field(name="id"), values=tuple(str(memory_id(key)) for key in keys))
