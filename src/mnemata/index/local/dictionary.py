"""A tenant's dictionary in the local index: tantivy's own list of words, the fresh layers over it, and the columns' tags.

Tantivy counts a version that was replaced or removed until it is merged away. Where there may be one, a word is counted
anew among what lives before it is given: a forgotten word is never suggested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from tantivy import Occur, Query

from mnemata.domain.suggestion import WordCount
from mnemata.index.local import document
from mnemata.index.local.analysis import stemmed_tokens
from mnemata.index.local.columns import Snapshot
from mnemata.index.local.conditions import any_of
from mnemata.index.local.facets import Counter
from mnemata.index.local.fresh import has_phrase
from mnemata.index.local.lexical_view import LexicalView
from mnemata.index.local.main_segment import MainSegment
from mnemata.index.local.spelling import allowed_edits, distance
from mnemata.index.local.suggesting import Phrase, either_case
from mnemata.index.weights import CONTENT, CONTENT_ENGLISH, SPEAKER, TAGS

Answer = TypeVar("Answer")

Term: TypeAlias = tuple[str, str]
"""A text field and a token."""

WORD_FIELDS = (CONTENT, SPEAKER, TAGS)

_EVERY_WORD = 1_000_000
_MORE = 2
"""Times as many words are looked at as are wanted: counted anew, some may turn out to be rarer, or gone."""


@dataclass(frozen=True)
class FirstLetter:
    """The words of a main segment that begin with one letter: (n,) lengths, and (n,) which letters each has, as bits."""

    words: list[str]

    @cached_property
    def lengths(self) -> NDArray[np.int16]:
        return np.fromiter(map(len, self.words), np.int16, len(self.words))

    @cached_property
    def letters(self) -> NDArray[np.uint64]:
        return np.fromiter(map(_letters, self.words), np.uint64, len(self.words))

    def near(self, word: str, edits: int) -> Iterator[str]:
        """The words that are no more than so many edits away."""
        # An edit changes the length by one at most, and adds or takes away two letters at most.
        alike = np.abs(self.lengths - len(word)) <= edits
        alike &= np.bitwise_count(self.letters ^ np.uint64(_letters(word))) <= 2 * edits
        candidates = (self.words[n] for n in np.flatnonzero(alike).tolist())
        return (other for other in candidates if distance(word, other, edits) is not None)


class WordLists:
    """The lists of the main segment that was asked last; made when they are first needed."""

    def __init__(self) -> None:
        self._kept: tuple[MainSegment, dict[str, FirstLetter]] | None = None

    def of(self, main: MainSegment, letter: str) -> FirstLetter:
        kept = self._kept
        if kept is None or kept[0] is not main:
            kept = self._kept = (main, {})
        found = kept[1].get(letter)
        if found is None:
            words = {
                word for field in WORD_FIELDS for word, _ in main.starting_with(field, letter, _EVERY_WORD)
            }
            found = kept[1][letter] = FirstLetter(sorted(words))
        return found


class LocalDictionary:
    """Answers what `suggesting.Dictionary` asks, for one view of one tenant. Calls block."""

    def __init__(self, view: LexicalView, columns: Snapshot, lists: WordLists) -> None:
        self._view = view
        self._main = view.main
        self._columns = columns
        self._lists = lists

    def counts(self, words: Sequence[str]) -> list[int]:
        return [self._count([*_as_written(word), *_stemmed(word)]) for word in words]

    def near(self, word: str) -> list[WordCount]:
        edits = allowed_edits(word)
        found = set(self._lists.of(self._main, word[0]).near(word, edits))
        fresh = (other for other in self._fresh_words(word[0]) if abs(len(other) - len(word)) <= edits)
        found.update(other for other in fresh if distance(word, other, edits) is not None)
        return self._living(found)

    def starting_with(self, prefix: str, limit: int) -> list[WordCount]:
        common: dict[str, int] = {}
        for field in WORD_FIELDS:
            for word, count in self._main.starting_with(field, prefix, _MORE * limit):
                common[word] = max(count, common.get(word, 0))
        for word in self._fresh_words(prefix):
            common[word] = common.get(word, 0) + len(self._fresh_having([(CONTENT, word)]))
        first = nsmallest(_MORE * limit, common, key=lambda word: (-common[word], word))
        return nsmallest(limit, self._living(first), key=lambda one: (-one.count, one.word))

    def phrases(self, phrases: Sequence[Phrase]) -> list[int]:
        return [self._count_phrase(phrase) for phrase in phrases]

    def tags_starting_with(self, prefix: str, limit: int) -> list[WordCount]:
        begins = re.compile("".join(f"[{re.escape(''.join(forms))}]" for forms in either_case(prefix)))
        living = np.flatnonzero(self._columns.alive)
        found = Counter(self._columns, living).tags(begins.match)
        return nsmallest(limit, found, key=lambda one: (-one.count, one.word))

    def _living(self, words: Iterable[str]) -> list[WordCount]:
        counted = (WordCount(word=word, count=self._count(_as_written(word))) for word in words)
        return [one for one in counted if one.count]

    def _count(self, terms: Sequence[Term]) -> int:
        """How many memories have one of the terms."""
        held = [found for field, token in terms if (found := self._main.term(field, token))[0]]
        if not held:
            in_main = 0
        elif len(held) == 1 and self._exact:
            in_main = held[0][0]
        else:
            in_main = self._count_in_main(any_of([query for _, query in held]))
        return in_main + len(self._fresh_having(terms))

    def _count_phrase(self, phrase: Phrase) -> int:
        if len(phrase) == 1:
            return self._count([(CONTENT, phrase[0])])
        in_main = 0
        if all(self._main.term(CONTENT, word)[0] for word in phrase):
            in_main = self._count_in_main(Query.phrase_query(self._main.schema, CONTENT, list(phrase)))
        return in_main + sum(has_phrase(memory, phrase) for memory in self._view.fresh)

    @cached_property
    def _exact(self) -> bool:
        """Whether tantivy's counts are of what lives."""
        return not self._view.hidden and self._main.live == self._main.documents

    def _count_in_main(self, query: Query) -> int:
        if self._hidden is not None:
            query = Query.boolean_query([(Occur.Must, query), (Occur.MustNot, self._hidden)])
        return self._main.search(query, limit=1, count=True)[1]

    @cached_property
    def _hidden(self) -> Query | None:
        """Finds the memories of the main segment of which there are fresh versions, or that were removed."""
        ids = [str(document.memory_id(key)) for key in self._view.hidden]
        return Query.term_set_query(self._main.schema, document.ID, ids) if ids else None

    def _fresh_having(self, terms: Sequence[Term]) -> set[int]:
        """The keys of the fresh memories that have one of the terms."""
        layers = self._view.layers
        return {
            memory.key
            for n, layer in enumerate(layers)
            for field, token in terms
            for memory in layer.having(field, token)
            if not any(memory.key in newer.touched for newer in layers[n + 1 :])
        }

    def _fresh_words(self, prefix: str) -> set[str]:
        return {
            word
            for layer in self._view.layers
            for field in WORD_FIELDS
            for word in layer.tokens_starting_with(field, prefix)
        }


