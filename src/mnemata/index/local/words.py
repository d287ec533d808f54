"""The words of a query, analysed: what scores and what must or must not be there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from mnemata.domain.query import Mode, Words
from mnemata.index.local.analysis import plain_tokens, stemmed_tokens
from mnemata.index.local.document import STEMMED_FIELDS, TEXT_FIELDS
from mnemata.index.local.stopwords import ENGLISH
from mnemata.index.protocol import IndexQuery
from mnemata.index.weights import FIELD_WEIGHTS, MAX_QUERY_WORDS


class ScoredTerm(NamedTuple):
    """A token to look for in a field; `weight` is the field's, times how often the query says it."""

    # A tuple: a query makes some forty of them, and a frozen dataclass takes four times as long to make.

    field: str
    token: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What must be in the content as written (`phrases`, `prefixes`), and what must not (`excluded`)."""

    phrases: tuple[tuple[str, ...], ...] = ()
    prefixes: tuple[str, ...] = ()
    excluded: tuple[tuple[str, ...], ...] = ()

    @property
    def required(self) -> bool:
        return bool(self.phrases or self.prefixes)

    @property
    def any(self) -> bool:
        return self.required or bool(self.excluded)


_UNCONSTRAINED = Constraints()


@dataclass(frozen=True, kw_only=True)
class AnalysedWords:
    """`counts`: each distinct word of the query that scores, and how often the query says it."""

    counts: tuple[tuple[str, int], ...]
    constraints: Constraints

    @property
    def empty(self) -> bool:
        return not self.counts and not self.constraints.required

    @cached_property
    def groups(self) -> tuple[tuple[ScoredTerm, ...], ...]:
        """For each distinct word the terms that it scores by, field by field."""
        return tuple(scored_terms(token, count) for token, count in self.counts)


def analysed_words(words: Words) -> AnalysedWords:
    """The query as tokens. Words of no meaning of their own are dropped where the query has others.

    The words of a phrase score like free words, besides being required.
    """
    text = " ".join((words.text, *words.phrases))
    return AnalysedWords(counts=_counts(text), constraints=_constraints(words))


def asks_by_words(query: IndexQuery, words: AnalysedWords) -> bool:
    """Whether only those match that have the words; otherwise all within the filter do, ranked by meaning."""
    if query.mode is Mode.VECTOR or words.empty:
        return False
    return query.mode is Mode.LEXICAL or query.vector is None


def scored_terms(token: str, count: int) -> tuple[ScoredTerm, ...]:
    """The terms that a word scores by which the query says `count` times, field by field."""
    stem = next(iter(stemmed_tokens(token)), None)
    forms = {field: stem if field in STEMMED_FIELDS else token for field in TEXT_FIELDS}
    return tuple(
        ScoredTerm(field=field, token=form, weight=FIELD_WEIGHTS[field] * count)
        for field, form in forms.items()
        if form is not None
    )


def _counts(text: str) -> tuple[tuple[str, int], ...]:
    counts = Counter(plain_tokens(text)[:MAX_QUERY_WORDS])
    return tuple((token, count) for token, count in counts.items() if token not in ENGLISH) or tuple(
        counts.items()
    )


def _constraints(words: Words) -> Constraints:
    if not (words.phrases or words.prefixes or words.excluded):
        return _UNCONSTRAINED
    phrases = [tuple(plain_tokens(phrase)) for phrase in words.phrases]
    excluded = [tuple(plain_tokens(phrase)) for phrase in words.excluded]
    prefixes: list[str] = []
    for prefix in words.prefixes:
        *before, last = plain_tokens(prefix) or [""]
        # A prefix with a hyphen is several words, of which only the last is unfinished.
        phrases.extend((word,) for word in before)
        prefixes.append(last)
    return Constraints(
        phrases=tuple(filter(None, phrases)),
        prefixes=tuple(filter(None, prefixes)),
        excluded=tuple(filter(None, excluded)),
    )
