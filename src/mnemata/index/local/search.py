"""One search of one partition: both legs at once where that is quicker, joined by memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import TypeVar

from mnemata.domain.errors import IndexUnavailable
from mnemata.domain.filter import AnyOf, Field, Filter, Not, both
from mnemata.domain.found import NOTHING_FOUND, Found
from mnemata.domain.query import Leg, Mode
from mnemata.index.local.document import memory_id
from mnemata.index.local.failures import translated
from mnemata.index.local.lexical import LexicalLeg
from mnemata.index.local.vector_rows import Nearest
from mnemata.index.local.vector_search import Named, NearestSearch
from mnemata.index.local.vectors import VectorLeg
from mnemata.index.local.words import Constraints, analysed_words
from mnemata.index.protocol import IndexQuery, Legs, Vector
from mnemata.observability.logging import get_logger

log = get_logger("index")

Result = TypeVar("Result")

_NOTHING = (NOTHING_FOUND, 0)
_WORTH_A_THREAD = 1_500
"""Rows to gather, 0.1 ms: what takes less is done before another thread has begun with it."""


class LegSearch:
    """Runs the legs that the query's mode asks for; one that fails is named in `degraded`, both raise.

    `beside`: threads that may search one leg while this one searches the other; None where they have other work.
    """

    def __init__(
        self, lexical: LexicalLeg, vectors: VectorLeg, query: IndexQuery, beside: Executor | None = None
    ) -> None:
        self._lexical = lexical
        self._vectors = vectors
        self._query = query
        self._beside = beside
        self._words = analysed_words(query.words)
        self._vector = None if query.mode is Mode.LEXICAL else query.vector
        self._took: dict[Leg, list[float]] = {leg: [] for leg in Leg}
        self._failed: dict[Leg, IndexUnavailable] = {}

    def run(self) -> Legs:
        search = self._begun()
        (by_words, matched), by_meaning = self._searched(search)
        if search is not None and by_meaning is None and self._query.count:
            matched = self._search_words(count=True)[1]
        if self._failed and all(leg in self._failed for leg, took in self._took.items() if took):
            raise next(iter(self._failed.values()))
        return Legs(
            lexical=by_words,
            vector=NOTHING_FOUND if by_meaning is None else by_meaning,
            total=matched if search is None or by_meaning is None else search.matching,
            degraded=tuple(leg.value for leg in Leg if leg in self._failed),
            took_ms={leg.value: sum(took) for leg, took in self._took.items() if took},
        )

    def _begun(self) -> NearestSearch | None:
        """The search by meaning, with its filter evaluated."""
        vector = self._vector
        return None if vector is None else self._step_by_meaning(lambda: self._begin(vector))

    def _begin(self, vector: Vector) -> NearestSearch:
        condition = self._narrowed(self._query.filter, self._words.constraints)
        return self._vectors.begin(vector, k=self._query.depth, condition=condition)

    def _searched(self, search: NearestSearch | None) -> tuple[tuple[Found, int], Found | None]:
        """What has the words, with their number; and what is near, joined with how near those with the words are."""
        if search is None:
            return self._search_words(count=self._query.count), None
        if self._beside is None or self._query.mode is Mode.VECTOR or search.rows < _WORTH_A_THREAD:
            by_words = self._search_words()
            nearest, named = self._find(search), self._named(search, by_words[0], scored=False)
            return by_words, self._joined(search, nearest, named)
        finding = self._beside.submit(self._find, search)
        try:
            by_words = self._search_words()
            named = self._named(search, by_words[0], scored=True)
        finally:
            # Nobody may close the files while it reads them.
            nearest = finding.result()
        return by_words, self._joined(search, nearest, named)

    def _find(self, search: NearestSearch) -> Nearest | None:
        return self._step_by_meaning(search.find)

    def _named(self, search: NearestSearch, by_words: Found, *, scored: bool) -> Named | None:
        """Those that the words found, however far they are; with their exact scores where this runs beside `_find`."""
        return self._step_by_meaning(lambda: search.named(by_words.numbers, scored=scored))

    def _joined(self, search: NearestSearch, nearest: Nearest | None, named: Named | None) -> Found | None:
        if nearest is None or named is None:
            return None
        return self._step_by_meaning(lambda: search.join(nearest, named))

    def _search_words(self, *, count: bool = False) -> tuple[Found, int]:
        """What has the words. How many there are matters where there is no search by meaning, or none any more."""
        query = self._query
        if query.mode is Mode.VECTOR or self._words.empty:
            return _NOTHING
        found = self._step(
            Leg.LEXICAL,
            lambda: self._lexical.search(self._words, query.filter, depth=query.depth, count=count),
        )
        return found or _NOTHING

    def _narrowed(self, condition: Filter, constraints: Constraints) -> Filter:
        """The filter with what the words demand: who must have a phrase must have it in this leg, too."""
        if constraints.required:
            return both(condition, _one_of(self._lexical.matching(condition, constraints)))
        for phrase in constraints.excluded:
            unwanted = self._lexical.matching(condition, Constraints(phrases=(phrase,)))
            condition = both(condition, Not(item=_one_of(unwanted)))
        return condition

    def _step_by_meaning(self, step: Callable[[], Result]) -> Result | None:
        def translating() -> Result:
            with translated("search"):
                return step()

        return self._step(Leg.VECTOR, translating)

    def _step(self, leg: Leg, step: Callable[[], Result]) -> Result | None:
        """One step of a leg, timed; None where the leg fails."""
        started = time.perf_counter()
        try:
            return step()
        except IndexUnavailable as error:
            log.warning("leg_failed", leg=leg.value, error=error.code, exc_info=True)
            self._failed[leg] = error
            return None
        finally:
            # Steps of one leg run in two threads.
            self._took[leg].append((time.perf_counter() - started) * 1e3)


def _one_of(keys: Iterable[int]) -> Filter:
    return AnyOf(field=Field(name="id"), values=tuple(str(memory_id(key)) for key in keys))
