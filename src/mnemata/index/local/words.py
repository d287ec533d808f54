"""The words of a query, analysed: what scores and what must or must not be there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from mnemata.domain.query import Words
from mnemata.index.local.analysis import plain_tokens, stemmed_tokens
from mnemata.index.local.document import STEMMED_FIELDS, TEXT_FIELDS
from mnemata.index.local.stopwords import ENGLISH
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysedWords:
    """`groups` holds, for each distinct word of the query, the terms that it scores by, field by field."""

    groups: tuple[tuple[ScoredTerm, ...], ...]
    constraints: Constraints

    @property
    def empty(self) -> bool:
        return not self.groups and not self.constraints.required


def analysed_words(words: Words) -> AnalysedWords:
    """The query as tokens. Words of no meaning of their own are dropped where the query has others.

    The words of a phrase score like free words, besides being required.
    """
    text = " ".join((words.text, *words.phrases))
    return AnalysedWords(groups=_groups(text), constraints=_constraints(words))


def _groups(text: str) -> tuple[tuple[ScoredTerm, ...], ...]:
    counts = Counter(plain_tokens(text)[:MAX_QUERY_WORDS])
    telling = {token: count for token, count in counts.items() if token not in ENGLISH} or counts
    return tuple(_terms(token, count) for token, count in telling.items())


def _terms(token: str, count: int) -> tuple[ScoredTerm, ...]:
    stem = next(iter(stemmed_tokens(token)), None)
    forms = {field: stem if field in STEMMED_FIELDS else token for field in TEXT_FIELDS}
    return tuple(
        ScoredTerm(field=field, token=form, weight=FIELD_WEIGHTS[field] * count)
        for field, form in forms.items()
        if form is not None
    )


def _constraints(words: Words) -> Constraints:
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
