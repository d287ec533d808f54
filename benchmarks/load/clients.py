"""What clients do: agents that chat, loaders, and a tenant that takes all it can get. Locust runs them.

Loaded by the process that makes the load, and by no other: locust exchanges parts of the standard library.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import gevent
import orjson
from locust import task
from locust.contrib.fasthttp import FastHttpUser

from benchmarks.speed.serving import credentials

NOT_NOW = {429, 503}
"""Declared answers of a platform that has enough to do: the client waits as it is told, and goes on."""

_APART = 997
"""Turns between where two clients begin."""


@dataclass(kw_only=True)
class Material:
    """What the clients say and ask. `turns`: (user, speaker, text); `vectors`: base64; `keys`: of tenants, by name."""

    turns: list[tuple[str, str, str]]
    vectors: list[str]
    space: str
    batch: int
    think_s: float
    run: str
    keys: dict[str, str]
    degraded: Counter[str] = field(default_factory=Counter)


class Client(FastHttpUser):
    """One connection. An answer that is neither good nor declared is a failure."""

    abstract = True
    material: ClassVar[Material]
    numbers: ClassVar[Iterator[int]]

    def on_start(self) -> None:
        self.number = next(self.numbers)
        self.key = self.credential()

    def credential(self) -> str | None:
        """The key that this client sends: none, for the platform's own machine."""
        return None

    def turn_at(self, place: int) -> tuple[str, str, str]:
        """The n-th of this client's own: (user, speaker, text). Clients begin far apart, so that they are different people."""
        return self.material.turns[(self.number * _APART + place) % len(self.material.turns)]

    def call(self, name: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer's document; empty where it was refused or failed."""
        headers = {"Content-Type": "application/json"} | credentials(self.key)
        data = None if body is None else orjson.dumps(body)
        with self.client.request(
            method, path, name=name, data=data, headers=headers, catch_response=True
        ) as answer:
            if answer.status_code in NOT_NOW:
                answer.success()
                gevent.sleep(float(answer.headers.get("Retry-After", "1")))
                return {}
            if not 200 <= answer.status_code < 300:
                answer.failure(f"{answer.status_code} {(answer.text or '')[:200]}")
                return {}
            return orjson.loads(answer.content)


class ChatAgent(Client):
    """An agent in a conversation: keeps what was said, looks for what matters to it, reads one of those."""

    abstract = True

    def on_start(self) -> None:
        super().on_start()
        self.said = 0

    def wait_time(self) -> float:
        return self.material.think_s

    @task
    def turn(self) -> None:
        user, speaker, text = self.turn_at(self.said)
        self.said += 1
        self.call(
            self.named("write turn"),
            "POST",
            "/v1/memories",
            {
                "content": text,
                "user_id": user,
                "role": speaker,
                "session_id": f"{self.material.run}-{self.number}",
                "sequence": self.said,
            },
        )
        found = self.call(
            self.named("search"),
            "POST",
            "/v1/search",
            {"query": words_of(text), "filter": {"user_id": user}, "limit": 5},
        )
        self.material.degraded.update(found.get("degraded", ()))
        for hit in found.get("hits", ())[-1:]:
            self.call(self.named("read"), "GET", f"/v1/memories/{hit['memory']['id']}")

    def named(self, call: str) -> str:
        return call


class LightAgent(ChatAgent):
    """The same, each as a tenant of its own."""

    abstract = True

    def credential(self) -> str:
        return self.material.keys[f"light-{self.number}"]

    def named(self, call: str) -> str:
        return f"{call} (light)"


class Loader(Client):
    """Makes batches of memories with their vectors; their texts are of nobody else."""

    abstract = True

    def on_start(self) -> None:
        super().on_start()
        self.batches = 0

    def wait_time(self) -> float:
        return 0.0

    def store_batch(self, name: str) -> None:
        """One batch; it does not wait until the memories are found."""
        self.batches += 1
        self.call(name, "POST", "/v1/memories:batch?wait_for=none", {"items": self.items()})

    def items(self) -> list[dict[str, Any]]:
        made, mark = self.material, f"{self.material.run} {self.number} {self.batches}"
        start = (self.number * _APART + self.batches * made.batch) % len(made.turns)
        return [
            {
                "content": f"{text} ({mark} {place})",
                "user_id": user,
                "session_id": mark,
                "sequence": place,
                "role": speaker,
                "embedding": {"space": made.space, "values": made.vectors[place % len(made.vectors)]},
            }
            for place, (user, speaker, text) in enumerate((made.turns * 2)[start : start + made.batch])
        ]


class BulkLoader(Loader):
    """Stores one batch after another."""

    abstract = True

    @task
    def load(self) -> None:
        self.store_batch("bulk")


class HeavyTenant(Loader):
    """Stores batches and searches everything that is its own, without a pause."""

    abstract = True

    def credential(self) -> str:
        return self.material.keys["heavy"]

    @task
    def load(self) -> None:
        self.store_batch("bulk (heavy)")

    @task(4)
    def search(self) -> None:
        _, _, text = self.turn_at(self.batches)
        self.batches += 1
        self.call("search (heavy)", "POST", "/v1/search", {"query": words_of(text), "limit": 10})


def words_of(text: str) -> str:
    """What people type may be a filter; a question here is words only."""
    return text.replace(":", " ").replace('"', " ")


KINDS: dict[str, type[Client]] = {
    kind.__name__: kind for kind in (ChatAgent, LightAgent, BulkLoader, HeavyTenant)
}


def prepared(kind: str, material: Material, count: int) -> type[Client]:
    """The class of `count` users with what they need; locust makes that many of them."""
    given = {"abstract": False, "fixed_count": count, "material": material, "numbers": itertools.count()}
    return type(kind, (KINDS[kind],), given)
