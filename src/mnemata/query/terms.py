r"""A query's text taken apart into terms. Every text has terms: what is no operator is a word.

    term      = ["-"] key ":" value | ["-"] "(" alternatives... ")" | ["-"] '"' words '"' | stem "*" | "-" word | word
    value     = '"' anything '"' | characters without white space, quotes and parentheses

Parentheses hold operators only; around anything else they are text, as is a quotation mark without a second one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from mnemata.domain.filter import And, Filter, Not, Or
from mnemata.query.operators import KEYS, read_operator

_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r'(-?)([^\W\d][\w.\\-]*):(?:"([^"]{1,512})"|([^\s()"]+))(?=[\s)]|$)')
_PHRASE = re.compile(r'(-?)"([^"]{1,512})"')
_STEM = re.compile(r"(\w{2,64})\*(?=[\s)]|$)")
_EXCLUDED = re.compile(r"-([^\W\d_][^\s:]+)(?=\s|$)")
_OR = re.compile(r"OR(?=\s|$)")
_GROUP = re.compile(r"(-?)\(")
_WORD = re.compile(r"\S+")

_QUOTES = str.maketrans(dict.fromkeys("“”„«»＂", '"'))


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Free text. `operator_like`: it has the form of an operator, and none was meant that we know."""

    raw: str
    operator_like: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    raw: str
    words: str
    excluded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    raw: str
    stem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    raw: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    raw: str
    filter: Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """The word OR, which joins the conditions before and after it."""

    raw: str = "OR"


Term: TypeAlias = "Word | Phrase | Stem | Excluded | Condition | Either"


def terms(text: str) -> Iterator[Term]:
    """The terms of the text, in order. Takes time linear in its length."""
    plain = text.translate(_QUOTES)
    start = _skip_space(plain, 0)
    while start < len(plain):
        term = _term(plain, start)
        yield term
        start = _skip_space(plain, start + len(term.raw))


def alternatives(items: list[Term]) -> Iterator[Term]:
    """The terms, with conditions joined by OR made one; an OR that joins none is a word."""
    held: Condition | None = None
    place = 0
    while place < len(items):
        item = items[place]
        follower = items[place + 1] if place + 1 < len(items) else None
        if isinstance(item, Either) and held is not None and isinstance(follower, Condition):
            held = Condition(
                raw=f"{held.raw} OR {follower.raw}", filter=_either(held.filter, follower.filter)
            )
            place += 2
            continue
        if held is not None:
            yield held
        held = item if isinstance(item, Condition) else None
        if isinstance(item, Either):
            yield Word(raw=item.raw)
        elif held is None:
            yield item
        place += 1
    if held is not None:
        yield held


def _term(text: str, start: int) -> Term:
    return (
        _condition(text, start)
        or _group(text, start)
        or _phrase(text, start)
        or _stem_or_excluded(text, start)
        or _word(text, start)
    )


def _condition(text: str, start: int) -> Condition | None:
    found = _OPERATOR.match(text, start)
    if not found:
        return None
    minus, key, quoted, bare = found.groups()
    condition = read_operator(key, bare or quoted, quoted=bare is None) if bare or quoted else None
    return None if condition is None else Condition(raw=found[0], filter=_signed(minus, condition))


def _group(text: str, start: int) -> Condition | None:
    opened = _GROUP.match(text, start)
    if not opened:
        return None
    items = list[Term]()
    place = _skip_space(text, opened.end())
    while not text.startswith(")", place):
        item = _condition(text, place) or _either_at(text, place)
        if item is None:
            return None
        items.append(item)
        place = _skip_space(text, place + len(item.raw))
    return _closed_group(opened[1], list(alternatives(items)), raw=text[start : place + 1])


def _closed_group(minus: str, items: list[Term], *, raw: str) -> Condition | None:
    conditions = tuple(item.filter for item in items if isinstance(item, Condition))
    if not conditions or len(conditions) < len(items):
        return None
    joined = conditions[0] if len(conditions) == 1 else And(items=conditions)
    return Condition(raw=raw, filter=_signed(minus, joined))


def _phrase(text: str, start: int) -> Phrase | None:
    found = _PHRASE.match(text, start)
    if not found or not _has_word(found[2]):
        return None
    return Phrase(raw=found[0], words=" ".join(found[2].split()), excluded=bool(found[1]))


def _stem_or_excluded(text: str, start: int) -> Stem | Excluded | Either | None:
    stem = _STEM.match(text, start)
    if stem:
        return Stem(raw=stem[0], stem=stem[1])
    excluded = _EXCLUDED.match(text, start)
    if excluded:
        return Excluded(raw=excluded[0], word=excluded[1])
    return _either_at(text, start)


def _either_at(text: str, start: int) -> Either | None:
    return Either() if _OR.match(text, start) else None


def _word(text: str, start: int) -> Word:
    found = _WORD.match(text, start)
    raw = found[0] if found else text[start]
    return Word(raw=raw, operator_like=_is_operator_like(raw))


def _is_operator_like(raw: str) -> bool:
    key, colon, value = raw.lstrip("-").partition(":")
    if not (colon and value) or value.startswith("//"):
        return False
    known = key.partition(".")[0].lower() in {*KEYS, "metadata", "meta"}
    return known or (len(key) > 1 and key.isascii() and key.replace("_", "").isalpha())


def _either(left: Filter, right: Filter) -> Filter:
    items = left.items if isinstance(left, Or) else (left,)
    return Or(items=(*items, right))


def _signed(minus: str, condition: Filter) -> Filter:
    return Not(item=condition) if minus else condition


def _has_word(text: str) -> bool:
    # Letters, digits, and the symbols that are words of their own, such as emoji.
    return any(character.isalnum() or unicodedata.category(character) == "So" for character in text)


def _skip_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start
