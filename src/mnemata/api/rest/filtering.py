"""Filters as requests bring them: a JSON object, JSON in a query parameter, and the short forms of a listing."""

from __future__ import annotations

import json
from typing import Any

from mnemata.api.rest.body import refuse_odd
from mnemata.api.rest.schemas.parameters import ListParameters
from mnemata.domain.errors import InvalidFilter
from mnemata.domain.filter import EVERYTHING, AnyOf, Field, Filter, both
from mnemata.domain.rules import check_text
from mnemata.query.filters import parse_filter

_SHORT_FORMS = {
    "user_id": "user_id",
    "agent_id": "agent_id",
    "session_id": "session_id",
    "kind": "kind",
    "tag": "tags",
}


def filter_of(value: dict[str, Any] | None) -> Filter:
    """The filter of a body's member; everything where it is absent."""
    return EVERYTHING if value is None else parse_filter(value)


def filter_of_text(text: str | None) -> Filter:
    """The filter that a query parameter holds as JSON. Raises InvalidFilter."""
    if text is None:
        return EVERYTHING
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidFilter(
            field="filter", reason="is not JSON", remedy='Send it as in filter={"user_id":"ana"}, URL-encoded'
        ) from None
    refuse_odd({"filter": value})
    return parse_filter(value)


def filter_of_listing(parameters: ListParameters) -> Filter:
    """The filter of a listing: its `filter` and every short form together."""
    condition = filter_of_text(parameters.filter)
    for short, field in _SHORT_FORMS.items():
        value = getattr(parameters, short)
        if value is not None:
            check_text(short, value)
            condition = both(condition, AnyOf(field=Field(name=field), values=(value,)))
    return condition
