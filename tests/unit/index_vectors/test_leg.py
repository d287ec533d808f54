from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mnemata.domain.change import START, Position
from mnemata.domain.errors import SpaceMismatch
from mnemata.domain.filter import EVERYTHING, AnyOf, Field, Not
from mnemata.domain.vector import Metric, Space
from mnemata.index.local.columns import NEVER, microseconds
from mnemata.index.protocol import Embedded, Remove, Upsert

USER = Field(name="user_id")


def at(sequence: int) -> Position:
    return Position(xid=1, sequence=sequence)


def only(user: str) -> AnyOf:
    return AnyOf(field=USER, values=(user,))


def test_empty_leg_finds_nothing_and_starts_the_feed(opened, rows):
    leg = opened()
    assert leg.search(rows(1)[0], k=5, condition=EVERYTHING) == []
    assert leg.position == START
    assert leg.count(EVERYTHING) == 0


@pytest.mark.parametrize("metric", list(Metric))
def test_nearest_come_best_first_with_the_metrics_own_score(opened, memory, upsert, rows, metric):
    vectors = rows(50)
    leg = opened(metric)
    memories = [memory(number) for number in range(50)]
    leg.apply([upsert(m, v) for m, v in zip(memories, vectors, strict=True)], position=at(1))
    query = rows(1, seed=3)[0]
    true = -((vectors - query) ** 2).sum(1) if metric is Metric.L2 else vectors @ query
    found = leg.search(query, k=10, condition=EVERYTHING)
    assert [c.memory_id for c in found] == [memories[i].id for i in np.argsort(-true)[:10]]
    assert [c.score for c in found] == pytest.approx(np.sort(true)[::-1][:10], abs=2e-3)


def test_equal_scores_come_in_the_order_of_their_ids(opened, memory, upsert, rows):
    leg, vector = opened(), rows(1)[0]
    memories = [memory(number) for number in range(12)]
    leg.apply([upsert(m, vector) for m in memories], position=at(1))
    found = leg.search(vector, k=5, condition=EVERYTHING)
    assert [c.memory_id for c in found] == sorted(m.id for m in memories)[:5]


def test_filter_holds_within_the_search_and_not_after_it(opened, memory, upsert, rows):
    vectors, leg = rows(200), opened()
    memories = [memory(n, user_id="ana" if n % 50 == 0 else "bo") for n in range(200)]
    leg.apply([upsert(m, v) for m, v in zip(memories, vectors, strict=True)], position=at(1))
    found = leg.search(vectors[1], k=4, condition=only("ana"))
    assert {c.memory_id for c in found} == {memories[n].id for n in (0, 50, 100, 150)}
    assert len(leg.search(vectors[1], k=190, condition=Not(item=only("ana")))) == 190


def test_changed_memory_is_found_by_its_new_vector_and_field_only(opened, memory, upsert, rows):
    leg, (old, new) = opened(), rows(2)
    leg.apply([upsert(memory(1, user_id="ana"), old)], position=at(1))
    leg.apply([upsert(memory(1, user_id="bo", version=2), new)], position=at(2))
    (found,) = leg.search(new, k=5, condition=EVERYTHING)
    assert found.score == pytest.approx(1, abs=1e-3)
    assert leg.matching(only("ana")) == frozenset()
    assert leg.matching(only("bo")) == {memory(1).id}
    assert leg.statistics().deleted == 1


def test_removed_memory_is_gone_and_removing_it_again_is_harmless(opened, memory, upsert, rows):
    leg, vectors = opened(), rows(2)
    leg.apply([upsert(memory(n), vectors[n]) for n in range(2)], position=at(1))
    for sequence in (2, 3):
        leg.apply([Remove(tenant="t", memory_id=memory(0).id)], position=at(sequence))
    assert [c.memory_id for c in leg.search(vectors[0], k=5, condition=EVERYTHING)] == [memory(1).id]
    assert leg.score(vectors[0], [memory(0).id]) == {}
    assert leg.vectors([memory(0).id]) == {}
    assert leg.count(EVERYTHING) == 1


def test_pending_memory_counts_but_is_not_compared_until_its_vector_arrives(opened, memory, upsert, rows):
    leg, vector = opened(), rows(1)[0]
    leg.apply([upsert(memory(1, user_id="ana"), None)], position=at(1))
    assert leg.count(only("ana")) == 1
    assert leg.search(vector, k=5, condition=EVERYTHING) == []
    assert leg.search(vector, k=5, condition=only("ana")) == []
    assert leg.score(vector, [memory(1).id]) == {}
    leg.apply([upsert(memory(1, user_id="ana"), vector)], position=at(2))
    assert [c.memory_id for c in leg.search(vector, k=5, condition=only("ana"))] == [memory(1).id]
    assert leg.count(EVERYTHING) == 1


