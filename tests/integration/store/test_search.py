from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from mnemata.domain.filter import EVERYTHING, AnyOf, Field
from mnemata.domain.memory import Operation
from mnemata.domain.query import Words
from mnemata.domain.vector import Space

pytestmark = pytest.mark.every_postgres

CONTENTS = {
    "paris": "Ana walked through Paris with her dog",
    "dogs": "Dogs like walking; a dog likes a dog",
    "rome": "Rome in the rain, no animals",
    "quoted": "o'neil's C:\\path & more | less",
}


@pytest.fixture
async def stored(database, scope, make):
    memories = {name: make(text, tags=(name,)) for name, text in CONTENTS.items()}
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert(list(memories.values()), operation=Operation.CREATED)
    return memories


@pytest.fixture
def find(database, scope, stored, clock):
    async def search(condition=EVERYTHING, *, limit=10, as_of=None, **words):
        async with database.tenant(scope) as transaction:
            found = await transaction.memories.search_words(
                Words(**words), condition, limit=limit, now=clock.now(), as_of=as_of
            )
        names = {memory.id: name for name, memory in stored.items()}
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
        return [names[hit.memory_id] for hit in found]

    return search


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"text": "walked"}, {"paris", "dogs"}),
        ({"text": "paris rain"}, {"paris", "rome"}),
        ({"phrases": ("her dog",)}, {"paris"}),
        ({"text": "rain", "phrases": ("her dog",)}, {"paris"}),
        ({"prefixes": ("anim",)}, {"rome"}),
        ({"text": "dog", "excluded": ("paris",)}, {"dogs"}),
        ({"text": "dog rain", "excluded": ("through paris",)}, {"dogs", "rome"}),
        ({"text": "o'neil"}, {"quoted"}),
        ({"text": "C:\\path '; -- & | ! ( ) :* <->"}, {"quoted"}),
        ({"prefixes": ("o'nei",)}, {"quoted"}),
        ({"prefixes": ("' \\ & |",)}, set()),
        ({"text": "the of and"}, set()),
        ({"text": "???"}, set()),
        ({"phrases": ("the",)}, set()),
        ({"text": "rain", "phrases": ("the",)}, {"rome"}),
        ({"text": "dog", "excluded": ("the",)}, {"paris", "dogs"}),
        ({"excluded": ("paris",)}, set()),
        ({}, set()),
        ({"text": "nobody said this"}, set()),
        ({"text": " ".join(f"w{n}" for n in range(10_000)) + " rain"}, set()),
    ],
)
async def test_words_find(find, words, expected):
    assert set(await find(**words)) == expected


async def test_memory_with_more_of_the_words_comes_first(find):
    assert await find(text="dog walking paris") == ["paris", "dogs"]


async def test_words_are_looked_for_within_the_filter_and_the_limit(find):
    tagged = AnyOf(field=Field(name="tags"), values=("dogs", "rome"))
    assert await find(tagged, text="dog") == ["dogs"]
    assert len(await find(text="dog rain paris", limit=2)) == 2


async def test_speaker_counts_as_text(database, scope, make, clock):
    memory = make("nothing of note", role="Leonora")
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
        found = await transaction.memories.search_words(
            Words(text="leonora"), EVERYTHING, limit=5, now=clock.now()
        )
    assert [hit.memory_id for hit in found] == [memory.id]


async def test_past_is_searched_in_the_words_of_its_time(database, scope, stored, find, clock):
    now = clock.now()
    later = replace(stored["rome"], content="Naples in the sun", version=2, updated_at=now)
    gone = replace(stored["dogs"], version=2, updated_at=now, deleted_at=now)
    async with database.tenant(scope) as transaction:
        await transaction.memories.replace([later, gone], operation=Operation.UPDATED)
    before = now - timedelta(seconds=1)
    assert await find(text="rain", as_of=before) == ["rome"]
    assert await find(text="rain", as_of=now) == []
    assert await find(text="rain") == []
    assert await find(text="naples") == ["rome"]
    assert set(await find(text="dog", as_of=before)) == {"paris", "dogs"}
    assert await find(text="dog", as_of=now) == ["paris"]


async def test_vectors_of_the_newest_within_the_filter(database, scope, stored, space, clock):
    vectors = {
        memory.embedding_key: np.full(4, n, dtype=np.float32) for n, memory in enumerate(stored.values())
    }
    now = clock.now()
    async with database.tenant(scope) as transaction:
        await transaction.embeddings.put(space, vectors)
        memories = transaction.memories
        ids, rows = await memories.vectors(space, EVERYTHING, limit=3, now=now)
        tagged = AnyOf(field=Field(name="tags"), values=("rome",))
        some, one_row = await memories.vectors(space, tagged, limit=3, now=now)
        none, no_rows = await memories.vectors(Space(name="x", dimensions=4), EVERYTHING, limit=3, now=now)
    assert ids == [memory.id for memory in reversed(stored.values())][:3]
    assert rows.tolist() == [[3.0] * 4, [2.0] * 4, [1.0] * 4]
    assert (some, one_row.tolist()) == ([stored["rome"].id], [[2.0] * 4])
    assert (none, no_rows.shape) == ([], (0, 4))


async def test_vectors_of_the_past_are_those_of_its_texts(database, scope, stored, space, clock):
    now, rome = clock.now(), stored["rome"]
    later = replace(rome, content="Naples", version=2, updated_at=now)
    tagged = AnyOf(field=Field(name="tags"), values=("rome",))
    async with database.tenant(scope) as transaction:
        await transaction.memories.replace([later], operation=Operation.UPDATED)
        keys = {rome.embedding_key: np.full(4, 1, np.float32), later.embedding_key: np.full(4, 2, np.float32)}
        await transaction.embeddings.put(space, keys)
        _, then = await transaction.memories.vectors(
            space, tagged, limit=3, now=now, as_of=now - timedelta(seconds=1)
        )
        _, today = await transaction.memories.vectors(space, tagged, limit=3, now=now)
    assert (then.tolist(), today.tolist()) == ([[1.0] * 4], [[2.0] * 4])
