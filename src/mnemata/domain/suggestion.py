"""What a tenant's own words suggest: other spellings of a word, another wording of a query, how a text may go on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class WordCount:
    """A word, in lower case and without accents, and how many memories have it."""

    word: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Respelling:
    """A word of the tenant, `distance` edits from the one that was asked for, in `count` memories."""

    word: str
    distance: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """A word that no memory has, at start..end (code points) of the text, and the nearest that some have: best first."""

    word: str
    start: int
    end: int
    options: tuple[Respelling, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The text with other words where `spellings` stand, chosen to go together; everything else is as it was typed."""

    text: str
    spellings: tuple[Spelling, ...]


class CompletionKind(StrEnum):
    WORD = "word"
    PHRASE = "phrase"
    TAG = "tag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """How a text may go on, as a whole, and in how many memories the completed word, phrase or tag is."""

    text: str
    kind: CompletionKind
    count: int
