"""The graph and the lists, on vectors few enough to compare with all of them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from mnemata.domain.change import Position
from mnemata.domain.filter import EVERYTHING, AnyOf, Field, Not
from mnemata.domain.vector import Metric
from mnemata.index.local import vector_upkeep
from mnemata.index.local.vectors import VectorLeg, VectorOptions
from mnemata.index.protocol import Remove

ANA = AnyOf(field=Field(name="user_id"), values=("ana",))
COUNT = 6_000


def at(sequence: int) -> Position:
    return Position(xid=1, sequence=sequence)


@pytest.fixture
def fill(memory, upsert, rows):
    """Upserts of the memories [start, stop): every third is ana's."""

    def build(start: int, stop: int, **changes):
        vectors = rows(COUNT)
        return [
            upsert(memory(n, user_id="bo" if n % 3 else "ana", **changes), vectors[n])
            for n in range(start, stop)
        ]

    return build


def recall(leg, exact, queries, condition, k=10):
    """The share of the exact search's results that this leg finds."""
    hits = 0
    for query in queries:
        true = {c.memory_id for c in exact.search(query, k=k, condition=condition)}
        hits += len(true & {c.memory_id for c in leg.search(query, k=k, condition=condition)})
    return hits / (k * len(queries))


@pytest.fixture
def exact(tmp_path, space, fill):
    def build(metric):
        leg = VectorLeg.open(
            tmp_path / "exact", space=space, metric=metric, options=VectorOptions(algorithm="exact")
        )
        leg.apply(fill(0, COUNT), position=at(1))
        return leg

    return build


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("algorithm", ["hnsw", "ivf"])
def test_index_finds_what_exact_search_finds(opened, exact, fill, rows, metric, algorithm):
    # Vectors without clusters are the worst case of lists: more of them are visited than sentences need.
    leg = opened(metric, algorithm=algorithm, exact_below=100, ivf_nprobe=64)
    leg.apply(fill(0, COUNT), position=at(1))
    assert leg.maintain()
    assert leg.statistics().indexed == COUNT
    assert leg.statistics().algorithm == algorithm
    reference, queries = exact(metric), rows(40, seed=3)
    for condition in (EVERYTHING, ANA, Not(item=ANA)):
        assert recall(leg, reference, queries, condition) >= 0.98


@pytest.mark.parametrize("algorithm", ["hnsw", "ivf"])
def test_saved_index_is_used_when_opened_again_and_grows(opened, fill, rows, algorithm):
    leg = opened(algorithm=algorithm, exact_below=100)
    leg.apply(fill(0, 1_000), position=at(1))
    leg.maintain()
    leg.save()
    again = opened(algorithm=algorithm, exact_below=100)
    assert again.statistics().indexed == 1_000
    query = rows(1, seed=3)[0]
    assert again.search(query, k=10, condition=ANA) == leg.search(query, k=10, condition=ANA)
    again.apply(fill(1_000, COUNT), position=at(2))
    again.apply([Remove(tenant="t", memory_id=fill(0, 1)[0].memory.id)], position=at(3))
    assert again.maintain()
    assert again.statistics().indexed == COUNT
    again.save()
    assert opened(algorithm=algorithm, exact_below=100).search(
        query, k=10, condition=EVERYTHING
    ) == again.search(query, k=10, condition=EVERYTHING)


@pytest.mark.parametrize("links", [8, 48])
def test_graph_goes_on_whole_where_the_settings_ask_for_another_number_of_links(
    opened, exact, fill, rows, links
):
    leg = opened(algorithm="hnsw", exact_below=100, hnsw_m=24)
    leg.apply(fill(0, 1_000), position=at(1))
    leg.maintain()
    leg.save()
    again = opened(algorithm="hnsw", exact_below=100, hnsw_m=links)
    again.apply(fill(1_000, COUNT), position=at(2))
    assert again.maintain()
    again.save()
    reference, queries = exact(Metric.COSINE), rows(40, seed=3)
    for one in (again, opened(algorithm="hnsw", exact_below=100, hnsw_m=links)):
        assert one.statistics().indexed == COUNT
        assert recall(one, reference, queries, EVERYTHING) >= 0.98


