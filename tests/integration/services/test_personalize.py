import asyncio

import psycopg
import pytest

from mnemata import settings as settings_module
from mnemata.domain.errors import InvalidCursor
from mnemata.domain.filter import AnyOf, Field
from mnemata.domain.ids import TenantId
from mnemata.domain.memory import Memory, MemoryDraft
from mnemata.domain.query import Answer, Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.embedding.hashing import SPACE
from mnemata.platform import Platform
from mnemata.settings import Settings

PATIENCE_S = 60.0


def ask(text: str, *, of: str | None = None, **fields: object) -> Query:
    return Query(
        **{"text": text, "words": Words(text=text), "personalize_for": of, "explain": True, **fields}
    )


async def store(platform: Platform, scope: Scope, *contents: str, **fields: object) -> list[Memory]:
    drafts = [MemoryDraft(**{"content": content, **fields}) for content in contents]
    results = await platform.services.remember.many(scope, drafts)
    return [result.memory for result in results]


async def search(platform: Platform, scope: Scope, query: Query, **more: str) -> Answer:
    return await platform.services.recall.search(scope, query, **more)


def contents(answer: Answer) -> list[str]:
    return [hit.memory.content for hit in answer.hits]


def untouched(answer: Answer, plain: Answer) -> bool:
    """Whether the order is the plain one and nothing was added. Scores may differ: folds round average lengths."""
    added = [hit.explanation is None or bool(hit.explanation.personal) for hit in answer.hits]
    return contents(answer) == contents(plain) and not any(added)


def personal(answer: Answer, content: str) -> dict[str, float]:
    (found,) = [hit.explanation for hit in answer.hits if hit.memory.content == content]
    assert found is not None
    return dict(found.personal)


def counted(platform: Platform) -> float:
    leg = {"leg": "personalization"}
    return platform.metrics.registry.get_sample_value("mnemata_search_degraded_total", leg) or 0.0


