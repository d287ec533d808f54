import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mnemata.domain.errors import InvalidCursor, MemoryNotFound
from mnemata.domain.filter import AnyOf, Field
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory, MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.platform import Platform
from mnemata.store.pipeline import Pipeline


def ask(text: str, **fields: object) -> Query:
    return Query(**{"text": text, "words": Words(text=text), **fields})


async def store(platform: Platform, scope: Scope, *contents: str, **fields: object) -> list[Memory]:
    drafts = [MemoryDraft(**{"content": content, **fields}) for content in contents]
    results = await platform.services.remember.many(scope, drafts)
    return [result.memory for result in results]


async def test_pages_follow_each_other_without_gap_or_repeat(platform: Platform, scope: Scope) -> None:
    await store(platform, scope, *(f"walrus number {n}" for n in range(25)))
    seen: list[str] = []
    cursor = None
    while True:
        answer = await platform.services.recall.search(scope, ask("walrus", limit=10), cursor=cursor)
        seen += [str(hit.memory.id) for hit in answer.hits]
        assert answer.total == 25
        cursor = answer.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 25


async def test_pages_go_on_beyond_what_the_first_one_asks_of_the_index(
    platform: Platform, scope: Scope
) -> None:
    await store(platform, scope, *(f"walrus number {n}" for n in range(230)))
    question = ask("walrus", mode=Mode.LEXICAL, limit=50)
    seen: list[MemoryId] = []
    cursor = None
    while True:
        answer = await platform.services.recall.search(scope, question, cursor=cursor)
        seen += [hit.memory.id for hit in answer.hits]
        assert answer.total == 230
        cursor = answer.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 230


async def test_a_cursor_of_another_query_is_refused(platform: Platform, scope: Scope) -> None:
    await store(platform, scope, *(f"walrus number {n}" for n in range(5)))
    first = await platform.services.recall.search(scope, ask("walrus", limit=2))
    assert first.next_cursor is not None
    for cursor in (first.next_cursor, "nonsense", "bm9uc2Vuc2U", ""):
        with pytest.raises(InvalidCursor):
            await platform.services.recall.search(scope, ask("whale", limit=2), cursor=cursor)
    with pytest.raises(InvalidCursor):
        other = replace(scope, tenant=TenantId("other"))
        await platform.services.recall.search(other, ask("walrus", limit=2), cursor=first.next_cursor)


