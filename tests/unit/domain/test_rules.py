from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from mnemata.domain import rules
from mnemata.domain.errors import InvalidField, TooLarge
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import GivenVector, MemoryDraft

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def refused(**fields: object) -> InvalidField:
    with pytest.raises(InvalidField) as caught:
        rules.check_draft(MemoryDraft(**{"content": "something", **fields}))
    assert caught.value.remedy
    return caught.value


def too_large(**fields: object) -> TooLarge:
    with pytest.raises(TooLarge) as caught:
        rules.check_draft(MemoryDraft(**{"content": "something", **fields}))
    return caught.value


@pytest.mark.parametrize("content", ["", "   ", "\n\t ", "\u2003"])
def test_blank_content_is_refused(content: str) -> None:
    assert refused(content=content).field == "content"


def test_content_of_exactly_one_mebibyte_is_stored_and_one_byte_more_is_not() -> None:
    rules.check_draft(MemoryDraft(content="é" * (rules.MAX_CONTENT_BYTES // 2)))
    error = too_large(content="é" * (rules.MAX_CONTENT_BYTES // 2) + "a")
    assert error.facts["field"] == "content"
    assert error.facts["actual"] == rules.MAX_CONTENT_BYTES + 1


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "\udfff"])
@pytest.mark.parametrize("field", ["content", "user_id", "external_id", "role", "kind", "source"])
def test_nul_and_lone_surrogates_are_refused_by_name(field: str, text: str) -> None:
    assert refused(**{field: text}).field == field


def test_text_of_every_script_is_kept_as_it_is() -> None:
    content = "emoji 👩🏽‍🚀 العربية עברית 東京 e\u0301 \u202eabc"
    assert rules.check_draft(MemoryDraft(content=content)).content == content


@pytest.mark.parametrize(
    "field", ["user_id", "agent_id", "session_id", "role", "source", "external_id", "kind"]
)
def test_names_are_neither_blank_nor_endless(field: str) -> None:
    assert refused(**{field: " "}).field == field
    assert too_large(**{field: "x" * 257}).facts["field"] == field


def test_tags_lose_repeats_and_keep_their_order() -> None:
    assert rules.check_draft(MemoryDraft(content="c", tags=("b", "a", "b"))).tags == ("b", "a")


def test_bad_tags_are_named_by_their_place() -> None:
    assert refused(tags=("fine", "")).field == "tags[1]"
    assert refused(tags=("a\x00",)).field == "tags[0]"
    assert too_large(tags=("x" * 129,)).facts["field"] == "tags[0]"
    assert too_large(tags=tuple(str(n) for n in range(65))).facts["field"] == "tags"


@pytest.mark.parametrize("importance", [-0.1, 1.1, float("nan"), float("inf")])
def test_importance_lies_between_zero_and_one(importance: float) -> None:
    assert refused(importance=importance).field == "importance"


@pytest.mark.parametrize("sequence", [-1, 2**53])
def test_sequence_is_a_number_that_json_can_carry(sequence: int) -> None:
    assert refused(sequence=sequence).field == "sequence"


def test_moments_are_kept_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    draft = rules.check_draft(MemoryDraft(content="c", occurred_at=datetime(2026, 5, 1, 12, tzinfo=east)))
    assert draft.occurred_at == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert draft.occurred_at is not None
    assert draft.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    ],
)
@pytest.mark.parametrize("field", ["occurred_at", "expires_at"])
def test_moments_without_zone_or_too_far_away_are_refused(field: str, moment: datetime) -> None:
    assert refused(**{field: moment}).field == field


def test_metadata_is_bounded_in_depth_count_and_size() -> None:
    deep: dict[str, object] = {}
    for _ in range(20):
        deep = {"a": deep}
    assert too_large(metadata=deep).facts["unit"] == "levels of nesting"
    assert too_large(metadata={"a": [0] * 5_000}).facts["unit"] == "values in metadata"
    assert too_large(metadata={"a": "x" * 70_000}).facts["unit"] == "bytes"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**400])
def test_metadata_integers_fit_in_64_bits_and_are_named_by_path(number: int) -> None:
    error = refused(metadata={"a": {"b": [1, number]}})
    assert (error.field, error.reason) == ("metadata.a.b[1]", "is an integer that does not fit in 64 bits")


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 1e19, -1e300])
def test_metadata_takes_every_64_bit_integer_and_large_floats(number: float) -> None:
    draft = rules.check_draft(MemoryDraft(content="c", metadata={"n": number}))
    assert draft.metadata == {"n": number}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_metadata_numbers_are_finite_and_named_by_path(number: float) -> None:
    assert refused(metadata={"a": {"b": [1, number]}}).field == "metadata.a.b[1]"


def test_metadata_keys_are_named_and_printable() -> None:
    assert refused(metadata={"": 1}).field == "metadata"
    assert refused(metadata={"a": {"x\x1fy": 1}}).field == "metadata.a"
    assert refused(metadata={"k" * 257: 1}).field == "metadata"
    assert refused(metadata={"k\x00": 1}).field == "a key of metadata"
    assert refused(metadata={1: 1}).field == "metadata"
    assert refused(metadata={"a": "nul\x00"}).field == "metadata.a"
    assert refused(metadata={"a": object()}).field == "metadata.a"


def test_metadata_may_hold_every_kind_of_json_value() -> None:
    metadata = {"s": "x", "n": 1, "f": 0.5, "b": True, "z": None, "a": [1, {"k": "v"}], "o": {}}
    assert rules.check_draft(MemoryDraft(content="c", metadata=metadata)).metadata == metadata


def test_a_given_vector_is_not_empty() -> None:
    assert refused(embedding=GivenVector(space="s", values=())).field == "embedding.values"


def test_a_given_vector_passes_as_it_is() -> None:
    vector = GivenVector(space="s", values=(0.0, 2.0))
    assert rules.check_draft(MemoryDraft(content="c", embedding=vector)).embedding == vector


def test_a_new_memory_is_version_one_and_current() -> None:
    memory = rules.new_memory(
        MemoryDraft(content="hello", role="Ana"),
        memory_id=MemoryId(UUID(int=1)),
        tenant=TenantId("t"),
        now=NOW,
    )
    assert (memory.version, memory.created_at, memory.updated_at) == (1, NOW, NOW)
    assert memory.embedded_text == "Ana: hello"
    assert replace(memory, role=None).embedded_text == "hello"
    assert memory.current_at(NOW)
    assert not replace(memory, expires_at=NOW).current_at(NOW)
    assert replace(memory, expires_at=NOW + timedelta(seconds=1)).current_at(NOW)
    assert not replace(memory, deleted_at=NOW).current_at(NOW)
    assert not replace(memory, superseded_by=MemoryId(UUID(int=2))).current_at(NOW)
    assert memory.embedding_key != replace(memory, role="Bo").embedding_key
