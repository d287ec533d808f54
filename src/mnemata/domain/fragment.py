"""Pieces of a text with the words that were asked for. Parts, not markup: whoever shows them escapes and marks for itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of the text, as stored. `marked`: it is a word, or words of a phrase, that the query asks for."""

    text: str
    marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A stretch of the text that begins at its code point `start`; its parts joined are the text itself."""

    start: int
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentShape:
    """`count`: the most fragments of one text; `characters`: about how long one is, and never longer, but for one long word."""

    count: int = 3
    characters: int = 160


FRAGMENTS = FragmentShape()
