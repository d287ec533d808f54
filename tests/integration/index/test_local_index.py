"""The local engine on real files: damage, crashes, full disks, many tenants, fresh against folded."""

from __future__ import annotations

import asyncio
import errno
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnemata.domain.change import START, Position
from mnemata.domain.errors import StorageFull
from mnemata.domain.filter import EVERYTHING
from mnemata.domain.ids import SequentialIds, TenantId
from mnemata.domain.memory import Memory
from mnemata.domain.query import Mode, Words
from mnemata.domain.vector import Metric, Space
from mnemata.index.local import folders, notes
from mnemata.index.local.checksums import verify
from mnemata.index.local.engine import LocalIndex
from mnemata.index.local.generation import IndexGeneration
from mnemata.index.local.lexical import LexicalLeg
from mnemata.index.local.main_segment import MainStore
from mnemata.index.local.manifest import sealed
from mnemata.index.local.options import LocalOptions
from mnemata.index.local.words import analysed_words
from mnemata.index.protocol import PENDING, Embedded, IndexQuery, Upsert

SPACE = Space(name="test/1", dimensions=4)
TENANT = TenantId("ana")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
QUIET = LocalOptions(fold_interval_s=600.0)


class Maker:
    def __init__(self) -> None:
        self._ids = SequentialIds()

    def __call__(self, content: str, **values: Any) -> Upsert:
        absent = (
            "user_id", "agent_id", "session_id", "sequence", "role", "source", "external_id", "occurred_at",
            "expires_at", "superseded_by", "deleted_at",
        )  # fmt: skip
        fields: dict[str, Any] = dict.fromkeys(absent) | {
            "id": self._ids.new(), "tenant": TENANT, "content": content, "content_hash": b"", "kind": "semantic",
            "tags": (), "metadata": {}, "importance": 0.5, "created_at": NOON, "updated_at": NOON, "version": 1,
        }  # fmt: skip
        vector = np.array([1, 0, 0, 0], np.float32)
        return Upsert(memory=Memory(**(fields | values)), vector=Embedded(vector=vector, space=SPACE))


@pytest.fixture
def make() -> Maker:
    return Maker()


def at(sequence: int) -> Position:
    return Position(xid=1, sequence=sequence)


async def found(index: LocalIndex, text: str, tenant: TenantId = TENANT) -> int:
    query = IndexQuery(tenant=tenant, mode=Mode.LEXICAL, words=Words(text=text))
    return len((await index.search(query)).lexical)


async def a_saved_index(root: Path, make: Maker) -> None:
    index = LocalIndex(root, epoch="e", space=SPACE, options=QUIET)
    await index.open()
    await index.apply([make(f"word number {n}") for n in range(5)], position=at(5))
    await index.close()


def newest(folder: Path, pattern: str) -> Path:
    return max(
        (path for path in folder.rglob(pattern) if path.stat().st_size), key=lambda path: path.stat().st_mtime
    )


# --- damage ----------------------------------------------------------------------------------------------------------


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "postings flipped": lambda root: flip_a_byte(newest(root, "lexical/*.idx")),
    "terms truncated": lambda root: truncate(newest(root, "lexical/*.term")),
    "fast fields empty": lambda root: newest(root, "lexical/*.fast").write_bytes(b""),
    "segment file gone": lambda root: newest(root, "lexical/*.pos").unlink(),
    "tantivy's list of segments gone": lambda root: newest(root, "lexical/meta.json").unlink(),
    "tantivy's list of segments is no JSON": lambda root: truncate(newest(root, "lexical/meta.json")),
    "vectors' manifest truncated": lambda root: truncate(newest(root, "vectors/*.json")),
    "manifest gone": lambda root: newest(root, "g*/manifest.json").unlink(),
    "manifest is no JSON": lambda root: truncate(newest(root, "g*/manifest.json")),
    "manifest of another format": lambda root: rewrite(newest(root, "g*/manifest.json"), format=999),
    "digit of the manifest's position changed": lambda root: alter(
        newest(root, "g*/manifest.json"), b'"position": "1-5"', b'"position": "1-7"'
    ),
    "pointer leads nowhere": lambda root: (root / "CURRENT").write_text("../../etc"),
    "pointer is no text": lambda root: (root / "CURRENT").write_bytes(b"\xff\xfe\x00"),
    "partition older than the manifest": lambda root: rewrite(
        newest(root, "g*/manifest.json"), tenants={TENANT: ["9-9", 5, 5, 0, 1]}
    ),
}


def alter(path: Path, old: bytes, new: bytes) -> None:
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))


