"""A set imported over REST into a tenant of its own, and its questions asked there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.relevance.sets import Question, RetrievalSet

BATCH = 250
HITS = 10
PATIENCE_S = 300.0
STANDSTILL_S = 600.0
"""Long: a batch of abstracts shows when all of it is embedded, which takes minutes where others have the cores."""
MODES = ("lexical", "vector", "hybrid")

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one mode found: question id -> external ids, best first; and how long each question took, in ms."""

    run: dict[str, list[str]]
    took_ms: list[float]


class Tenant:
    """One tenant of a platform: statistics of words are a tenant's own, so that sets do not blur one another."""

    def __init__(self, url: str, name: str) -> None:
        self._operator = httpx.Client(base_url=url, timeout=PATIENCE_S)
        wanted = {"role": "writer", "label": "evaluation", "tenant": name}
        secret = _answer(self._operator.post("/v1/keys", json=wanted))["secret"]
        self._client = httpx.Client(base_url=url, timeout=PATIENCE_S, headers={"X-API-Key": secret})

    def close(self) -> None:
        self._client.close()
        self._operator.close()

    def import_set(self, chosen: RetrievalSet, told: Told) -> float:
        """Store every memory and wait until all are findable by words and by meaning; the seconds that took."""
        started = time.perf_counter()
        done = 0
        for start in range(0, len(chosen.memories), BATCH):
            batch = chosen.memories[start : start + BATCH]
            answer = _answer(
                self._client.post("/v1/memories:batch", params={"wait_for": "none"}, json={"items": batch})
            )
            if answer["failed"]:
                failed = next(item for item in answer["items"] if "error" in item)
                raise SystemExit(f"{chosen.name}: a memory was refused: {failed['error']}")
            done += len(batch)
            told(f"{chosen.name}: stored {done:,} of {len(chosen.memories):,}")
        self._wait_until_found(chosen, told)
        return time.perf_counter() - started

    def ask(self, questions: list[Question], mode: str, told: Told) -> Asked:
        """Every question in turn, one after another: times are those of a search that nothing else disturbs."""
        run, took = dict[str, list[str]](), list[float]()
        for place, question in enumerate(questions, start=1):
            started = time.perf_counter()
            answer = self._search(question, mode)
            took.append((time.perf_counter() - started) * 1_000)
            run[question.id] = [hit["memory"]["external_id"] for hit in answer["hits"]]
            if place % 50 == 0:
                told(f"{mode}: asked {place:,} of {len(questions):,}")
        return Asked(run=run, took_ms=took)

    def _search(self, question: Question, mode: str) -> dict[str, Any]:
        wanted = {"query": question.text, "filter": question.filter, "mode": mode, "limit": HITS}
        answer = _answer(self._client.post("/v1/search", json=wanted))
        if answer["degraded"]:
            raise SystemExit(
                f"the search was degraded ({answer['degraded']}): its ranking is not the one to measure"
            )
        return answer

    def _wait_until_found(self, chosen: RetrievalSet, told: Told) -> None:
        moved, before = time.monotonic(), -1
        while time.monotonic() - moved < STANDSTILL_S:
            status = _answer(self._operator.get("/v1/status"))
            # An index that is only being opened has no counts yet.
            found = status["index"].get("vectors", 0)
            whole = status["feed"]["changes_waiting"] == 0 and found == status["index"].get("documents")
            # Until every partition has been at the head of the feed, the store answers.
            if whole and _answer(self._operator.get("/readyz"))["reasons"]["index"] == "ok":
                return
            if found != before:
                moved, before = time.monotonic(), found
            told(f"{chosen.name}: indexed {found:,}")
            time.sleep(0.5)
        raise SystemExit(f"{chosen.name}: the index stood still for {STANDSTILL_S:.0f} s")


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise SystemExit(
            f"{response.request.method} {response.request.url}: {response.status_code} {response.text}"
        )
    return response.json()