def test_memory_written_after_the_graph_is_found_at_once(opened, fill, rows):
    leg = opened(algorithm="hnsw", exact_below=100)
    leg.apply(fill(0, 2_000), position=at(1))
    leg.maintain()
    (newest,) = fill(4_000, 4_001)
    leg.apply([newest], position=at(2))
    assert leg.statistics().indexed == 2_000
    assert leg.search(rows(COUNT)[4_000], k=1, condition=EVERYTHING)[0].memory_id == newest.memory.id


def test_removed_memory_is_absent_from_the_graphs_answers_at_once(opened, fill, rows):
    leg = opened(algorithm="hnsw", exact_below=100)
    leg.apply(fill(0, 2_000), position=at(1))
    leg.maintain()
    gone = [action.memory.id for action in fill(0, 100)]
    leg.apply([Remove(tenant="t", memory_id=one) for one in gone], position=at(2))
    for n in range(0, 100, 9):
        found = leg.search(rows(COUNT)[n], k=50, condition=EVERYTHING)
        assert len(found) == 50
        assert not {c.memory_id for c in found} & set(gone)


def test_filter_that_leaves_few_in_the_graph_still_gives_all_of_them(opened, fill, memory, upsert, rows):
    leg = opened(algorithm="hnsw", exact_below=0)
    vectors = rows(COUNT)
    leg.apply(fill(0, 2_000), position=at(1))
    leg.apply(
        [upsert(memory(n, user_id="cy", version=2), vectors[n]) for n in range(0, 2_000, 400)], position=at(2)
    )
    leg.maintain()
    cy = AnyOf(field=Field(name="user_id"), values=("cy",))
    assert len(leg.search(vectors[1], k=10, condition=cy)) == 5


def test_graph_waits_while_many_vectors_come_but_not_for_ever(opened, fill, rows, monkeypatch):
    monkeypatch.setattr(vector_upkeep, "_PATIENT_TAIL", 2_000)
    leg = opened(algorithm="hnsw", exact_below=100)
    leg.apply(fill(0, 2_000), position=at(1))
    assert not leg.maintain(patient=True)
    assert (
        leg.search(rows(COUNT)[1_999], k=1, condition=EVERYTHING)[0].memory_id
        == fill(1_999, 2_000)[0].memory.id
    )
    leg.apply(fill(2_000, 2_001), position=at(2))
    assert leg.maintain(patient=True)
    assert leg.statistics().indexed == 2_001


def test_large_graph_grows_stride_by_stride_and_a_stop_loses_one_of_them(opened, fill, rows, monkeypatch):
    monkeypatch.setattr(vector_upkeep, "_STRIDE", 500)
    monkeypatch.setattr(vector_upkeep, "_TAIL", 100)
    leg = opened(algorithm="hnsw", exact_below=100)
    leg.apply(fill(0, 2_000), position=at(1))
    sizes = []
    for _ in range(2):
        assert leg.maintain()
        sizes.append(leg.statistics().indexed)
    assert not leg.maintain(lambda: True)
    leg.save()
    again = opened(algorithm="hnsw", exact_below=100)
    assert again.statistics().indexed == 1_000
    while again.maintain():
        sizes.append(again.statistics().indexed)
    assert sizes[:4] == [500, 1_000, 1_500, 2_000]
    for n in (0, 700, 1_999):
        found = again.search(rows(COUNT)[n], k=1, condition=EVERYTHING)
        assert found[0].memory_id == fill(n, n + 1)[0].memory.id


def test_graph_that_waited_is_built_when_no_more_vectors_come(opened, fill):
    leg = opened(algorithm="hnsw", exact_below=100)
    leg.apply(fill(0, 2_000), position=at(1))
    assert not leg.maintain(patient=True)
    assert leg.maintain()
    assert leg.statistics().indexed == 2_000


