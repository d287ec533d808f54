"""What makes searches quicker changes nothing that they find: legs side by side, and segments gathered at rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mnemata.domain.change import Position
from mnemata.domain.filter import EVERYTHING, AnyOf, Field
from mnemata.domain.ids import MemoryId, SequentialIds, TenantId
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Candidate, Mode, Words
from mnemata.domain.rules import new_memory
from mnemata.domain.vector import Metric, Space
from mnemata.index.local import search, vectors
from mnemata.index.local.partition import Partition
from mnemata.index.local.vector_options import VectorOptions
from mnemata.index.protocol import Embedded, IndexQuery, Upsert

SPACE = Space(name="test/1", dimensions=16)
TENANT = TenantId("ana")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
WORDS = ("tea", "green", "cup", "hill", "garden", "letter", "train", "night")
ANAS = AnyOf(field=Field(name="user_id"), values=("ana",))


def memories(count: int) -> list[Upsert]:
    chance, ids = np.random.default_rng(4), SequentialIds()
    rows = chance.standard_normal((count, SPACE.dimensions), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    drafts = [
        MemoryDraft(content=" ".join(chance.choice(WORDS, 5)), user_id=("ana", "ben")[n % 2])
        for n in range(count)
    ]
    return [
        Upsert(
            memory=new_memory(draft, memory_id=ids.new(), tenant=TENANT, now=NOW),
            vector=Embedded(vector=row, space=SPACE),
        )
        for draft, row in zip(drafts, rows, strict=True)
    ]


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[Partition]:
    """A partition of 300 memories in six segments."""
    opened = Partition(
        tmp_path, space=SPACE, metric=Metric.COSINE, vectors=VectorOptions(), fold_changes=2_048
    )
    everything = memories(300)
    for start in range(0, 300, 50):
        opened.apply(everything[start : start + 50], position=Position(xid=1, sequence=start + 50))
        opened.lexical.fold()
    yield opened
    opened.close()


def scores(found: Sequence[Candidate]) -> dict[MemoryId, float]:
    return {candidate.memory_id: candidate.score for candidate in found}


def asked(*, depth: int = 20) -> list[IndexQuery]:
    vector = np.full(SPACE.dimensions, 0.25, np.float32)
    return [
        IndexQuery(
            tenant=TENANT,
            mode=mode,
            words=Words(text="green tea"),
            vector=vector,
            filter=condition,
            depth=depth,
        )
        for mode in Mode
        for condition in (EVERYTHING, ANAS)
    ]


def test_legs_side_by_side_find_what_they_find_one_after_the_other(partition, monkeypatch):
    monkeypatch.setattr(search, "_WORTH_A_THREAD", 0)
    with ThreadPoolExecutor(1) as beside:
        for query in asked():
            alone, together = partition.search(query), partition.search(query, beside)

            assert list(together.lexical) == list(alone.lexical)
            assert list(together.vector) == list(alone.vector)
            assert together.total == alone.total
            assert together.took_ms.keys() == alone.took_ms.keys()


def test_leg_that_fails_beside_the_other_is_named(partition, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(search, "_WORTH_A_THREAD", 0)
    monkeypatch.setattr(vectors.NearestSearch, "find", fail)
    with ThreadPoolExecutor(1) as beside:
        legs = partition.search(asked()[0], beside)

    assert legs.degraded == ("vector",)
    assert legs.lexical
    assert not legs.vector
    only_words = partition.search(replace(asked()[0], mode=Mode.LEXICAL))
    assert legs.total == only_words.total > 0


def test_total_of_a_search_whose_vectors_fail_at_once_is_of_those_that_have_the_words(partition, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(vectors.VectorLeg, "begin", fail)
    legs, only_words = (
        partition.search(asked()[0]),
        partition.search(replace(asked()[0], mode=Mode.LEXICAL)),
    )

    assert legs.degraded == ("vector",)
    assert legs.total == only_words.total > 0


def test_small_segments_become_one_at_rest_and_every_score_stays(partition):
    # Of equal scores at the edge of the depth the order of indexing decides: ask for all.
    queries = asked(depth=400)
    before = [partition.search(query) for query in queries]
    segments, counts = partition.lexical.view.main.searcher.num_segments, partition.counts()
    partition.lexical.rest()
    position = partition.lexical.position

    partition.lexical.rest()

    assert partition.lexical.view.main.searcher.num_segments == 1 < segments
    assert partition.lexical.position == partition.lexical.durable_position == position
    after = [partition.search(query) for query in queries]
    for old, new in zip(before, after, strict=True):
        assert [hit.memory_id for hit in new.lexical] == [hit.memory_id for hit in old.lexical]
        assert [hit.score for hit in new.lexical] == pytest.approx(
            [hit.score for hit in old.lexical], rel=1e-5
        )
    assert (partition.counts().documents, partition.counts().deleted) == (counts.documents, counts.deleted)
    partition.apply(memories(301)[300:], position=Position(xid=2, sequence=1))
    partition.lexical.fold()
    assert partition.lexical.durable_position == Position(xid=2, sequence=1)
