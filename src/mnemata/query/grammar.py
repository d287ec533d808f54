"""What people type into a search: words, phrases, prefixes, exclusions and operators, told apart."""

from __future__ import annotations

from dataclasses import dataclass, field

from mnemata.domain.filter import EVERYTHING, And, AnyOf, Filter, Not, Or
from mnemata.domain.query import Words
from mnemata.query.terms import Condition, Either, Excluded, Phrase, Stem, Term, Word, alternatives, terms

MAX_CONSTRAINTS = 128
"""Phrases, prefixes, exclusions and compared values that count: later ones are words, so that no text is too costly."""

MAX_UNKNOWN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedText:
    """A query's text, understood.

    `text` is what the model embeds: the words, the phrases' words and the prefixes, without operators.
    `unknown`: terms of an operator's form that were taken as text, for the caller to be told.
    """

    text: str
    words: Words
    filter: Filter = EVERYTHING
    unknown: tuple[str, ...] = ()


def parse_query(text: str) -> ParsedText:
    """The words and the filter in a query. Never fails: what is no operator is a word."""
    reading = _Reading()
    for term in alternatives(list(terms(text))):
        reading.take(term)
    return reading.result()


@dataclass(slots=True)
class _Reading:
    """Collects the terms by what they ask for."""

    embedded: list[str] = field(default_factory=list[str])
    free: list[str] = field(default_factory=list[str])
    phrases: list[str] = field(default_factory=list[str])
    prefixes: list[str] = field(default_factory=list[str])
    excluded: list[str] = field(default_factory=list[str])
    unknown: list[str] = field(default_factory=list[str])
    conditions: list[Filter] = field(default_factory=list[Filter])
    constraints: int = 0

    def take(self, term: Term) -> None:
        self.constraints += _cost(term)
        if self.constraints > MAX_CONSTRAINTS:
            self._take_word(Word(raw=term.raw))
            return
        match term:
            case Condition(filter=condition):
                self.conditions.append(condition)
            case Phrase(words=words, excluded=True) | Excluded(word=words):
                self.excluded.append(words)
            case Phrase(words=words):
                self.embedded.append(words)
                self.phrases.append(words)
            case Stem(stem=stem):
                self.embedded.append(stem)
                self.prefixes.append(stem)
            case _:
                self._take_word(term)

    def _take_word(self, word: Word | Either) -> None:
        self.embedded.append(word.raw)
        self.free.append(word.raw)
        if isinstance(word, Word) and word.operator_like:
            self.unknown.append(word.raw)

    def result(self) -> ParsedText:
        words = Words(
            text=" ".join(self.free),
            phrases=tuple(self.phrases),
            prefixes=tuple(self.prefixes),
            excluded=tuple(self.excluded),
        )
        return ParsedText(
            text=" ".join(self.embedded),
            words=words,
            filter=_conjunction(self.conditions),
            unknown=tuple(dict.fromkeys(self.unknown[:MAX_UNKNOWN])),
        )


def _cost(term: Term) -> int:
    if isinstance(term, Word | Either):
        return 0
    return _values(term.filter) if isinstance(term, Condition) else 1


def _values(condition: Filter) -> int:
    match condition:
        case And(items=items) | Or(items=items):
            return sum(_values(item) for item in items)
        case Not(item=item):
            return _values(item)
        case AnyOf(values=values):
            return len(values)
        case _:
            return 1


def _conjunction(conditions: list[Filter]) -> Filter:
    match conditions:
        case []:
            return EVERYTHING
        case [only]:
            return only
        case _:
            return And(items=tuple(conditions))
