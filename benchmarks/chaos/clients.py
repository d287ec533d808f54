"""Many clients of several tenants, who write, read and search at once, each noting what it asked and was told."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from benchmarks.chaos.history import Kind, Outcome, Recorder
from benchmarks.chaos.sending import TIMEOUT_S, Answer, Request, send
from benchmarks.chaos.words import content_of, fresh_word

GROUP_SIZE = 20
_SHARED_NAMES = 6
_PASSING_S = 8.0
_LONG_S = 3_600.0
_MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


@dataclass(slots=True, kw_only=True)
class Known:
    """What a client believes of a memory."""

    id: str
    word: str
    version: int
    forgotten: bool = False
    passing: bool = False


@dataclass(slots=True, kw_only=True)
class Tenant:
    """What the clients of one tenant know together, so that they get into each other's way."""

    name: str
    key: str
    known: dict[str, Known] = field(default_factory=dict)
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=30))
    groups: set[str] = field(default_factory=set)

    def saw(self, memory: dict[str, Any], *, passing: bool = False) -> None:
        known = self.known.get(memory["id"])
        if known is None or memory["version"] >= known.version:
            word = memory["content"].split(" ", 1)[0]
            self.known[memory["id"]] = Known(
                id=memory["id"], word=word, version=memory["version"], passing=passing
            )
        self.recent.append(memory["id"])

    def lost(self, memory: str, *, version: int) -> None:
        known = self.known[memory]
        if version >= known.version:
            known.version, known.forgotten = version, True