async def kept(platform: Platform) -> None:
    """Vectors reach the store a moment after their memories are found."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with platform.store.database.platform() as transaction:
                if not await transaction.embeddings.missing(SPACE, limit=1):
                    return
            await asyncio.sleep(0.02)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """How busy the machine is must not decide what a search waits for."""
    return limited(settings, timeout_s=PATIENCE_S)


def limited(settings: Settings, *, timeout_s: float) -> Settings:
    personalization = settings.personalization.model_copy(update={"timeout_s": timeout_s})
    return settings.model_copy(update={"personalization": personalization})


@pytest.fixture
async def club(platform: Platform, scope: Scope) -> Platform:
    """Two users with different interests, who would ask the same question."""
    await store(
        platform, scope, "booked a court for tennis", "new strings for the tennis racket", user_id="ana"
    )
    await store(platform, scope, "the club meets in the hall by the tennis court", user_id="ana")
    await store(platform, scope, "read two chapters of the novel", "a novel from the library", user_id="bo")
    await store(platform, scope, "the club meets in the hall by the novel shelves", user_id="bo")
    await kept(platform)
    return platform


async def test_two_users_asking_the_same_get_their_own_first(club: Platform, scope: Scope) -> None:
    question = "where does the club meet?"
    of_ana = await search(club, scope, ask(question, of="ana", limit=1))
    of_bo = await search(club, scope, ask(question, of="bo", limit=1))
    assert [hit.memory.user_id for hit in (*of_ana.hits, *of_bo.hits)] == ["ana", "bo"]
    assert set(personal(of_ana, of_ana.hits[0].memory.content)) == {"own"}


async def test_the_same_hits_come_back_for_everybody(club: Platform, scope: Scope) -> None:
    for mode in Mode:
        plain = await search(club, scope, ask("the club", mode=mode))
        for user in ("ana", "bo", "nobody"):
            answer = await search(club, scope, ask("the club", of=user, mode=mode))
            assert sorted(contents(answer)) == sorted(contents(plain))
            assert answer.total == plain.total


async def test_a_user_without_memories_changes_nothing(club: Platform, scope: Scope) -> None:
    plain = await search(club, scope, ask("the club"))
    answer = await search(club, scope, ask("the club", of="nobody"))
    assert untouched(answer, plain)
    assert answer.degraded == ()


async def test_what_belongs_to_nobody_rises_by_what_the_user_stored(platform: Platform, scope: Scope) -> None:
    await store(platform, scope, "tennis racket", "tennis court", user_id="ana", tags=("sport",))
    await store(platform, scope, "novel chapter", user_id="bo", tags=("books",))
    notes = await store(platform, scope, "meeting on the tennis court")
    books = await store(platform, scope, "meeting on the novel chapter", tags=("books",))
    await kept(platform)
    answer = await search(platform, scope, ask("meeting", of="ana"))
    assert answer.hits[0].memory.id == notes[0].id
    assert personal(answer, notes[0].content).keys() >= {"meaning"}
    answer = await search(platform, scope, ask("meeting", of="bo"))
    assert answer.hits[0].memory.id == books[0].id
    assert personal(answer, books[0].content).keys() >= {"tags"}


async def test_what_was_stored_just_now_counts_in_the_next_search(club: Platform, scope: Scope) -> None:
    before = await search(club, scope, ask("the club", of="cy"))
    assert all(hit.explanation is not None and not hit.explanation.personal for hit in before.hits)
    await store(club, scope, "the club is closed on Sundays", user_id="cy")
    after = await search(club, scope, ask("the club", of="cy"))
    assert set(personal(after, "the club is closed on Sundays")) == {"own"}


async def test_what_was_forgotten_no_longer_counts(club: Platform, scope: Scope) -> None:
    (memory,) = await store(club, scope, "the club is closed on Sundays", user_id="cy")
    await search(club, scope, ask("the club", of="cy"))
    await club.services.forget.one(scope, memory.id)
    plain = await search(club, scope, ask("the club"))
    assert untouched(await search(club, scope, ask("the club", of="cy")), plain)


async def test_a_filter_narrows_as_before_and_personalization_does_not(club: Platform, scope: Scope) -> None:
    of_bo = AnyOf(field=Field(name="user_id"), values=("bo",))
    answer = await search(club, scope, ask("the club", of="ana", filter=of_bo))
    assert {hit.memory.user_id for hit in answer.hits} == {"bo"}
    assert answer.total == 3


async def test_another_tenant_s_user_of_the_same_name_has_no_say(club: Platform, scope: Scope) -> None:
    key = await club.services.access.create_key(scope, role=Role.WRITER, tenant=TenantId("theirs"))
    theirs = await club.services.access.authenticate(key.secret)
    await store(club, theirs, "our club plays tennis", "our club reads novels")
    plain = await search(club, theirs, ask("club"))
    await search(club, scope, ask("club", of="ana"))
    answer = await search(club, theirs, ask("club", of="ana"))
    assert untouched(answer, plain)


async def test_the_past_is_ranked_by_the_profile_of_then(club: Platform, scope: Scope) -> None:
    (last,) = await store(club, scope, "the hall of the club has a piano")
    await kept(club)
    moment = last.created_at
    mine = await store(club, scope, "the club and its piano", user_id="cy")
    then = await search(club, scope, ask("the club", of="cy", as_of=moment))
    assert all(hit.explanation is not None and not hit.explanation.personal for hit in then.hits)
    assert mine[0].id not in {hit.memory.id for hit in then.hits}
    of_ana = await search(club, scope, ask("where does the club meet?", of="ana", as_of=moment))
    assert of_ana.hits[0].memory.user_id == "ana"
    assert set(personal(of_ana, of_ana.hits[0].memory.content)) == {"own"}


async def test_pages_of_a_personal_search_follow_without_gap_or_repeat(
    platform: Platform, scope: Scope
) -> None:
    await store(platform, scope, *(f"walrus number {n}" for n in range(12)))
    await store(platform, scope, *(f"walrus of ana {n}" for n in range(12)), user_id="ana")
    await kept(platform)
    whole = contents(await search(platform, scope, ask("walrus", of="ana", limit=24)))
    seen: list[str] = []
    cursor: str | None = None
    while len(seen) < 24:
        answer = await search(platform, scope, ask("walrus", of="ana", limit=5), cursor=cursor)
        seen += contents(answer)
        cursor = answer.next_cursor
    assert cursor is None
    assert seen == whole


async def test_a_cursor_is_of_one_user(club: Platform, scope: Scope) -> None:
    cursor = (await search(club, scope, ask("the club", of="ana", limit=1))).next_cursor
    assert cursor is not None
    for other in ("bo", None):
        with pytest.raises(InvalidCursor):
            await search(club, scope, ask("the club", of=other, limit=1), cursor=cursor)


async def test_the_stage_is_timed_where_it_was_asked_for_and_absent_where_not(
    club: Platform, scope: Scope
) -> None:
    assert "personalize" in (await search(club, scope, ask("the club", of="ana"))).took_ms
    assert "personalize" not in (await search(club, scope, ask("the club"))).took_ms


async def test_diversity_spreads_what_was_ranked_for_the_user(club: Platform, scope: Scope) -> None:
    answer = await search(club, scope, ask("the club", of="ana", diversity=0.3))
    plain = await search(club, scope, ask("the club"))
    assert sorted(contents(answer)) == sorted(contents(plain))
    assert answer.hits[0].memory.user_id == "ana"


async def test_without_a_model_own_memories_rise_and_the_answer_says_what_is_missing(
    settings: Settings, scope: Scope
) -> None:
    words_only = settings_module.load(
        environment={}, **{**settings.model_dump(exclude={"embedding"}), "embedding": {"model": "none"}}
    )
    platform = await Platform.open(words_only)
    try:
        await store(platform, scope, "the walrus sleeps", user_id="ana")
        await store(platform, scope, "the walrus eats", user_id="bo")
        answer = await search(platform, scope, ask("walrus", of="bo", mode=Mode.LEXICAL))
    finally:
        await platform.close()
    assert contents(answer)[0] == "the walrus eats"
    assert answer.degraded == ("personalization",)


async def test_where_the_store_does_not_say_in_time_the_order_stays_and_the_answer_says_so(
    settings: Settings, scope: Scope, database_url: str
) -> None:
    platform = await Platform.open(limited(settings, timeout_s=0.2))
    try:
        await store(platform, scope, "the club is here", user_id="ana")
        await store(platform, scope, "the club is there", user_id="bo")
        await kept(platform)
        plain = await search(platform, scope, ask("the club"))
        before = counted(platform)
        async with await psycopg.AsyncConnection.connect(database_url) as locking:
            # Vectors cannot be read, memories can.
            await locking.execute("LOCK TABLE embeddings IN ACCESS EXCLUSIVE MODE")
            for _ in range(3):
                answer = await search(platform, scope, ask("the club", of="bo"))
                assert untouched(answer, plain)
                assert answer.degraded == ("personalization",)
            await locking.rollback()
        assert counted(platform) == before + 3
        async with asyncio.timeout(PATIENCE_S):
            while (await search(platform, scope, ask("the club", of="bo"))).degraded:
                await asyncio.sleep(0.02)
    finally:
        await platform.close()
