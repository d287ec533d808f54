"""Hands memories over to the workers of a fleet: a few large requests, each of which becomes a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mnemata.cli.client import Client
from mnemata.cli.importing.lines import Place, Refused
from mnemata.cli.importing.sender import Report
from mnemata.domain.ids import IdFactory

MAX_MEMORIES = 10_000
MAX_BYTES = 16 * 1_048_576
_BESIDE_CONTENT = 256


class Handover:
    """As Sender: `add` memories, then `finish`. `report.jobs` are the jobs that store them."""

    def __init__(self, client: Client, *, ids: IdFactory, progress: Callable[[Report], None]) -> None:
        self._client = client
        self._ids = ids
        self._progress = progress
        self._places: list[Place] = []
        self._memories: list[dict[str, Any]] = []
        self._size = 0
        self.report = Report(findable=False)

    async def add(self, place: Place, memory: dict[str, Any], bytes_read: int) -> None:
        """Take one memory, for which `bytes_read` bytes were read."""
        weight = len(str(memory.get("content", ""))) + _BESIDE_CONTENT
        if self._memories and (len(self._memories) >= MAX_MEMORIES or self._size + weight > MAX_BYTES):
            await self._send()
        self._places.append(place)
        self._memories.append(memory)
        self._size += weight
        self.report.bytes_read += bytes_read

    def refuse(self, line: Refused, bytes_read: int) -> None:
        """Note a line that cannot be sent."""
        self.report.refused.append(line)
        self.report.bytes_read += bytes_read

    async def finish(self) -> None:
        """Everything that was added is durable, and will be stored."""
        if self._memories:
            await self._send()

    def stop(self) -> None:
        """Nothing is under way that could be stopped."""

    async def _send(self) -> None:
        places, memories = self._places, self._memories
        self._places, self._memories, self._size = [], [], 0
        answer = await self._client.post(
            "/v1/memories:import",
            {"items": memories},
            headers={"idempotency-key": str(self._ids.new())},
        )
        self.report.jobs.append(int(answer["job"]))
        self.report.handed_over += int(answer["accepted"])
        for item in answer["refused"]:
            problem = item["error"]
            self.report.refused.append(
                Refused(place=places[item["index"]], code=str(problem["code"]), reason=str(problem["detail"]))
            )
        self._progress(self.report)