class Client:
    """One call after another until told to stop. `pace_s`: the mean pause between two."""

    def __init__(
        self,
        name: str,
        tenant: Tenant,
        others: list[Tenant],
        *,
        url: str,
        recorder: Recorder,
        chance: random.Random,
        pace_s: float,
    ) -> None:
        self.name = name
        self.tenant = tenant
        self._others = others
        self._recorder = recorder
        self._chance = chance
        self._pace_s = pace_s
        self._added = 0
        self._http = httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT_S, headers={"Authorization": f"Bearer {tenant.key}"}
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; the call in hand is ended."""
        async with self._http:
            while not stop.is_set():
                work = self._chance.choices(list(WORK), list(WORK.values()))[0]
                await work(self)
                await asyncio.sleep(self._chance.uniform(0, 2 * self._pace_s))

    async def add(self) -> None:
        await self._store(Kind.ADD, {"words": [self._word()], "group": self._group()})

    async def add_for_a_while(self) -> None:
        """A memory with a time to live: one that ends within the run, or one that does not."""
        ttl_s = self._chance.choice([_PASSING_S, _LONG_S])
        group = passing(self.tenant.name) if ttl_s == _PASSING_S else self._group()
        await self._store(Kind.ADD, {"words": [self._word()], "group": group, "ttl_s": ttl_s})

    async def upsert(self) -> None:
        external_id = f"shared-{self._chance.randrange(_SHARED_NAMES)}"
        group = f"{self.tenant.name}-shared"
        self.tenant.groups.add(group)
        await self._store(Kind.UPSERT, {"words": [self._word()], "group": group, "external_id": external_id})

    async def add_many(self) -> None:
        words = [self._word() for _ in range(self._chance.randint(2, 6))]
        asked = {"words": words, "group": self._group()}
        body = {"items": [self._draft(asked, word) for word in words]}
        wait_for = self._chance.choice(["index", "none"])
        path = f"/v1/memories:batch?wait_for={wait_for}"
        await self._write(Kind.ADD, asked, Request(method="POST", path=path, body=body))

    async def patch(self) -> None:
        """With If-Match of what is believed to be current, or over whatever is there."""
        known = self._choose(lambda one: not one.forgotten and not one.passing)
        if known is None:
            return
        word = self._word()
        asked: dict[str, Any] = {"id": known.id, "words": [word]}
        if self._chance.random() < 0.6:
            asked["if_match"] = known.version
        body = {"content": content_of(word, self.name)}
        path = f"/v1/memories/{known.id}"
        request = Request(method="PATCH", path=path, body=body, headers=_MERGE_PATCH)
        await self._write(Kind.PATCH, asked, request)

    async def forget(self) -> None:
        known = self._choose(lambda one: not one.forgotten and not one.passing)
        if known is None:
            return
        asked = {"id": known.id, "if_match": known.version}
        request = Request(method="DELETE", path=f"/v1/memories/{known.id}")
        answer = await self._write(Kind.FORGET, asked, request)
        if answer.outcome is Outcome.OK:
            self.tenant.lost(known.id, version=asked["if_match"] + 1)

    async def restore(self) -> None:
        known = self._choose(lambda one: one.forgotten)
        if known is None:
            return
        asked = {"id": known.id, "if_match": known.version}
        request = Request(method="POST", path=f"/v1/memories/{known.id}:restore", body={})
        await self._write(Kind.RESTORE, asked, request)

    async def get(self) -> None:
        known = self._choose(lambda _: True)
        if known is not None:
            await self._get(known)

    async def search(self) -> None:
        known = self._choose(lambda _: True)
        if known is not None:
            body = {
                "query": known.word,
                "mode": self._chance.choice(["lexical", "lexical", "hybrid"]),
                "limit": 5,
            }
            if body["mode"] == "hybrid":
                # The vector leg finds neighbours of any word: in quotes only what has the word is found.
                body["query"] = f'"{known.word}"'
            request = Request(method="POST", path="/v1/search", body=body)
            await self._read(Kind.SEARCH, {"word": known.word}, request)

    async def list(self) -> None:
        if self.tenant.groups:
            group = self._chance.choice(sorted(self.tenant.groups))
            body = {"filter": {"tags": {"any": [group]}}, "limit": 200}
            request = Request(method="POST", path="/v1/memories:query", body=body)
            await self._read(Kind.LIST, {"group": group}, request)

    async def peek(self) -> None:
        """Read what is another tenant's."""
        other = self._chance.choice(self._others)
        if other.known:
            memory = self._chance.choice(list(other.known))
            asked = {"id": memory, "of": other.name}
            await self._read(Kind.PEEK, asked, Request(method="GET", path=f"/v1/memories/{memory}"))

    async def _store(self, kind: Kind, asked: dict[str, Any]) -> None:
        body = self._draft(asked, asked["words"][0])
        await self._write(kind, asked, Request(method="POST", path="/v1/memories", body=body))

    def _draft(self, asked: dict[str, Any], word: str) -> dict[str, Any]:
        more = {name: asked[name] for name in ("external_id", "ttl_s") if name in asked}
        return {
            "content": content_of(word, self.name),
            "user_id": self.name,
            "tags": [asked["group"]],
            **more,
        }

    async def _write(self, kind: Kind, asked: dict[str, Any], request: Request) -> Answer:
        # Forgetting takes no key: done twice it is 404, which would say nothing of the first time.
        once = (
            {}
            if kind is Kind.FORGET
            else {"Idempotency-Key": str(uuid.UUID(int=self._chance.getrandbits(128)))}
        )
        condition = {"If-Match": f'"{asked["if_match"]}"'} if "if_match" in asked else {}
        request = replace(request, headers={**request.headers, **once, **condition})
        number = self._begin(kind, asked)
        answer = await send(self._http, request, repeat=bool(once))
        self._end(number, answer)
        for memory in _memories(answer.body):
            self.tenant.saw(memory, passing=asked.get("ttl_s") == _PASSING_S)
        if answer.status in {404, 412} and "id" in asked:
            await self._look_again(self.tenant.known[asked["id"]])
        return answer

    async def _look_again(self, known: Known) -> None:
        """Somebody else was quicker: see what is there now."""
        answer = await self._get(known)
        if answer.status == 404:
            request = Request(method="GET", path=f"/v1/memories/{known.id}/history")
            history = await send(self._http, request)
            if history.outcome is Outcome.OK:
                self.tenant.lost(known.id, version=history.body["items"][0]["memory"]["version"])

    async def _get(self, known: Known) -> Answer:
        asked = {"id": known.id, "word": known.word}
        request = Request(method="GET", path=f"/v1/memories/{known.id}")
        answer = await self._read(Kind.GET, asked, request)
        if answer.outcome is Outcome.OK:
            self.tenant.saw(answer.body, passing=known.passing)
        return answer

    async def _read(self, kind: Kind, asked: dict[str, Any], request: Request) -> Answer:
        number = self._begin(kind, asked)
        answer = await send(self._http, request)
        self._end(number, answer)
        return answer

    def _begin(self, kind: Kind, asked: dict[str, Any]) -> int:
        return self._recorder.invoke(client=self.name, tenant=self.tenant.name, kind=kind, asked=asked)

    def _end(self, number: int, answer: Answer) -> None:
        body = answer.body
        self._recorder.ended(
            number,
            answer.outcome,
            status=answer.status,
            refusals=answer.refusals,
            seen=[seen_of(memory) for memory in _memories(body)],
            indexed=answer.headers.get("mnemata-indexed") == "true",
            replayed=answer.headers.get("idempotency-replayed") == "true",
            degraded=body.get("degraded", []) if isinstance(body, dict) else [],
            tries=answer.tries,
        )

    def _word(self) -> str:
        return fresh_word(self._chance, self.tenant.name)

    def _group(self) -> str:
        """Every so many memories a new one, so that a listing of one is a page."""
        self._added += 1
        group = f"{self.name}-{self._added // GROUP_SIZE}"
        self.tenant.groups.add(group)
        return group

    def _choose(self, fits: Callable[[Known], bool]) -> Known | None:
        """A memory that fits: mostly one that somebody has just had to do with."""
        recent = [self.tenant.known[memory] for memory in self.tenant.recent if memory in self.tenant.known]
        candidates = [known for known in recent if fits(known)]
        if not candidates or self._chance.random() < 0.3:
            candidates = [known for known in self.tenant.known.values() if fits(known)]
        return self._chance.choice(candidates) if candidates else None


WORK: dict[Callable[[Client], Awaitable[None]], float] = {
    Client.add: 5,
    Client.add_for_a_while: 0.5,
    Client.add_many: 1,
    Client.upsert: 3,
    Client.patch: 4,
    Client.forget: 2,
    Client.restore: 2,
    Client.get: 5,
    Client.search: 6,
    Client.list: 1.5,
    Client.peek: 0.5,
}
"""What a client does, and how often of all."""


def passing(tenant: str) -> str:
    """The group of those that end within the run."""
    return f"{tenant}-passing"


def seen_of(memory: dict[str, Any]) -> dict[str, Any]:
    """What a history keeps of a memory."""
    return {name: memory[name] for name in ("id", "tenant", "version", "content", "external_id")}


def _memories(body: Any) -> list[dict[str, Any]]:
    """Every memory in an answer: one, the items of a batch or a listing, or hits."""
    if not isinstance(body, dict):
        return []
    if "content" in body:
        return [body]
    if "hits" in body:
        return [hit["memory"] for hit in body["hits"]]
    items = [item.get("memory", item) for item in body.get("items", [])]
    return [item for item in items if item is not None]
