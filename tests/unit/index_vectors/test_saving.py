from __future__ import annotations

import json
from pathlib import Path

import pytest

from mnemata.domain.change import START, Position
from mnemata.domain.errors import IndexDamaged
from mnemata.domain.filter import EVERYTHING, AnyOf, Field, Range
from mnemata.domain.vector import Metric
from mnemata.index.protocol import Remove

WORK = AnyOf(field=Field(name="tags"), values=("work",))
HIGH = Range(field=Field(name="metadata", path=("n",)), low=90.0)


def at(sequence: int) -> Position:
    return Position(xid=1, sequence=sequence)


@pytest.fixture
def filled(opened, memory, upsert, rows):
    leg, vectors = opened(), rows(100)
    leg.apply(
        [
            upsert(
                memory(n, tags=("work",) if n % 2 else (), metadata={"n": n}), vectors[n] if n % 10 else None
            )
            for n in range(100)
        ],
        position=at(1),
    )
    return leg


@pytest.fixture
def saved(filled, tmp_path):
    """The folder of a leg that was saved."""
    filled.save()
    return tmp_path / "vectors"


def answers(leg, query):
    return (
        leg.search(query, k=20, condition=EVERYTHING),
        leg.search(query, k=20, condition=WORK),
        leg.matching(HIGH),
        leg.count(EVERYTHING),
        leg.position,
    )


def test_saved_leg_answers_the_same_when_opened_again(filled, opened, rows):
    query = rows(1, seed=5)[0]
    expected = answers(filled, query)
    filled.save()
    assert answers(opened(), query) == expected


def test_leg_that_was_never_saved_starts_again(filled, opened):
    leg = opened()
    assert leg.position == START
    assert leg.count(EVERYTHING) == 0


def test_what_is_applied_after_the_save_is_not_in_it(filled, opened, memory, upsert, rows):
    filled.save()
    filled.apply(
        [upsert(memory(500), rows(1)[0]), Remove(tenant="t", memory_id=memory(1).id)], position=at(2)
    )
    leg = opened()
    assert leg.position == at(1)
    assert leg.durable_position == at(1)
    assert memory(500).id not in leg.matching(EVERYTHING)
    assert memory(1).id in leg.matching(EVERYTHING)


def test_saves_add_up(filled, opened, memory, upsert, rows):
    query, more = rows(1, seed=5)[0], rows(2_000, seed=9)
    for round_ in range(4):
        filled.save()
        filled.apply([Remove(tenant="t", memory_id=memory(round_ * 3 + 1).id)], position=at(10 + round_))
        filled.apply(
            [upsert(memory(1_000 + round_ * 500 + n), more[round_ * 500 + n]) for n in range(500)],
            position=at(20 + round_),
        )
    filled.save()
    reopened = opened()
    assert answers(reopened, query) == answers(filled, query)
    reopened.apply([upsert(memory(7, version=2), more[0])], position=at(50))
    reopened.save()
    assert answers(opened(), query) == answers(reopened, query)


def test_save_writes_only_what_is_new(saved, filled, memory, upsert, rows):
    before = json.loads((saved / "manifest.json").read_text())["body"]["rows"]
    filled.apply([upsert(memory(900), rows(1)[0])], position=at(2))
    filled.save()
    after = json.loads((saved / "manifest.json").read_text())["body"]["rows"]
    assert after["name"] == before["name"]
    assert after["size"] == before["size"] + 16 * 2


def test_rows_written_by_a_crashed_save_are_written_over(saved, opened, memory, upsert, rows):
    body = json.loads((saved / "manifest.json").read_text())["body"]
    with (saved / body["rows"]["name"]).open("r+b") as file:
        file.seek(body["rows"]["size"])
        file.write(b"\x77" * 64)
    leg = opened()
    leg.apply([upsert(memory(900), None), upsert(memory(901), rows(2, seed=3)[1])], position=at(2))
    assert leg.search(rows(2, seed=3)[1], k=1, condition=EVERYTHING)[0].memory_id == memory(901).id
    leg.save()
    opened().verify()


def hurt(path: Path, size: int, harm: str) -> None:
    """Of `path`, `size` bytes are in use."""
    data = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    elif harm == "short":
        path.write_bytes(data[: size - 1])
    else:
        data[size // 2] ^= 0x40
        path.write_bytes(data)


@pytest.mark.parametrize("name", ["rows", "columns", "ended"])
@pytest.mark.parametrize("harm", ["missing", "short", "flipped"])
def test_damaged_file_is_noticed_at_open(saved, opened, name, harm):
    state = json.loads((saved / "manifest.json").read_text())["body"][name]
    hurt(saved / state["name"], state["size"], harm)
    with pytest.raises(IndexDamaged):
        opened()


@pytest.mark.parametrize("algorithm", ["hnsw", "ivf"])
@pytest.mark.parametrize("harm", ["missing", "short", "flipped"])
def test_damaged_graph_or_lists_are_noticed_at_open(opened, tmp_path, memory, upsert, rows, algorithm, harm):
    leg, vectors = opened(algorithm=algorithm, exact_below=100), rows(1_000)
    leg.apply([upsert(memory(n), vectors[n]) for n in range(1_000)], position=at(1))
    assert leg.maintain()
    leg.save()
    body = json.loads((tmp_path / "vectors" / "manifest.json").read_text())["body"]
    hurt(tmp_path / "vectors" / body["index"]["name"], body["index"]["size"], harm)
    with pytest.raises(IndexDamaged):
        opened(algorithm=algorithm, exact_below=100)


def test_damaged_manifest_is_noticed_at_open(saved, opened):
    path = saved / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"slots":100', b'"slots":101'))
    with pytest.raises(IndexDamaged):
        opened()


def test_index_of_another_metric_is_not_used(filled, opened):
    filled.save()
    with pytest.raises(IndexDamaged, match="metric"):
        opened(Metric.L2)