def test_auto_builds_a_graph_above_exact_below_and_not_before(opened, fill):
    leg = opened(exact_below=1_000)
    leg.apply(fill(0, 1_000), position=at(1))
    assert not leg.maintain()
    leg.apply(fill(1_000, 1_001), position=at(2))
    assert leg.maintain()
    assert leg.statistics().algorithm == "hnsw"
    assert not leg.maintain()


@pytest.mark.parametrize("algorithm", ["exact", "hnsw"])
def test_compaction_drops_what_ended_and_changes_no_answer(opened, fill, rows, algorithm):
    leg = opened(algorithm=algorithm, exact_below=100)
    leg.apply(fill(0, 3_000, tags=("old",), metadata={"n": 1}), position=at(1))
    leg.save()
    leg.apply(fill(500, 2_000, version=2, tags=("new", "old"), metadata={"n": 2, "w": "x"}), position=at(2))
    leg.apply([Remove(tenant="t", memory_id=a.memory.id) for a in fill(2_500, 3_000)], position=at(3))
    new = AnyOf(field=Field(name="tags"), values=("new",))
    two = AnyOf(field=Field(name="metadata", path=("n",)), values=(2,))
    queries = rows(20, seed=3)

    def answers():
        return (
            leg.matching(EVERYTHING),
            leg.matching(new),
            leg.matching(two),
            leg.matching(ANA),
            [leg.search(q, k=10, condition=ANA) for q in queries],
        )

    while leg.statistics().algorithm != algorithm:
        leg.maintain()
    before = answers()
    while leg.maintain():
        pass
    assert leg.statistics().deleted == 0
    assert answers()[:4] == before[:4]
    close = [
        len({c.memory_id for c in now} & {c.memory_id for c in then})
        for now, then in zip(answers()[4], before[4], strict=True)
    ]
    assert sum(close) >= 196
    leg.save()
    assert opened(algorithm=algorithm, exact_below=100).matching(new) == before[1]


def test_searches_and_writes_go_on_while_the_leg_is_maintained(opened, memory, upsert, rows):
    """Each memory keeps its vector through every change, so every search must find all of them, once each."""
    leg, vectors = opened(algorithm="hnsw", exact_below=100), rows(2_000)
    leg.apply([upsert(memory(n), vectors[n]) for n in range(2_000)], position=at(1))
    stop, faults = threading.Event(), []

    def search():
        rng = np.random.default_rng(1)
        while not stop.is_set():
            n = int(rng.integers(2_000))
            found = [c.memory_id for c in leg.search(vectors[n], k=5, condition=EVERYTHING)]
            if found[:1] != [memory(n).id] or len(set(found)) != 5 or leg.count(EVERYTHING) != 2_000:
                faults.append((n, found))

    def maintain():
        while not stop.is_set():
            leg.maintain()
            leg.save()

    threads = [threading.Thread(target=search) for _ in range(2)] + [threading.Thread(target=maintain)]
    for thread in threads:
        thread.start()
    rng = np.random.default_rng(2)
    for version in range(2, 40):
        changed = rng.choice(2_000, 100, replace=False).tolist()
        leg.apply([upsert(memory(n, version=version), vectors[n]) for n in changed], position=at(version))
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    leg.save()
    assert opened(algorithm="hnsw", exact_below=100).matching(EVERYTHING) == leg.matching(EVERYTHING)


@pytest.mark.parametrize("algorithm", ["hnsw", "ivf"])
def test_a_build_is_given_up_when_the_index_closes_and_nothing_is_lost(opened, fill, rows, algorithm):
    leg = opened(algorithm=algorithm, exact_below=100)
    leg.apply(fill(0, COUNT), position=at(1))
    before = leg.search(rows(1)[0], k=10, condition=EVERYTHING)
    assert not leg.maintain(lambda: True)
    assert leg.statistics().indexed == 0
    assert leg.search(rows(1)[0], k=10, condition=EVERYTHING) == before
    assert leg.maintain()
    assert leg.statistics().indexed == COUNT
