"""Drafts and patches are read with every field checked, and every error names its field and the remedy."""

from __future__ import annotations

import asyncio
import base64
import struct
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mnemata.api.rest.body import Document, parse
from mnemata.api.rest.drafts import read_batch, read_changes, read_draft, read_import
from mnemata.api.rest.schemas import memory as schemas
from mnemata.domain.errors import InvalidField, MnemataError, TooLarge
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.revision import CHANGEABLE

NOW = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)
WHOLE: dict[str, Any] = {
    "content": "Ana prefers the window seat.",
    "kind": "episodic",
    "user_id": "ana",
    "agent_id": "planner",
    "session_id": "s-1",
    "sequence": 3,
    "role": "ana",
    "tags": ["travel", "seat", "travel"],
    "metadata": {"airline": "any", "deep": {"score": [1, 2.5, None, True]}},
    "importance": 1,
    "source": "chat",
    "external_id": "e-1",
    "occurred_at": "2026-04-30T23:30:00+02:00",
    "expires_at": "2027-01-01T00:00:00Z",
    "superseded_by": "0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d",
    "embedding": {"space": "s", "values": [0.5, -1, 2]},
}


def refused(value: Any) -> MnemataError:
    with pytest.raises(MnemataError) as caught:
        read_draft(value, now=NOW)
    return caught.value


def test_a_whole_draft_is_read_field_by_field() -> None:
    draft = read_draft(WHOLE, now=NOW)

    assert draft.tags == ("travel", "seat")
    assert draft.occurred_at == datetime(2026, 4, 30, 21, 30, tzinfo=UTC)
    assert draft.importance == 1.0
    assert str(draft.superseded_by) == WHOLE["superseded_by"]
    assert draft.embedding is not None
    assert tuple(draft.embedding.values) == (0.5, -1.0, 2.0)
    same = ("content", "kind", "user_id", "agent_id", "session_id", "sequence", "role", "metadata", "source")
    assert {name: getattr(draft, name) for name in same} == {name: WHOLE[name] for name in same}


def test_the_schema_has_every_field_of_a_draft_and_time_to_live() -> None:
    assert set(schemas.MemoryDraft.model_fields) == {field.name for field in fields(MemoryDraft)} | {"ttl_s"}


def test_the_patch_has_every_field_that_can_be_changed_and_time_to_live() -> None:
    assert set(schemas.MemoryPatch.model_fields) == {*CHANGEABLE, "ttl_s"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"content": None}, "content"),
        ({"content": ""}, "content"),
        ({"content": " \t\n\u2003"}, "content"),
        ({"content": 5}, "content"),
        ({"content": "a\x00b"}, "content"),
        ({"content": "a\ud800"}, "content"),
        ({"kind": ""}, "kind"),
        ({"kind": None}, "kind"),
        ({"user_id": " "}, "user_id"),
        ({"user_id": 7}, "user_id"),
        ({"sequence": -1}, "sequence"),
        ({"sequence": 1.5}, "sequence"),
        ({"sequence": True}, "sequence"),
        ({"sequence": 2**53}, "sequence"),
        ({"tags": "travel"}, "tags"),
        ({"tags": ["a", ""]}, "tags[1]"),
        ({"tags": ["a", 1]}, "tags[1]"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"": 1}}, "metadata"),
        ({"metadata": {"a": {"b": ["\x00"]}}}, "metadata.a.b[0]"),
        ({"metadata": {"a": float("nan")}}, "metadata.a"),
        ({"metadata": {"a": [2**63]}}, "metadata.a[0]"),
        ({"importance": 1.01}, "importance"),
        ({"importance": "0.5"}, "importance"),
        ({"importance": True}, "importance"),
        ({"importance": float("inf")}, "importance"),
        ({"occurred_at": "2026-05-01"}, "occurred_at"),
        ({"occurred_at": "2026-05-01T09:30:00"}, "occurred_at"),
        ({"occurred_at": "2026-02-30T09:30:00Z"}, "occurred_at"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": 1_767_225_600}, "occurred_at"),
        ({"occurred_at": "0000-01-01T00:00:00Z"}, "occurred_at"),
        ({"occurred_at": "10000-01-01T00:00:00Z"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-14:00"}, "occurred_at"),
        ({"ttl_s": 0}, "ttl_s"),
        ({"ttl_s": 3e11}, "ttl_s"),
        ({"ttl_s": 60, "expires_at": "2027-01-01T00:00:00Z"}, "ttl_s"),
        ({"superseded_by": "the other one"}, "superseded_by"),
        ({"embedding": {"values": [1]}}, "embedding.space"),
        ({"embedding": {"space": "s", "values": []}}, "embedding.values"),
        ({"embedding": {"space": "s", "values": [1, "2"]}}, "embedding.values"),
        ({"embedding": {"space": "s", "values": [1, True]}}, "embedding.values"),
        ({"embedding": {"space": "s", "values": [1, 10**400]}}, "embedding.values"),
        ({"embedding": {"space": "s", "values": "AAA"}}, "embedding.values"),
        ({"embedding": {"space": "s", "values": "AAAA!AAA"}}, "embedding.values"),
        ({"embedding": 5}, "embedding"),
        ({"id": "0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d"}, "id"),
        ({"metadta": {}}, "metadta"),
    ],
)
def test_a_wrong_field_is_named_with_a_remedy(change: dict[str, Any], field: str) -> None:
    error = refused({"content": "x", **change})

    assert isinstance(error, InvalidField)
    assert error.field == field
    assert error.remedy


@pytest.mark.parametrize("value", [None, [], "x", 5, True])
def test_a_draft_that_is_no_object_is_refused(value: Any) -> None:
    error = refused(value)

    assert (error.code, error.facts["field"]) == ("invalid_field", "body")


def test_a_misspelt_field_is_answered_with_the_nearest_one() -> None:
    assert refused({"contnt": "x"}).facts["remedy"] == "Did you mean 'content'?"


def test_every_wrong_field_is_listed() -> None:
    error = refused({"content": 1, "kind": 2, "nonsense": 3})

    assert {one["field"] for one in error.facts["errors"]} == {"content", "kind", "nonsense"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"content": "x" * 1_048_577}, "content"),
        ({"content": "ж" * 524_289}, "content"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"tags": [f"t{number}" for number in range(65)]}, "tags"),
        ({"tags": ["x" * 129]}, "tags[0]"),
        ({"metadata": {"a": "x" * 65_536}}, "metadata"),
        ({"metadata": {str(number): number for number in range(2_100)}}, "metadata.2044"),
    ],
)
def test_what_is_too_large_says_which_limit(change: dict[str, Any], field: str) -> None:
    error = refused({"content": "x", **change})

    assert isinstance(error, TooLarge)
    assert str(error.facts["field"]).startswith(field.partition(".")[0])
    assert error.facts["limit"]


