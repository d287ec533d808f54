"""Hybrid searches over HTTP, one after another: of everything, of small users, of the large one."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from benchmarks.speed.corpus import CROWD, Corpus
from benchmarks.speed.serving import Client, Server

SCENARIOS = ("everything", "one user", "large user")
KINDS = {"unseen": 10, "vector cached": 11}
"""How many hits are asked for. The same question for one more hit: its vector is in the cache, its answer is not."""


def search(server: Server, corpus: Corpus, questions: Sequence[str]) -> dict[str, Any]:
    """For each scenario and kind: milliseconds, also by stage. A degraded answer ends the run."""
    users = corpus.small_users
    filters: dict[str, Callable[[int], dict[str, Any]]] = {
        "everything": lambda _: {},
        "one user": lambda n: {"user_id": users[n * 7 % len(users)]},
        "large user": lambda _: {"user_id": CROWD},
    }
    share = len(questions) // len(SCENARIOS)
    client, found = server.client(), dict[str, Any]()
    try:
        for place, scenario in enumerate(SCENARIOS):
            asked = questions[place * share : (place + 1) * share]
            narrowed = [filters[scenario](number) for number in range(share)]
            found[scenario] = {
                kind: _timed(client, [_body(*one, limit) for one in zip(asked, narrowed, strict=True)])
                for kind, limit in KINDS.items()
            }
    finally:
        client.close()
    return found


def _timed(client: Client, bodies: Sequence[bytes]) -> dict[str, Any]:
    took, stages, hits = list[float](), list[dict[str, float]](), 0
    load = os.getloadavg()[0]
    for body in bodies:
        started = time.perf_counter()
        answer = client.search(body)
        took.append((time.perf_counter() - started) * 1e3)
        stages.append(answer["took_ms"])
        hits += len(answer["hits"])
    names = dict.fromkeys(chain.from_iterable(stages))
    inside = {name: statistics.median(stage.get(name, 0.0) for stage in stages) for name in names}
    p50, p95, p99 = np.percentile(took, (50, 95, 99)).tolist()
    return {
        "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2),
        "p99_ms": round(p99, 2),
        "searches": len(took),
        "hits_each": round(hits / len(bodies), 1),
        "stages_p50_ms": {name: round(value, 2) for name, value in inside.items()},
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def _body(text: str, condition: dict[str, Any], limit: int) -> bytes:
    # What people type may be a filter; a question here is words only.
    words = text.replace(":", " ").replace('"', " ")
    return orjson.dumps({"query": words, "filter": condition, "limit": limit})
