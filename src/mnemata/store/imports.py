"""What jobs are to store: handed over in chunks, in the transaction that asks for the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mnemata.domain.ids import TenantId
from mnemata.domain.memory import JsonValue
from mnemata.store.draft_codec import Placed, drafts_in, drafts_out
from mnemata.store.repository import Repository
from mnemata.store.statements import statements

_SQL = statements("imports")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportChunk:
    """Memories to be stored in one transaction. `number`: its place among the chunks of its job."""

    number: int
    tenant: TenantId
    drafts: Sequence[Placed]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportState:
    """`outcomes` of the chunks that are stored, in order; `done` of `total` memories."""

    outcomes: Sequence[Mapping[str, Any]]
    done: int
    total: int


class Imports(Repository):
    async def stage(self, job: int, tenant: TenantId, chunks: Sequence[Sequence[Placed]]) -> None:
        """Take over what a job is to store."""
        parameters = {
            "job": job,
            "tenant": tenant,
            "items": [drafts_out(chunk) for chunk in chunks],
            "memories": [len(chunk) for chunk in chunks],
        }
        await self._session.rows(_SQL["stage"], parameters)

    async def next(self, job: int) -> ImportChunk | None:
        """The first chunk that is not stored yet."""
        row = await self._session.row(_SQL["next"], {"job": job})
        return None if row is None else ImportChunk(number=row[0], tenant=row[1], drafts=drafts_in(row[2]))

    async def stored(self, job: int, number: int, outcome: Mapping[str, JsonValue]) -> None:
        """Note what came of a chunk, and let go of it."""
        text = orjson.dumps(dict(outcome)).decode()
        await self._session.rows(_SQL["stored"], {"job": job, "number": number, "outcome": text})

    async def state(self, job: int) -> ImportState:
        """How far a job is."""
        (row,) = await self._session.rows(_SQL["outcomes"], {"job": job})
        return ImportState(outcomes=row[0], done=row[1], total=row[2])

    async def drop_over(self) -> None:
        """Let go of what jobs have left that are done or cancelled; what one that failed has left goes with the job itself."""
        await self._session.rows(_SQL["drop_over"])