def test_content_of_exactly_one_mebibyte_is_kept() -> None:
    assert len(read_draft({"content": "x" * 1_048_576}, now=NOW).content) == 1_048_576


def test_a_vector_may_come_as_base64_of_float32() -> None:
    values = base64.b64encode(struct.pack("<3f", 0.5, -1.0, 2.0)).decode()

    draft = read_draft({"content": "x", "embedding": {"space": "s", "values": values}}, now=NOW)

    assert draft.embedding is not None
    assert tuple(draft.embedding.values) == (0.5, -1.0, 2.0)


def test_time_to_live_counts_from_now() -> None:
    assert read_draft({"content": "x", "ttl_s": 90}, now=NOW).expires_at == NOW + timedelta(seconds=90)


async def test_in_a_batch_each_item_is_judged_by_itself() -> None:
    document = Document(
        value={"items": [{"content": "good"}, {"content": ""}, 5, {"content": "\ud800"}]}, suspect=True
    )

    good, blank, number, odd = await read_batch(document, now=NOW)

    assert isinstance(good, MemoryDraft)
    assert [error.facts["field"] for error in (blank, number, odd) if isinstance(error, MnemataError)] == [
        "content",
        "body",
        "content",
    ]


@pytest.mark.parametrize("reader", [read_batch, read_import])
async def test_an_integer_that_no_item_may_have_is_noticed_in_what_was_sent(reader: Any) -> None:
    raw = b'{"items":[{"content":"x","metadata":{"n":100000000000000000001}},{"content":"y"}]}'

    large, good = await reader(parse(raw, max_depth=32), now=NOW)

    assert isinstance(good, MemoryDraft)
    assert isinstance(large, InvalidField)
    assert large.field == "metadata.n"


async def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(InvalidField, match="items: is empty"):
        await read_batch(Document(value={"items": []}), now=NOW)


async def test_a_batch_of_1001_is_refused() -> None:
    with pytest.raises(TooLarge, match="items is larger than 1,000"):
        await read_batch(Document(value={"items": [{"content": "x"}] * 1_001}), now=NOW)


async def test_a_large_batch_lets_others_have_their_turn() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    drafts = await read_batch(Document(value={"items": [{"content": "x"}] * 1_000}), now=NOW)
    running.cancel()

    assert len(drafts) == 1_000
    assert turns >= 19


def test_a_patch_holds_only_what_it_names() -> None:
    changes = read_changes({"tags": ["a"], "source": None, "metadata": {"x": None}}, now=NOW)

    assert changes == {"tags": ("a",), "source": None, "metadata": {"x": None}}


def test_an_empty_patch_changes_nothing() -> None:
    assert read_changes({}, now=NOW) == {}


@pytest.mark.parametrize("field", ["id", "version", "created_at", "embedding", "tenant"])
def test_a_patch_of_what_belongs_to_the_store_is_refused(field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        read_changes({field: "x"}, now=NOW)
    assert caught.value.field == field


def test_a_patch_may_give_a_time_to_live() -> None:
    assert read_changes({"ttl_s": 60}, now=NOW) == {"expires_at": NOW + timedelta(seconds=60)}


def test_a_patch_may_clear_the_expiry_by_either_name() -> None:
    assert read_changes({"ttl_s": None}, now=NOW) == {"expires_at": None}
    assert read_changes({"expires_at": None}, now=NOW) == {"expires_at": None}
