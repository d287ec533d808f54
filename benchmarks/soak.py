"""Kills every process of a serving platform under concurrent writes, again and again, and looks for what was lost.

    python -m benchmarks.soak --cycles 200 --seed 7

Every acknowledged write must be there afterwards at its version or a later one, with its whole history, findable by its
words, and no `external_id` may stand twice. Exit code 1 and a list where anything is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

READY_WITHIN_S = 240.0
BUSY = frozenset({429, 503, 504})
ASKED_AGAIN = 60


@dataclass
class Known:
    """What was acknowledged of one memory. `open`: a write was sent whose answer never came."""

    id: str
    token: str
    version: int
    content: str
    external_id: str | None = None
    deleted: bool = False
    open: bool = False


@dataclass
class Ledger:
    """Everything that was acknowledged, over all cycles."""

    memories: dict[str, Known] = field(default_factory=dict)
    acknowledged: int = 0
    losses: list[str] = field(default_factory=list)
    restarts_s: list[float] = field(default_factory=list)


class Server:
    """A serving platform in processes of its own."""

    def __init__(self, data_dir: Path, model: str) -> None:
        self.data_dir = data_dir
        self.model = model
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> float:
        """Start and wait until it answers; how many seconds that took."""
        started = time.perf_counter()
        environment = {
            **os.environ,
            "MNEMATA_DATA_DIR": str(self.data_dir),
            "MNEMATA_HTTP__PORT": "0",
            "MNEMATA_EMBEDDING__MODEL": self.model,
            "MNEMATA_LOG__LEVEL": "warning",
        }
        log = (self.data_dir.parent / "server.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mnemata", "serve"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        while time.perf_counter() - started < READY_WITHIN_S:
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}: see {log.name}")
            if self._answers():
                return time.perf_counter() - started
            time.sleep(0.02)
        raise SystemExit(f"the server was not ready in {READY_WITHIN_S:.0f} s: see {log.name}")

    def _answers(self) -> bool:
        try:
            about = json.loads((self.data_dir / "server.json").read_text())
            if about["pid"] != self.process.pid:
                return False
            self.url = about["url"]
            return httpx.get(f"{self.url}/readyz", timeout=1).status_code == 200
        except (OSError, ValueError, KeyError, httpx.HTTPError):
            return False

    def kill(self) -> int:
        """SIGKILL to the server and to every process below it, PostgreSQL's too; how many there were."""
        if self.process is None or self.process.poll() is not None:
            return 0
        root = psutil.Process(self.process.pid)
        everyone = [root, *root.children(recursive=True)]
        for one in everyone:
            try:
                one.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(everyone, timeout=60)
        self.process.wait(60)
        return len(everyone)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(240)


