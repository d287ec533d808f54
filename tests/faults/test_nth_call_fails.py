"""The n-th message to PostgreSQL is lost, for n = 1, 2, 3...: before it arrives, and after it did but its answer is lost."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from mnemata import settings as settings_module
from mnemata.domain.errors import MnemataError
from mnemata.domain.filter import AnyOf, Field
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Scope
from mnemata.platform import Platform
from mnemata.services.outcome import Once

MESSAGES = 10


class CuttingProxy:
    """Stands between the pool and the server, and cuts every connection at the n-th message after `arm`."""

    def __init__(self, server: Path, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._left: int | None = None
        self._deliver = False
        self._open: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        self._listener = await asyncio.start_unix_server(self._serve, path=str(self.folder / ".s.PGSQL.5432"))

    async def stop(self) -> None:
        assert self._listener is not None
        self._listener.close()
        self._cut()

    def arm(self, number: int, *, deliver: bool) -> None:
        """Cut at the `number`-th message from now; `deliver`: the server still gets that one."""
        self._left, self._deliver = number, deliver

    def disarm(self) -> None:
        self._left = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_unix_connection(str(self.server / ".s.PGSQL.5432"))
        self._open |= {writer, downstream}
        await asyncio.gather(
            self._forward(reader, downstream, counted=True), self._forward(upstream, writer, counted=False)
        )

    async def _forward(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        try:
            while data := await source.read(65_536):
                if counted and await self._at_the_end(sink, data):
                    return
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    async def _at_the_end(self, sink: asyncio.StreamWriter, data: bytes) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        if self._left > 0:
            return False
        if self._deliver:
            sink.write(data)
            await sink.drain()
            # The server must have it before the line goes dead.
            await asyncio.sleep(0.05)
        self._left = None
        self._cut()
        return True

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[tuple[CuttingProxy, str]]:
    parts = urlsplit(database_url)
    folder = Path(tempfile.mkdtemp(prefix="mn-"))
    cutting = CuttingProxy(Path(parse_qs(parts.query)["host"][0]), folder)
    await cutting.start()
    yield cutting, f"postgresql://{parts.username}@{parts.path}?host={quote(str(folder), safe='')}&port=5432"
    await cutting.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def behind_proxy(proxy: tuple[CuttingProxy, str], tmp_path: Path) -> AsyncIterator[Platform]:
    opened = await Platform.open(
        settings_module.load(
            environment={},
            data_dir=tmp_path / "data",
            database={"url": proxy[1], "acquire_timeout_s": 3},
            embedding={"model": "hashing"},
            index={"wait_timeout_s": 5},
        )
    )
    yield opened
    await opened.close()


async def until_stored(platform: Platform, scope: Scope, draft: MemoryDraft, once: Once | None) -> int:
    """Send the same request until it is acknowledged, as a client would; how many tries failed."""
    for tries in range(600):
        try:
            await platform.services.remember.one(scope, draft, once=once)
        except MnemataError as error:
            assert error.kind.value in {"unavailable", "timeout"}, error
            await asyncio.sleep(0.1)
        else:
            return tries
    raise AssertionError("never stored")


@pytest.mark.parametrize("deliver", [False, True], ids=["never arrives", "answer is lost"])
async def test_a_write_repeated_with_its_key_is_stored_exactly_once_whichever_message_is_lost(
    behind_proxy: Platform, proxy: tuple[CuttingProxy, str], scope: Scope, deliver: bool
) -> None:
    failures = 0
    for number in range(1, MESSAGES + 1):
        content = f"whatever happens w{number}x"
        once = Once(key=f"key-{number}", fingerprint=bytes([number]) * 32)
        proxy[0].arm(number, deliver=deliver)
        failures += await until_stored(behind_proxy, scope, MemoryDraft(content=content), once)
        proxy[0].disarm()
        query = Query(text=content, words=Words(text=f"w{number}x"), mode=Mode.LEXICAL)
        async with asyncio.timeout(60):
            while True:
                answer = await _patiently(behind_proxy, scope, query)
                if answer:
                    break
                await asyncio.sleep(0.05)
        assert answer == [content]
    assert failures > 0


@pytest.mark.parametrize("deliver", [False, True], ids=["never arrives", "answer is lost"])
async def test_an_upsert_repeated_makes_no_second_memory_and_no_gap_in_the_history(
    behind_proxy: Platform, proxy: tuple[CuttingProxy, str], scope: Scope, deliver: bool
) -> None:
    for number in range(1, MESSAGES + 1):
        proxy[0].arm(number, deliver=deliver)
        draft = MemoryDraft(content=f"state {number}", external_id="the one")
        await until_stored(behind_proxy, scope, draft, None)
        proxy[0].disarm()
    condition = AnyOf(field=Field(name="external_id"), values=("the one",))
    async with asyncio.timeout(60):
        page = None
        while page is None:
            try:
                page = await behind_proxy.services.read.list(scope, condition=condition)
                history = await behind_proxy.services.read.history(scope, page.items[0].id)
            except MnemataError:
                await asyncio.sleep(0.1)
    assert [memory.content for memory in page.items] == [f"state {MESSAGES}"]
    assert [entry.memory.version for entry in history] == list(range(len(history), 0, -1))
    assert [entry.memory.content for entry in history] == [f"state {n}" for n in range(MESSAGES, 0, -1)]


@pytest.mark.parametrize("deliver", [False, True], ids=["never arrives", "answer is lost"])
async def test_a_write_that_is_said_not_to_be_stored_is_not_whichever_message_is_lost(
    behind_proxy: Platform, proxy: tuple[CuttingProxy, str], scope: Scope, deliver: bool
) -> None:
    said: set[str] = set()
    # The workers' messages go the same way and are counted too: which one a write loses is not the same each time.
    for number in range(1, 8 * MESSAGES):
        proxy[0].arm(number % MESSAGES + 1, deliver=deliver)
        draft = MemoryDraft(content=f"content {number}", kind=f"kind-{number}")
        try:
            await behind_proxy.services.remember.one(scope, draft)
        except MnemataError as error:
            code = error.code
        else:
            code = "stored"
        proxy[0].disarm()
        stored = await _stored(behind_proxy, scope, draft)
        # Nobody can know it of the message that commits: it is lost on the way there, or its answer on the way back.
        assert code == "outcome_unknown" or stored == (code == "stored"), (number, code)
        said.add(code)
        if number > MESSAGES and "outcome_unknown" in said:
            break
    assert said > {"outcome_unknown"}


async def _stored(platform: Platform, scope: Scope, draft: MemoryDraft) -> bool:
    condition = AnyOf(field=Field(name="kind"), values=(draft.kind,))
    async with asyncio.timeout(60):
        while True:
            try:
                return bool((await platform.services.read.list(scope, condition=condition)).items)
            except MnemataError:
                await asyncio.sleep(0.1)


async def _patiently(platform: Platform, scope: Scope, query: Query) -> list[str]:
    try:
        answer = await platform.services.recall.search(scope, query)
    except MnemataError:
        return []
    return [hit.memory.content for hit in answer.hits]