def rewrite(path: Path, **values: Any) -> None:
    path.write_bytes(sealed(json.loads(path.read_bytes())["body"] | values))


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_index_is_noticed_at_open_and_filled_again(tmp_path, make, damage):
    root = tmp_path / "index"
    await a_saved_index(root, make)
    DAMAGES[damage](root)

    index = LocalIndex(root, epoch="e", space=SPACE, options=QUIET)
    assert min(await index.open()) == START
    assert await found(index, "word") == 0
    await index.apply([make("word again")], position=at(6))
    await index.close()

    again = LocalIndex(root, epoch="e", space=SPACE, options=QUIET)
    assert min(await again.open()) == at(6)
    assert await found(again, "word") == 1
    await again.close()


async def test_whole_index_is_not_taken_for_damaged(tmp_path, make):
    await a_saved_index(tmp_path, make)
    index = LocalIndex(tmp_path, epoch="e", space=SPACE, options=QUIET)
    assert min(await index.open()) == at(5)
    assert await found(index, "word") == 5
    await index.close()


async def test_what_an_interrupted_rebuild_left_is_removed(tmp_path, make):
    await a_saved_index(tmp_path, make)
    (tmp_path / "g000099").mkdir()
    index = LocalIndex(tmp_path, epoch="e", space=SPACE, options=QUIET)
    assert min(await index.open()) == at(5)
    assert [path.name for path in tmp_path.glob("g*")] == ["g000001"]
    await index.close()


# --- crash -----------------------------------------------------------------------------------------------------------

_VICTIM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_local_index as suite
from mnemata.index.local import folders, notes
from mnemata.index.local.checksums import verify
from mnemata.index.local.engine import LocalIndex
from mnemata.index.local.generation import IndexGeneration
from mnemata.index.local.options import LocalOptions

async def main():
    options = LocalOptions(fold_changes=8, fold_interval_s=0.02, save_interval_s=0.05)
    index = LocalIndex(Path(sys.argv[1]), epoch="e", space=suite.SPACE, options=options)
    await index.open()
    make = suite.Maker()
    n = 0
    while True:
        n += 1
        batch = [make(f"word w{n}") for _ in range(20 if n % 10 == 0 else 1)]
        await index.apply(batch, position=suite.at(n))
        durable = (await index.statistics()).durable_position
        print(n, durable.sequence, flush=True)

