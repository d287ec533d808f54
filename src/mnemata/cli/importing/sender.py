"""Sends memories in batches, several at once, and counts what became of each line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mnemata.cli.client import Client
from mnemata.cli.exits import ServerProblem
from mnemata.cli.importing.lines import Place, Refused
from mnemata.domain.errors import Kind, MnemataError
from mnemata.domain.ids import IdFactory

_BESIDE_CONTENT = 256
MAX_BATCH_BYTES = 4 * 1_048_576
_PATIENCE_S = 120.0
_ATTEMPTS = 5
_PASSING_STATUSES = frozenset({429, 503, 504})
_OF_A_LINE = frozenset({Kind.INVALID, Kind.TOO_LARGE})
_PASSING = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.RATE_LIMITED})


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of the lines."""

    stored: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)
    handed_over: int = 0
    jobs: list[int] = field(default_factory=list)
    bytes_read: int = 0
    seconds: float = 0.0
    findable: bool = True

    @property
    def counted(self) -> int:
        return self.stored + self.updated + self.unchanged + self.handed_over + len(self.refused)


@dataclass(slots=True, kw_only=True)
class _Batch:
    places: list[Place] = field(default_factory=list)
    memories: list[dict[str, Any]] = field(default_factory=list)
    external_ids: set[str] = field(default_factory=set)
    bytes_read: int = 0
    size: int = 0

    @property
    def full(self) -> bool:
        return self.size >= MAX_BATCH_BYTES


class Sender:
    """`add` memories, then `finish`. At most `in_flight` requests of `batch_size` memories are under way."""

    def __init__(
        self,
        client: Client,
        *,
        ids: IdFactory,
        batch_size: int,
        in_flight: int,
        wait: bool,
        progress: Callable[[Report], None],
        note: Callable[[str], None],
    ) -> None:
        self._client = client
        self._ids = ids
        self._batch_size = batch_size
        self._wait = wait
        self._progress = progress
        self._note = note
        self._away = False
        self._free = asyncio.Semaphore(in_flight)
        self._running: set[asyncio.Task[None]] = set()
        self._under_way: set[str] = set()
        self._batch = _Batch()
        self.report = Report()

    async def add(self, place: Place, memory: dict[str, Any], bytes_read: int) -> None:
        """Take one memory, for which `bytes_read` bytes were read; returns when there is room for the next.

        Raises what ended a request that was under way.
        """
        if self._batch.full or len(self._batch.memories) >= self._batch_size:
            await self._send()
        external_id = memory.get("external_id")
        if isinstance(external_id, str):
            await self._after_the_same(external_id)
            self._batch.external_ids.add(external_id)
        self._batch.places.append(place)
        self._batch.memories.append(memory)
        self._batch.bytes_read += bytes_read
        self._batch.size += len(str(memory.get("content", ""))) + _BESIDE_CONTENT

    def refuse(self, line: Refused, bytes_read: int) -> None:
        """Note a line that cannot be sent."""
        self.report.refused.append(line)
        self.report.bytes_read += bytes_read

    async def finish(self) -> None:
        """Every memory that was added has been answered for; where asked for, searches find them (`report.findable`).

        Only the last request waits for the index: it is told when that has come so far, and all others came before.
        """
        await self._settle(self._running)
        await self._send(wait_for="index" if self._wait else "none")
        await self._settle(self._running)

    def stop(self) -> None:
        for task in self._running:
            task.cancel()

    async def _after_the_same(self, external_id: str) -> None:
        # Requests overtake one another: a line that changes an earlier one must not be sent beside it.
        if external_id in self._batch.external_ids:
            await self._send()
        if external_id in self._under_way:
            await self._settle(self._running)

    async def _send(self, wait_for: str = "none") -> None:
        batch, self._batch = self._batch, _Batch()
        if batch.memories:
            await self._free.acquire()
            self._under_way |= batch.external_ids
            self._running.add(asyncio.create_task(self._deliver(batch, wait_for)))
        await self._settle({task for task in self._running if task.done()})

    async def _settle(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        for task in list(tasks):
            await task
            self._running.discard(task)

    async def _deliver(self, batch: _Batch, wait_for: str) -> None:
        try:
            await self._store(batch.places, batch.memories, wait_for)
        finally:
            self._under_way -= batch.external_ids
            self._free.release()
        self.report.bytes_read += batch.bytes_read
        self._progress(self.report)

    async def _store(
        self, places: list[Place], memories: list[dict[str, Any]], wait_for: str, attempt: int = 0
    ) -> None:
        """Store them; where one of them makes the whole request refused, find it by halving.

        Items that the server could not take just now are sent again by themselves.
        """
        try:
            answer = await self._persist(memories, wait_for)
        except ServerProblem as problem:
            if problem.kind not in _OF_A_LINE:
                raise
            if len(memories) == 1:
                self.report.refused.append(Refused(place=places[0], code=problem.code, reason=str(problem)))
                return
            middle = len(memories) // 2
            await self._store(places[:middle], memories[:middle], wait_for)
            await self._store(places[middle:], memories[middle:], wait_for)
            return
        outcomes = list(zip(places, memories, answer["items"], strict=True))
        again = [(place, memory) for place, memory, item in outcomes if item["status"] in _PASSING_STATUSES]
        if again and attempt < _ATTEMPTS:
            outcomes = [outcome for outcome in outcomes if outcome[2]["status"] not in _PASSING_STATUSES]
            await asyncio.sleep(2.0**attempt)
            await self._store(
                [place for place, _ in again], [memory for _, memory in again], wait_for, attempt + 1
            )
        for place, _, item in outcomes:
            self._count(place, item)

    async def _persist(self, memories: list[dict[str, Any]], wait_for: str) -> dict[str, Any]:
        """The answer to one request, asked for again while the server is away for a moment."""
        # The same key on every attempt: an attempt whose answer was lost is not stored twice.
        headers = {"idempotency-key": str(self._ids.new())}
        deadline, pause = time.monotonic() + _PATIENCE_S, 0.5
        while True:
            try:
                answer, findable = await self._client.write(
                    "/v1/memories:batch",
                    {"items": memories},
                    params={"wait_for": wait_for},
                    headers=headers,
                )
            except MnemataError as error:
                if error.kind not in _PASSING or time.monotonic() > deadline:
                    raise
                self._tell_of(error)
                await asyncio.sleep(max(pause, error.retry_after_s or 0.0))
                pause = min(pause * 2, 10.0)
            else:
                self._away = False
                self.report.findable = findable
                return answer

    def _tell_of(self, error: MnemataError) -> None:
        """Say once, not for each request that waits, why nothing moves."""
        if not self._away:
            self._note(f"{str(error).rstrip('.')}: trying for {_PATIENCE_S:.0f} s")
        self._away = True

    def _count(self, place: Place, item: dict[str, Any]) -> None:
        match item["status"]:
            case 201:
                self.report.stored += 1
            case 200 if item.get("changed", True):
                self.report.updated += 1
            case 200:
                self.report.unchanged += 1
            case _:
                problem = item["error"]
                reason = str(problem.get("detail", "was refused"))
                self.report.refused.append(
                    Refused(place=place, code=str(problem.get("code", "refused")), reason=reason)
                )
