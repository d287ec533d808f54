"""Facets, suggestions and fragments of the local index: how long they take over many memories of one tenant.

    python -m benchmarks.facets --data FOLDER/dialogues [--count 50000] [--json FILE]

Turns of real dialogues with users, sessions, tags and metadata, without vectors, saved and open as a server has them. Each
row is one operation as a caller awaits it: median and 95th percentile of the wall clock, and processor time of the process.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import RESULTS, machine, write
from mnemata.domain.change import Position
from mnemata.domain.facet import (
    FacetRequest,
    Interval,
    RangeFacet,
    StatisticsFacet,
    TimeFacet,
    ValueFacet,
)
from mnemata.domain.filter import EVERYTHING, AnyOf, Field, Filter
from mnemata.domain.ids import SequentialIds, TenantId
from mnemata.domain.memory import Memory, text_hash
from mnemata.domain.query import Mode, Words
from mnemata.domain.vector import Space
from mnemata.index.local.engine import LocalIndex
from mnemata.index.protocol import PENDING, IndexQuery, Upsert

SPACE = Space(name="benchmark", dimensions=8)
TENANT = TenantId("benchmark")
DAY = datetime(2026, 1, 1, tzinfo=UTC)
VECTOR = np.ones(8, np.float32)
BATCH = 1_000
USERS = 500
REPLACED = 300
AGAIN = ("all", "spellings", "correction", "completions")


@dataclass(frozen=True, kw_only=True)
class Row:
    operation: str
    p50_ms: float
    p95_ms: float
    cpu_ms: float


def memories(data: Path, count: int) -> Iterator[Memory]:
    ids = SequentialIds()
    with gzip.open(data / "corpus.jsonl.gz", "rt") as lines:
        for number, line in enumerate(islice(lines, count)):
            said = json.loads(line)
            moment = DAY + timedelta(minutes=13 * number)
            yield Memory(
                id=ids.new(),
                tenant=TENANT,
                content=said["text"],
                content_hash=text_hash(said["text"]),
                kind="episodic",
                user_id=f"user-{number % USERS}",
                agent_id=None,
                session_id=said["metadata"]["namespace"],
                sequence=said["metadata"]["turn"],
                role=said["metadata"]["speaker"].lower(),
                tags=tuple(sorted(set(said["metadata"]["services"]))),
                metadata={
                    "acts": said["metadata"]["acts"],
                    "score": number % 1_000 / 10,
                    "done": number % 3 == 0,
                },
                importance=number % 11 / 10,
                source="dialogues",
                external_id=None,
                occurred_at=moment,
                created_at=moment,
                updated_at=moment,
                expires_at=None,
                version=1,
                superseded_by=None,
                deleted_at=None,
            )


async def filled(folder: Path, data: Path, count: int) -> LocalIndex:
    index = LocalIndex(folder, epoch="benchmark", space=SPACE)
    await index.open()
    coming = memories(data, count)
    sequence = 0
    while batch := [Upsert(memory=memory, vector=PENDING) for memory in islice(coming, BATCH)]:
        sequence += len(batch)
        await index.apply(batch, position=Position(xid=1, sequence=sequence))
    await index.flush()
    return index


async def replace_some(index: LocalIndex, data: Path) -> None:
    """New versions of some memories, which stay in memory over the old ones on disk."""
    newer = [replace(memory, version=2, role="agent") for memory in memories(data, REPLACED)]
    upserts = [Upsert(memory=memory, vector=PENDING) for memory in newer]
    await index.apply(upserts, position=Position(xid=2, sequence=1))


def named(name: str, *path: str) -> Field:
    return Field(name=name, path=path)


REQUESTS: dict[str, FacetRequest] = {
    "kind": ValueFacet(field=named("kind")),
    "user_id": ValueFacet(field=named("user_id")),
    "session_id": ValueFacet(field=named("session_id")),
    "tags": ValueFacet(field=named("tags")),
    "metadata.acts": ValueFacet(field=named("metadata", "acts")),
    "created_at by day": TimeFacet(field=named("created_at"), interval=Interval.DAY, limit=1_000),
    "importance ranges": RangeFacet(field=named("importance"), ranges=((None, 0.5), (0.5, None))),
    "metadata.score statistics": StatisticsFacet(field=named("metadata", "score")),
}


def asking(text: str = "", *, condition: Filter = EVERYTHING, mode: Mode = Mode.HYBRID) -> IndexQuery:
    vector = VECTOR if mode is Mode.HYBRID else None
    return IndexQuery(tenant=TENANT, mode=mode, words=Words(text=text), vector=vector, filter=condition)


def operations(index: LocalIndex, texts: list[str]) -> dict[str, Callable[[], Awaitable[Any]]]:
    user = AnyOf(field=named("user_id"), values=("user-7",))
    every = list(REQUESTS.values())
    said = Words(text="a cheap restaurant reservation in the city")
    found: dict[str, Callable[[], Awaitable[Any]]] = {
        f"facet {name}": lambda request=request: index.facets(asking(), [request])
        for name, request in REQUESTS.items()
    }
    return found | {
        "all eight facets": lambda: index.facets(asking(), every),
        "all eight facets, one user": lambda: index.facets(asking(condition=user), every),
        "all eight facets, words only: 'reservation'": lambda: index.facets(
            asking("reservation", mode=Mode.LEXICAL), every
        ),
        "all eight facets, words only: 'find restaurant'": lambda: index.facets(
            asking("find restaurant", mode=Mode.LEXICAL), every
        ),
        "spellings 'resturant reservashun'": lambda: index.spellings(TENANT, "resturant reservashun"),
        "correction 'a chep resturant reservtion'": lambda: index.correction(
            TENANT, "a chep resturant reservtion"
        ),
        "completions 're'": lambda: index.completions(TENANT, "re"),
        "completions 'make a res'": lambda: index.completions(TENANT, "make a res"),
        "highlight of 10 texts": lambda: index.highlight(said, texts),
    }


async def measured(operation: str, run: Callable[[], Awaitable[Any]], times: int) -> Row:
    await run()
    walls: list[float] = []
    cpu = time.process_time()
    for _ in range(times):
        started = time.perf_counter()
        await run()
        walls.append((time.perf_counter() - started) * 1e3)
    cpu_ms = (time.process_time() - cpu) * 1e3 / times
    p50, p95 = np.percentile(walls, [50, 95])
    return Row(operation=operation, p50_ms=float(p50), p95_ms=float(p95), cpu_ms=cpu_ms)


async def run(data: Path, count: int, times: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        index = await filled(Path(folder) / "index", data, count)
        texts = [memory.content for memory in memories(data, 10)]
        calls = operations(index, texts)
        rows = [await measured(name, call, times) for name, call in calls.items()]
        await replace_some(index, data)
        again = {name: call for name, call in calls.items() if name.startswith(AGAIN)}
        rows += [
            await measured(f"{name}, {REPLACED} just replaced", call, times) for name, call in again.items()
        ]
        await index.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--json", type=Path, default=RESULTS / "facets.json")
    asked = parser.parse_args()
    rows = asyncio.run(run(asked.data, asked.count, asked.times))
    for row in rows:
        print(f"{row.operation:<74} p50 {row.p50_ms:7.2f}  p95 {row.p95_ms:7.2f}  cpu {row.cpu_ms:7.2f} ms")
    told = {"count": asked.count, "rows": [asdict(row) for row in rows]}
    write(asked.json, {"machine": machine(), **told})


if __name__ == "__main__":
    main()
