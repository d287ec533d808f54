from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np

from mnemata.domain import rules
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory, MemoryDraft
from mnemata.domain.vector import Space
from mnemata.services.just_written import JustWritten, Written

SPACE = Space(name="s", dimensions=2)
EAST = np.array([1, 0], dtype=np.float32)


def memory(number: int, content: str = "x") -> Memory:
    draft = MemoryDraft(content=content)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return rules.new_memory(draft, memory_id=MemoryId(UUID(int=number)), tenant=TenantId("t"), now=now)


def test_a_memory_is_given_at_its_very_version_only() -> None:
    written, first = JustWritten(space=SPACE), memory(1)
    written.note([Written(memory=first, vector=EAST)])
    second = replace(first, version=2)

    assert written.memory(first.id, 1) is first
    assert written.memory(first.id, 2) is None
    assert written.vector(first, SPACE) is EAST
    assert written.vector(second, SPACE) is None


def test_a_later_version_takes_the_place_of_an_earlier_one() -> None:
    written, first = JustWritten(space=SPACE), memory(1)
    second = replace(first, version=2)
    written.note([Written(memory=first, vector=EAST), Written(memory=second)])

    assert written.memory(first.id, 1) is None
    assert written.memory(first.id, 2) is second
    assert written.vector(second, SPACE) is None


def test_a_vector_of_another_space_is_never_given() -> None:
    written, it = JustWritten(space=SPACE), memory(1)
    written.note([Written(memory=it, vector=EAST)])

    assert written.vector(it, Space(name="another", dimensions=2)) is None


def test_only_the_last_ones_are_kept() -> None:
    written = JustWritten(space=SPACE, memories=3)
    written.note([Written(memory=memory(number)) for number in range(5)])

    assert [number for number in range(5) if written.memory(memory(number).id, 1)] == [2, 3, 4]


def test_long_memories_are_let_go_of_sooner() -> None:
    written = JustWritten(space=SPACE, characters=100)
    written.note([Written(memory=memory(number, "x" * 40)) for number in range(3)])
    written.note([Written(memory=memory(9, "x" * 200))])

    assert [number for number in range(3) if written.memory(memory(number).id, 1)] == []
