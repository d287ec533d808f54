"""Whoever reads a search to its end sees each hit once, however deep its pages lie."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Answer, Mode, Query, Words
from mnemata.domain.scope import Scope
from mnemata.index.local.engine import LocalIndex
from mnemata.index.protocol import IndexQuery, Legs
from mnemata.platform import Platform
from mnemata.query.plan import MAX_WINDOW
from mnemata.ranking.defaults import DEPTH
from mnemata.settings import Settings

NOTES, ALIKE = 320, 40
PATIENCE_S = 60.0

QUESTION = "meeting with the lawyer"
WHO = ("Ana", "Ben", "Carla", "Dmitri", "Eva", "Farid")
DID = ("met", "called", "wrote", "visited", "thanked", "paid", "helped")
WHOM = ("doctor", "dentist", "plumber", "lawyer", "teacher", "neighbour", "landlord", "baker", "tailor")
WHY = (
    "about the meeting on Monday",
    "before the meeting in Lisbon",
    "because of the budget",
    "after lunch",
    "with the new contract",
    "to cancel the meeting",
    "to move the meeting",
)


def ask(**fields: object) -> Query:
    return Query(**{"text": QUESTION, "words": Words(text=QUESTION), "limit": 7, **fields})


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """How busy the machine is must not decide whether the user is regarded."""
    patient = settings.personalization.model_copy(update={"timeout_s": PATIENCE_S})
    return settings.model_copy(update={"personalization": patient})


@pytest.fixture
async def diary(platform: Platform, scope: Scope) -> Platform:
    """Three times as many notes as a leg gives at first, every fourth of Ana; many say the same."""
    chance = random.Random(5)
    contents = [
        " ".join((*map(chance.choice, (WHO, DID)), "the", *map(chance.choice, (WHOM, WHY))))
        for _ in range(NOTES)
    ]
    drafts = [
        MemoryDraft(content=content, user_id="bo" if number % 4 else "ana", tags=(content.split()[0],))
        for number, content in enumerate(contents)
    ]
    await platform.services.remember.many(scope, [*drafts, *drafts[:1] * ALIKE])
    # On disk scores differ a little from those in memory: between two pages the background must not bring it there.
    await platform.index.flush()
    return platform


async def read(platform: Platform, scope: Scope, query: Query) -> list[Answer]:
    """Every page from the first to the last."""
    answers = [await platform.services.recall.search(scope, query)]
    while (cursor := answers[-1].next_cursor) is not None:
        answers.append(await platform.services.recall.search(scope, query, cursor=cursor))
    return answers


def ids(*answers: Answer) -> list[MemoryId]:
    return [hit.memory.id for answer in answers for hit in answer.hits]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"mode": Mode.VECTOR},
        {"personalize_for": "ana"},
        {"diversity": 0.5},
        {"personalize_for": "ana", "diversity": 0.5},
    ],
    ids=str,
)
async def test_pages_show_every_hit_once(diary: Platform, scope: Scope, fields: dict[str, Any]) -> None:
    pages = await read(diary, scope, ask(**fields))

    seen = ids(*pages)
    assert {page.total for page in pages} == {NOTES + ALIKE}
    assert len(seen) == len(set(seen)) == NOTES + ALIKE


async def test_larger_pages_and_offsets_show_the_same_order_and_scores_never_rise(
    diary: Platform, scope: Scope
) -> None:
    pages = await read(diary, scope, ask(limit=45, personalize_for="ana"))
    large = await read(diary, scope, ask(limit=200, personalize_for="ana"))
    beyond = await diary.services.recall.search(scope, ask(limit=30, offset=200, personalize_for="ana"))

    assert ids(*large) == ids(*pages)
    assert ids(beyond) == ids(*pages)[200:230]
    scores = [hit.score for page in pages for hit in page.hits]
    assert scores == sorted(scores, reverse=True)


async def test_index_is_asked_once_for_the_first_pages_and_for_no_more_than_the_window_after(
    diary: Platform, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths = list[int]()
    search = LocalIndex.search

    async def noted(index: LocalIndex, query: IndexQuery) -> Legs:
        depths.append(query.depth)
        return await search(index, query)

    monkeypatch.setattr(LocalIndex, "search", noted)
    await diary.services.recall.search(scope, ask(offset=DEPTH - 8))
    assert depths == [DEPTH]
    depths.clear()
    await diary.services.recall.search(scope, ask(offset=MAX_WINDOW - 7))
    # No more than the notes that there are: 400 of each leg are all.
    assert depths == [DEPTH, 2 * DEPTH, 4 * DEPTH]
