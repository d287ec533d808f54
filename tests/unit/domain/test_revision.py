from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mnemata.domain import revision, rules
from mnemata.domain.errors import InvalidField
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory, MemoryDraft, text_hash

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def memory(**fields: object) -> Memory:
    draft = MemoryDraft(**{"content": "first", **fields})
    return rules.new_memory(draft, memory_id=MemoryId(UUID(int=7)), tenant=TenantId("t"), now=NOW)


def test_a_patch_changes_what_it_names_and_nothing_else() -> None:
    before = memory(user_id="ana", tags=("a",))
    draft = revision.patched(before, {"content": "second"})
    assert draft == replace(revision.draft_of(before), content="second")


def test_null_in_a_patch_clears_to_the_default() -> None:
    before = memory(user_id="ana", importance=0.9, tags=("a",), kind="episodic", metadata={"a": 1})
    draft = revision.patched(
        before, {"user_id": None, "importance": None, "tags": None, "kind": None, "metadata": None}
    )
    assert draft == revision.draft_of(memory())


def test_content_cannot_be_cleared() -> None:
    with pytest.raises(InvalidField, match="content"):
        revision.patched(memory(), {"content": None})


@pytest.mark.parametrize("field", ["id", "version", "tenant", "nonsense", "embedding"])
def test_a_patch_of_what_is_not_the_callers_is_refused_by_name(field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        revision.patched(memory(), {field: "x"})
    assert caught.value.field == field


def test_a_patch_is_checked_like_a_draft() -> None:
    with pytest.raises(InvalidField, match="importance"):
        revision.patched(memory(), {"importance": 2.0})


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        # The examples of RFC 7396, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_metadata_merges_as_the_standard_says(target: object, patch: object, merged: object) -> None:
    assert revision.merge(target, patch) == merged


def test_metadata_of_a_patch_merges_in_depth() -> None:
    before = memory(metadata={"keep": 1, "deep": {"x": 1, "y": 2}})
    assert revision.patched(before, {"metadata": {"deep": {"x": None}}}).metadata == {
        "keep": 1,
        "deep": {"y": 2},
    }


def test_a_change_makes_the_next_version() -> None:
    before = memory()
    after = revision.next_version(before, MemoryDraft(content="second"), now=LATER)
    assert after is not None
    assert (after.version, after.updated_at, after.created_at) == (2, LATER, NOW)
    assert after.content_hash == text_hash("second")


def test_saying_the_same_again_makes_no_version() -> None:
    before = memory(tags=("a",))
    assert revision.next_version(before, revision.draft_of(before), now=LATER) is None


@pytest.mark.parametrize(
    ("one", "other"), [(True, 1), (False, 0), (1, 1.0), (0.0, -0.0), ([{"a": True}], [{"a": 1}])]
)
def test_values_that_python_takes_for_equal_are_a_change_where_their_json_differs(
    one: object, other: object
) -> None:
    for value, old in ((one, other), (other, one)):
        before = memory(metadata={"k": old, "l": 2})
        after = revision.next_version(
            before, MemoryDraft(content="first", metadata={"k": value, "l": 2}), now=LATER
        )
        assert after is not None
        assert repr(after.metadata["k"]) == repr(value)


def test_another_order_of_keys_is_no_change() -> None:
    before = memory(metadata={"a": {"x": 1, "y": True}, "b": 2})
    same = MemoryDraft(content="first", metadata={"b": 2, "a": {"y": True, "x": 1}})
    assert revision.next_version(before, same, now=LATER) is None


def test_no_version_begins_before_the_one_that_it_follows() -> None:
    before = replace(memory(), updated_at=LATER)
    earlier = LATER - timedelta(minutes=7)
    after = revision.next_version(before, MemoryDraft(content="second"), now=earlier)
    gone = revision.forgotten(before, now=earlier)
    assert after.updated_at == gone.updated_at == gone.deleted_at == LATER


def test_a_forgotten_memory_comes_back_with_its_next_version() -> None:
    before = memory()
    gone = revision.forgotten(before, now=LATER)
    assert (gone.version, gone.deleted_at) == (2, LATER)
    back = revision.next_version(gone, revision.draft_of(before), now=LATER)
    assert back is not None
    assert (back.version, back.deleted_at, back.content) == (3, None, "first")


def test_an_expiry_that_is_over_is_not_brought_back() -> None:
    past = memory(expires_at=LATER, user_id="ana")
    assert revision.brought_back(past, now=LATER) == replace(revision.draft_of(past), expires_at=None)


def test_an_expiry_that_is_still_to_come_is_brought_back() -> None:
    past = memory(expires_at=LATER)
    assert revision.brought_back(past, now=NOW) == revision.draft_of(past)
