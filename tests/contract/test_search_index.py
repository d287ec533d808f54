"""What every search index does. An engine is added by adding its opener to `ENGINES`.

An opener takes a folder of its own, the feed's epoch and the vector space, and returns a SearchIndex that is not open yet;
the same folder gives the same index again.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnemata.domain.change import START, Position
from mnemata.domain.errors import SpaceMismatch
from mnemata.domain.filter import (
    EVERYTHING,
    AllOf,
    And,
    AnyOf,
    Exists,
    Field,
    Filter,
    Not,
    Or,
    Prefix,
    Range,
    matches,
)
from mnemata.domain.ids import MemoryId, SequentialIds, TenantId
from mnemata.domain.memory import Memory, text_hash
from mnemata.domain.query import Mode, Words
from mnemata.domain.vector import Space
from mnemata.index.local.engine import LocalIndex
from mnemata.index.local.options import LocalOptions
from mnemata.index.protocol import (
    PENDING,
    Action,
    Embedded,
    IndexQuery,
    Legs,
    Remove,
    SearchIndex,
    Upsert,
)

Opener = Callable[[Path, str, Space], SearchIndex]

SPACE = Space(name="test/1", dimensions=8)
ANA, BEN = TenantId("ana"), TenantId("ben")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def local_in_memory(folder: Path, epoch: str, space: Space) -> SearchIndex:
    """Everything stays in the fresh layers until a flush."""
    return LocalIndex(folder, epoch=epoch, space=space, options=LocalOptions(fold_interval_s=600.0))


def local_on_disk(folder: Path, epoch: str, space: Space) -> SearchIndex:
    """Everything goes to disk at once: two changes are a large batch."""
    options = LocalOptions(fold_changes=1, fold_interval_s=600.0)
    return LocalIndex(folder, epoch=epoch, space=space, options=options)


LOCAL = {"local-fresh": local_in_memory, "local-folded": local_on_disk}
CLUSTERS = ("elasticsearch", "opensearch")


@pytest.fixture(params=[*sorted(LOCAL), *CLUSTERS])
def opener(request: pytest.FixtureRequest) -> Opener:
    if request.param in LOCAL:
        return LOCAL[request.param]
    make = request.getfixturevalue("cluster_index")
    return lambda folder, epoch, space: make(request.param, name_of(folder), epoch=epoch, space=space)


@pytest.fixture(params=[*sorted(LOCAL), *CLUSTERS])
def apart(request: pytest.FixtureRequest) -> Opener:
    """Opens indices in which no tenant shares anything with another, also not how rare a word is."""
    if request.param in LOCAL:
        return LOCAL[request.param]
    make = request.getfixturevalue("cluster_index")
    return lambda folder, epoch, space: make(
        request.param, name_of(folder), epoch=epoch, space=space, own=(ANA,)
    )


def name_of(folder: Path) -> str:
    return "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]


@pytest.fixture
async def index(opener: Opener, tmp_path: Path) -> Any:
    engine = opener(tmp_path / "index", "epoch-1", SPACE)
    assert min(await engine.open()) == START
    yield engine
    await engine.close()


@pytest.fixture
def make() -> Callable[..., Upsert]:
    return Maker().upsert


class Maker:
    """Makes upserts with ids that ascend."""

    def __init__(self) -> None:
        self._ids = SequentialIds()

    def upsert(
        self, content: str, *, axis: int | None = None, before: str = "", after: str = "", **values: Any
    ) -> Upsert:
        fields: dict[str, Any] = {
            "id": self._ids.new(),
            "tenant": ANA,
            "content": content,
            "content_hash": text_hash(content),
            "kind": "semantic",
            "user_id": None,
            "agent_id": None,
            "session_id": None,
            "sequence": None,
            "role": None,
            "tags": (),
            "metadata": {},
            "importance": 0.5,
            "source": None,
            "external_id": None,
            "occurred_at": None,
            "created_at": NOON,
            "updated_at": NOON,
            "expires_at": None,
            "version": 1,
            "superseded_by": None,
            "deleted_at": None,
        }
        vector = PENDING if axis is None else embedded(axis)
        return Upsert(memory=Memory(**(fields | values)), vector=vector, before=before, after=after)


def embedded(*axes: int) -> Embedded:
    """A unit vector; the first axis counts most."""
    vector = np.zeros(SPACE.dimensions, np.float32)
    for rank, axis in enumerate(axes):
        vector[axis] = 1.0 / (rank + 1)
    return Embedded(vector=vector / np.linalg.norm(vector), space=SPACE)


def at(sequence: int) -> Position:
    return Position(xid=1, sequence=sequence)


def asking(
    text: str = "",
    *,
    axis: int | None = None,
    mode: Mode = Mode.HYBRID,
    tenant: TenantId = ANA,
    condition: Filter = EVERYTHING,
    depth: int = 50,
    **words: tuple[str, ...],
) -> IndexQuery:
    return IndexQuery(
        tenant=tenant,
        mode=mode,
        words=Words(text=text, **words),
        vector=None if axis is None else embedded(axis).vector,
        filter=condition,
        depth=depth,
    )


def ids(candidates: Sequence[Any]) -> list[MemoryId]:
    return [candidate.memory_id for candidate in candidates]


async def by_words(index: SearchIndex, text: str = "", **more: Any) -> list[MemoryId]:
    return ids((await index.search(asking(text, mode=Mode.LEXICAL, **more))).lexical)


async def by_meaning(index: SearchIndex, axis: int, **more: Any) -> list[MemoryId]:
    return ids((await index.search(asking(axis=axis, mode=Mode.VECTOR, **more))).vector)


# --- found on return -------------------------------------------------------------------------------------------------


async def test_memory_is_found_by_its_words_and_its_meaning_when_apply_returns(index, make):
    memory = make("The harbour lights went out", axis=2)
    await index.apply([memory], position=at(1))

    legs = await index.search(asking("harbour", axis=2))

    assert ids(legs.lexical) == ids(legs.vector) == [memory.memory.id]
    assert legs.vector[0].score == pytest.approx(1.0, abs=1e-3)
    assert legs.degraded == ()
    assert set(legs.took_ms) == {"lexical", "vector"}


async def test_empty_index_finds_nothing(index):
    legs = await index.search(asking("anything", axis=0))
    assert replace(legs, took_ms={}) == Legs()


async def test_pending_memory_is_found_by_its_words_and_gets_its_vector_later(index, make):
    memory = make("A letter from Lisbon")
    await index.apply([memory], position=at(1))
    legs = await index.search(asking("Lisbon", axis=3))
    assert ids(legs.lexical) == [memory.memory.id]
    assert legs.vector == []

    await index.apply([replace(memory, vector=embedded(3))], position=at(2))

    legs = await index.search(asking("Lisbon", axis=3))
    assert ids(legs.lexical) == ids(legs.vector) == [memory.memory.id]


async def test_vector_of_another_space_is_refused_and_nothing_is_applied(index, make):
    other = Embedded(vector=embedded(0).vector, space=Space(name="other", dimensions=8))
    with pytest.raises(SpaceMismatch):
        await index.apply([make("first"), replace(make("second"), vector=other)], position=at(1))
    assert await by_words(index, "first") == []


async def test_query_vector_of_another_length_is_refused(index, make):
    await index.apply([make("one", axis=0)], position=at(1))
    query = replace(asking("one"), vector=np.ones(3, np.float32))
    with pytest.raises(SpaceMismatch):
        await index.search(query)


# --- update, remove --------------------------------------------------------------------------------------------------


async def test_update_replaces_words_vector_and_filter_fields(index, make):
    old = make("red bicycle", axis=0, user_id="u1")
    new = Upsert(
        memory=replace(old.memory, content="green canoe", user_id="u2", version=2), vector=embedded(1)
    )
    await index.apply([old], position=at(1))
    await index.apply([new], position=at(2))

    assert await by_words(index, "bicycle") == []
    assert await by_words(index, "canoe") == [old.memory.id]
    user = Field(name="user_id")
    for leg in ("lexical", "vector"):
        assert await index.matching(ANA, AnyOf(field=user, values=("u1",)), leg=leg) == frozenset()
        assert await index.matching(ANA, AnyOf(field=user, values=("u2",)), leg=leg) == {old.memory.id}
    legs = await index.search(asking(axis=1, mode=Mode.VECTOR))
    assert legs.vector[0].score == pytest.approx(1.0, abs=1e-3)
    assert legs.total == 1


async def test_update_within_one_batch_keeps_the_last_version(index, make):
    first = make("alpha", axis=0)
    second = replace(first, memory=replace(first.memory, content="omega", version=2))
    await index.apply([first, second], position=at(1))
    assert await by_words(index, "alpha") == []
    assert await by_words(index, "omega") == [first.memory.id]


async def test_removed_memory_is_absent_from_every_leg(index, make):
    gone, kept = make("silver spoon", axis=0), make("silver fork", axis=0)
    await index.apply([gone, kept], position=at(1))
    await index.apply([Remove(tenant=ANA, memory_id=gone.memory.id)], position=at(2))

    legs = await index.search(asking("silver spoon", axis=0))
    assert ids(legs.lexical) == ids(legs.vector) == [kept.memory.id]
    assert legs.total == 1
    assert (await index.search(asking("silver spoon", mode=Mode.LEXICAL))).total == 1
    assert await index.matching(ANA, EVERYTHING, leg="lexical") == {kept.memory.id}
    assert await index.matching(ANA, EVERYTHING, leg="vector") == {kept.memory.id}
    assert await index.vectors(ANA, [gone.memory.id, kept.memory.id]) == {
        kept.memory.id: pytest.approx(embedded(0).vector, abs=1e-3)
    }


async def test_memory_that_has_expired_is_left_out_and_not_counted(index, make):
    soon, later = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
    lasting = make("tram stop", axis=0)
    first = make("tram", axis=0, expires_at=soon)
    second = make("tram line", axis=0, expires_at=later)
    await index.apply([lasting, first, second], position=at(1))

    async def there(moment: datetime | None) -> list[set[MemoryId]]:
        legs = await index.search(replace(asking("tram", axis=0), at=moment))
        assert legs.total == len(legs.lexical)
        return [set(ids(legs.lexical)), set(ids(legs.vector))]

    everyone = {one.memory.id for one in (lasting, first, second)}
    assert await there(None) == await there(soon - timedelta(seconds=1)) == [everyone] * 2
    assert await there(soon) == [everyone - {first.memory.id}] * 2
    assert await there(later) == [{lasting.memory.id}] * 2
    await index.apply([Remove(tenant=ANA, memory_id=first.memory.id)], position=at(2))
    assert await there(soon) == [everyone - {first.memory.id}] * 2
    assert await there(later) == [{lasting.memory.id}] * 2


async def test_removing_what_is_not_there_is_harmless(index, make):
    await index.apply([make("one")], position=at(1))
    await index.apply([Remove(tenant=BEN, memory_id=make("x").memory.id)], position=at(2))
    assert len(await by_words(index, "one")) == 1


async def test_removed_memory_may_come_back(index, make):
    memory = make("phoenix", axis=1)
    await index.apply([memory], position=at(1))
    await index.apply([Remove(tenant=ANA, memory_id=memory.memory.id)], position=at(2))
    await index.apply([memory], position=at(3))
    legs = await index.search(asking("phoenix", axis=1))
    assert ids(legs.lexical) == ids(legs.vector) == [memory.memory.id]


# --- every batch may come twice --------------------------------------------------------------------------------------


def a_history(make: Callable[..., Upsert]) -> list[tuple[list[Action], Position]]:
    first = [
        make(f"note {n} about {word}", axis=n % 8, sequence=n)
        for n, word in enumerate(["tea", "sea", "bees", "trees"])
    ]
    changed = replace(
        first[1], memory=replace(first[1].memory, content="note about mountains"), vector=embedded(5)
    )
    return [
        (list(first), at(4)),
        ([changed], at(5)),
        ([Remove(tenant=ANA, memory_id=first[2].memory.id)], at(6)),
        ([make("a late note about tea", axis=0)], at(7)),
    ]


async def everything_it_says(index: SearchIndex) -> list[Any]:
    """What it answers. Of the lexical leg the order only where it is clear: an engine may count a replaced version in
    its term statistics until it has compacted.
    """
    said: list[Any] = []
    for text in ("note", "tea", "sea", "bees", "mountains", "late note about tea"):
        legs = await index.search(asking(text, axis=0))
        said += [sorted(ids(legs.lexical)), ids(legs.vector), legs.total]
        said.append((await index.search(asking(text, mode=Mode.LEXICAL))).total)
    said.append((await by_words(index, "late note about tea"))[0:1])
    return said


async def test_every_batch_applied_twice_gives_the_same_answers(opener, tmp_path, make):
    history = a_history(make)
    once, twice = opener(tmp_path / "once", "e", SPACE), opener(tmp_path / "twice", "e", SPACE)
    await once.open()
    await twice.open()
    for actions, position in history:
        await once.apply(actions, position=position)
        await twice.apply(actions, position=position)
        await twice.apply(actions, position=position)
    assert await everything_it_says(once) == await everything_it_says(twice)
    await once.close()
    await twice.close()


@pytest.mark.parametrize("start", [0, 1, 2, 3])
async def test_replay_from_any_earlier_position_gives_the_same_answers(index, make, start):
    history = a_history(make)
    for actions, position in history:
        await index.apply(actions, position=position)
    before = await everything_it_says(index)
    for actions, position in history[start:]:
        await index.apply(actions, position=position)
    assert await everything_it_says(index) == before
    assert (await index.statistics()).position == at(7)


async def test_many_batches_at_one_position_are_all_applied(index, make):
    """A rebuild reads the store, not the feed: all of it has the position where it began."""
    for n in range(3):
        await index.apply([make(f"page {n}", axis=n)], position=START)
    assert len(await by_words(index, "page")) == 3


# --- tenants ---------------------------------------------------------------------------------------------------------


async def test_tenants_see_neither_each_others_memories_nor_counts(index, make):
    mine = make("shared secret", axis=0)
    theirs = make("shared secret", axis=0, tenant=BEN)
    await index.apply([mine, theirs], position=at(1))
    for tenant, memory in ((ANA, mine), (BEN, theirs)):
        legs = await index.search(asking("secret", axis=0, tenant=tenant))
        assert ids(legs.lexical) == ids(legs.vector) == [memory.memory.id]
        assert legs.total == 1
    assert await index.vectors(BEN, [mine.memory.id]) == {}


async def test_scores_are_the_same_whatever_another_tenant_stores(apart, tmp_path, make):
    index = apart(tmp_path / "index", "e", SPACE)
    await index.open()
    await index.apply([make("rare word", axis=0), make("other text", axis=1)], position=at(1))
    before = await index.search(asking("rare word", axis=0))
    others = [make("rare word again and again", axis=0, tenant=BEN) for _ in range(20)]
    await index.apply(others, position=at(2))
    after = await index.search(asking("rare word", axis=0))
    assert (after.lexical, after.vector, after.total) == (before.lexical, before.vector, before.total)
    await index.close()


async def test_removing_in_one_tenant_leaves_the_other_alone(index, make):
    memory = make("kept", axis=0)
    await index.apply([memory], position=at(1))
    await index.apply([Remove(tenant=BEN, memory_id=memory.memory.id)], position=at(2))
    assert await by_words(index, "kept") == [memory.memory.id]


# --- words -----------------------------------------------------------------------------------------------------------


async def test_rarer_words_and_shorter_texts_score_higher(index, make):
    common = [make("the boat is in the water") for _ in range(5)]
    rare, long = make("the boat met a narwhal"), make("a narwhal " + "and much else was seen that day " * 9)
    await index.apply([*common, rare, long], position=at(1))
    assert (await by_words(index, "boat narwhal"))[:2] == [rare.memory.id, long.memory.id]


async def test_english_forms_of_a_word_find_each_other_and_the_same_form_scores_higher(index, make):
    same, other = make("she was running home"), make("she often runs home")
    await index.apply([same, other], position=at(1))
    assert await by_words(index, "running") == [same.memory.id, other.memory.id]


async def test_neighbours_words_find_a_turn_with_less_weight_than_its_own(index, make):
    own = make("We adopted a greyhound")
    beside = make("Oh, how lovely!", before="We adopted a greyhound")
    await index.apply([beside, own], position=at(1))
    assert await by_words(index, "greyhound") == [own.memory.id, beside.memory.id]


async def test_speaker_and_tags_count_as_text(index, make):
    spoken, tagged = (
        make("Good morning", role="Caroline"),
        make("Good evening", tags=("gardening", "spring walk")),
    )
    await index.apply([spoken, tagged], position=at(1))
    assert await by_words(index, "caroline") == [spoken.memory.id]
    assert await by_words(index, "spring") == [tagged.memory.id]


async def test_phrase_must_match_in_order(index, make):
    right, wrong = make("the dog bit the man"), make("the man bit the dog")
    await index.apply([right, wrong], position=at(1))
    assert await by_words(index, phrases=("dog bit",)) == [right.memory.id]
    assert await by_words(index, "man", phrases=("bit the dog",)) == [wrong.memory.id]


async def test_phrase_and_exclusion_hold_in_the_vector_leg_too(index, make):
    draft, final = make("final report draft", axis=0), make("final report", axis=0)
    await index.apply([draft, final], position=at(1))
    without = await index.search(asking("report", axis=0, excluded=("draft",)))
    assert ids(without.lexical) == ids(without.vector) == [final.memory.id]
    having = await index.search(asking("", axis=0, phrases=("report draft",)))
    assert ids(having.lexical) == ids(having.vector) == [draft.memory.id]
    assert having.total == 1


async def test_prefix_must_match_and_ranks(index, make):
    plane, port, other = make("an aeroplane"), make("aerodrome aeroplane aeronaut"), make("a train")
    await index.apply([plane, port, other], position=at(1))
    found = await index.search(asking(mode=Mode.LEXICAL, prefixes=("aero",)))
    assert set(ids(found.lexical)) == {plane.memory.id, port.memory.id}
    assert found.total == 2
    assert min(candidate.score for candidate in found.lexical) > 0


async def test_excluded_phrase_excludes_only_the_phrase(index, make):
    phrase, apart = make("blue sky over town"), make("blue town under sky")
    await index.apply([phrase, apart], position=at(1))
    assert await by_words(index, "town", excluded=("blue sky",)) == [apart.memory.id]


SCRIPTS = {
    "Ein Café in München": "cafe munchen",
    "東京都に行きました": "東京",
    "我喜欢北京烤鸭": "北京",
    "ฉันชอบกินก๋วยเตี๋ยว": "ก๋วยเตี๋ยว",
    "Мы видели северное сияние": "СИЯНИЕ",
    "Анна живёт в большом доме на берегу реки": "живет",
    "Кошки спят на диване весь день": "кошка",
    "Η Άννα αγαπά τη θάλασσα": "θαλασσα",
    "أحب القهوة في الصباح": "قهوة",
    "سافرت مع أختي إلى القاهرة": "اختي",
    "İstanbul çok güzel bir şehir": "istanbul guzel",
    "저는 서울에서 살아요": "서울",
    "ｶﾞﾗｽの靴": "ガラス",
    "からす": "からす",
    "שלום עולם": "עולם",
    "मुझे हिन्दी पसंद है": "हिन्दी",
    "great news 🎉 everybody": "🎉",
    "ﬁne ① wide ＡＢＣ": "fine abc",
}


async def test_words_of_many_scripts_are_found(index, make):
    memories = {content: make(content) for content in SCRIPTS}
    await index.apply([*memories.values(), make("unrelated words here")], position=at(1))
    for content, query in SCRIPTS.items():
        assert await by_words(index, query) == [memories[content].memory.id], query


async def test_query_without_words_finds_nothing_by_words_and_all_by_meaning(index, make):
    memory = make("some text", axis=0)
    await index.apply([memory], position=at(1))
    for text in ("", "   ", "?!…--", "()[]{}\"'~*", "\u200d"):
        assert await by_words(index, text) == [], text
        assert ids((await index.search(asking(text, axis=0))).vector) == [memory.memory.id], text


async def test_query_of_only_stop_words_finds(index, make):
    memory = make("to be or not to be")
    await index.apply([memory, make("whether it is nobler")], position=at(1))
    assert (await by_words(index, "to be or not to be"))[0] == memory.memory.id


async def test_query_of_ten_thousand_words_is_answered(index, make):
    memory = make("a needle in here")
    await index.apply([memory, make("word1 word2 word3")], position=at(1))
    text = " ".join(f"word{n}" for n in range(10_000)) + " needle"
    assert memory.memory.id in await by_words(index, text)


# --- filters ---------------------------------------------------------------------------------------------------------

USER, TAGS, SEQUENCE, CREATED = (Field(name=name) for name in ("user_id", "tags", "sequence", "created_at"))


def meta(*path: str) -> Field:
    return Field(name="metadata", path=path)


LATER = NOON + timedelta(days=2)
FILTERS: dict[str, Filter] = {
    "everything": EVERYTHING,
    "eq": AnyOf(field=USER, values=("u1",)),
    "in": AnyOf(field=USER, values=("u1", "u2")),
    "in nothing": AnyOf(field=USER, values=()),
    "ne holds where absent": Not(item=AnyOf(field=USER, values=("u1",))),
    "number eq": AnyOf(field=SEQUENCE, values=(2.0,)),
    "number range": Range(field=SEQUENCE, low=1, high=3, include_high=False),
    "open number range": Range(field=Field(name="importance"), low=0.5, include_low=False),
    "time eq": AnyOf(field=CREATED, values=(NOON,)),
    "time range": Range(field=CREATED, low=NOON, high=LATER, include_low=False),
    "any tag": AnyOf(field=TAGS, values=("work", "home")),
    "all tags": AllOf(field=TAGS, values=("work", "urgent")),
    "no tag is asked for": AllOf(field=TAGS, values=()),
    "tag prefix": Prefix(field=TAGS, text="ur"),
    "string prefix": Prefix(field=Field(name="external_id"), text="a.b*"),
    "exists": Exists(field=USER),
    "not exists": Not(item=Exists(field=TAGS)),
    "metadata string": AnyOf(field=meta("project"), values=("x1",)),
    "metadata number": AnyOf(field=meta("score"), values=(3,)),
    "metadata boolean": AnyOf(field=meta("done"), values=(True,)),
    "metadata range": Range(field=meta("score"), low=-1.5, high=3, include_high=False),
    "metadata dates": Range(field=meta("due"), low=datetime(2026, 2, 1, tzinfo=UTC)),
    "metadata all": AllOf(field=meta("labels"), values=("p", "q")),
    "metadata prefix": Prefix(field=meta("project"), text="x"),
    "metadata nested": Exists(field=meta("a", "b")),
    "metadata above": Exists(field=meta("a")),
    "metadata key with a dot": Exists(field=meta("a.b")),
    "and": And(items=(AnyOf(field=USER, values=("u1",)), Exists(field=TAGS))),
    "or": Or(items=(AnyOf(field=USER, values=("u2",)), AnyOf(field=TAGS, values=("home",)))),
    "or of nothing": Or(items=()),
    "and of nothing": And(items=()),
    "not not": Not(item=Not(item=AnyOf(field=USER, values=("u1",)))),
}


def filterable(make: Callable[..., Upsert]) -> list[Upsert]:
    return [
        make(
            "item",
            axis=0,
            user_id="u1",
            tags=("work", "urgent"),
            sequence=1,
            metadata={"score": 3, "done": True},
        ),
        make(
            "item",
            axis=1,
            user_id="u2",
            tags=("home",),
            sequence=2,
            metadata={"score": -1.5, "project": "x1"},
        ),
        make(
            "item",
            axis=2,
            user_id="u1",
            sequence=3,
            importance=0.9,
            metadata={"a": {"b": [1, "z"]}, "project": "y"},
        ),
        make(
            "item",
            created_at=LATER,
            tags=("urgent",),
            metadata={"a.b": 1, "due": "2026-03-01", "labels": ["p", "q"]},
        ),
        make(
            "item",
            axis=4,
            external_id="a.b*c",
            metadata={"score": [2.999, 17], "done": False, "labels": ["p"]},
        ),
        make("item", axis=5, external_id="aXbc", metadata={"due": "2026-01-01T10:00:00+02:00", "score": "3"}),
    ]


async def test_filter_means_the_same_in_both_legs_and_the_reference(index, make):
    upserts = filterable(make)
    await index.apply(upserts, position=at(1))
    embedded_ones = {u.memory.id for u in upserts if isinstance(u.vector, Embedded)}
    for name, condition in FILTERS.items():
        expected = {u.memory.id for u in upserts if matches(condition, u.memory)}

        legs = await index.search(asking("item", axis=0, condition=condition))
        by_words_alone = await index.search(asking("item", mode=Mode.LEXICAL, condition=condition))

        assert set(ids(legs.lexical)) == expected, name
        assert set(ids(legs.vector)) == expected & embedded_ones, name
        assert legs.total == by_words_alone.total == len(expected), name
        for leg in ("lexical", "vector"):
            assert await index.matching(ANA, condition, leg=leg) == expected, (name, leg)


async def test_filter_is_applied_before_the_depth_is_cut(index, make):
    near = [make("popular words", axis=0, user_id="crowd") for _ in range(30)]
    far = make("popular", user_id="single", axis=7)
    await index.apply([*near, far], position=at(1))
    single = AnyOf(field=USER, values=("single",))
    legs = await index.search(asking("popular words", axis=0, condition=single, depth=1))
    assert ids(legs.lexical) == ids(legs.vector) == [far.memory.id]


# --- what a search gives ---------------------------------------------------------------------------------------------


async def test_lexical_candidates_beyond_the_nearest_have_their_exact_vector_score(index, make):
    near = [make("nothing", axis=0) for _ in range(3)]
    worded = replace(make("zebra crossing"), vector=embedded(3, 0))
    pending = make("zebra without a vector")
    await index.apply([*near, worded, pending], position=at(1))
    legs = await index.search(asking("zebra", axis=0, depth=3))
    assert set(ids(legs.lexical)) == {worded.memory.id, pending.memory.id}
    assert ids(legs.vector) == [*(u.memory.id for u in near), worded.memory.id]
    assert legs.vector[-1].score == pytest.approx(float(worded.vector.vector[0]), abs=1e-3)


async def test_equal_scores_come_in_the_order_of_ids(index, make):
    same = [make("same words", axis=1) for _ in range(6)]
    await index.apply(same[3:], position=at(1))
    await index.apply(same[:3], position=at(2))
    expected = [u.memory.id for u in same]
    legs = await index.search(asking("same", axis=1))
    assert ids(legs.lexical) == ids(legs.vector) == expected


async def test_mode_chooses_the_legs(index, make):
    await index.apply([make("one", axis=0), make("two")], position=at(1))
    lexical = await index.search(asking("one", axis=0, mode=Mode.LEXICAL))
    vector = await index.search(asking("one", axis=0, mode=Mode.VECTOR))
    unembedded = await index.search(asking("one", mode=Mode.HYBRID))
    assert (len(lexical.lexical), len(lexical.vector), lexical.total) == (1, 0, 1)
    assert (len(vector.lexical), len(vector.vector), vector.total) == (0, 1, 2)
    assert (len(unembedded.lexical), len(unembedded.vector), unembedded.total) == (1, 0, 1)


async def test_depth_bounds_each_leg(index, make):
    await index.apply([make(f"thing number {n}", axis=n % 8) for n in range(20)], position=at(1))
    legs = await index.search(asking("thing", axis=0, depth=4))
    assert len(legs.lexical) == 4
    assert legs.total == 20
    assert 4 <= len(legs.vector) <= 8


# --- durability ------------------------------------------------------------------------------------------------------


async def test_flushed_position_and_data_are_there_after_reopening(opener, tmp_path, make):
    history = a_history(make)
    first = opener(tmp_path / "i", "e", SPACE)
    await first.open()
    for actions, position in history:
        await first.apply(actions, position=position)
    before = await everything_it_says(first)
    await first.flush()
    assert (await first.statistics()).durable_position == at(7)
    await first.close()
    await first.close()

    again = opener(tmp_path / "i", "e", SPACE)
    assert min(await again.open()) == at(7)
    assert await everything_it_says(again) == before
    await again.close()


def copy_at_one_moment(source: Path, target: Path) -> None:
    """Copy the files as no background work changed them meanwhile."""
    while True:
        shutil.rmtree(target, ignore_errors=True)
        with suppress(shutil.Error, FileNotFoundError):
            before = listing(source)
            shutil.copytree(source, target)
            if listing(source) == before:
                return
        time.sleep(0.05)


def listing(folder: Path) -> list[tuple[str, int, int]]:
    found = [(path, path.stat()) for path in sorted(folder.rglob("*"))]
    return [(str(path), status.st_size, status.st_mtime_ns) for path, status in found]


@pytest.mark.parametrize("flushed", [0, 1, 2, 3])
@pytest.mark.parametrize("engine", sorted(LOCAL))
async def test_crash_resumes_from_the_durable_position_and_replay_gives_the_same(
    engine, tmp_path, make, flushed
):
    opener = LOCAL[engine]
    history = a_history(make)
    crashing = opener(tmp_path / "live", "e", SPACE)
    await crashing.open()
    for n, (actions, position) in enumerate(history):
        await crashing.apply(actions, position=position)
        if n + 1 == flushed:
            await crashing.flush()
    # What a crash leaves: the files as they are, nothing that only memory holds.
    copy_at_one_moment(tmp_path / "live", tmp_path / "crashed")
    expected = await everything_it_says(crashing)
    await crashing.close()

    survivor = opener(tmp_path / "crashed", "e", SPACE)
    resumed = min(await survivor.open())
    assert resumed == (history[flushed - 1][1] if flushed else START)
    for actions, position in history:
        if position > resumed:
            await survivor.apply(actions, position=position)
    assert await everything_it_says(survivor) == expected
    await survivor.close()


@pytest.mark.parametrize(
    ("epoch", "space"),
    [
        ("another", SPACE),
        ("e", Space(name="test/2", dimensions=8)),
        ("e", Space(name="test/1", dimensions=4)),
    ],
    ids=["epoch", "space", "dimensions"],
)
async def test_index_of_another_epoch_or_space_is_set_aside(opener, tmp_path, make, epoch, space):
    first = opener(tmp_path / "i", "e", SPACE)
    await first.open()
    await first.apply([make("old", axis=0)], position=at(1))
    await first.close()
    other = opener(tmp_path / "i", epoch, space)
    assert min(await other.open()) == START
    assert await by_words(other, "old") == []
    await other.close()


async def test_statistics_tell_positions_and_sizes(index, make):
    await index.apply([make("one", axis=0), make("two"), make("three", tenant=BEN)], position=at(3))
    told = await index.statistics()
    assert (told.documents, told.vectors, told.position) == (3, 1, at(3))
    assert (told.epoch, told.space) == ("epoch-1", SPACE)
    await index.flush()
    told = await index.statistics()
    assert told.durable_position == at(3)
    assert told.bytes_on_disk > 0
    assert (await index.statistics(BEN)).documents == 1
    assert (await index.statistics(TenantId("nobody"))).documents == 0


# --- stage and adopt -------------------------------------------------------------------------------------------------


async def test_adopted_index_replaces_the_live_one_at_once(opener, tmp_path, make):
    live = opener(tmp_path / "i", "e", SPACE)
    await live.open()
    old, new = make("before", axis=0), make("after", axis=1)
    await live.apply([old], position=at(1))

    staged = await live.stage()
    await staged.apply([new], position=at(2))
    assert await by_words(live, "before") == [old.memory.id]
    assert await by_words(live, "after") == []
    await live.adopt(staged)

    assert await by_words(live, "before") == []
    assert await by_words(live, "after") == [new.memory.id]
    assert (await live.statistics()).durable_position == at(2)
    await live.apply([make("later")], position=at(3))
    await live.close()
    again = opener(tmp_path / "i", "e", SPACE)
    assert min(await again.open()) == at(3)
    assert await by_words(again, "after") == [new.memory.id]
    await again.close()


async def test_searches_go_on_while_another_index_is_adopted(index, make):
    await index.apply([make("constant word", axis=0)], position=at(1))
    stop = asyncio.Event()

    async def keep_searching() -> int:
        answered = 0
        while not stop.is_set():
            legs = await index.search(asking("constant", axis=0))
            assert len(legs.lexical) == len(legs.vector) == 1
            assert legs.degraded == ()
            answered += 1
        return answered

    searching = [asyncio.create_task(keep_searching()) for _ in range(3)]
    for n in range(3):
        staged = await index.stage()
        await staged.apply([make("constant word", axis=0)], position=at(n + 2))
        await index.adopt(staged)
    stop.set()
    assert all(await asyncio.gather(*searching))


async def test_a_second_stage_drops_the_first(index, make):
    first = await index.stage()
    await first.apply([make("first")], position=at(1))
    second = await index.stage()
    await second.apply([make("second")], position=at(1))
    await index.adopt(second)
    assert await by_words(index, "first") == []
    assert len(await by_words(index, "second")) == 1


async def test_changes_and_searches_at_once_never_show_two_versions_of_a_memory(index, make):
    memory = make("version counter", axis=0)
    await index.apply([memory], position=at(1))

    async def change() -> None:
        for n in range(2, 30):
            again = replace(memory, memory=replace(memory.memory, version=n))
            await index.apply([again], position=at(n))
            if n % 7 == 0:
                await index.flush()

    changing = asyncio.create_task(change())
    while not changing.done():
        legs = await index.search(asking("counter", axis=0))
        assert ids(legs.lexical) == ids(legs.vector) == [memory.memory.id]
    await changing
