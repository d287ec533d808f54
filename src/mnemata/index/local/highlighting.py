"""Fragments of texts with the words of a query marked: the analysis of the index over the text as it is stored.

Pure: every engine calls it with texts that its caller has from the store, so that no index keeps contents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mnemata.domain.fragment import FRAGMENTS, Fragment, FragmentShape, Part
from mnemata.domain.query import Words
from mnemata.index.local.analysis import stemmed_tokens
from mnemata.index.local.spans import Span, spans
from mnemata.index.local.words import AnalysedWords, analysed_words

MAX_CHARACTERS = 100_000
"""Of a longer text only so much is looked at."""

_BEFORE = 3
"""One part in so many of the room that the marks leave stands before them."""


class _Mark(NamedTuple):
    """text[start:end] is `term` of the query; a phrase is worth as many words as it has."""

    start: int
    end: int
    term: str
    worth: int = 1


def highlighted(
    words: Words, texts: Sequence[str], shape: FragmentShape = FRAGMENTS
) -> list[tuple[Fragment, ...]]:
    """For each text its best fragments, in the order of the text; none where no word of the query stands in it."""
    wanted = _Wanted.of(analysed_words(words))
    return [_fragments(text, wanted, shape) for text in texts]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is marked: words by token or stem, words by how they begin, and phrases."""

    forms: frozenset[str]
    stems: frozenset[str]
    prefixes: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, words: AnalysedWords) -> _Wanted:
        forms = frozenset(token for token, _ in words.counts)
        return cls(
            forms=forms,
            stems=frozenset(stem for form in forms if (stem := _stem(form)) is not None),
            prefixes=words.constraints.prefixes,
            phrases=tuple(phrase for phrase in words.constraints.phrases if len(phrase) > 1),
        )

    def term_of(self, token: str) -> str | None:
        """What of the query the token is."""
        if token in self.forms:
            return _stem(token) or token
        stem = _stem(token)
        if stem in self.stems:
            return stem
        return next((prefix for prefix in self.prefixes if token.startswith(prefix)), None)


@lru_cache(maxsize=8_192)
def _stem(token: str) -> str | None:
    return next(iter(stemmed_tokens(token)), None)


def _fragments(text: str, wanted: _Wanted, shape: FragmentShape) -> tuple[Fragment, ...]:
    text = text[:MAX_CHARACTERS]
    found = list(spans(text))
    marks = sorted([*_words(found, wanted), *_phrases(found, wanted)])
    stretches = _stretches(text, _windows(marks, shape), shape.characters)
    return tuple(_fragment(text, stretch, marks) for stretch in stretches)


def _words(found: Sequence[Span], wanted: _Wanted) -> Iterator[_Mark]:
    known: dict[str, str | None] = {}
    for span in found:
        for token in span.tokens:
            if token not in known:
                known[token] = wanted.term_of(token)
            term = known[token]
            if term is not None:
                yield _Mark(span.start, span.end, term)
                break


def _phrases(found: Sequence[Span], wanted: _Wanted) -> Iterator[_Mark]:
    if not wanted.phrases:
        return
    tokens = [(token, span) for span in found for token in span.tokens]
    for phrase in wanted.phrases:
        size = len(phrase)
        for at in range(len(tokens) - size + 1):
            if all(tokens[at + n][0] == phrase[n] for n in range(size)):
                yield _Mark(tokens[at][1].start, tokens[at + size - 1][1].end, " ".join(phrase), size)


def _windows(marks: Sequence[_Mark], shape: FragmentShape) -> list[tuple[int, int]]:
    """From the first to the last mark of each fragment: those with the most different words, none over another."""
    candidates = [_window_from(marks, first, shape.characters) for first in range(len(marks))]
    chosen: list[tuple[int, int]] = []
    for _, start, end in sorted(candidates, key=lambda each: (-each[0], each[1])):
        if len(chosen) == shape.count:
            break
        apart = shape.characters
        if all(start >= other + apart or other >= start + apart for other, _ in chosen):
            chosen.append((start, end))
    return chosen


def _window_from(marks: Sequence[_Mark], first: int, characters: int) -> tuple[int, int, int]:
    """How much the marks are worth that fit into a fragment from this one on, and from where to where they go."""
    start, end = marks[first].start, marks[first].end
    terms = {marks[first].term: marks[first].worth}
    for mark in marks[first:]:
        if mark.start >= start + characters:
            break
        if mark.end <= start + characters:
            terms[mark.term] = mark.worth
            end = max(end, mark.end)
    return sum(terms.values()), start, end


def _stretches(text: str, windows: Sequence[tuple[int, int]], characters: int) -> Iterator[tuple[int, int]]:
    """A stretch of about `characters` around each window, in the order of the text, none over another."""
    reached = 0
    for start, end in sorted(windows):
        # Only a phrase that is longer than a fragment reaches into the next window.
        if start >= reached:
            stretch = _around(text, start, end, characters, reached)
            reached = stretch[1]
            yield stretch


def _around(text: str, start: int, end: int, characters: int, reached: int) -> tuple[int, int]:
    """A stretch that holds start..end, begins at `reached` at the earliest and ends between words."""
    room = max(0, characters - (end - start))
    left = max(0, start - room // _BEFORE)
    right = min(len(text), max(end, left + characters))
    # At the end of the text the room is before the marks.
    left = min(left, max(0, right - characters))
    return _next_word(text, max(left, reached), start), _last_word(text, end, right)


def _next_word(text: str, left: int, start: int) -> int:
    if left > 0 and not text[left - 1].isspace():
        gap = next((at for at in range(left, start) if text[at].isspace()), None)
        # No gap before the mark: in a text without spaces any place is as good.
        left = left if gap is None else gap
    while left < start and text[left].isspace():
        left += 1
    return left


def _last_word(text: str, end: int, right: int) -> int:
    if right < len(text) and not text[right].isspace():
        gap = next((at for at in range(right - 1, end - 1, -1) if text[at].isspace()), None)
        right = right if gap is None else gap
    while right > end and text[right - 1].isspace():
        right -= 1
    return right


def _fragment(text: str, stretch: tuple[int, int], marks: Sequence[_Mark]) -> Fragment:
    start, end = stretch
    parts: list[Part] = []
    at = start
    for first, last in _merged(marks, start, end):
        if at < first:
            parts.append(Part(text=text[at:first], marked=False))
        parts.append(Part(text=text[first:last], marked=True))
        at = last
    if at < end:
        parts.append(Part(text=text[at:end], marked=False))
    return Fragment(start=start, parts=tuple(parts))


def _merged(marks: Sequence[_Mark], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the marks within start..end stand, those that overlap as one."""
    first = last = start
    for mark in marks:
        if mark.start < start or mark.end > end:
            continue
        if mark.start >= last:
            if last > first:
                yield first, last
            first = mark.start
        last = max(last, mark.end)
    yield first, last