asyncio.run(main())
"""


def killed_after(lines: int, root: Path) -> int:
    """Let another process write, kill it, and tell the last durable position that it told of."""
    command = [sys.executable, "-c", _VICTIM, str(root), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = [process.stdout.readline() for _ in range(lines)]
        process.kill()
    return int(written[-1].split()[1])


@pytest.mark.parametrize("lines", [3, 60, 200])
async def test_killed_index_resumes_from_its_durable_position(tmp_path, lines):
    root = tmp_path / "index"
    durable = killed_after(lines, root)
    index = LocalIndex(root, epoch="e", space=SPACE, options=QUIET)
    resumed = min(await index.open())
    assert resumed >= at(durable) or (durable == 0 and resumed == START)
    for n in range(1, resumed.sequence + 1):
        expected = 20 if n % 10 == 0 else 1
        assert await found(index, f"w{n}") == expected
    make = Maker()
    for n in range(1, lines + 1):
        batch = [make(f"word w{n}") for _ in range(20 if n % 10 == 0 else 1)]
        if n > resumed.sequence:
            await index.apply(batch, position=at(n))
    for n in range(1, lines + 1):
        assert await found(index, f"w{n}") == (20 if n % 10 == 0 else 1)
    await index.close()


# --- folding ---------------------------------------------------------------------------------------------------------


def leg(folder: Path) -> LexicalLeg:
    return LexicalLeg(folder, fold_changes=100)


def search(lexical: LexicalLeg, **words: Any) -> list[tuple[float, int]]:
    found, _ = lexical.search(analysed_words(Words(**words)), EVERYTHING, depth=50, count=False)
    return list(zip(found.scores, found.numbers, strict=True))


TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "a fox",
    "foxes and dogs " * 30,
    "nothing of interest",
    "the dog barks at the quick rabbit",
    "brown bread and butter",
]
QUERIES = ["fox", "quick brown dog", "the", "butter interest", "dogs foxes rabbit"]


def test_fresh_memory_scores_as_when_it_is_folded(tmp_path, make):
    lexical = leg(tmp_path)
    batch = [make(text, role="Ana", tags=("animals",)) for text in TEXTS]
    lexical.apply(batch, position=at(1))
    fresh = {query: search(lexical, text=query) for query in QUERIES}
    lexical.fold()
    assert lexical.unfolded == 0
    for query in QUERIES:
        folded = search(lexical, text=query)
        assert [key for _, key in folded] == [key for _, key in fresh[query]]
        # The document that keeps the position has a whole number of tokens, so the average is off by less than one.
        assert [score for score, _ in folded] == pytest.approx([score for score, _ in fresh[query]], rel=0.05)


def test_fresh_and_folded_memories_of_the_same_text_score_alike(tmp_path, make):
    lexical = leg(tmp_path)
    lexical.apply([make(text) for text in TEXTS], position=at(1))
    lexical.fold()
    lexical.apply([make(text) for text in TEXTS], position=at(2))
    for query in QUERIES:
        scores: dict[str, list[float]] = {}
        for score, key in search(lexical, text=query):
            # The ids count from 1, so those of equal texts are a whole round apart.
            scores.setdefault(TEXTS[(key & 0xFFFF) % len(TEXTS) - 1], []).append(score)
        assert scores
        for same in scores.values():
            assert same == pytest.approx([same[0]] * 2, rel=0.02)


@pytest.mark.parametrize("word", ["x" * 254, "x" * 300, "é" * 127, "я" * 200, "漢" * 300])
def test_phrase_across_a_very_long_word_is_found_on_disk_as_in_memory(tmp_path, make, word):
    lexical = leg(tmp_path)
    text = f"the session token {word} was revoked"
    lexical.apply([make(text)], position=at(1))
    for _ in ("in memory", "on disk"):
        assert len(search(lexical, text="", phrases=(text,))) == 1
        assert len(search(lexical, text="", phrases=("was revoked",))) == 1
        lexical.fold()
    assert lexical.unfolded == 0


def test_searches_during_a_fold_see_each_memory_once(tmp_path, make):
    lexical = leg(tmp_path)
    batch = [make("steady word") for _ in range(20)]
    lexical.apply(batch, position=at(1))
    seen: list[int] = []
    commit = lexical._store.commit

    def watched(*args: Any, **kwargs: Any) -> None:
        seen.append(len(search(lexical, text="steady")))
        commit(*args, **kwargs)
        seen.append(len(search(lexical, text="steady")))

    lexical._store.commit = watched
    lexical.fold()
    seen.append(len(search(lexical, text="steady")))
    assert seen == [20, 20, 20]


def test_changes_that_come_during_a_fold_are_kept(tmp_path, make):
    lexical = leg(tmp_path)
    first, second = make("early"), make("early")
    lexical.apply([first], position=at(1))
    commit = lexical._store.commit

    def interrupted(*args: Any, **kwargs: Any) -> None:
        commit(*args, **kwargs)
        lexical.apply([second, Upsert(memory=first.memory, vector=PENDING, before="changed")], position=at(2))

    lexical._store.commit = interrupted
    lexical.fold()
    assert (lexical.position, lexical.durable_position) == (at(2), at(1))
    assert len(search(lexical, text="early")) == 2
    assert len(search(lexical, text="changed")) == 1
    lexical._store.commit = commit
    lexical.fold()
    assert lexical.durable_position == at(2)
    assert len(search(lexical, text="early")) == 2
    lexical.close()
    assert MainStore(tmp_path).position == at(2)


def test_fold_onto_a_full_disk_loses_nothing_and_succeeds_later(tmp_path, make):
    lexical = leg(tmp_path)
    lexical.apply([make("kept in memory")], position=at(1))
    commit = lexical._store.commit

    def full(*_: Any, **__: Any) -> None:
        raise StorageFull(what="disk", reason="full", retry_after_s=1)

    lexical._store.commit = full
    for n in range(2, 5):
        with pytest.raises(StorageFull):
            lexical.fold()
        lexical.apply([make("kept in memory")], position=at(n))
        assert len(search(lexical, text="memory")) == n
    assert lexical.durable_position == START
    lexical._store.commit = commit
    lexical.fold()
    assert lexical.durable_position == at(4)
    assert len(search(lexical, text="memory")) == 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_index_recovers_by_itself_when_a_full_disk_has_room_again(small_disk, make):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_200_000))
    lexical = LexicalLeg(small_disk / "lexical", fold_changes=50)
    sequence = 0
    with pytest.raises(StorageFull):
        while True:
            sequence += 1
            text = " ".join(f"w{sequence}x{n}" for n in range(400))
            lexical.apply([make(text) for _ in range(20)], position=at(sequence))
            lexical.fold()
    with pytest.raises(StorageFull):
        lexical.fold()
    assert len(search(lexical, text=f"w{sequence}x1")) == len(search(lexical, text="w1x1")) == 20

    ballast.unlink()
    lexical.fold()

    assert lexical.durable_position == at(sequence)
    assert len(search(lexical, text=f"w{sequence}x1")) == len(search(lexical, text="w1x1")) == 20
    lexical.settle()
    verify(small_disk / "lexical")


async def test_fresh_memories_go_to_disk_in_the_background(tmp_path, make):
    options = LocalOptions(fold_interval_s=0.05, save_interval_s=0.05)
    index = LocalIndex(tmp_path, epoch="e", space=SPACE, options=options)
    await index.open()
    await index.apply([make("soon on disk")], position=at(1))
    async with asyncio.timeout(60):
        while (await index.statistics()).durable_position < at(1):
            await asyncio.sleep(0.02)
    assert (await index.statistics()).details["unfolded"] == 0
    await index.close()


# --- tenants ---------------------------------------------------------------------------------------------------------


async def test_search_reads_what_is_of_its_own_tenant_and_nothing_else(tmp_path, make, monkeypatch):
    index = LocalIndex(tmp_path, epoch="e", space=SPACE, options=QUIET)
    await index.open()
    await index.apply([make("hello", tenant=TenantId("own"))], position=at(1))
    await index.apply([make("hello", tenant=TenantId("large")) for _ in range(50)], position=at(2))
    large = index._opened()._open[TenantId("large")].partition
    with monkeypatch.context() as without:
        # Whoever asks the other tenant's legs anything, be it only how much they hold, fails.
        without.setattr(large, "lexical", None)
        without.setattr(large, "vectors", None)
        assert await found(index, "hello", TenantId("own")) == 1
        with pytest.raises(AttributeError):
            await found(index, "hello", TenantId("large"))
    await index.close()


async def test_more_tenants_than_may_be_open_are_all_found(tmp_path, make):
    options = LocalOptions(fold_interval_s=0.05, save_interval_s=0.05, open_partitions=2)
    index = LocalIndex(tmp_path, epoch="e", space=SPACE, options=options)
    await index.open()
    tenants = [TenantId(f"tenant {n}/../é") for n in range(7)]
    for n, tenant in enumerate(tenants):
        await index.apply([make("hello", tenant=tenant)], position=at(n + 1))
    async with asyncio.timeout(60):
        while len(index._opened()._open) > 2:
            await asyncio.sleep(0.02)
    assert (await index.statistics()).documents == 7
    for tenant in tenants:
        assert await found(index, "hello", tenant) == 1
    await index.close()
    again = LocalIndex(tmp_path, epoch="e", space=SPACE, options=options)
    assert min(await again.open()) == at(7)
    assert [await found(again, "hello", tenant) for tenant in tenants] == [1] * 7
    await again.close()


async def test_tenant_whose_files_never_came_to_be_is_none_that_must_be_there(tmp_path, make, monkeypatch):
    index = LocalIndex(tmp_path, epoch="e", space=SPACE, options=QUIET)
    await index.open()
    with monkeypatch.context() as full:
        full.setattr(IndexGeneration, "_new_partition", lambda *_: out_of_room())
        with pytest.raises(StorageFull):
            await index.apply([make("hello", tenant=TenantId("never"))], position=at(1))
    await index.apply([make("hello")], position=at(2))
    await index.close()

    again = LocalIndex(tmp_path, epoch="e", space=SPACE, options=QUIET)
    assert min(await again.open()) == at(2)
    assert await found(again, "hello") == 1
    await again.apply([make("hello", tenant=TenantId("never"))], position=at(3))
    assert await found(again, "hello", TenantId("never")) == 1
    await again.close()


def out_of_room():
    raise StorageFull(what="the search index", reason="the disk is full", retry_after_s=1)


async def test_index_of_another_metric_is_set_aside(tmp_path, make):
    await a_saved_index(tmp_path, make)
    index = LocalIndex(tmp_path, epoch="e", space=SPACE, options=LocalOptions(metric=Metric.L2))
    assert min(await index.open()) == START
    await index.close()


@pytest.mark.parametrize("keep_old_s", [0.0, 600.0])
@pytest.mark.parametrize("full", [notes, folders])
async def test_switch_onto_a_full_disk_leaves_the_live_index_and_can_be_begun_again(
    tmp_path, make, monkeypatch, full, keep_old_s
):
    options = LocalOptions(fold_interval_s=600.0, keep_old_s=keep_old_s)
    index = LocalIndex(tmp_path / "index", epoch="e", space=SPACE, options=options)
    await index.open()
    known = make("early word")
    await index.apply([known], position=at(1))
    await index.flush()
    staged = await index.stage()
    await staged.apply([known], position=at(1))

    with monkeypatch.context() as patched:
        patched.setattr(full, "write_durably", no_space)
        with pytest.raises(StorageFull):
            await index.adopt(staged)
    assert await found(index, "early") == 1
    await index.apply([make("late word")], position=at(2))
    await index.close()

    again = LocalIndex(tmp_path / "index", epoch="e", space=SPACE, options=options)
    assert await again.open() == (at(2),)
    with monkeypatch.context() as patched:
        staged = await again.stage()
        patched.setattr(full, "write_durably", no_space)
        with pytest.raises(StorageFull):
            await again.adopt(staged)
    staged = await again.stage()
    await staged.apply([known], position=at(3))
    await again.adopt(staged)
    assert (await found(again, "early"), await found(again, "late")) == (1, 0)
    await again.close()


def no_space(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
