"""One memory that the index cannot take stops nobody; a failure that passes sets nothing aside."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.index.local import document, lexical
from mnemata.index.local.columns import Columns
from mnemata.index.local.failures import translated
from mnemata.index.local.main_segment import MainStore
from mnemata.index.protocol import Action
from mnemata.platform import Platform
from mnemata.services.outcome import WaitFor
from mnemata.workers import indexer

CURSED = "cursed walrus"
FEW, MANY = 20, 700
"""Few go through memory; many at once go to disk at once."""


async def remember(platform: Platform, scope: Scope, *contents: str) -> None:
    drafts = [MemoryDraft(content=content) for content in contents]
    await platform.services.remember.many(scope, drafts, wait_for=WaitFor.NONE)


async def caught_up(platform: Platform, scope: Scope) -> None:
    async with asyncio.timeout(60):
        while (await platform.services.status.report(scope))["feed"]["changes_waiting"]:
            await asyncio.sleep(0.05)


async def found(platform: Platform, scope: Scope, text: str, mode: Mode = Mode.LEXICAL) -> list[str]:
    query = Query(text=text, words=Words(text=text), mode=mode, limit=200)
    answer = await platform.services.recall.search(scope, query)
    assert answer.degraded == ()
    return [hit.memory.content for hit in answer.hits]


async def set_aside(platform: Platform, scope: Scope) -> list[str]:
    """The contents of what was set aside, by the platform's status."""
    told = (await platform.services.status.report(scope))["feed"]["set_aside"]
    memories = [
        await platform.services.read.get(scope, MemoryId(UUID(one["memory_id"]))) for one in told["newest"]
    ]
    assert told["count"] == len(memories)
    return [memory.content for memory in memories]


def refuse_document(patch: pytest.MonkeyPatch) -> None:
    made = document.tantivy_document

    def refusing(upsert: Any) -> Any:
        if upsert.memory.content == CURSED:
            raise ValueError("no such document")
        return made(upsert)

    for module in (document, lexical):
        patch.setattr(module, "tantivy_document", refusing)


def refuse_vector(patch: pytest.MonkeyPatch) -> None:
    append = Columns.append

    def refusing(self: Columns, memories: Any, *given: Any) -> int:
        if any(memory.content == CURSED for memory in memories):
            raise RuntimeError("no such row")
        return append(self, memories, *given)

    patch.setattr(Columns, "append", refusing)


class Panic(BaseException):
    """As a panic of the Rust side comes."""


def refuse_tokens(patch: pytest.MonkeyPatch) -> None:
    tokens = document.plain_tokens

    def refusing(text: str) -> list[str]:
        if text == CURSED:
            raise Panic
        return tokens(text)

    patch.setattr(document, "plain_tokens", refusing)
    commit = MainStore.commit

    def stopped(self: MainStore, changes: Any, *given: Any, **named: Any) -> None:
        kept = list(changes)
        # A thread of tantivy's fails in the same way, and the writer tells only that it was stopped.
        with translated("commit", self.path):
            if any(made is not None and made["content"] == [CURSED] for _, made in kept):
                raise ValueError("An index writer was killed.")
        commit(self, kept, *given, **named)

    patch.setattr(MainStore, "commit", stopped)


def refuse_projection(patch: pytest.MonkeyPatch) -> None:
    project = indexer.project

    def refusing(memory: Any, *given: Any, **named: Any) -> Action:
        if memory.content == CURSED:
            raise RuntimeError("cannot be told")
        return project(memory, *given, **named)

    patch.setattr(indexer, "project", refusing)


Refuse = Callable[[pytest.MonkeyPatch], None]
EVERY_PLACE = pytest.mark.parametrize(
    "refuse", [refuse_document, refuse_vector, refuse_tokens, refuse_projection]
)


async def retry_finds_it(platform: Platform, scope: Scope) -> None:
    assert (await platform.services.index.retry(scope, None))["retried"] == 1
    await caught_up(platform, scope)
    for mode in (Mode.LEXICAL, Mode.VECTOR):
        assert CURSED in await found(platform, scope, CURSED, mode)
    assert await set_aside(platform, scope) == []