class Writer:
    """One client: adds, upserts, changes, forgets, one call after another, and notes what was acknowledged."""

    def __init__(self, ledger: Ledger, client: httpx.AsyncClient, chance: random.Random, name: int) -> None:
        self.ledger = ledger
        self.client = client
        self.chance = chance
        self.name = name
        self.mine: list[str] = [key for key, known in ledger.memories.items() if known.external_id is None]
        self.mine = self.mine[name::8][-50:]

    async def run(self) -> None:
        while True:
            work = self.chance.choices(
                [self.add, self.batch, self.upsert, self.change, self.forget], [5, 2, 3, 3, 1]
            )
            try:
                await work[0]()
            except httpx.HTTPError:
                return

    def _text(self) -> tuple[str, str]:
        token = f"tok{uuid.UUID(int=self.chance.getrandbits(128)).hex}"
        return token, f"{token} is what client {self.name} wants to be remembered"

    def _note(self, memory: dict, token: str) -> None:
        self.ledger.acknowledged += 1
        known = self.ledger.memories.get(memory["id"])
        if known is None or memory["version"] >= known.version:
            self.ledger.memories[memory["id"]] = Known(
                id=memory["id"],
                token=token,
                version=memory["version"],
                content=memory["content"],
                external_id=memory["external_id"],
            )

    async def add(self) -> None:
        token, content = self._text()
        answer = await self.client.post("/v1/memories", json={"content": content, "user_id": f"u{self.name}"})
        if answer.status_code == 201:
            self._note(answer.json(), token)
            self.mine.append(answer.json()["id"])

    async def batch(self) -> None:
        texts = [self._text() for _ in range(self.chance.randint(2, 40))]
        items = [{"content": content, "session_id": f"s{self.name}"} for _, content in texts]
        answer = await self.client.post("/v1/memories:batch", json={"items": items})
        if answer.status_code == 200:
            for (token, _), item in zip(texts, answer.json()["items"], strict=True):
                self._note(item["memory"], token)

    async def upsert(self) -> None:
        token, content = self._text()
        # Few names for many clients: two clients upsert the same memory at once, and a kill falls in between.
        external_id = f"shared-{self.chance.randrange(12)}"
        for known in self.ledger.memories.values():
            if known.external_id == external_id:
                known.open = True
        body = {"content": content, "external_id": external_id}
        answer = await self.client.post("/v1/memories", json=body)
        if answer.status_code in {200, 201}:
            self._note(answer.json(), token)
            self.ledger.memories[answer.json()["id"]].open = True

    async def change(self) -> None:
        if not self.mine:
            return
        known = self.ledger.memories[self.chance.choice(self.mine)]
        token, content = self._text()
        was_open, known.open = known.open, True
        answer = await self.client.patch(f"/v1/memories/{known.id}", json={"content": content})
        if answer.status_code == 200:
            self._note(answer.json(), token)
            self.ledger.memories[known.id].open = was_open

    async def forget(self) -> None:
        if not self.mine:
            return
        memory_id = self.mine.pop(self.chance.randrange(len(self.mine)))
        known = self.ledger.memories[memory_id]
        was_open, known.open = known.open, True
        answer = await self.client.delete(f"/v1/memories/{memory_id}")
        if answer.status_code in {200, 204}:
            self.ledger.acknowledged += 1
            known.deleted, known.open, known.version = True, was_open, known.version + 1


async def verify(url: str, ledger: Ledger, chance: random.Random, at_most: int) -> int:
    """Look for every memory of the ledger, or for `at_most` of them by chance; how many were looked for."""
    everything = list(ledger.memories.values())
    chosen = everything if len(everything) <= at_most else chance.sample(everything, at_most)
    gate = asyncio.Semaphore(8)
    async with httpx.AsyncClient(base_url=url, timeout=240) as client:

        async def look(known: Known) -> None:
            async with gate:
                await _verify_one(client, known, ledger)

        await asyncio.gather(*(look(known) for known in chosen))
        await _verify_external_ids(client, ledger)
    return len(chosen)


async def _asked(client: httpx.AsyncClient, method: str, path: str, **more: object) -> httpx.Response:
    """The answer; asked again where the server says that it has no time just now."""
    answer = await client.request(method, path, **more)  # pyright: ignore[reportArgumentType]
    for _ in range(ASKED_AGAIN):
        if answer.status_code not in BUSY:
            break
        await asyncio.sleep(1.0)
        answer = await client.request(method, path, **more)  # pyright: ignore[reportArgumentType]
    return answer


async def _verify_one(client: httpx.AsyncClient, known: Known, ledger: Ledger) -> None:
    history = await _asked(client, "GET", f"/v1/memories/{known.id}/history")
    if history.status_code != 200:
        ledger.losses.append(f"{known.id}: no history (HTTP {history.status_code})")
        return
    versions = [entry["memory"]["version"] for entry in history.json()["items"]]
    newest = max(versions)
    if sorted(versions) != list(range(1, newest + 1)):
        ledger.losses.append(f"{known.id}: versions {versions} have a gap")
    if newest < known.version:
        ledger.losses.append(f"{known.id}: at version {newest}, acknowledged {known.version}")
    if newest > known.version and not known.open:
        ledger.losses.append(f"{known.id}: at version {newest}, nobody wrote after {known.version}")
    current = await _asked(client, "GET", f"/v1/memories/{known.id}")
    if known.deleted and not known.open:
        if current.status_code != 404:
            ledger.losses.append(f"{known.id}: forgotten, and there again")
        return
    if current.status_code != 200:
        if not known.open:
            ledger.losses.append(f"{known.id}: HTTP {current.status_code}")
        return
    if newest == known.version and current.json()["content"] != known.content:
        ledger.losses.append(f"{known.id}: another content than acknowledged")
    token = current.json()["content"].split()[0]
    found = await _searched(client, token)
    for _ in range(600):
        if not found["degraded"]:
            break
        # Just after the start the store answers; the index must be there soon.
        await asyncio.sleep(0.1)
        found = await _searched(client, token)
    ids = [hit["memory"]["id"] for hit in found["hits"]]
    # Turns of one session are found by their neighbours' words too, behind the one that has the word itself.
    if ids[:1] != [known.id] or found["degraded"]:
        ledger.losses.append(f"{known.id}: searching its word found {ids}, degraded {found['degraded']}")


