"""A whole platform on its embedded defaults, and one part of it taken away."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from mnemata import settings as settings_module
from mnemata.domain.change import START, Change
from mnemata.domain.errors import DataFolderLocked, MnemataError
from mnemata.domain.memory import Memory, MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Scope
from mnemata.platform import Platform
from mnemata.settings import Settings


@pytest.fixture
def embedded_settings(open_folder: Path) -> Settings:
    return settings_module.load(
        environment={},
        data_dir=open_folder / "data",
        embedding={"model": "hashing"},
        index={"wait_timeout_s": 60},
    )


@pytest.fixture
async def embedded(embedded_settings: Settings) -> AsyncIterator[Platform]:
    opened = await Platform.open(embedded_settings)
    yield opened
    await opened.close()


async def store(platform: Platform, scope: Scope, content: str) -> Memory:
    return (await platform.services.remember.one(scope, MemoryDraft(content=content))).memory


async def search(platform: Platform, scope: Scope, text: str) -> list[str]:
    query = Query(text=text, words=Words(text=text), mode=Mode.LEXICAL)
    return [hit.memory.content for hit in (await platform.services.recall.search(scope, query)).hits]


async def patiently_read(platform: Platform, scope: Scope, memory: Memory) -> Memory:
    """The memory, as soon as the store answers: a session of the killed server may serve a moment longer."""
    async with asyncio.timeout(240):
        while True:
            try:
                return await platform.services.read.get(scope, memory.id)
            except MnemataError as error:
                assert error.kind.value in {"unavailable", "timeout"}, error
                await asyncio.sleep(0.1)


async def test_postgres_killed_alone_comes_back_with_everything(embedded: Platform, scope: Scope) -> None:
    before = [await store(embedded, scope, f"before b{n}x") for n in range(10)]
    assert embedded.store.embedded is not None
    os.kill(embedded.store.embedded.pid, signal.SIGKILL)
    async with asyncio.timeout(240):
        while True:
            try:
                after = await store(embedded, scope, "after the fall")
                break
            except MnemataError as error:
                assert error.kind.value in {"unavailable", "timeout"}, error
                await asyncio.sleep(0.1)
    for memory in [*before, after]:
        assert await patiently_read(embedded, scope, memory) == memory
    assert await search(embedded, scope, "fall") == ["after the fall"]
    assert await search(embedded, scope, "b7x") == ["before b7x"]


@pytest.mark.slow
async def test_writers_at_work_while_postgres_dies_lose_nothing_that_was_acknowledged(
    embedded: Platform, scope: Scope
) -> None:
    acknowledged: list[Memory] = []
    enough = asyncio.Event()

    async def write(name: int) -> None:
        for number in count():
            if enough.is_set():
                return
            try:
                acknowledged.append(await store(embedded, scope, f"of writer{name} n{number}x"))
            except MnemataError as error:
                assert error.kind.value in {"unavailable", "timeout"}, error
                await asyncio.sleep(0.1)

    async def kill() -> None:
        assert embedded.store.embedded is not None
        server = embedded.store.embedded
        for _ in range(2):
            await until_more()
            killed = server.pid
            os.kill(killed, signal.SIGKILL)
            while server.pid == killed or not server.alive():
                await asyncio.sleep(0.05)
        await until_more()
        enough.set()

    async def until_more() -> None:
        before = len(acknowledged)
        while len(acknowledged) < before + 40:
            await asyncio.sleep(0.01)

    async with asyncio.timeout(240):
        await asyncio.gather(kill(), *(write(name) for name in range(4)))
    for memory in acknowledged:
        assert await patiently_read(embedded, scope, memory) == memory
        assert memory.content in await search(embedded, scope, memory.content)


async def test_a_second_process_on_the_folder_is_refused_with_the_pid_of_the_first(
    embedded: Platform, embedded_settings: Settings
) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "mnemata", "serve"],
        env={
            **os.environ,
            "MNEMATA_DATA_DIR": str(embedded_settings.data_dir),
            "MNEMATA_HTTP__PORT": "0",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 5
    assert str(os.getpid()) in done.stderr
    with pytest.raises(DataFolderLocked):
        await Platform.open(embedded_settings)
    assert (await embedded.services.status.ready())[0]


async def test_a_platform_can_be_closed_twice_and_opened_again(
    embedded_settings: Settings, scope: Scope
) -> None:
    platform = await Platform.open(embedded_settings)
    await store(platform, scope, "a walrus")
    await platform.close()
    await platform.close()
    platform = await Platform.open(embedded_settings)
    assert await search(platform, scope, "walrus") == ["a walrus"]
    await platform.close()


async def test_older_copy_of_the_data_that_was_put_back_is_searched_whole_and_keeps_its_changes(
    embedded_settings: Settings, open_folder: Path, scope: Scope
) -> None:
    data, copy = open_folder / "data" / "postgres", open_folder / "copy"
    async with opened(embedded_settings) as platform:
        await store(platform, scope, "early bird")
        epoch, changes = await history(platform)
    copied(data, copy)
    async with opened(embedded_settings) as platform:
        for number in range(30):
            await store(platform, scope, f"lost penguin {number}")
    shutil.rmtree(data)
    copied(copy, data)
    async with opened(embedded_settings) as platform:
        again, kept = await history(platform)
        await store(platform, scope, "new walrus")
        assert set(await search(platform, scope, "early new lost")) == {"early bird", "new walrus"}
    # All of the changes written anew would take longer than a statement may, where there are many.
    assert kept[: len(changes)] == changes
    assert again.split("/")[0] != epoch.split("/")[0]
    assert again.split("/")[1:] == epoch.split("/")[1:]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Platform]:
    platform = await Platform.open(settings)
    try:
        await asyncio.wait_for(platform.index_ready.wait(), 60)
        yield platform
    finally:
        await platform.close()


async def history(platform: Platform) -> tuple[str, list[Change]]:
    async with platform.store.database.platform() as transaction:
        return await transaction.feed.epoch(), await transaction.feed.read(START, limit=100)


def copied(folder: Path, to: Path) -> None:
    """With its owner, who is another user than root."""
    subprocess.run(["cp", "-a", folder, to], check=True)