async def test_hits_bring_their_neighbours_in_the_order_of_the_session(
    platform: Platform, scope: Scope
) -> None:
    turns = ["we went out", "the heron was there", "it flew away", "then we ate"]
    for number, turn in enumerate(turns):
        await store(platform, scope, turn, session_id="s1", sequence=number, role="Ana")
    await store(platform, scope, "another session", session_id="s2", sequence=1)
    answer = await platform.services.recall.search(scope, ask("heron", mode=Mode.LEXICAL, context=1))
    first = answer.hits[0]
    assert first.memory.content == "the heron was there"
    assert [memory.content for memory in first.context] == ["we went out", "it flew away"]
    wider = await platform.services.recall.search(scope, ask("heron", mode=Mode.LEXICAL, context=2))
    assert [memory.content for memory in wider.hits[0].context] == [
        "we went out",
        "it flew away",
        "then we ate",
    ]


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Who has made a round trip to the store: a task for each."""
    made: list[object] = []
    ends = Pipeline.__aexit__

    async def noted(pipeline: Pipeline, *error: Any) -> None:
        made.append(asyncio.current_task())
        await ends(pipeline, *error)

    monkeypatch.setattr(Pipeline, "__aexit__", noted)
    return made


async def test_hits_are_read_in_one_round_trip_whatever_is_asked_of_them(
    platform: Platform, scope: Scope, round_trips: list[object]
) -> None:
    memories = await store(platform, scope, *(f"heron number {n}" for n in range(12)), session_id="s")

    async def made(**fields: object) -> int:
        round_trips.clear()
        answer = await platform.services.recall.search(scope, ask("heron", mode=Mode.LEXICAL, **fields))
        assert len(answer.hits) == fields["limit"]
        assert all(hit.context for hit in answer.hits) == ("context" in fields)
        return round_trips.count(asyncio.current_task())

    assert await made(limit=12) == 1
    assert await made(limit=12, context=2) == 1
    moment = memories[-1].updated_at
    # The past is counted and searched in one transaction, and read in another.
    assert await made(limit=1, as_of=moment) == 4
    assert await made(limit=12, as_of=moment) == 4
    assert await made(limit=12, as_of=moment, context=2) == 4


async def test_a_turn_is_found_by_the_words_of_the_turn_that_came_after_it(
    platform: Platform, scope: Scope
) -> None:
    await store(platform, scope, "What did you see there?", session_id="s", sequence=0)
    await store(platform, scope, "A capybara, would you believe", session_id="s", sequence=1)
    answer = await platform.services.recall.search(scope, ask("capybara", mode=Mode.LEXICAL))
    assert [hit.memory.sequence for hit in answer.hits] == [1, 0]
    (second,) = [hit.memory for hit in answer.hits if hit.memory.sequence == 1]
    await platform.services.forget.one(scope, second.id)
    assert (await platform.services.recall.search(scope, ask("capybara", mode=Mode.LEXICAL))).hits == ()


async def test_who_speaks_counts_as_text(platform: Platform, scope: Scope) -> None:
    await store(platform, scope, "I went to the lake", role="Melanie")
    await store(platform, scope, "I went to the lake", role="Caroline")
    answer = await platform.services.recall.search(scope, ask("Caroline lake", limit=1))
    assert answer.hits[0].memory.role == "Caroline"


async def test_a_tenant_neither_sees_nor_counts_nor_infers_another(platform: Platform, scope: Scope) -> None:
    key = await platform.services.access.create_key(scope, role=Role.WRITER, tenant=TenantId("theirs"))
    theirs = await platform.services.access.authenticate(key.secret)
    await store(platform, theirs, "a walrus of theirs", "nothing else here")
    before = await platform.services.recall.search(theirs, ask("walrus", explain=True))
    ours = await store(platform, scope, *(f"walrus walrus {n}" for n in range(50)))
    after = await platform.services.recall.search(theirs, ask("walrus", explain=True))
    assert [hit.memory.id for hit in after.hits] == [hit.memory.id for hit in before.hits]
    for first, second in zip(before.hits, after.hits, strict=True):
        assert first.explanation is not None
        assert second.explanation is not None
        assert second.explanation.ranks == first.explanation.ranks
        # Fresh memories may be folded to disk in between, where average lengths are rounded: a thousandth, no more.
        assert second.explanation.scores == pytest.approx(dict(first.explanation.scores), rel=5e-3)
    assert after.total == before.total
    with pytest.raises(MemoryNotFound):
        await platform.services.read.get(theirs, ours[0].id)
    with pytest.raises(MemoryNotFound):
        await platform.services.recall.similar(theirs, ours[0].id, limit=3)


async def test_an_explanation_shows_the_legs(platform: Platform, scope: Scope) -> None:
    await store(platform, scope, "a walrus", "a heron")
    answer = await platform.services.recall.search(scope, ask("walrus", explain=True))
    explanation = answer.hits[0].explanation
    assert explanation is not None
    assert set(explanation.scores) == {"lexical", "vector"}
    assert explanation.ranks["lexical"] == 1
    assert {"embed", "lexical", "vector", "fuse", "hydrate", "total"} <= set(answer.took_ms)


async def test_similar_finds_the_nearest_and_not_itself(platform: Platform, scope: Scope) -> None:
    memories = await store(
        platform, scope, "the cat sat on the mat", "a cat sat on a mat", "stock prices fell"
    )
    answer = await platform.services.recall.similar(scope, memories[0].id, limit=2)
    assert answer.hits[0].memory.id == memories[1].id
    assert memories[0].id not in [hit.memory.id for hit in answer.hits]
    with pytest.raises(MemoryNotFound):
        await platform.services.recall.similar(scope, MemoryId(memories[0].id.__class__(int=3)), limit=2)


async def test_a_query_of_filters_alone_gives_the_newest_first(platform: Platform, scope: Scope) -> None:
    await store(platform, scope, "older", user_id="ana")
    await store(platform, scope, "newer", user_id="ana")
    await store(platform, scope, "other", user_id="bo")
    condition = AnyOf(field=Field(name="user_id"), values=("ana",))
    answer = await platform.services.recall.search(scope, Query(text="", words=Words(), filter=condition))
    assert [hit.memory.content for hit in answer.hits] == ["newer", "older"]
    assert answer.total == 2


async def test_diversity_spreads_the_hits(platform: Platform, scope: Scope) -> None:
    same = ["a walrus on the ice"] * 5
    await store(platform, scope, *same, "the walrus and the carpenter")
    plain = await platform.services.recall.search(scope, ask("walrus ice", limit=2))
    spread = await platform.services.recall.search(scope, ask("walrus ice", limit=2, diversity=0.9))
    assert {hit.memory.content for hit in plain.hits} == {"a walrus on the ice"}
    assert {hit.memory.content for hit in spread.hits} == {
        "a walrus on the ice",
        "the walrus and the carpenter",
    }


async def test_a_filter_narrows_every_mode(platform: Platform, scope: Scope) -> None:
    await store(platform, scope, *(f"walrus {n}" for n in range(30)), user_id="ana")
    await store(platform, scope, "walrus of bo", user_id="bo")
    condition = AnyOf(field=Field(name="user_id"), values=("bo",))
    for mode in Mode:
        answer = await platform.services.recall.search(scope, ask("walrus", mode=mode, filter=condition))
        assert [hit.memory.content for hit in answer.hits] == ["walrus of bo"]
        assert answer.total == 1


async def test_searches_and_writes_at_once_do_not_disturb_each_other(
    platform: Platform, scope: Scope
) -> None:
    async def write(number: int) -> None:
        (memory,) = await store(
            platform, scope, f"walrus w{number}x", occurred_at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        answer = await platform.services.recall.search(scope, ask(f"w{number}x", mode=Mode.LEXICAL))
        assert [hit.memory.id for hit in answer.hits] == [memory.id]

    await asyncio.gather(*(write(number) for number in range(60)))


@pytest.mark.parametrize("mode", list(Mode))
async def test_phrases_prefixes_and_exclusions_hold_in_the_past_too(
    platform: Platform, scope: Scope, mode: Mode
) -> None:
    memories = await store(
        platform, scope, "the green walrus sang", "the walrus sang in green", "a walrus sang badly", "walking"
    )
    moment = memories[-1].updated_at
    for words, expected in [
        (Words(phrases=("green walrus",)), {"the green walrus sang"}),
        (Words(prefixes=("walk",)), {"walking"}),
        (Words(text="walrus", excluded=("green",)), {"a walrus sang badly"}),
    ]:
        query = Query(text="walrus sang", words=words, mode=mode, as_of=moment)
        # The vector leg ranks whatever is not excluded.
        ranked_by_meaning = {"walking"} if words.excluded and mode is not Mode.LEXICAL else set()
        async with asyncio.timeout(60):
            while True:
                answer = await platform.services.recall.search(scope, query)
                if {hit.memory.content for hit in answer.hits} == expected | ranked_by_meaning:
                    break
                # The index has a new vector a moment before the store has it.
                await asyncio.sleep(0.02)
