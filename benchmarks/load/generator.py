"""Makes the load of one step: `python -m benchmarks.load.generator` reads what to do as JSON and writes what came of it.

A process of its own, because locust exchanges parts of the standard library, and so that what the load itself costs
of the machine can be told from what the platform costs.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

import gevent
import numpy as np
import orjson
from locust.env import Environment
from locust.log import setup_logging

from benchmarks.load.clients import NOT_NOW, Material, prepared
from benchmarks.load.processor import Processors

STARTED_PER_S = 1_000
"""All at once: how a step begins is not measured."""


class Ledger:
    """Every answer while it is open: milliseconds by name, refusals by status, failures by what they say."""

    def __init__(self) -> None:
        self.took_ms: dict[str, list[float]] = {}
        self.refused: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._measuring = False

    def open(self) -> None:
        """Times count from now on. Failures always do."""
        self._measuring = True

    def close(self) -> None:
        self._measuring = False

    def note(self, *, name: str, response_time: float, response: Any, exception: Any, **_: Any) -> None:
        """What locust tells of each request."""
        if exception is not None:
            self.failures[f"{name}: {exception}"] += 1
        elif response.status_code in NOT_NOW:
            self.refused[str(response.status_code)] += 1
        elif self._measuring:
            self.took_ms.setdefault(name, []).append(response_time)


def main() -> None:
    given = orjson.loads(sys.stdin.buffer.read())
    setup_logging("ERROR")
    material = Material(**given["material"])
    classes = [prepared(kind, material, count) for kind, count in given["clients"].items()]
    environment = Environment(user_classes=classes, host=given["url"])
    ledger = Ledger()
    environment.events.request.add_listener(ledger.note)
    runner = environment.create_local_runner()
    runner.start(sum(given["clients"].values()), STARTED_PER_S, wait=True)
    gevent.sleep(given["warm_s"])
    found = _measured(given, ledger)
    runner.quit()
    sys.stdout.buffer.write(orjson.dumps({**found, "degraded": dict(material.degraded)}))


def _measured(given: dict[str, Any], ledger: Ledger) -> dict[str, Any]:
    processors = Processors(given["processes"])
    started = time.perf_counter()
    ledger.open()
    gevent.sleep(given["seconds"])
    ledger.close()
    seconds, cores = time.perf_counter() - started, processors.used()
    return {
        "seconds": round(seconds, 2),
        "operations": {name: _times(took, seconds) for name, took in sorted(ledger.took_ms.items())},
        "refused": dict(ledger.refused),
        "failures": dict(ledger.failures),
        "cores": cores,
    }


def _times(took_ms: list[float], seconds: float) -> dict[str, float]:
    p50, p95, p99 = np.percentile(took_ms, (50, 95, 99)).tolist()
    return {
        "count": len(took_ms),
        "per_s": round(len(took_ms) / seconds, 2),
        "p50_ms": round(p50, 1),
        "p95_ms": round(p95, 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(max(took_ms), 1),
    }


if __name__ == "__main__":
    main()
