import base64
import json

import pytest

from mnemata.domain.errors import InvalidCursor
from mnemata.services import cursors


def test_a_cursor_gives_its_state_back_to_the_listing_it_belongs_to() -> None:
    mark = cursors.fingerprint("tenant", "query")
    assert cursors.decode(cursors.encode(mark, ["2026-01-01", 5]), mark) == ["2026-01-01", 5]


def test_a_cursor_of_another_listing_is_refused() -> None:
    cursor = cursors.encode(cursors.fingerprint("a"), [1])
    with pytest.raises(InvalidCursor, match="another query"):
        cursors.decode(cursor, cursors.fingerprint("b"))


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "====", "bm9wZQ", base64.urlsafe_b64encode(b"[" * 100_000).decode(), "a" * 5_000, "WzFd"],
)
def test_a_damaged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        cursors.decode(cursor, "mark")


@pytest.mark.parametrize("content", [[2, "mark", [1]], [1, "mark", {"a": 1}], [1, "mark"], {"a": 1}, 5])
def test_a_cursor_of_another_make_is_refused(content: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
    with pytest.raises(InvalidCursor):
        cursors.decode(cursor, "mark")
