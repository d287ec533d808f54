"""If-Match and If-None-Match are read as RFC 9110 means them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from starlette.requests import Request

from mnemata.api.rest.conditions import etag, if_match, unchanged
from mnemata.domain.errors import InvalidField
from mnemata.domain.ids import SequentialIds, TenantId
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.rules import new_memory

MEMORY = new_memory(
    MemoryDraft(content="x"),
    memory_id=SequentialIds().new(),
    tenant=TenantId("t"),
    now=datetime(2026, 1, 1, tzinfo=UTC),
)


def request(**headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": sent})


def test_the_etag_is_the_version_in_quotes() -> None:
    assert etag(MEMORY) == '"1"'


@pytest.mark.parametrize(("header", "version"), [('"3"', 3), (' "12" ', 12), ("*", None)])
def test_if_match_names_a_version_or_any(header: str, version: int | None) -> None:
    assert if_match(request(if_match=header)) == version


def test_without_if_match_any_version_will_do() -> None:
    assert if_match(request()) is None


@pytest.mark.parametrize("header", ["3", 'W/"3"', '"3", "4"', '"x"', '""', "", '"-1"', '"' + "9" * 30 + '"'])
def test_an_if_match_that_cannot_be_meant_is_refused(header: str) -> None:
    with pytest.raises(InvalidField) as caught:
        if_match(request(if_match=header))
    assert caught.value.field == "If-Match"


@pytest.mark.parametrize("header", ['"1"', 'W/"1"', '"7", "1"', "*"])
def test_if_none_match_finds_the_current_version(header: str) -> None:
    assert unchanged(request(if_none_match=header), MEMORY)


@pytest.mark.parametrize("header", ['"2"', '"11"', "1", ""])
def test_if_none_match_does_not_find_another(header: str) -> None:
    assert not unchanged(request(if_none_match=header), MEMORY)
