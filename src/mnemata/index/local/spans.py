"""Where the words of a text stand: stretches of the text as it is stored, each with the tokens that the analysis makes of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from mnemata.index.local.analysis import SPACELESS, plain_tokens

_ASCII = re.compile(r"[A-Za-z0-9]+")
# Marks are no \w, but are parts of words; what Unicode keeps for punctuation is not.
_WORD = re.compile(
    "(?:[^\\W_]|[^\x00-\xa8\xab-\xad\xaf\xb1\xb4\xb6-\xb8\xbb\xbf\u2000-\u206f\u3000-\u3004\u3008-\u3020\u3030\uff00-\uff0f\\s])+"
)
_MARKS = {"Mn", "Me"}


class Span(NamedTuple):
    """text[start:end] and its tokens."""

    start: int
    end: int
    tokens: tuple[str, ...]


def spans(text: str) -> Iterator[Span]:
    """The words of the text in order. Of scripts that write no spaces: overlapping pairs of characters, as indexed."""
    known: dict[str, tuple[str, ...]] = {}
    for start, end in _stretches(text):
        word = text[start:end]
        tokens = known.get(word)
        if tokens is None:
            tokens = known[word] = tuple(plain_tokens(word))
        if tokens:
            yield Span(start, end, tokens)


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    if text.isascii():
        yield from (word.span() for word in _ASCII.finditer(text))
        return
    for word in _WORD.finditer(text):
        yield from _divided(text, *word.span())


def _divided(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A stretch parted where a script without spaces begins or ends."""
    for run in SPACELESS.finditer(text, start, end):
        if start < run.start():
            yield start, run.start()
        yield from _pairs(text, *run.span())
        start = run.end()
    if start < end:
        yield start, end


def _pairs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    # The analysis drops marks before it pairs characters: a mark goes with the character before it.
    bases = [at for at in range(start, end) if at == start or unicodedata.category(text[at]) not in _MARKS]
    edges = [*bases, end]
    if len(bases) == 1:
        yield start, end
    yield from ((edges[n], edges[n + 2]) for n in range(len(bases) - 1))
