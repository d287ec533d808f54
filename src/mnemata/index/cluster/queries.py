"""The searches that an index query becomes: by words, by meaning, and a count. Readable as what is sent.

Every clause that only decides stands in a `filter`; only the words of the text have a part in the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.query import Leg, Mode
from mnemata.index.cluster.conditions import Clause, within
from mnemata.index.cluster.dialect import Dialect
from mnemata.index.cluster.document import HALF
from mnemata.index.cluster.texts import Texts
from mnemata.index.local.document import TEXT_FIELDS
from mnemata.index.local.words import AnalysedWords, Constraints, analysed_words, asks_by_words
from mnemata.index.protocol import IndexQuery, Vector
from mnemata.index.weights import CONTENT, FIELD_WEIGHTS

Body = dict[str, Any]

COUNT = "count"

MAX_SCORED = 180
"""Distinct words of one query that are scored, in each of five text fields: a cluster takes 1,024 clauses."""

_PARSED = 4_000
"""Words of one text that a cluster looks at when it chooses the rarest: of a longer one it would not see the end."""

_PAGE = 1_000
_SPARE = 10


class QueryBuilder:
    """Builds bodies for one index: `analysis` as its fields have it, `dialect` as its cluster speaks."""

    def __init__(self, dialect: Dialect, analysis: Texts, *, candidates: int, timeout_s: float) -> None:
        self._dialect = dialect
        self._analysis = analysis
        self._candidates = candidates
        self._timeout = f"{max(1, round(timeout_s * 1_000))}ms"

    def searches(self, query: IndexQuery) -> dict[str, Body]:
        """The searches by name: a leg's, and 'count' where only a search of its own can tell the total. None: nothing to find."""
        words = analysed_words(query.words)
        vector = None if query.mode is Mode.LEXICAL else query.vector
        bodies: dict[str, Body] = {}
        if query.mode is not Mode.VECTOR and not words.empty:
            bodies[Leg.LEXICAL.value] = self._by_words(query, words, count=query.count and vector is None)
        if vector is not None:
            bodies[Leg.VECTOR.value] = self._by_meaning(query, words.constraints, vector)
            if query.count:
                bodies[COUNT] = self._count(self._needed(query, words.constraints))
        return bodies

    def page(self, needed: Sequence[Clause], after: str | None) -> Body:
        """The next memories in the order of their ids."""
        start = {} if after is None else {"search_after": [after]}
        return self._found({"query": _filtered(needed), "sort": ["id"], **start}, depth=_PAGE)

    def vectors(self, tenant: TenantId, ids: Sequence[MemoryId]) -> Body:
        """The packed vectors of these memories."""
        needed = [
            {"term": {"tenant": tenant}},
            {"terms": {"id": [str(memory_id) for memory_id in ids]}},
            {"term": {"embedded": True}},
        ]
        return self._found({"query": _filtered(needed)}, depth=len(ids), fields=("id", HALF))

    def count(self, needed: Sequence[Clause]) -> Body:
        return self._count(needed)

    def matched(self, query: IndexQuery) -> Body:
        """The body of a search that only counts: what the total of the query's search counts."""
        words = analysed_words(query.words)
        if asks_by_words(query, words):
            return self._count([self._having(query, words)])
        return self._count(self._needed(query, words.constraints))

    def _by_words(self, query: IndexQuery, words: AnalysedWords, *, count: bool) -> Body:
        body: Body = {"query": self._having(query, words), "track_total_hits": count}
        return self._found(body, depth=query.depth, fields=("id", HALF))

    def _having(self, query: IndexQuery, words: AnalysedWords) -> Clause:
        scoring = self._scoring(words)
        found: Clause = {"filter": self._positive(query, words.constraints)}
        if words.constraints.excluded:
            found["must_not"] = [self._phrase(phrase) for phrase in words.constraints.excluded]
        # Who has the phrases and prefixes is found, with or without the other words.
        found["should" if words.constraints.required else "must"] = scoring
        return {"bool": found}

    def _by_meaning(self, query: IndexQuery, constraints: Constraints, vector: Vector) -> Body:
        needed = [*self._needed(query, constraints), {"term": {"embedded": True}}]
        # A few more than asked for: the graph compares vectors of one byte a dimension, and errs at the very edge.
        depth = query.depth + max(_SPARE, query.depth // _SPARE)
        asked = self._dialect.nearest(vector, needed, depth=depth, candidates=self._candidates)
        return self._found({**asked, "track_total_hits": False}, depth=depth, fields=("id", HALF))

    def _count(self, needed: Sequence[Clause]) -> Body:
        return {"size": 0, "track_total_hits": True, "query": _filtered(needed), "timeout": self._timeout}

    def _found(self, body: Body, *, depth: int, fields: Sequence[str] = ("id",)) -> Body:
        # From columns: reading the stored document of every candidate would take longer than finding it.
        columns = {"_source": False, "stored_fields": "_none_", "docvalue_fields": list(fields)}
        return {**body, **columns, "size": depth, "timeout": self._timeout}

    def _scoring(self, words: AnalysedWords) -> list[Clause]:
        """One clause, which holds where a word stands in a field, and whose score is the weighted sum of BM25 over fields."""
        tokens = [term.token for group in words.groups for term in group if term.field == CONTENT]
        clauses = [self._matching(field, tokens, words) for field in TEXT_FIELDS]
        clauses += [
            {"prefix": {CONTENT: {"value": prefix, "boost": FIELD_WEIGHTS[CONTENT]}}}
            for prefix in words.constraints.prefixes
        ]
        return [{"bool": {"should": clauses, "minimum_should_match": 1}}]

    def _matching(self, field: str, tokens: Sequence[str], words: AnalysedWords) -> Clause:
        if len(tokens) > MAX_SCORED:
            # The rarest of them, chosen by the cluster, which knows how rare they are.
            return {
                "more_like_this": {
                    "fields": [field],
                    "like": [
                        self._analysis.asked(field, tokens[at : at + _PARSED])
                        for at in range(0, len(tokens), _PARSED)
                    ],
                    "min_term_freq": 1,
                    "min_doc_freq": 1,
                    "max_query_terms": MAX_SCORED,
                    "minimum_should_match": "1",
                    "boost": FIELD_WEIGHTS[field],
                }
            }
        asked = self._analysis.asked(field, _as_often_as_said(words) or tokens)
        return {"match": {field: {"query": asked, "boost": FIELD_WEIGHTS[field]}}}

    def _needed(self, query: IndexQuery, constraints: Constraints) -> list[Clause]:
        unwanted = [self._phrase(phrase) for phrase in constraints.excluded]
        positive = self._positive(query, constraints)
        return [*positive, {"bool": {"must_not": unwanted}}] if unwanted else positive

    def _positive(self, query: IndexQuery, constraints: Constraints) -> list[Clause]:
        return [
            *within(query.tenant, query.condition),
            *(self._phrase(phrase) for phrase in constraints.phrases),
            *({"prefix": {CONTENT: {"value": prefix}}} for prefix in constraints.prefixes),
        ]

    def _phrase(self, phrase: tuple[str, ...]) -> Clause:
        return {"match_phrase": {CONTENT: self._analysis.asked(CONTENT, phrase)}}


def _as_often_as_said(words: AnalysedWords) -> list[str]:
    """The words of the query, those that it says twice twice; none where these would be too many."""
    terms = [term for group in words.groups for term in group if term.field == CONTENT]
    times = [round(term.weight / FIELD_WEIGHTS[CONTENT]) for term in terms]
    if sum(times) > MAX_SCORED:
        return []
    return [term.token for term, count in zip(terms, times, strict=True) for _ in range(count)]


def _filtered(needed: Sequence[Clause]) -> Clause:
    return {"bool": {"filter": list(needed)}}
