"""What one search of the lexical leg sees: the main segment and the fresh layers over it, scored by one BM25.

Tantivy scores the main segment with its own statistics. Each term is boosted by the ratio of the idf over everything to
the idf that tantivy computes, so that main and fresh memories are scored alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from typing import NamedTuple

from tantivy import Occur, Query

from mnemata.domain.filter import EVERYTHING, Everything, Filter
from mnemata.domain.found import Found
from mnemata.index.local import bm25, document
from mnemata.index.local.conditions import all_of, any_of, compiled, starting_with
from mnemata.index.local.document import IndexedMemory
from mnemata.index.local.fresh import FreshView, satisfies
from mnemata.index.local.main_segment import Cost, MainSegment
from mnemata.index.local.words import AnalysedWords, Constraints, ScoredTerm, scored_terms
from mnemata.index.weights import CONTENT, FIELD_WEIGHTS, MAX_PREFIX_TERMS, MAX_TERMS

_WORDS_KEPT = 1_024
"""Words whose terms a view remembers: some 1.5 KB each."""


class FoundTerm(NamedTuple):
    """A term that some memory has: how many in the main segment, and which fresh ones.

    `weight`: its field's, times its idf over everything; `query`: finds and scores it in the main segment.
    """

    term: ScoredTerm
    in_main: int
    fresh: Sequence[IndexedMemory]
    weight: float
    query: Query


@dataclass(frozen=True, kw_only=True)
class LexicalView:
    """`layers` are older to newer; the last one is being written.

    `hidden`: keys of the main segment that some layer replaced or removed.
    """

    main: MainSegment
    layers: tuple[FreshView, ...]
    hidden: frozenset[int]

    @classmethod
    def over(cls, main: MainSegment, layers: tuple[FreshView, ...]) -> LexicalView:
        touched = frozenset[int]().union(*(layer.touched for layer in layers))
        return cls(main=main, layers=layers, hidden=frozenset(filter(main.holds, touched)))

    def after(self, changes: Sequence[IndexedMemory | int]) -> LexicalView:
        *older, newest = self.layers
        keys = {change if isinstance(change, int) else change.key for change in changes}
        hidden = self.hidden.union(filter(self.main.holds, keys - self.hidden))
        return LexicalView(main=self.main, layers=(*older, newest.after(changes)), hidden=hidden)

    @cached_property
    def fresh(self) -> tuple[IndexedMemory, ...]:
        """The memories that are not in the main segment yet, each in its newest version."""
        return tuple(
            memory
            for n, layer in enumerate(self.layers)
            for memory in layer.memories()
            if self._shown(n, memory)
        )

    @property
    def documents(self) -> int:
        """Memories that BM25 counts: a version that was replaced counts until it is merged away."""
        return self.main.documents + len(self.fresh)

    def search(
        self, words: AnalysedWords, condition: Filter, *, depth: int, count: bool
    ) -> tuple[Found, int]:
        """The best memories, ties by memory id, and how many memories match (0 where they are not counted).

        Of a query with more than MAX_TERMS distinct words the rarest ones are scored. Among equal scores at the
        very edge of `depth` the order of indexing decides which are in.
        """
        terms = self._found_terms(words)
        ranked, total = self._search_main(terms, condition, words.constraints, depth, count=count)
        if self.fresh:
            fresh = self._search_fresh(terms, condition, words.constraints)
            ranked, total = ranked + fresh, total + len(fresh)
        return Found.sorted(ranked)[:depth], total

    def matching(self, condition: Filter, constraints: Constraints) -> frozenset[int]:
        """The keys of every memory for which the filter holds and that has the words it must have."""
        query = self._narrowed(None, condition, constraints)
        found = set(self.main.keys_matching(query)) - self.hidden
        found.update(memory.key for memory in self.fresh if satisfies(memory, condition, constraints))
        return frozenset(found)

    def having(self, words: AnalysedWords, condition: Filter) -> frozenset[int]:
        """The keys of every memory that `search` counts: for which the filter holds, and that has the words."""
        terms = self._found_terms(words)
        scoring = [found.query for found in terms if found.in_main]
        found: set[int] = set()
        if scoring or words.constraints.required:
            query = self._narrowed(any_of(scoring) if scoring else None, condition, words.constraints)
            found = set(self.main.keys_matching(query)) - self.hidden
        found.update(key for _, key in self._search_fresh(terms, condition, words.constraints))
        return frozenset(found)

    def _found_terms(self, words: AnalysedWords) -> list[FoundTerm]:
        groups = [self._of_word(token, count) for token, count in words.counts]
        groups += [self._found(group) for group in self._prefixed(words.constraints)]
        groups = [group for group in groups if group]
        if len(groups) > MAX_TERMS:
            groups = nsmallest(MAX_TERMS, groups, key=_commonness)
        return [found for group in groups for found in group]

    def _of_word(self, token: str, count: int) -> list[FoundTerm]:
        """Remembered: words come again, and a view never changes."""
        known = self._words.get((token, count))
        if known is None:
            known = self._found(scored_terms(token, count))
            if len(self._words) >= _WORDS_KEPT:
                self._words.clear()
            self._words[token, count] = known
        return known

    @cached_property
    def _words(self) -> dict[tuple[str, int], list[FoundTerm]]:
        return {}

    def _found(self, group: Sequence[ScoredTerm]) -> list[FoundTerm]:
        found: list[FoundTerm] = []
        for term in group:
            in_main, query = self.main.term(term.field, term.token)
            fresh = tuple(self._fresh_having(term)) if self.fresh else ()
            if in_main or fresh:
                weight = term.weight * bm25.idf(self.documents, in_main + len(fresh))
                theirs = bm25.idf(self.main.counted, in_main)
                boosted = Query.boost_query(query, weight / theirs)
                found.append(FoundTerm(term, in_main, fresh, weight, boosted))
        return found

    def _prefixed(self, constraints: Constraints) -> Iterator[tuple[ScoredTerm, ...]]:
        """The commonest words under each prefix, so that those who have them are ranked."""
        for prefix in constraints.prefixes:
            counts = defaultdict(int, self.main.starting_with(CONTENT, prefix, MAX_PREFIX_TERMS))
            for layer in self.layers:
                for token in layer.tokens_starting_with(CONTENT, prefix):
                    counts[token] += len(layer.having(CONTENT, token))
            common = nsmallest(MAX_PREFIX_TERMS, counts, key=lambda token: (-counts[token], token))
            yield from (
                (ScoredTerm(field=CONTENT, token=token, weight=FIELD_WEIGHTS[CONTENT]),) for token in common
            )

    def _fresh_having(self, term: ScoredTerm) -> Iterator[IndexedMemory]:
        for n, layer in enumerate(self.layers):
            yield from (memory for memory in layer.having(term.field, term.token) if self._shown(n, memory))

    def _shown(self, layer: int, memory: IndexedMemory) -> bool:
        return not any(memory.key in newer.touched for newer in self.layers[layer + 1 :])

    def _search_main(
        self,
        terms: Sequence[FoundTerm],
        condition: Filter,
        constraints: Constraints,
        depth: int,
        *,
        count: bool,
    ) -> tuple[list[Cost], int]:
        scoring = [found.query for found in terms if found.in_main]
        if not scoring and not constraints.required:
            return [], 0
        query = self._narrowed(any_of(scoring) if scoring else None, condition, constraints)
        # Hidden ones are found too and dropped: ask for as many more.
        hits, total = self.main.search(query, limit=depth + len(self.hidden), count=count)
        if not self.hidden:
            return hits, total
        if count:
            total -= self._hidden_among(query)
        return [hit for hit in hits if hit[1] not in self.hidden], total

    def _narrowed(self, scoring: Query | None, condition: Filter, constraints: Constraints) -> Query:
        schema = self.main.schema
        needed = [] if isinstance(condition, Everything) else [compiled(schema, condition)]
        needed += [self._phrase(phrase) for phrase in constraints.phrases]
        needed += [starting_with(schema, CONTENT, prefix) for prefix in constraints.prefixes]
        clauses = [(Occur.Must, Query.const_score_query(query, 0.0)) for query in needed]
        clauses += [(Occur.MustNot, self._phrase(phrase)) for phrase in constraints.excluded]
        if scoring is None:
            everything = compiled(schema, EVERYTHING)
            return Query.boolean_query([(Occur.Must, Query.const_score_query(everything, 0.0)), *clauses])
        if not clauses:
            return scoring
        return Query.boolean_query(
            [*clauses, (Occur.Should if constraints.required else Occur.Must, scoring)]
        )

    def _phrase(self, phrase: tuple[str, ...]) -> Query:
        if len(phrase) == 1:
            return Query.term_query(self.main.schema, CONTENT, phrase[0], "freq")
        return Query.phrase_query(self.main.schema, CONTENT, list(phrase))

    def _hidden_among(self, query: Query) -> int:
        ids = [str(document.memory_id(key)) for key in self.hidden]
        hidden = Query.term_set_query(self.main.schema, document.ID, ids)
        return self.main.search(all_of([query, hidden]), limit=1, count=True)[1]

    def _search_fresh(
        self, terms: Sequence[FoundTerm], condition: Filter, constraints: Constraints
    ) -> list[Cost]:
        scores: dict[int, float] = defaultdict(float)
        candidates: dict[int, IndexedMemory] = {}
        if constraints.required:
            candidates = {memory.key: memory for memory in self.fresh}
        for found in terms:
            for memory in found.fresh:
                scores[memory.key] += self._score(memory, found.term, found.weight)
                candidates[memory.key] = memory
        kept = (memory for memory in candidates.values() if satisfies(memory, condition, constraints))
        return [(-scores[memory.key], memory.key) for memory in kept]

    def _score(self, memory: IndexedMemory, term: ScoredTerm, weight: float) -> float:
        norm = bm25.length_norm(memory.lengths[term.field], self.average_lengths[term.field])
        return bm25.score(weight=weight, frequency=memory.frequencies[term.field][term.token], norm=norm)

    @cached_property
    def average_lengths(self) -> dict[str, float]:
        """Tokens by field, over all memories."""
        documents = max(1, self.main.counted + len(self.fresh))
        fresh = {field: sum(m.lengths.get(field, 0) for m in self.fresh) for field in document.TEXT_FIELDS}
        return {
            field: max(1e-6, (average * self.main.counted + fresh[field]) / documents)
            for field, average in self.main.average_lengths.items()
        }


def _commonness(group: Sequence[FoundTerm]) -> int:
    return max(found.in_main + len(found.fresh) for found in group)
