"""Spellings, corrections and completions from a tenant's dictionary, the same for every engine.

An engine answers four questions about one tenant's living memories (`Dictionary`); everything else is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Protocol, TypeAlias

from mnemata.domain.suggestion import Completion, CompletionKind, Correction, Respelling, Spelling, WordCount
from mnemata.index.local.spans import Span, spans
from mnemata.index.local.spelling import correctable, respellings
from mnemata.index.local.stopwords import ENGLISH

Phrase: TypeAlias = tuple[str, ...]

MAX_WORDS = 32
"""Words of a text that are looked at."""

MAX_CORRECTED = 8
"""Unknown words of a text that are corrected."""

MAX_PREFIX_CHARACTERS = 64
_OPTIONS = 5
_NEXT_WORDS = 24
_PHRASE_WORDS = 3
_ERROR_COST = 3.0
"""What an edit costs, in units of the logarithm of a count: an error is worth twenty times as many memories."""

_PAIR_WEIGHT = 2.0


class Dictionary(Protocol):
    """What one tenant's memories say: words are as `plain_tokens` makes them, counts are of memories that live."""

    async def counts(self, words: Sequence[str]) -> Sequence[int]:
        """How many memories a search for each word finds by their own content, speaker or tags."""
        ...

    async def near(self, word: str) -> Sequence[WordCount]:
        """Words with the same first letter and about as many letters."""
        ...

    async def starting_with(self, prefix: str, limit: int) -> Sequence[WordCount]:
        """The most frequent words that begin with the prefix."""
        ...

    async def phrases(self, phrases: Sequence[Phrase]) -> Sequence[int]:
        """How many contents have each phrase."""
        ...

    async def tags_starting_with(self, prefix: str, limit: int) -> Sequence[WordCount]:
        """The most frequent tags, as written, that begin with the prefix in upper or lower case."""
        ...


async def spellings(dictionary: Dictionary, text: str, *, limit: int = _OPTIONS) -> tuple[Spelling, ...]:
    """The words of the text that no memory has, each with the nearest that some have."""
    words = _words(text)
    counts = await dictionary.counts([span.tokens[0] for span in words]) if words else ()
    unknown = [span for span, count in zip(words, counts, strict=True) if not count]
    return tuple([await _spelling(dictionary, text, span, limit) for span in unknown[:MAX_CORRECTED]])


async def correction(dictionary: Dictionary, text: str) -> Correction | None:
    """The text with the unknown words replaced so that they go together; None where there is nothing to replace."""
    found = [spelling for spelling in await spellings(dictionary, text) if spelling.options]
    if not found:
        return None
    choices = [_choices(span, found) for span in _first(text)]
    pairs = sorted(set(_pairs_to_weigh(choices)))
    counts = dict(zip(pairs, await dictionary.phrases(pairs), strict=True)) if pairs else {}
    chosen = _best_path(choices, counts)
    return Correction(text=_replaced(text, choices, chosen), spellings=tuple(found))


async def completions(dictionary: Dictionary, prefix: str, *, limit: int = 10) -> tuple[Completion, ...]:
    """How the text may go on: the most frequent first, then by the alphabet."""
    typed = prefix.lstrip()
    if not typed:
        return ()
    found = [
        Completion(text=tag.word, kind=CompletionKind.TAG, count=tag.count)
        for tag in await dictionary.tags_starting_with(typed[:MAX_PREFIX_CHARACTERS], limit)
    ]
    words = list(spans(typed))
    if words and words[-1].end == len(typed):
        found += await _going_on(dictionary, typed, words[-_PHRASE_WORDS:], limit)
    return _distinct(sorted(found, key=_by_frequency))[:limit]


def _words(text: str) -> list[Span]:
    """The words that may be misspelt, among the first of the text."""
    return [span for span in _first(text) if len(span.tokens) == 1 and _may_be_wrong(span.tokens[0])]


def _first(text: str) -> list[Span]:
    return list(islice(spans(text), MAX_WORDS))


def _may_be_wrong(token: str) -> bool:
    return token not in ENGLISH and correctable(token)


async def _spelling(dictionary: Dictionary, text: str, span: Span, limit: int) -> Spelling:
    word = span.tokens[0]
    options = respellings(word, await dictionary.near(word), limit=limit)
    return Spelling(word=text[span.start : span.end], start=span.start, end=span.end, options=options)


_Choice: TypeAlias = tuple[Span, tuple[Respelling, ...]]
"""A word of the text and what may stand in its place; nothing where it stays."""


def _choices(span: Span, found: Sequence[Spelling]) -> _Choice:
    options = next((spelling.options for spelling in found if spelling.start == span.start), ())
    return span, options


def _candidates(choice: _Choice) -> list[tuple[str, float]]:
    """The words that may stand there, and what each is worth without its neighbours."""
    span, options = choice
    if not options:
        return [(span.tokens[-1], 0.0)]
    return [(option.word, math.log1p(option.count) - _ERROR_COST * option.distance) for option in options]


def _pairs_to_weigh(choices: Sequence[_Choice]) -> Iterator[Phrase]:
    for left, right in pairwise(choices):
        if left[1] or right[1]:
            for first, _ in _candidates(left):
                yield from ((first, second) for second, _ in _candidates(right))


def _best_path(choices: Sequence[_Choice], counts: dict[Phrase, int]) -> list[str]:
    """One word for each place, so that the words and their pairs are worth the most (Viterbi 1967)."""
    paths: list[tuple[float, list[str]]] = [(0.0, [])]
    for choice in choices:
        paths = [
            max(
                (
                    (
                        worth
                        + own
                        + _PAIR_WEIGHT * math.log1p(counts.get((path[-1], word), 0) if path else 0),
                        [*path, word],
                    )
                    for worth, path in paths
                ),
                key=lambda extended: extended[0],
            )
            for word, own in _candidates(choice)
        ]
    return max(paths, key=lambda path: path[0])[1]


def _replaced(text: str, choices: Sequence[_Choice], chosen: Sequence[str]) -> str:
    pieces: list[str] = []
    at = 0
    for (span, options), word in zip(choices, chosen, strict=True):
        if options:
            pieces += [text[at : span.start], word]
            at = span.end
    return "".join([*pieces, text[at:]])


async def _going_on(
    dictionary: Dictionary, typed: str, words: Sequence[Span], limit: int
) -> list[Completion]:
    """The words that begin like the last one; after others those that follow them in some content."""
    *before, last = [token for span in words for token in span.tokens]
    found = await dictionary.starting_with(last, _NEXT_WORDS if before else limit)
    if not before:
        return [Completion(text=one.word, kind=CompletionKind.WORD, count=one.count) for one in found]
    counts = await dictionary.phrases([(*before, one.word) for one in found]) if found else ()
    head = typed[: words[-1].start]
    return [
        Completion(text=head + one.word, kind=CompletionKind.PHRASE, count=count)
        for one, count in zip(found, counts, strict=True)
        if count
    ]


def _by_frequency(completion: Completion) -> tuple[int, str]:
    return -completion.count, completion.text


def _distinct(found: Sequence[Completion]) -> tuple[Completion, ...]:
    """Without those that differ from a more frequent one by upper and lower case only."""
    first: dict[str, Completion] = {}
    for completion in found:
        first.setdefault(completion.text.lower(), completion)
    return tuple(first.values())


def either_case(prefix: str) -> list[str]:
    """For each character of the prefix those that may stand there: in upper and in lower case."""
    cases = ({one, one.lower(), one.upper()} for one in prefix)
    return ["".join(sorted(form for form in forms if len(form) == 1)) for forms in cases]
