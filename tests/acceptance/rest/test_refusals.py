"""Every kind of wrong input is refused by a problem document that names the field and says what to do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

Refusal = tuple[int, str, str | None, str]
"""Status, code, field and the beginning of the remedy."""

STORE, BATCH, SEARCH, LIST = "/v1/memories", "/v1/memories:batch", "/v1/search", "/v1/memories:query"
FILTER = b'{"query":"x","filter":'
DEEP = b'{"a":' * 17 + b"1" + b"}" * 17

WRONG: dict[str, tuple[str, bytes, Refusal]] = {
    "empty": (STORE, b'{"content":""}', (422, "invalid_field", "content", "Send the text to remember")),
    "blank": (
        STORE,
        b'{"content":" \\u2003\\n"}',
        (422, "invalid_field", "content", "Send the text to remember"),
    ),
    "missing": (STORE, b"{}", (422, "invalid_field", "content", "Send")),
    "more-than-1-mib": (
        STORE,
        b'{"content":"' + b"x" * 1_048_577 + b'"}',
        (413, "too_large", "content", "Send less"),
    ),
    "nul": (STORE, b'{"content":"a\\u0000b"}', (422, "invalid_field", "content", "Remove U+0000")),
    "surrogate": (STORE, b'{"content":"\\udfff"}', (422, "invalid_field", "content", "Send valid Unicode")),
    "not-utf-8": (
        STORE,
        b'{"content":"\xc3\x28"}',
        (400, "malformed_body", None, "Send one JSON document in UTF-8"),
    ),
    "truncated": (STORE, b'{"content":"x', (400, "malformed_body", None, "Send one JSON document in UTF-8")),
    "deep-metadata": (
        STORE,
        b'{"content":"x","metadata":' + DEEP + b"}",
        (413, "too_large", "metadata", "Send less"),
    ),
    "huge-metadata": (
        STORE,
        b'{"content":"x","metadata":{"a":"' + b"x" * 65_536 + b'"}}',
        (413, "too_large", "metadata", "Send less"),
    ),
    "deep-body": (STORE, b'{"x":' * 99 + b"1" + b"}" * 99, (413, "too_large", "body", "Send less")),
    "nan": (
        STORE,
        b'{"content":"x","importance":NaN}',
        (422, "invalid_field", "importance", "Send a finite number"),
    ),
    "infinity": (
        STORE,
        b'{"content":"x","metadata":{"a":[Infinity]}}',
        (422, "invalid_field", "metadata.a[0]", "Send a finite number"),
    ),
    "integer-beyond-64-bits": (
        STORE,
        b'{"content":"x","metadata":{"n":100000000000000000001}}',
        (422, "invalid_field", "metadata.n", "Send one from -9223372036854775808 to 9223372036854775807"),
    ),
    "integer-of-64-bits-without-a-sign": (
        STORE,
        b'{"content":"x","metadata":{"n":[9223372036854775808]}}',
        (422, "invalid_field", "metadata.n[0]", "or a string"),
    ),
    "negative-integer-beyond-64-bits": (
        STORE,
        b'{"content":"x","metadata":{"n":-9223372036854775809}}',
        (422, "invalid_field", "metadata.n", "or a string"),
    ),
    "integer-of-5000-digits": (
        STORE,
        b'{"content":"x","metadata":{"n":' + b"9" * 5_000 + b"}}",
        (422, "invalid_field", "metadata.n", "Send a finite number"),
    ),
    "wrong-date": (
        STORE,
        b'{"content":"x","occurred_at":"2026-02-30T00:00:00Z"}',
        (422, "invalid_field", "occurred_at", "Send a string such as"),
    ),
    "date-without-zone": (
        STORE,
        b'{"content":"x","expires_at":"2027-01-01T00:00:00"}',
        (422, "invalid_field", "expires_at", "Add 'Z'"),
    ),
    "far-date": (
        STORE,
        b'{"content":"x","occurred_at":"12026-01-01T00:00:00Z"}',
        (422, "invalid_field", "occurred_at", "Send"),
    ),
    "far-time-to-live": (STORE, b'{"content":"x","ttl_s":1e300}', (422, "invalid_field", "ttl_s", "Send")),
    "unknown-field": (
        STORE,
        b'{"content":"x","tagz":[]}',
        (422, "invalid_field", "tagz", "Did you mean 'tags'?"),
    ),
    "unknown-filter-field": (
        SEARCH,
        FILTER + b'{"colour":1}}',
        (422, "invalid_filter", "filter.colour", "Use "),
    ),
    "unknown-operator": (
        SEARCH,
        FILTER + b'{"importance":{"beyond":1}}}',
        (422, "invalid_filter", "filter.importance.beyond", "Use one of"),
    ),
    "operand-of-another-type": (
        SEARCH,
        FILTER + b'{"created_at":{"gte":"soon"}}}',
        (422, "invalid_filter", "filter.created_at.gte", ""),
    ),
    "bad-cursor-of-a-list": (LIST, b'{"cursor":"nonsense"}', (422, "invalid_cursor", None, "Start again")),
    "bad-cursor-of-a-search": (
        SEARCH,
        b'{"query":"x","cursor":"nonsense"}',
        (422, "invalid_cursor", None, "Start again"),
    ),
    "empty-batch": (BATCH, b'{"items":[]}', (422, "invalid_field", "items", "Send")),
    "empty-query": (SEARCH, b'{"query":""}', (422, "invalid_query", "query", "Type some words")),
    "10000-terms": (
        SEARCH,
        b'{"query":"' + b" ".join(b"word%d" % number for number in range(10_000)) + b'"}',
        (413, "too_large", "query", "Send less"),
    ),
}


def assert_refused(response: httpx.Response, refusal: Refusal) -> None:
    status, code, field, remedy = refusal
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["type"] == f"/docs#error-{code}"
    assert problem.get("field") == field
    assert remedy in problem["detail"]


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_input_is_refused_by_field_and_with_the_remedy(
    client: httpx.AsyncClient, case: str
) -> None:
    path, body, refusal = WRONG[case]

    response = await client.post(path, content=body, headers={"Content-Type": "application/json"})

    assert_refused(response, refusal)


async def test_another_content_type_is_told_which_one_is_read(client: httpx.AsyncClient) -> None:
    response = await client.post(STORE, content=b"content=x", headers={"Content-Type": "text/plain"})

    assert_refused(response, (415, "unsupported_media_type", None, "application/json"))


async def test_an_item_of_a_batch_is_refused_in_the_same_words(client: httpx.AsyncClient) -> None:
    response = await client.post(BATCH, json={"items": [{"content": "kept"}, {"content": "x", "tagz": []}]})

    kept, refused = response.json()["items"]
    assert (response.status_code, kept["status"], refused["status"]) == (200, 201, 422)
    assert (refused["error"]["code"], refused["error"]["field"]) == ("invalid_field", "tagz")
    assert refused["error"]["remedy"] == "Did you mean 'tags'?"


@pytest.mark.parametrize(
    "query",
    [
        "!!! ... ???",
        "the of and a",
        "\U0001f600\U0001f375",
        "\u0645\u0631\u062d\u0628\u0627",
        "\u202eabc\u202c",
    ],
)
async def test_a_query_is_never_refused_for_its_form(client: httpx.AsyncClient, query: str) -> None:
    await client.post(STORE, json={"content": "Ana drinks green tea."})

    response = await client.post(SEARCH, json={"query": query})

    assert (response.status_code, response.json()["degraded"]) == (200, [])
