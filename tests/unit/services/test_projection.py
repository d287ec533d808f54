from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest

from mnemata.domain import rules
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory, MemoryDraft
from mnemata.domain.query import NO_NEIGHBOURS, Neighbours
from mnemata.domain.vector import Space
from mnemata.index.protocol import PENDING, Embedded, Remove, Upsert
from mnemata.services.projection import mix, project

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPACE = Space(name="s", dimensions=2)
EAST = np.array([1, 0], dtype=np.float32)
NORTH = np.array([0, 1], dtype=np.float32)


def turn(number: int, content: str, role: str = "Ana") -> Memory:
    draft = MemoryDraft(content=content, role=role, session_id="s", sequence=number)
    return rules.new_memory(draft, memory_id=MemoryId(UUID(int=number)), tenant=TenantId("t"), now=NOW)


def test_a_turn_is_drawn_towards_its_neighbours_and_keeps_unit_length() -> None:
    mixed = mix(EAST, [NORTH])
    assert np.linalg.norm(mixed) == pytest.approx(1.0)
    assert mixed[0] > mixed[1] > 0
    assert mix(EAST, []) is EAST
    assert np.array_equal(mix(EAST, [-EAST * 5]), EAST) or np.linalg.norm(
        mix(EAST, [-EAST * 5])
    ) == pytest.approx(1.0)


def test_neighbours_words_and_vectors_come_with_a_turn() -> None:
    before, it, after = turn(1, "where to?"), turn(2, "to Lyon"), turn(3, "nice")
    vectors = {it.id: EAST, after.id: NORTH}
    action = project(it, Neighbours(previous=before, next=after), vectors, space=SPACE)
    assert isinstance(action, Upsert)
    assert (action.before, action.after) == ("Ana: where to?", "Ana: nice")
    assert isinstance(action.vector, Embedded)
    assert np.array_equal(action.vector.vector, mix(EAST, [NORTH]))


def test_without_its_own_vector_a_turn_waits_for_it_whatever_its_neighbours_have() -> None:
    it, after = turn(2, "to Lyon"), turn(3, "nice")
    action = project(it, Neighbours(next=after), {after.id: NORTH}, space=SPACE)
    assert isinstance(action, Upsert)
    assert action.vector is PENDING


@pytest.mark.parametrize("change", [{"deleted_at": NOW}, {"superseded_by": MemoryId(UUID(int=9))}])
def test_what_default_reads_do_not_see_leaves_the_index(change: dict[str, object]) -> None:
    it = replace(turn(2, "to Lyon"), **change)
    assert project(it, NO_NEIGHBOURS, {}, space=SPACE) == Remove(tenant=it.tenant, memory_id=it.id)
