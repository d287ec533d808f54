"""Text to tokens: one analysis for the main segment, for fresh memories and for queries.

A pre-step in Python (`normalised`) does what tantivy's analyzers do not: compatibility forms (NFKC), accents of every
script, marks that would split words of Hindi, Thai or Hebrew, overlapping pairs of characters for scripts that write no
spaces and for Hangul, and emoji as words. Then tantivy's `plain` analyzer folds case and what is left of Latin accents,
and `english` drops stop words and stems. A language that its script tells is stemmed before that (`uninflected`).
"""

from __future__ import annotations

import re
import unicodedata

import tantivy

from mnemata.index.local.stopwords import ENGLISH

PLAIN = "plain"
STEMMED = "english"
MAX_TOKEN_BYTES = 255

SPACELESS = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005\u3040-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\uac00-\ud7a3"  # Hangul: particles are written to the word
    "\U00020000-\U0003ffff"
    "]+"
)
_FEWEST_CHARACTERS = MAX_TOKEN_BYTES // 4
"""A character has four bytes at most."""

_LONG = re.compile(f"[^\\W_]{{{_FEWEST_CHARACTERS},}}")
"""Tantivy's filter takes words out that are too long and leaves their places empty, where `plain_tokens` has none: phrases
across such a word would match in memory and not on disk. So none comes so far."""

_MARKS_AND_SYMBOLS = {"Mn", "Me", "So"}
_VOICING = {"\u3099", "\u309a"}
"""The marks of kana: ga is another letter than ka, not the same with an accent."""


def normalised(text: str) -> str:
    """The text as the analyzers below expect it."""
    if not text.isascii():
        apart = map(_character, unicodedata.normalize("NFKD", text))
        text = SPACELESS.sub(_pairs, unicodedata.normalize("NFC", "".join(apart)))
        return _LONG.sub(_unless_too_long, text)
    return _LONG.sub(_unless_too_long, text) if len(text) >= MAX_TOKEN_BYTES else text


def uninflected(text: str) -> str:
    """The text as the English analyzer expects it: words in Cyrillic, Greek and Arabic are their stems.

    Which language a Latin text is in cannot be seen from its letters: it is left to the vectors.
    """
    prepared = normalised(text)
    if not text.isascii():
        for script, stemmer in _STEMMERS:
            if script.search(prepared):
                prepared = " ".join(stemmer.analyze(prepared))
    return prepared


def plain_tokens(text: str) -> list[str]:
    """The words as written, in lower case and without accents, in order."""
    return _PLAIN.analyze(normalised(text))


def stemmed_tokens(text: str) -> list[str]:
    """The words without English stop words, stemmed, in order."""
    return _ENGLISH.analyze(uninflected(text))


def register(index: tantivy.Index) -> None:
    index.register_tokenizer(PLAIN, _PLAIN)
    index.register_tokenizer(STEMMED, _ENGLISH)


def _character(character: str) -> str:
    category = unicodedata.category(character)
    if category not in _MARKS_AND_SYMBOLS or character in _VOICING:
        return character
    return f" u{ord(character):x} " if category == "So" else ""


def _unless_too_long(word: re.Match[str]) -> str:
    return " " if len(word[0].encode()) >= MAX_TOKEN_BYTES else word[0]


def _pairs(run: re.Match[str]) -> str:
    characters = run.group()
    if len(characters) == 1:
        return f" {characters} "
    return " " + " ".join(characters[i : i + 2] for i in range(len(characters) - 1)) + " "


def _folding() -> tantivy.TextAnalyzerBuilder:
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(MAX_TOKEN_BYTES))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
    )


_PLAIN = _folding().build()
_ENGLISH = (
    _folding()
    .filter(tantivy.Filter.custom_stopword(sorted(ENGLISH)))
    .filter(tantivy.Filter.stemmer("english"))
    .build()
)
_STEMMERS = tuple(
    (re.compile(script), _folding().filter(tantivy.Filter.stemmer(language)).build())
    for script, language in (
        ("[\u0400-\u04ff]", "russian"),
        ("[\u0370-\u03ff]", "greek"),
        ("[\u0600-\u06ff]", "arabic"),
    )
)