def test_last_of_several_actions_on_one_memory_counts(opened, memory, upsert, rows):
    leg, vectors = opened(), rows(2)
    remove = Remove(tenant="t", memory_id=memory(0).id)
    leg.apply([upsert(memory(0), vectors[0]), remove, upsert(memory(1), vectors[1])], position=at(1))
    assert leg.matching(EVERYTHING) == {memory(1).id}
    leg.apply([remove, upsert(memory(0), vectors[0])], position=at(2))
    assert leg.matching(EVERYTHING) == {memory(0).id, memory(1).id}


def test_batch_applied_again_takes_no_room(opened, memory, upsert, rows):
    leg, vectors = opened(), rows(20)
    batch = [upsert(memory(n), vectors[n]) for n in range(20)]
    leg.apply(batch, position=at(1))
    before = leg.search(vectors[0], k=20, condition=EVERYTHING)
    leg.apply(batch, position=at(1))
    assert leg.search(vectors[0], k=20, condition=EVERYTHING) == before
    assert leg.statistics().deleted == 0


def test_score_of_a_memory_is_the_score_that_a_search_gives_it(opened, memory, upsert, rows):
    leg, vectors = opened(), rows(40)
    leg.apply([upsert(memory(n), vectors[n]) for n in range(40)], position=at(1))
    found = leg.search(vectors[5], k=40, condition=EVERYTHING)
    scores = leg.score(vectors[5], [c.memory_id for c in found])
    assert [scores[c.memory_id] for c in found] == pytest.approx([c.score for c in found], abs=1e-6)


def test_vectors_come_back_at_half_precision(opened, memory, upsert, rows):
    leg, vectors = opened(), rows(3)
    leg.apply([upsert(memory(n), vectors[n]) for n in range(3)], position=at(1))
    back = leg.vectors([memory(2).id, memory(9).id])
    assert list(back) == [memory(2).id]
    assert back[memory(2).id].dtype == np.float32
    assert back[memory(2).id] == pytest.approx(vectors[2], abs=1e-3)


def test_vector_of_another_space_is_refused_before_anything_is_applied(opened, memory, upsert, rows):
    leg, vectors = opened(), rows(2)
    stranger = Upsert(
        memory=memory(1), vector=Embedded(vector=vectors[1], space=Space(name="other", dimensions=16))
    )
    with pytest.raises(SpaceMismatch):
        leg.apply([upsert(memory(0), vectors[0]), stranger], position=at(1))
    assert leg.count(EVERYTHING) == 0
    assert leg.position == START


def test_memory_that_cannot_be_encoded_leaves_no_trace(opened, memory, upsert, rows):
    leg, vectors = opened(), rows(2)
    poison = dataclasses.replace(memory(0), tags=("work",), metadata=None)
    with pytest.raises(TypeError):
        leg.apply([upsert(poison, vectors[0])], position=at(1))
    leg.apply([upsert(memory(1), vectors[1])], position=at(2))
    assert leg.matching(AnyOf(field=Field(name="tags"), values=("work",))) == frozenset()
    assert leg.count(EVERYTHING) == 1


def test_columns_grow_past_their_first_capacity(opened, memory, upsert, rows):
    leg, vectors = opened(), rows(3_000)
    for start in range(0, 3_000, 700):
        stop = min(start + 700, 3_000)
        leg.apply(
            [upsert(memory(n, tags=(f"t{n}",)), vectors[n]) for n in range(start, stop)], position=at(stop)
        )
    assert [c.memory_id for c in leg.search(vectors[5], k=1, condition=EVERYTHING)] == [memory(5).id]
    assert leg.matching(AnyOf(field=Field(name="tags"), values=("t2999", "t0"))) == {
        memory(2999).id,
        memory(0).id,
    }


def test_columns_know_when_the_first_of_the_living_expires(opened, memory, upsert, rows):
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    hours = [None, 3, 1, 2]
    memories = [
        memory(n, expires_at=None if after is None else noon + timedelta(hours=after))
        for n, after in enumerate(hours)
    ]
    leg = opened()
    assert leg.live.columns.first_expiry == NEVER

    def first(leg) -> int:
        return round((leg.live.columns.first_expiry - microseconds(noon)) / 3.6e9)

    leg.apply([upsert(one, None) for one in memories], position=at(1))
    assert first(leg) == 1
    leg.apply([Remove(tenant="t", memory_id=memories[2].id)], position=at(2))
    assert first(leg) == 2
    leg.save()
    assert first(opened()) == 2
    lasting = [upsert(dataclasses.replace(one, expires_at=None), None) for one in memories[1:]]
    leg.apply(lasting, position=at(3))
    assert leg.live.columns.first_expiry == NEVER
