"""How long a start takes with memories on disk, and how much memory they take."""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import orjson

from benchmarks.speed.corpus import Corpus
from benchmarks.speed.quiet import until_quiet
from benchmarks.speed.serving import Footprint, Server

TOUCHING = 200
"""Searches before memory is read off: what a serving process uses, not what it has not looked at yet."""


def restarts(server: Server, corpus: Corpus, *, times: int) -> dict[str, Any]:
    """Seconds from the start of the process until it is ready, and until a whole hybrid answer."""
    ready, answered = list[float](), list[float]()
    load = os.getloadavg()[0]
    for number in range(times):
        server.stop()
        started = time.perf_counter()
        ready.append(server.start())
        _until_whole(server, corpus.questions[number])
        answered.append(time.perf_counter() - started)
    return {
        "ready_s": round(statistics.median(ready), 2),
        "first_whole_answer_s": round(statistics.median(answered), 2),
        "starts": times,
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }


def footprint(server: Server, corpus: Corpus, *, still_s: float) -> Footprint:
    """Of a fresh process that has answered some searches and is at rest."""
    server.stop()
    server.start()
    _until_whole(server, corpus.questions[0])
    client = server.client()
    try:
        for text in corpus.questions[:TOUCHING]:
            client.search(_body(text))
    finally:
        client.close()
    until_quiet(server.pid, still_s=still_s)
    return server.footprint()


def memory(base: Footprint, full: Footprint, memories: int) -> dict[str, Any]:
    """Bytes a memory beyond what the process takes without any."""
    return {
        "memories": memories,
        "base_mb": round(base.resident / 1e6, 1),
        "resident_mb": round(full.resident / 1e6, 1),
        "bytes_per_memory": round((full.resident - base.resident) / memories),
        "private_bytes_per_memory": round((full.private - base.private) / memories),
        "database_mb": round(full.database / 1e6, 1),
    }


def _until_whole(server: Server, text: str) -> None:
    """A whole hybrid answer: not from the store while the index opens, and with both legs."""
    client = server.client()
    try:
        while orjson.loads(client.post("/v1/search", _body(text))[2]).get("degraded") != []:
            time.sleep(0.02)
    finally:
        client.close()


def _body(text: str) -> bytes:
    return orjson.dumps({"query": text.replace(":", " ").replace('"', " ")})
