"""Through HTTP: searches, single writes and bulk writes of a real server with the real local model."""

from __future__ import annotations

import base64
import itertools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson

from benchmarks.embedding import Bare
from benchmarks.speed.corpus import CROWD, Corpus, Turn, Vectors
from benchmarks.speed.quiet import until_quiet
from benchmarks.speed.serving import Client, Server
from mnemata.embedding.onnx import MINILM

BATCH = 500
IN_FLIGHT = 4
FOUND_WITHIN_S = 120.0

Told = Callable[[str], None]


def load(server: Server, corpus: Corpus, first: int, last: int, told: Told) -> dict[str, Any]:
    """Store turns with their vectors, several requests in flight; the seconds until all are durable and findable."""
    bodies = [
        _batch(
            corpus.turns[start : min(start + BATCH, last)],
            corpus.vector_rows(start, min(start + BATCH, last)),
        )
        for start in range(first, last, BATCH)
    ]
    told(f"storing {last - first:,} memories with their vectors")
    load = os.getloadavg()[0]
    started = time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        late = sum(pool.map(lambda share: _send(server, share), _shares(bodies, IN_FLIGHT)))
    if late:
        _wait_until_indexed(server)
    seconds = time.perf_counter() - started
    return {
        "memories": last - first,
        "seconds": round(seconds, 2),
        "memories_per_s": round((last - first) / seconds, 1),
        "in_flight": IN_FLIGHT,
        "batch": BATCH,
        "not_indexed_on_return": late,
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def searches(
    server: Server, corpus: Corpus, questions: Sequence[str], told: Told, *, still_s: float
) -> dict[str, Any]:
    """Each question twice: not seen before, so that the model embeds it; and again, its vector in the cache."""
    until_quiet(server.pid, still_s=still_s)
    client = server.client()
    users = corpus.small_users
    filters: dict[str, Callable[[int], dict[str, Any]]] = {
        "everything": lambda _: {},
        "one user": lambda n: {"user_id": users[n * 7 % len(users)]},
        "large user": lambda _: {"user_id": CROWD},
    }
    share = len(questions) // len(filters)
    found = dict[str, Any]()
    try:
        for place, (name, narrowed) in enumerate(filters.items()):
            told(f"searching over HTTP: {name}")
            asked = questions[place * share : (place + 1) * share]
            bodies = [_search(text, narrowed(n)) for n, text in enumerate(asked)]
            found[name] = {"unseen": _timed(client, bodies), "vector_cached": _timed(client, bodies)}
    finally:
        client.close()
    return found


def single_writes(server: Server, texts: Sequence[str], told: Told) -> dict[str, Any]:
    """One write after another, each embedded by the model, and found by a search as soon as it returned."""
    told("single writes")
    client = server.client()
    took, found = list[float](), 0
    load = os.getloadavg()[0]
    try:
        for number, text in enumerate(texts):
            body = orjson.dumps({"content": text, "user_id": f"writer-{number % 7}"})
            started = time.perf_counter()
            status, headers, answer = client.post("/v1/memories", body)
            took.append((time.perf_counter() - started) * 1e3)
            if status != 201 or headers["Mnemata-Indexed"] != "true":
                raise SystemExit(f"a write was not findable on return: {status} {answer[:300]!r}")
            if number % 5 == 0:
                own = orjson.loads(answer)["id"]
                hits = client.search(_search(text, {"user_id": f"writer-{number % 7}"}))["hits"]
                found += any(hit["memory"]["id"] == own for hit in hits)
    finally:
        client.close()
    return {
        **_percentiles(took),
        "writes": len(took),
        "found_on_return": round(found / len(range(0, len(texts), 5)), 3),
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def with_the_model(server: Server, texts: Sequence[str], *, rounds: int, told: Told) -> dict[str, Any]:
    """Bulk writes that the platform embeds, beside a bare loop over the same model, in turn; different texts each."""
    bare = Bare(min(4, os.cpu_count() or 1))
    bare.embed(texts[:8])
    each = len(texts) // (2 * rounds)
    shares = [texts[start : start + each] for start in range(0, 2 * rounds * each, each)]
    rates: list[tuple[float, float]] = []
    load = os.getloadavg()[0]
    for place in range(rounds):
        told(f"bulk writes with the model: round {place + 1} of {rounds}")
        alone, stored = shares[2 * place], shares[2 * place + 1]
        bodies = [_texts(stored[start : start + 128]) for start in range(0, each, 128)]
        started = time.perf_counter()
        bare.embed(alone)
        between = time.perf_counter()
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            late = sum(pool.map(lambda share: _send(server, share), _shares(bodies, IN_FLIGHT)))
        if late:
            _wait_until_indexed(server)
        rates.append((each / (between - started), each / (time.perf_counter() - between)))
    return {
        "bare_texts_per_s": round(statistics.median(rate for rate, _ in rates), 1),
        "texts_per_s": round(statistics.median(rate for _, rate in rates), 1),
        "ratio": round(statistics.median(ours / alone for alone, ours in rates), 3),
        "rounds": rounds,
        "texts_each": each,
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def _timed(client: Client, bodies: Sequence[bytes]) -> dict[str, Any]:
    took, stages = list[float](), list[dict[str, float]]()
    load = os.getloadavg()[0]
    for body in bodies:
        started = time.perf_counter()
        answer = client.search(body)
        took.append((time.perf_counter() - started) * 1e3)
        stages.append(answer["took_ms"])
    names = dict.fromkeys(itertools.chain.from_iterable(stages))
    inside = {name: statistics.median(stage.get(name, 0.0) for stage in stages) for name in names}
    return {
        **_percentiles(took),
        "searches": len(took),
        "stages_p50_ms": {name: round(value, 3) for name, value in inside.items()},
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def _percentiles(took: Sequence[float]) -> dict[str, float]:
    p10, p50, p95 = np.percentile(took, (10, 50, 95)).tolist()
    return {"p10_ms": round(p10, 3), "p50_ms": round(p50, 3), "p95_ms": round(p95, 3)}


def _send(server: Server, bodies: Sequence[bytes]) -> int:
    """Send batches one after another on one connection; how many answers came before all was findable."""
    client, late = server.client(), 0
    try:
        for body in bodies:
            status, headers, answer = client.post("/v1/memories:batch", body)
            if status != 200 or orjson.loads(answer)["failed"]:
                raise SystemExit(f"a batch was not stored whole: {status} {answer[:500]!r}")
            late += headers["Mnemata-Indexed"] != "true"
    finally:
        client.close()
    return late


def _wait_until_indexed(server: Server) -> None:
    deadline = time.monotonic() + FOUND_WITHIN_S
    while time.monotonic() < deadline:
        if server.status()["feed"]["changes_waiting"] == 0:
            return
        time.sleep(0.05)
    raise SystemExit(f"what was stored is not findable after {FOUND_WITHIN_S:.0f} s")


def _shares(bodies: Sequence[bytes], count: int) -> list[Sequence[bytes]]:
    return [bodies[start::count] for start in range(count)]


def _search(text: str, condition: dict[str, Any]) -> bytes:
    # What people type may be a filter; a question here is words only.
    return orjson.dumps({"query": text.replace(":", " ").replace('"', " "), "filter": condition, "limit": 10})


def _texts(texts: Sequence[str]) -> bytes:
    return orjson.dumps({"items": [{"content": text, "user_id": "model"} for text in texts]})


def _batch(turns: Sequence[Turn], rows: Vectors) -> bytes:
    items = [
        {
            "content": turn.text,
            "user_id": turn.user,
            "session_id": turn.session,
            "sequence": turn.sequence,
            "role": turn.speaker,
            "embedding": {"space": MINILM.space.name, "values": base64.b64encode(row.tobytes()).decode()},
        }
        for turn, row in zip(turns, rows, strict=True)
    ]
    return orjson.dumps({"items": items})
