"""The fields that a filter may name: those of the memory, and paths in its metadata."""

from __future__ import annotations

import difflib
import re

from mnemata.domain.errors import InvalidField, InvalidFilter
from mnemata.domain.filter import FIELD_TYPES, Field
from mnemata.domain.rules import MAX_KEY_CHARACTERS, MAX_METADATA_DEPTH, check_text

METADATA = "metadata."
_ESCAPED = re.compile(r"\\([\\.])|(\.)|(\\)")


def parse_field(name: str, *, at: str) -> Field:
    r"""The field that `name` names: one of FIELD_TYPES, or `metadata.<path>` with `\.` for a dot within a key.

    Raises InvalidFilter at the JSON path `at`, with the nearest known name as the remedy.
    """
    if name in FIELD_TYPES:
        return Field(name=name)
    if name.startswith(METADATA):
        return Field(name="metadata", path=_parse_path(name[len(METADATA) :], at=at))
    raise InvalidFilter(field=at, reason="is not a field of a memory", remedy=_nearest_field(name))


def nearest(name: str, known: list[str]) -> str | None:
    """The known name that is most like `name`, if one is like it at all."""
    found = difflib.get_close_matches(name[:64].lower(), known, n=1, cutoff=0.6)
    return found[0] if found else None


def shown(name: str) -> str:
    """The name as an error may show it: not endless, and without what JSON cannot carry."""
    return name[:MAX_KEY_CHARACTERS].encode("utf-8", "backslashreplace").decode("utf-8")


def _nearest_field(name: str) -> str:
    if name == "metadata":
        return "Name a path in it, as in 'metadata.topic'"
    close = nearest(name, sorted(FIELD_TYPES))
    if close is not None:
        return f"Perhaps '{close}' is meant; a key of your own is written 'metadata.<key>'"
    return f"Use {', '.join(sorted(FIELD_TYPES))}, or 'metadata.<key>'"


def _parse_path(text: str, *, at: str) -> tuple[str, ...]:
    keys, key, start = list[str](), "", 0
    for mark in _ESCAPED.finditer(text):
        key += text[start : mark.start()]
        start = mark.end()
        if mark[3]:
            raise InvalidFilter(
                field=at,
                reason="has a backslash that escapes nothing",
                remedy=r"Write '\\.' for a dot within a key, and '\\\\' for a backslash",
            )
        if mark[2]:
            keys.append(key)
            key = ""
        else:
            key += mark[1]
    keys.append(key + text[start:])
    _check_path(keys, at=at)
    return tuple(keys)


def _check_path(keys: list[str], *, at: str) -> None:
    if not all(keys):
        raise InvalidFilter(
            field=at,
            reason="has an empty key in its path",
            remedy="Write 'metadata.a.b', without double dots",
        )
    if len(keys) > MAX_METADATA_DEPTH:
        raise InvalidFilter(
            field=at,
            reason=f"goes deeper than metadata may, {MAX_METADATA_DEPTH} levels",
            remedy="Shorten the path",
        )
    for key in keys:
        _check_key(key, at=at)


def _check_key(key: str, *, at: str) -> None:
    if "\x1f" in key or len(key) > MAX_KEY_CHARACTERS:
        raise InvalidFilter(
            field=at,
            reason="has a key that is too long or holds a control character",
            remedy=f"Use keys of at most {MAX_KEY_CHARACTERS} printable characters",
        )
    try:
        check_text(at, key)
    except InvalidField as error:
        raise InvalidFilter(field=at, reason=error.reason, remedy=error.remedy) from None
