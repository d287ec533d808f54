"""A rebuild of the index beside the live one, with somebody searching meanwhile."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

import numpy as np
import orjson

from benchmarks.scale.platforms import Measured
from benchmarks.speed.corpus import Corpus
from benchmarks.speed.serving import Client

PAUSE_S = 0.25


class Asker:
    """Asks one question after another until it is told to stop; how long each took, and how many were not whole."""

    def __init__(self, client: Client, corpus: Corpus) -> None:
        self._client = client
        self._bodies = [
            orjson.dumps({"query": text.replace(":", " ").replace('"', " "), "filter": {"user_id": user}})
            for text, user in zip(corpus.questions, corpus.small_users * len(corpus.questions), strict=False)
        ]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.took_ms = list[float]()
        self.not_whole = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._client.close()

    def _ask(self) -> None:
        place = 0
        while not self._stopped.wait(PAUSE_S):
            started = time.perf_counter()
            status, _, answer = self._client.post("/v1/search", self._bodies[place % len(self._bodies)])
            self.took_ms.append((time.perf_counter() - started) * 1e3)
            self.not_whole += status != 200 or orjson.loads(answer)["degraded"] != []
            place += 1


def rebuild(platform: Measured, corpus: Corpus) -> dict[str, Any]:
    """Seconds until the new index has taken the place of the old one, and what searches felt of it."""
    before, client = platform.work(), platform.server.client(patience_s=7_200.0)
    started = time.perf_counter()
    try:
        with Asker(platform.server.client(), corpus) as asker:
            status, _, answer = client.post("/v1/admin:rebuild", b"")
    finally:
        client.close()
    if status != 200:
        raise SystemExit(f"the rebuild failed: {status} {answer[:500]!r}")
    seconds = time.perf_counter() - started
    documents = orjson.loads(answer)["documents"]
    return {
        "documents": documents,
        "seconds": round(seconds, 1),
        "documents_per_s": round(documents / seconds, 1),
        "searches": len(asker.took_ms),
        "searches_not_whole": asker.not_whole,
        "searches_p50_ms": round(float(np.percentile(asker.took_ms or [0.0], 50)), 2),
        "searches_p95_ms": round(float(np.percentile(asker.took_ms or [0.0], 95)), 2),
        "searches_max_ms": round(max(asker.took_ms, default=0.0), 2),
        **platform.work().since(before),
        **platform.resident(),
    }
