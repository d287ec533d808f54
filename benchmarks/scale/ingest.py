"""Memories through `POST /v1/memories:batch` with their vectors, several requests in flight, until all are found."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from benchmarks.scale.corpus import said_at
from benchmarks.scale.platforms import Measured
from benchmarks.speed.corpus import Corpus, Turn, Vectors
from benchmarks.speed.serving import Client
from mnemata.embedding.onnx import MINILM

BATCH = 500
IN_FLIGHT = 4
LOOK_EVERY_S = 2.0
"""Each look counts what is stored."""
FOUND_WITHIN_S = 900.0
NOT_NOW = {429, 503}
PATIENCE_S = 120.0


def store(platform: Measured, corpus: Corpus, first: int, last: int) -> dict[str, Any]:
    """Store the memories [first, last); the seconds until all are durable and findable. Making the requests is not timed."""
    made = bodies(corpus, first, last)
    before, load, spent = platform.work(), os.getloadavg()[0], time.process_time()
    started = time.perf_counter()
    refused = send(platform.server.client, made)
    stored_s = time.perf_counter() - started
    until_indexed(platform.server.client)
    seconds = time.perf_counter() - started
    return {
        "first": first,
        "last": last,
        "seconds": round(seconds, 2),
        "stored_s": round(stored_s, 2),
        "memories_per_s": round((last - first) / seconds, 1),
        "refused_and_sent_again": refused,
        **platform.work().since(before),
        "client_cpu_s": round(time.process_time() - spent, 1),
        **platform.resident(),
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def bodies(corpus: Corpus, first: int, last: int) -> list[bytes]:
    """Batches, each one a request."""
    return [_body(corpus, start, min(start + BATCH, last)) for start in range(first, last, BATCH)]


def send(connect: Callable[[], Client], made: Sequence[bytes]) -> int:
    """Send all batches, several at once; how many were refused for a moment (429, 503) and sent again."""
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        return sum(pool.map(lambda share: _send(connect(), share), _shares(made)))


def until_indexed(connect: Callable[[], Client]) -> None:
    """Return once everything that is stored can be found."""
    client, deadline = connect(), time.monotonic() + FOUND_WITHIN_S
    try:
        while waiting := orjson.loads(client.get("/v1/status")[2])["feed"]["changes_waiting"]:
            if time.monotonic() > deadline:
                raise SystemExit(f"{waiting} memories are not findable after {FOUND_WITHIN_S:.0f} s")
            time.sleep(LOOK_EVERY_S)
    finally:
        client.close()


def _send(client: Client, made: Sequence[bytes]) -> int:
    """One after another on one connection."""
    refused = 0
    try:
        for body in made:
            deadline = time.monotonic() + PATIENCE_S
            while (answer := client.post("/v1/memories:batch?wait_for=none", body))[0] in NOT_NOW:
                refused += 1
                if time.monotonic() > deadline:
                    raise SystemExit(f"batches are refused: {answer[2][:500]!r}")
                time.sleep(float(answer[1].get("Retry-After", "1")))
            if answer[0] != 200 or orjson.loads(answer[2])["failed"]:
                raise SystemExit(f"a batch was not stored whole: {answer[0]} {answer[2][:500]!r}")
    finally:
        client.close()
    return refused


def _shares(made: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [made[start::IN_FLIGHT] for start in range(IN_FLIGHT)]


def _body(corpus: Corpus, first: int, last: int) -> bytes:
    return orjson.dumps({"items": _items(first, corpus.turns[first:last], corpus.vector_rows(first, last))})


def _items(first: int, turns: Sequence[Turn], rows: Vectors) -> list[dict[str, Any]]:
    return [
        {
            "content": turn.text,
            "user_id": turn.user,
            "session_id": turn.session,
            "sequence": turn.sequence,
            "role": turn.speaker,
            "occurred_at": said_at(number).isoformat(),
            "embedding": {"space": MINILM.space.name, "values": base64.b64encode(row.tobytes()).decode()},
        }
        for number, (turn, row) in enumerate(zip(turns, rows, strict=True), first)
    ]
