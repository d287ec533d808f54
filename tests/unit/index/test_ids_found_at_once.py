"""Many ids looked up at once give what a dictionary gives."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory, MemoryDraft
from mnemata.domain.rules import new_memory
from mnemata.domain.scope import DEFAULT_TENANT
from mnemata.index.local.column_ids import NOT_THERE, IdSlots
from mnemata.index.local.columns import Columns

# Few values for each half, so that ids share a half often.
_KEYS = st.builds(
    lambda high, low: high << 64 | low, st.integers(0, 3), st.sampled_from([0, 1, 2**63, 2**64 - 1])
)


def memory(number: int) -> Memory:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    draft = MemoryDraft(content="tea")
    return new_memory(draft, memory_id=MemoryId(UUID(int=number)), tenant=DEFAULT_TENANT, now=now)


def put(columns: Columns, ids: IdSlots, numbers: list[int]) -> range:
    """Append a slot for each number, and let it be found there."""
    start = columns.append([memory(number) for number in numbers], [False] * len(numbers))
    ids.put(np.arange(start, columns.size))
    return range(start, columns.size)


@given(st.lists(st.sets(_KEYS), max_size=6), st.lists(_KEYS))
def test_ids_looked_up_at_once_are_where_they_were_put_last(batches, asked):
    columns = Columns()
    ids, expected = IdSlots(columns), dict[int, int]()
    for came in batches:
        expected.update(zip(sorted(came), put(columns, ids, sorted(came)), strict=True))

    assert ids.slots(asked).tolist() == [expected.get(number, NOT_THERE) for number in asked]


def test_ids_are_found_however_many_there_are_and_however_often_they_change():
    columns = Columns()
    ids = IdSlots(columns)
    once = put(columns, ids, list(range(9_000)))
    for _ in range(20):
        again = put(columns, ids, list(range(20_000, 21_000)))

    assert ids.slots(range(9_000)).tolist() == list(once)
    assert ids.slots(range(20_000, 21_000)).tolist() == list(again)
    assert set(ids.slots(range(21_000, 22_000)).tolist()) == {NOT_THERE}
    assert ids.nbytes <= 16 * 10_000


def test_ids_are_found_where_more_share_a_lower_half_than_are_looked_at_together():
    columns = Columns()
    ids = IdSlots(columns)
    crowd = [high << 64 | 7 for high in range(40)]
    slots = put(columns, ids, crowd)
    moved = put(columns, ids, crowd[::3])
    expected = dict(zip(crowd, slots, strict=True)) | dict(zip(crowd[::3], moved, strict=True))

    assert ids.slots(crowd).tolist() == [expected[number] for number in crowd]
    assert ids.slots([high << 64 | 7 for high in range(40, 60)]).tolist() == [NOT_THERE] * 20


def test_ids_are_found_where_the_table_grows_in_the_middle_of_a_look(monkeypatch):
    columns = Columns()
    ids = IdSlots(columns)
    slots = put(columns, ids, list(range(1_000)))
    look = IdSlots._near_home

    def grown(self, *given):
        monkeypatch.setattr(IdSlots, "_near_home", look)
        put(columns, ids, list(range(10_000, 14_000)))
        return look(self, *given)

    monkeypatch.setattr(IdSlots, "_near_home", grown)
    assert ids.slots(range(1_000)).tolist() == list(slots)
