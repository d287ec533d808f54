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

HITS = 10
BATCH = 500
IN_FLIGHT = 4
MODEL_BATCH = 128
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
    load, worked = os.getloadavg()[0], server.processor()
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
        **server.processor().since(worked, things=last - first),
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def searches(
    server: Server, corpus: Corpus, questions: Sequence[str], told: Told, *, still_s: float
) -> dict[str, Any]:
    """Each question three times: not seen before, so that the model embeds it; for another number of hits, its vector known
    and its answer not; and as at first, its answer in the cache.
    """
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
            first, longer = (
                [_search(text, narrowed(n), limit=limit) for n, text in enumerate(asked)]
                for limit in (HITS, HITS + 1)
            )
            found[name] = {
                "unseen": _timed(server, client, first),
                "vector_known": _timed(server, client, longer),
                "cached": _timed(server, client, first),
            }
    finally:
        client.close()
    return found


def single_writes(server: Server, texts: Sequence[str], told: Told, *, still_s: float) -> dict[str, Any]:
    """One write after another, each embedded by the model, and found by a search as soon as it returned."""
    until_quiet(server.pid, still_s=still_s)
    told("single writes")
    client = server.client()
    took, found = list[float](), 0
    load, worked = os.getloadavg()[0], server.processor()
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
        **server.processor().since(worked, things=len(texts)),
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def with_the_model(server: Server, texts: Sequence[str], *, rounds: int, told: Told) -> dict[str, Any]:
    """Bulk writes that the platform embeds, beside the bare model: the same texts, new ones each round.

    The bare model runs as a loop of calls, each on all cores, and in the quickest way there is, with a call on each core at
    once. All three take turns, and the order changes with the round: what the machine does besides hits all alike.
    """
    cores = min(4, os.cpu_count() or 1)
    loop, quickest = Bare(calls=1, threads=cores), Bare(calls=cores)
    ways: dict[str, Callable[[Sequence[str]], object]] = {
        "loop": loop.embed,
        "quickest": quickest.embed,
        "ours": lambda share: _store_texts(server, share),
    }
    loop.embed(texts[:8])
    quickest.embed(texts[:8])
    each = len(texts) // rounds
    took: dict[str, list[float]] = {name: [] for name in ways}
    load, worked = os.getloadavg()[0], server.processor()
    for place in range(rounds):
        told(f"bulk writes with the model: round {place + 1} of {rounds}")
        share = texts[place * each : (place + 1) * each]
        names = list(ways)
        for name in names[place % 3 :] + names[: place % 3]:
            started = time.perf_counter()
            ways[name](share)
            took[name].append(time.perf_counter() - started)
    rates = {name: round(each / statistics.median(seconds), 1) for name, seconds in took.items()}
    return {
        "bare_loop_texts_per_s": rates["loop"],
        "bare_quickest_texts_per_s": rates["quickest"],
        "texts_per_s": rates["ours"],
        "ratio": _median_ratio(took["loop"], took["ours"]),
        "ratio_to_quickest": _median_ratio(took["quickest"], took["ours"]),
        "rounds": rounds,
        "texts_each": each,
        **server.processor().since(worked, things=rounds * each),
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def _median_ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """How many times as quick as they, round by round."""
    return round(statistics.median(bare / own for bare, own in zip(theirs, ours, strict=True)), 3)


def _store_texts(server: Server, texts: Sequence[str]) -> None:
    """Several requests in flight; returns when all is durable and findable, by words and by meaning."""
    bodies = [_texts(texts[start : start + MODEL_BATCH]) for start in range(0, len(texts), MODEL_BATCH)]
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        late = sum(pool.map(lambda share: _send(server, share), _shares(bodies, IN_FLIGHT)))
    if late:
        _wait_until_indexed(server)


def _timed(server: Server, client: Client, bodies: Sequence[bytes]) -> dict[str, Any]:
    took, stages = list[float](), list[dict[str, float]]()
    load, worked = os.getloadavg()[0], server.processor()
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
        **server.processor().since(worked, things=len(bodies)),
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


def _search(text: str, condition: dict[str, Any], *, limit: int = HITS) -> bytes:
    # What people type may be a filter; a question here is words only.
    words = text.replace(":", " ").replace('"', " ")
    return orjson.dumps({"query": words, "filter": condition, "limit": limit})


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
