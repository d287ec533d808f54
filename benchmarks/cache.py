"""Measures searches over HTTP with the cache and without, on the same Zipf load in the same run.

    python -m benchmarks.cache --memories 2000 --queries 200 --requests 2000

Two platforms with the deterministic embedder hold the same memories; the same requests go to both in turns, so that what
else the machine does hits both alike. A write goes to both now and then: hits must be earned again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from benchmarks.figures import RESULTS, machine, write
from mnemata import settings as settings_module
from mnemata.api.rest.app import create_app
from mnemata.api.rest.options import HttpOptions
from mnemata.api.rest.server import serve
from mnemata.cli.serve import loop_factory
from mnemata.platform import Platform

WORDS = [
    "tea",
    "garden",
    "rain",
    "window",
    "letter",
    "train",
    "harbour",
    "lamp",
    "violin",
    "winter",
    "market",
    "bread",
    "river",
    "clock",
    "mirror",
]


def texts(count: int, chance: random.Random) -> list[str]:
    return [" ".join(chance.choices(WORDS, k=12)) + f" {number}" for number in range(count)]


def zipf(count: int, requests: int, chance: random.Random) -> list[int]:
    """Query numbers: the n-th is asked 1/n as often as the first."""
    return chance.choices(range(count), weights=[1 / (place + 1) for place in range(count)], k=requests)


class Side:
    """One platform, served on a port of its own."""

    def __init__(self, name: str, client: httpx.AsyncClient) -> None:
        self.name = name
        self.client = client
        self.hits: list[float] = []
        self.misses: list[float] = []
        self.hit_cpu: list[float] = []
        self.miss_cpu: list[float] = []

    async def ask(self, query: str) -> None:
        started, worked = time.perf_counter(), time.process_time()
        answer = await self.client.post("/v1/search", json={"query": query})
        took_ms = (time.perf_counter() - started) * 1_000
        cpu_ms = (time.process_time() - worked) * 1_000
        hit = "cache" in answer.json()["took_ms"]
        (self.hits if hit else self.misses).append(took_ms)
        (self.hit_cpu if hit else self.miss_cpu).append(cpu_ms)

    def figures(self) -> dict[str, object]:
        asked = len(self.hits) + len(self.misses)
        return {
            "hit_ratio": round(len(self.hits) / asked, 4),
            "hit_ms": percentiles(self.hits),
            "miss_ms": percentiles(self.misses),
            # Of client and server together, without PostgreSQL and Valkey: what a busy machine does not change.
            "hit_cpu_ms": percentiles(self.hit_cpu),
            "miss_cpu_ms": percentiles(self.miss_cpu),
        }


def percentiles(values: list[float]) -> dict[str, float] | None:
    if len(values) < 2:
        return None
    cut = statistics.quantiles(values, n=100)
    return {"p50": round(cut[49], 3), "p99": round(cut[98], 3)}


async def opened(stack: AsyncExitStack, folder: Path, name: str, cache: dict[str, object]) -> Side:
    settings = settings_module.load(
        environment={}, data_dir=folder / name, embedding={"model": "hashing"}, cache=cache
    )
    platform = await Platform.open(settings)
    stack.push_async_callback(platform.close)
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    options = HttpOptions(port=0)
    app = create_app(platform.services, options=options, metrics=platform.metrics)
    serving = asyncio.create_task(serve(app, options=options, on_ready=ready.set_result, stop=stop))

    async def end() -> None:
        stop.set()
        await serving

    stack.push_async_callback(end)
    client = await stack.enter_async_context(httpx.AsyncClient(base_url=await ready, timeout=60))
    return Side(name, client)


async def measure(memories: int, queries: int, requests: int, write_every: int) -> dict[str, object]:
    chance = random.Random(20)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mnemata-bench-")))
        folder.chmod(0o755)  # noqa: ASYNC240 (once, before anything is measured)
        # Without warming: what is measured is what is asked.
        sides = [
            await opened(stack, folder, "cache", {"warm_queries": 0}),
            await opened(stack, folder, "none", {"url": "off"}),
        ]
        for side in sides:
            items = [{"content": text} for text in texts(memories, random.Random(1))]
            for start in range(0, len(items), 500):
                await side.client.post("/v1/memories:batch", json={"items": items[start : start + 500]})
        asked = [" ".join(chance.choices(WORDS, k=4)) + f" {number}" for number in range(queries)]
        for turn, number in enumerate(zipf(queries, requests, chance)):
            if write_every and turn % write_every == write_every - 1:
                for side in sides:
                    await side.client.post("/v1/memories", json={"content": f"written at {turn}"})
            for side in sides:
                await side.ask(asked[number])
        return {
            "memories": memories,
            "queries": queries,
            "requests": requests,
            "write_every": write_every,
            **{side.name: side.figures() for side in sides},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memories", type=int, default=2_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--write-every", type=int, default=500, help="requests between two writes; 0: none")
    parser.add_argument("--json", type=Path, default=RESULTS / "cache.json", help="where they are written")
    given = parser.parse_args()
    # On the loop that servers run on.
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        figures = runner.run(measure(given.memories, given.queries, given.requests, given.write_every))
    print(json.dumps(figures, indent=2))
    write(given.json, {"machine": machine(), **figures})


if __name__ == "__main__":
    main()