class Ask(Protocol):
    """Asks the dictionary of one tenant, in a thread; gives `nothing` where the tenant has none."""

    async def __call__(self, question: Callable[[LocalDictionary], Answer], nothing: Answer) -> Answer: ...


class TenantDictionary:
    """Implements `suggesting.Dictionary` on the local index."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def counts(self, words: Sequence[str]) -> list[int]:
        return await self._ask(lambda dictionary: dictionary.counts(words), [0] * len(words))

    async def near(self, word: str) -> list[WordCount]:
        return await self._ask(lambda dictionary: dictionary.near(word), [])

    async def starting_with(self, prefix: str, limit: int) -> list[WordCount]:
        return await self._ask(lambda dictionary: dictionary.starting_with(prefix, limit), [])

    async def phrases(self, phrases: Sequence[Phrase]) -> list[int]:
        return await self._ask(lambda dictionary: dictionary.phrases(phrases), [0] * len(phrases))

    async def tags_starting_with(self, prefix: str, limit: int) -> list[WordCount]:
        return await self._ask(lambda dictionary: dictionary.tags_starting_with(prefix, limit), [])


def _as_written(word: str) -> list[Term]:
    return [(field, word) for field in WORD_FIELDS]


def _stemmed(word: str) -> list[Term]:
    return [(CONTENT_ENGLISH, stem) for stem in stemmed_tokens(word)]


def _letters(word: str) -> int:
    """A bit for each letter that the word has: 64 of them stand for all."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) & 63)
    return bits
