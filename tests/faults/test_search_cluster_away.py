"""A platform whose search cluster does not answer: writes are stored, searches are answered from the store and say so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.platform import Platform
from mnemata.services.outcome import Once, WaitFor
from mnemata.settings import CacheSettings, SearchSettings, Settings


@pytest.fixture(params=["elasticsearch", "opensearch"])
async def platform(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Platform]:
    # Nothing listens at the port for what is thrown away.
    search = SearchSettings(kind=request.param, url="http://127.0.0.1:9")
    nothing_else = {"search": search, "cache": CacheSettings(url="off")}
    opened = await Platform.open(settings.model_copy(update=nothing_else))
    yield opened
    await opened.close()


def asking(text: str, **more) -> Query:
    return Query(**{"text": text, "words": Words(text=text), **more})


async def test_platform_starts_stores_and_answers_without_its_cluster(platform, scope):
    draft = MemoryDraft(content="The lighthouse keeper retired")
    stored = await platform.services.remember.one(scope, draft, wait_for=WaitFor.NONE)

    answer = await platform.services.recall.search(scope, asking("lighthouse keeper"))

    assert [hit.memory.id for hit in answer.hits] == [stored.memory.id]
    assert "index" in answer.degraded


async def test_diverse_answers_and_likeness_do_not_fail_without_the_cluster(platform, scope):
    for content in ("The lighthouse keeper retired", "The lighthouse burned"):
        await platform.services.remember.one(scope, MemoryDraft(content=content), wait_for=WaitFor.NONE)
    answer = await platform.services.recall.search(scope, asking("lighthouse", diversity=0.5))
    assert len(answer.hits) == 2
    like = await platform.services.recall.similar(scope, answer.hits[0].memory.id, limit=5)
    assert like.degraded == ("vector",)


async def test_status_tells_that_the_cluster_does_not_answer(platform, scope):
    ready, parts = await platform.services.status.ready()
    report = await platform.services.status.report(scope)
    assert ready
    assert parts["index"].startswith("building")
    assert "unavailable" in report["index"]


async def test_words_alone_are_answered_too(platform, scope):
    await platform.services.remember.one(
        scope, MemoryDraft(content="A heron stood there"), wait_for=WaitFor.NONE
    )
    answer = await platform.services.recall.search(scope, asking("heron", mode=Mode.LEXICAL))
    assert (len(answer.hits), answer.degraded) == (1, ("index",))


async def test_repeated_write_is_not_said_to_be_findable_before_it_is(platform, scope):
    """Its first request may be waiting still, or its connection may have broken while it was."""
    once, again = (Once(key=key, fingerprint=bytes(32)) for key in ("storing", "changing"))
    remember, revise = platform.services.remember, platform.services.revise
    stored, changed = [], []
    for _ in range(2):
        draft = MemoryDraft(content="A heron stood there")
        stored.append(await remember.one(scope, draft, wait_for=WaitFor.NONE, once=once))
        changes = {"content": "It flew away"}
        memory_id = stored[0].memory.id
        changed.append(await revise.patch(scope, memory_id, changes, wait_for=WaitFor.NONE, once=again))
    for first, second in (stored, changed):
        assert (first.replayed, second.replayed) == (False, True)
        assert (first.indexed, second.indexed) == (False, False)
        assert first.memory == second.memory