@EVERY_PLACE
@pytest.mark.parametrize("others", [0, FEW, MANY])
async def test_a_memory_that_the_engine_cannot_take_is_set_aside_alone(
    platform: Platform, scope: Scope, refuse: Refuse, others: int
) -> None:
    contents = [f"otter number o{number}x" for number in range(others)]
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch)
        await remember(platform, scope, *contents[: others // 2], CURSED, *contents[others // 2 :])
        await remember(platform, scope, "the one that follows")
        await caught_up(platform, scope)

        assert await found(platform, scope, "follows") == ["the one that follows"]
        assert (await platform.services.status.report(scope))["index"]["documents"] >= others + 1
        for content in contents[:: max(1, others // 7)]:
            assert await found(platform, scope, content.split()[-1]) == [content]
        assert await set_aside(platform, scope) == [CURSED]
        # What is in memory only goes to disk, without an error from the one that could not be taken.
        await platform.index.flush()
        assert await set_aside(platform, scope) == [CURSED]

    await retry_finds_it(platform, scope)


@EVERY_PLACE
async def test_a_rebuild_sets_aside_what_the_engine_cannot_take_and_brings_the_rest(
    platform: Platform, scope: Scope, refuse: Refuse
) -> None:
    contents = [f"otter number o{number}x" for number in range(FEW)]
    await remember(platform, scope, *contents, CURSED)
    await caught_up(platform, scope)
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch)
        facts = await platform.services.operations.rebuild(scope)

        assert facts["switched"]
        assert sorted(await found(platform, scope, "otter")) == sorted(contents)
        assert await set_aside(platform, scope) == [CURSED]
    await caught_up(platform, scope)
    await retry_finds_it(platform, scope)


def times(count: int, error: Callable[[], BaseException], call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, which fails so often before it works."""
    left = [count]

    def failing(*given: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise error()
        return call(*given, **named)

    return failing


def full_disk_by_tantivy(patch: pytest.MonkeyPatch) -> None:
    words = "An IO error occurred: 'No space left on device (os error 28)'"
    patch.setattr(MainStore, "_write", times(4, lambda: ValueError(words), MainStore._write))


def broken_disk_by_tantivy(patch: pytest.MonkeyPatch) -> None:
    words = "An IO error occurred: 'Input/output error (os error 5)'"
    patch.setattr(MainStore, "_write", times(4, lambda: ValueError(words), MainStore._write))


def full_disk_of_vectors(patch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    patch.setattr(Columns, "append", times(4, lambda: full, Columns.append))


def no_memory_for_vectors(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Columns, "append", times(4, MemoryError, Columns.append))


def no_file_for_the_indexer(patch: pytest.MonkeyPatch) -> None:
    many = OSError(errno.EMFILE, "Too many open files")
    patch.setattr(indexer, "project", times(4, lambda: many, indexer.project))


@pytest.mark.parametrize(
    "fail",
    [
        full_disk_by_tantivy,
        broken_disk_by_tantivy,
        full_disk_of_vectors,
        no_memory_for_vectors,
        no_file_for_the_indexer,
    ],
)
async def test_a_failure_that_passes_sets_nothing_aside(
    platform: Platform, scope: Scope, fail: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail(patch)
        await remember(platform, scope, *(f"otter number o{number}x" for number in range(MANY)))
        await caught_up(platform, scope)

        assert await set_aside(platform, scope) == []
        assert (await platform.services.status.report(scope))["index"]["documents"] == MANY
        assert await found(platform, scope, "o613x") == ["otter number o613x"]


async def test_damaged_files_of_one_tenant_stop_no_other_and_its_memories_are_found_in_the_store(
    platform: Platform, scope: Scope
) -> None:
    other = replace(scope, tenant=TenantId("other"))
    await platform.services.access.create_key(scope, role=Role.WRITER, tenant=other.tenant)
    await remember(platform, scope, "a walrus in the fog")
    await caught_up(platform, scope)
    await platform.index.flush()
    generation = platform.index.generation
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "_options", replace(generation._options, open_partitions=0))
        generation._close_surplus()
    manifest = generation.partition_folder(scope.tenant) / "vectors" / "manifest.json"
    manifest.write_text("{")

    await remember(platform, scope, "a walrus in the sun")
    await remember(platform, other, "an otter in the rain")
    await caught_up(platform, scope)

    assert await found(platform, other, "otter") == ["an otter in the rain"]
    query = Query(text="walrus", words=Words(text="walrus"), mode=Mode.LEXICAL)
    answer = await platform.services.recall.search(scope, query)
    assert answer.degraded
    assert {hit.memory.content for hit in answer.hits} == {"a walrus in the fog", "a walrus in the sun"}
    assert await set_aside(platform, scope) == ["a walrus in the sun"]

    assert (await platform.services.operations.verify(scope, {"repair": True}))["left"] == 0
    await caught_up(platform, scope)
    assert len(await found(platform, scope, "walrus")) == 2
    await platform.services.index.retry(scope, None)
    await caught_up(platform, scope)
    assert await set_aside(platform, scope) == []
