"""One scenario against one target: step by step, until more clients bring no more."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import psutil

from benchmarks.load.knee import exhausted, is_over, knee
from benchmarks.load.scenarios import LIGHT, Scenario, Step
from benchmarks.load.targets import Target
from benchmarks.scale.ingest import until_indexed
from benchmarks.speed.corpus import Corpus
from mnemata.embedding.onnx import MINILM

_ENDED_WITHIN_S = 120.0
_TURNS = 20_000
_VECTORS = 500

Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds: before a step is measured, and measured; between two turns of an agent. `batch`: memories of a bulk write."""

    warm_s: float
    seconds: float
    think_s: float
    batch: int


def climb(target: Target, scenario: Scenario, corpus: Corpus, pace: Pace, told: Told) -> dict[str, Any]:
    """Every step's figures, and where the knee is."""
    material = _material(target, scenario, corpus, pace)
    steps = list[dict[str, Any]]()
    for number, step in enumerate(scenario.steps):
        told(f"{scenario.name}: {step.label or step.total}")
        # What loaders left behind is not for the next step to wait for.
        until_indexed(target.client)
        run = f"{scenario.name}-{number}"
        steps.append(_figures(scenario, step, _taken(target, step, {**material, "run": run}, pace)))
        if scenario.climbs and is_over([one["throughput"] for one in steps]):
            break
    return {"unit": scenario.unit, "steps": steps, **(_knee(steps) if scenario.climbs else {})}


def _knee(steps: list[dict[str, Any]]) -> dict[str, Any]:
    place = knee([step["throughput"] for step in steps])
    at = steps[place]
    return {
        "knee": {
            "clients": at["clients"],
            "throughput": at["throughput"],
            "reached": place < len(steps) - 1,
            "exhausted": exhausted(at["cores"], psutil.cpu_count() or 1),
        }
    }


def _figures(scenario: Scenario, step: Step, found: dict[str, Any]) -> dict[str, Any]:
    a_second = sum(row["per_s"] for row in found["operations"].values()) * scenario.per_operation
    return {"clients": step.total, "label": step.label, "throughput": round(a_second, 1), **found}


def _taken(target: Target, step: Step, material: dict[str, Any], pace: Pace) -> dict[str, Any]:
    """What the generator says of a step. Raises SystemExit with its words where it fails."""
    order = {
        "url": target.url,
        "clients": step.clients,
        "material": material,
        "processes": target.processes(),
        "warm_s": pace.warm_s,
        "seconds": pace.seconds,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load.generator"],
        input=orjson.dumps(order),
        capture_output=True,
        timeout=pace.warm_s + pace.seconds + _ENDED_WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the load generator failed:\n{done.stderr.decode(errors='replace')[-4_000:]}")
    return orjson.loads(done.stdout)


def _material(target: Target, scenario: Scenario, corpus: Corpus, pace: Pace) -> dict[str, Any]:
    turns = corpus.turns[: min(_TURNS, len(corpus.turns))]
    rows = corpus.vector_rows(0, min(_VECTORS, len(turns))).astype(np.float32)
    return {
        "turns": [(turn.user, turn.speaker, turn.text) for turn in turns],
        "vectors": [base64.b64encode(row.tobytes()).decode() for row in rows],
        "space": MINILM.space.name,
        "batch": pace.batch,
        "think_s": pace.think_s,
        "keys": _keys(target) if scenario.name == "tenants" else {},
    }


def _keys(target: Target) -> dict[str, str]:
    """A writer's key for the heavy tenant, and for each of the light ones."""
    client = target.client()
    try:
        return {name: _key(client, name) for name in ("heavy", *(f"light-{place}" for place in range(LIGHT)))}
    finally:
        client.close()


def _key(client: Any, tenant: str) -> str:
    body = orjson.dumps({"tenant": tenant, "role": "writer", "label": "load"})
    status, _, answer = client.post("/v1/keys", body)
    if status != 201:
        raise SystemExit(f"no key for a tenant could be made: {status} {answer[:300]!r}")
    return orjson.loads(answer)["secret"]
