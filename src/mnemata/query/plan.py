"""A search request made one Query: the typed text, the JSON filter and the options, checked together."""

from __future__ import annotations

import math
from datetime import datetime

from mnemata.domain.errors import InvalidField, InvalidQuery, TooLarge
from mnemata.domain.filter import EVERYTHING, Everything, Filter, both
from mnemata.domain.query import Mode, Query
from mnemata.domain.rules import check_moment, check_name, check_text
from mnemata.query.fields import nearest
from mnemata.query.grammar import ParsedText, parse_query

MAX_QUERY_BYTES = 32_768
MAX_LIMIT = 200
MAX_CONTEXT = 10
MAX_WINDOW = 1_000
"""How far down the ranking pages reach, in hits: a search is for the top; a listing is for everything."""


def plan(
    text: str = "",
    *,
    condition: Filter = EVERYTHING,
    mode: str = Mode.HYBRID,
    limit: int = 10,
    offset: int = 0,
    context: int = 0,
    diversity: float = 0.0,
    explain: bool = False,
    as_of: datetime | None = None,
    personalize_for: str | None = None,
) -> Query:
    """The checked Query; its filter is the typed operators and `condition` together.

    A query without words is allowed where a filter narrows it: it asks for a listing. Raises InvalidQuery,
    InvalidField or TooLarge, naming the field of the request.
    """
    parsed = _parsed(text)
    narrowed = both(parsed.filter, condition)
    _check_asks(parsed, narrowed)
    _check_between("limit", limit, 1, MAX_LIMIT)
    _check_between("offset", offset, 0, MAX_WINDOW - limit)
    _check_between("context", context, 0, MAX_CONTEXT)
    _check_share("diversity", diversity)
    check_name("personalize_for", personalize_for)
    return Query(
        text=parsed.text,
        words=parsed.words,
        filter=narrowed,
        mode=_mode(mode),
        limit=limit,
        offset=offset,
        context=context,
        diversity=float(diversity),
        explain=explain,
        as_of=check_moment("as_of", as_of),
        personalize_for=personalize_for,
        unknown=parsed.unknown,
    )


def _parsed(text: str) -> ParsedText:
    # Bytes are counted with lone surrogates let through, so that check_text can name them.
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_QUERY_BYTES:
        raise TooLarge(field="query", limit=MAX_QUERY_BYTES, unit="bytes of UTF-8", actual=size)
    try:
        check_text("query", text)
    except InvalidField as error:
        raise InvalidQuery(field="query", reason=error.reason, remedy=error.remedy) from None
    return parse_query(text)


def _check_asks(parsed: ParsedText, narrowed: Filter) -> None:
    if not parsed.words.empty:
        return
    if parsed.words.excluded:
        # A listing has no words to compare with: left unsaid, the exclusion would be ignored.
        raise InvalidQuery(
            field="query",
            reason="only says which words must not stand there",
            remedy="Add a word, a phrase or a prefix to look for",
        )
    if isinstance(narrowed, Everything):
        raise InvalidQuery(
            field="query",
            reason="has no words to look for",
            remedy="Type some words or a filter, or list memories with GET /v1/memories",
        )


def _mode(name: str) -> Mode:
    try:
        return Mode(name)
    except ValueError:
        close = nearest(name, [mode.value for mode in Mode])
        remedy = f"Perhaps '{close}' is meant" if close else f"Use {', '.join(Mode)}"
        raise InvalidField(field="mode", reason="is not a way to search", remedy=remedy) from None


def _check_between(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidField(
            field=field,
            reason=f"is not between {low} and {high:,}",
            remedy=f"Send an integer from {low} to {high}",
        )


def _check_share(field: str, value: float) -> None:
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise InvalidField(field=field, reason="is not between 0 and 1", remedy="Send a number from 0 to 1")
