"""Request bodies: bytes in, JSON out, strictly; what is wrong is named by its place."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from mnemata.api.rest.door import door_of
from mnemata.api.rest.errors import MalformedBody, MissingBody, UnsupportedMediaType
from mnemata.domain.errors import InvalidField, TooLarge

JSON = ("application/json",)
MERGE_PATCH = ("application/merge-patch+json", "application/json")

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
_MOST_DIGITS = 400
_LARGE = 2.0**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed body. `suspect`: it holds something that a strict parser refuses, to be named by `refuse_odd`."""

    value: Any
    suspect: bool = False


async def read_document(request: Request, *, accepted: Collection[str] = JSON) -> Document:
    """The body as JSON. Raises UnsupportedMediaType, MissingBody, MalformedBody, TooLarge."""
    _check_media_type(request, accepted)
    raw = await request.body()
    if not raw.strip():
        raise MissingBody
    return parse(raw, max_depth=door_of(request).options.max_json_depth)


async def read_json(request: Request, *, accepted: Collection[str] = JSON) -> Any:
    """As read_document, and what JSON cannot carry (half a surrogate pair, NaN, Infinity) is refused by its field."""
    document = await read_document(request, accepted=accepted)
    if document.suspect:
        refuse_odd(document.value)
    return document.value


def parse(raw: bytes, *, max_depth: int) -> Document:
    """JSON of at most `max_depth` levels. Where a key is repeated the last one counts."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Document(value=_parse_leniently(raw, str(error), max_depth), suspect=True)
    # Counting the brackets is far cheaper than walking, and most bodies have fewer of them than levels are allowed.
    if raw.count(b"{") + raw.count(b"[") > max_depth:
        _check_depth(value, max_depth)
    if _may_have_lost_digits(value):
        value = _read(raw)
    return Document(value=value)


def refuse_odd(value: Any) -> None:
    """Raise InvalidField at the first half surrogate pair, NaN or infinity, naming its field."""
    for path, reason, remedy in _odd(value, ""):
        raise InvalidField(field=path or "body", reason=reason, remedy=remedy)


def _parse_leniently(raw: bytes, complaint: str, max_depth: int) -> Any:
    """Read what the strict parser refused as far as that is JSON at all, so that the wrong field can be named."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedBody(reason=f"byte {error.start} is not UTF-8") from None
    _check_text_depth(text, max_depth)
    try:
        return _read(text)
    except (ValueError, RecursionError):
        raise MalformedBody(reason=complaint) from None


def _may_have_lost_digits(value: Any) -> bool:
    """Whether there is a float in metadata that was an integer, perhaps: one that the fast parser cannot hold.

    Only there do the digits count, and the numbers of vectors are too many to look at.
    """
    left = list(_metadata_in(value))
    while left:
        item = left.pop()
        kind = type(item)
        if kind is dict:
            left += item.values()
        elif kind is list:
            left += item
        elif kind is float and not -_LARGE < item < _LARGE:
            return True
    return False


def _metadata_in(value: Any) -> Iterator[Any]:
    """The metadata of a draft or a patch, or of the items of a batch."""
    if isinstance(value, dict):
        yield value.get("metadata")
        items = value.get("items")
        if isinstance(items, list):
            yield from (item.get("metadata") for item in items if isinstance(item, dict))


def _read(text: str | bytes) -> Any:
    """JSON with integers as they are; one that no double could hold is infinite, as `1e999` is."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) <= _MOST_DIGITS else math.inf)


def _odd(value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    match value:
        case str():
            if not _encodable(value):
                yield path, "contains half of a surrogate pair", "Send valid Unicode text"
        case float():
            if not math.isfinite(value):
                yield path, "is not a finite number", "Send a finite number"
        case list():
            for position, item in enumerate(value):
                yield from _odd(item, f"{path}[{position}]")
        case dict():
            for key, item in value.items():
                if not _encodable(key):
                    yield path, "has a key with half of a surrogate pair", "Send valid Unicode text"
                yield from _odd(item, f"{path}.{key}" if path else key)
        case _:
            return


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _check_depth(value: Any, max_depth: int) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(max_depth):
        if not level:
            return
        level = [
            item
            for container in level
            for item in (container.values() if type(container) is dict else container)
            if type(item) is dict or type(item) is list
        ]
    if level:
        raise TooLarge(field="body", limit=max_depth, unit="levels of nesting")


def _check_text_depth(text: str, max_depth: int) -> None:
    depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub("", text)):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > max_depth:
            raise TooLarge(field="body", limit=max_depth, unit="levels of nesting")


def _check_media_type(request: Request, accepted: Collection[str]) -> None:
    given = request.headers.get("content-type", "")
    kind, _, parameters = given.partition(";")
    charset = re.search(r"charset\s*=\s*\"?([\w.-]+)", parameters, re.IGNORECASE)
    fits = kind.strip().lower() in accepted
    if not fits or (charset is not None and charset.group(1).lower() not in {"utf-8", "utf8"}):
        shown = f"'{given[:100]}'" if given else "missing"
        raise UnsupportedMediaType(given=shown, accepted=" or ".join(accepted))