async def _searched(client: httpx.AsyncClient, token: str) -> dict[str, Any]:
    question = {"query": token, "mode": "lexical", "limit": 5}
    answer = await _asked(client, "POST", "/v1/search", json=question)
    return answer.raise_for_status().json()


async def _verify_external_ids(client: httpx.AsyncClient, ledger: Ledger) -> None:
    names = {known.external_id for known in ledger.memories.values() if known.external_id}
    for name in sorted(names):
        wanted = {"filter": {"external_id": name}}
        answer = await _asked(client, "POST", "/v1/memories:query", json=wanted)
        if len(answer.json()["items"]) > 1:
            ledger.losses.append(f"external_id {name}: stands {len(answer.json()['items'])} times")


async def cycle(server: Server, ledger: Ledger, chance: random.Random, writers: int) -> None:
    """Writers at work until, at a moment of chance, everything is killed; on a slow machine not before all is under way."""
    enough = ledger.acknowledged + 4 * writers
    async with httpx.AsyncClient(base_url=server.url, timeout=240) as client:
        tasks = [
            asyncio.create_task(Writer(ledger, client, random.Random(chance.random()), name).run())
            for name in range(writers)
        ]
        await asyncio.sleep(chance.uniform(0.3, 2.0))
        while ledger.acknowledged < enough and not all(task.done() for task in tasks):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.kill)
        await asyncio.gather(*tasks, return_exceptions=False)


def run(*, cycles: int, minutes: float, seed: int, writers: int, model: str, keep: bool) -> dict:
    """Run the soak, no cycle beginning after `minutes`; a report with `losses` (empty when all is well)."""
    # Told to end: by an exception, so that the server ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    ends = time.monotonic() + 60 * minutes
    chance = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="mnemata-soak-"))
    folder.chmod(0o755)
    server = Server(folder / "data", model)
    ledger = Ledger()
    looked_for = number = 0
    try:
        ledger.restarts_s.append(server.start())
        while number < cycles and time.monotonic() < ends:
            number += 1
            asyncio.run(cycle(server, ledger, chance, writers))
            ledger.restarts_s.append(server.start())
            looked_for += asyncio.run(verify(server.url, ledger, chance, at_most=100))
            print(
                f"cycle {number}/{cycles}: {ledger.acknowledged} acknowledged, {len(ledger.losses)} lost",
                file=sys.stderr,
            )
            if ledger.losses:
                break
        asyncio.run(verify(server.url, ledger, chance, at_most=10**9))
        server.stop()
    finally:
        server.kill()
        if not keep and not ledger.losses:
            shutil.rmtree(folder, ignore_errors=True)
    return {
        "seed": seed,
        "cycles": number,
        "acknowledged_writes": ledger.acknowledged,
        "memories": len(ledger.memories),
        "looked_for": looked_for + len(ledger.memories),
        "restart_s_median": round(sorted(ledger.restarts_s)[len(ledger.restarts_s) // 2], 3),
        "restart_s_max": round(max(ledger.restarts_s), 3),
        "losses": ledger.losses,
        "folder": str(folder) if ledger.losses or keep else None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no cycle after this time")
    parser.add_argument("--seed", type=int, default=0, help="0: a new one, printed with the report")
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--model", default="hashing", help="all-MiniLM-L6-v2 for the real one")
    parser.add_argument("--keep", action="store_true", help="keep the data folder")
    given = parser.parse_args()
    seed = given.seed or random.SystemRandom().randrange(1, 2**31)
    report = run(
        cycles=given.cycles,
        minutes=given.minutes,
        seed=seed,
        writers=given.writers,
        model=given.model,
        keep=given.keep,
    )
    print(json.dumps(report, indent=2))
    return 1 if report["losses"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
