"""A run: clients at work, faults one after another, then calm, and a look at what is left."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.chaos import history as histories
from benchmarks.chaos.checks import check
from benchmarks.chaos.checks.timeline import AtRest, Violation
from benchmarks.chaos.clients import Client, Tenant
from benchmarks.chaos.ground import Ground
from benchmarks.chaos.history import Call, Outcome, Recorder
from benchmarks.chaos.resting import look, settle
from benchmarks.chaos.schedule import Step, victim

TENANTS = ("ana", "ben", "cleo")
_SETTLED_WITHIN_S = 180.0
_FAULT_ENDS_WITHIN_S = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`clients` of each tenant, with `pace_s` between their calls; `words`: looked for one by one at rest, of each tenant."""

    seed: int
    seconds: float
    clients: int = 3
    pace_s: float = 0.1
    words: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What a run gave: every call, what was left, and which promises were broken."""

    calls: Sequence[Call]
    rest: Sequence[AtRest]
    violations: Sequence[Violation]
    faults: Counter[str]
    settled: bool


def run(ground: Ground, steps: Sequence[Step], options: Options, *, path: Path) -> Outcomes:
    """The whole run; its history is written to `path` while it happens."""
    recorder = Recorder(path)
    try:
        return asyncio.run(_run(ground, steps, options, recorder, path))
    finally:
        recorder.close()


async def _run(
    ground: Ground, steps: Sequence[Step], options: Options, recorder: Recorder, path: Path
) -> Outcomes:
    chance = random.Random(options.seed)
    tenants = await _tenants(ground)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for client in _clients(ground, tenants, recorder, chance, options):
            group.create_task(client.run(stop))
        await _storm(ground, steps, options.seconds, recorder)
        stop.set()
    settled = [
        await settle(ground.url, tenant, recorder, chance, within_s=_SETTLED_WITHIN_S) for tenant in tenants
    ]
    calls = histories.read(path)
    rest = [
        await look(ground.url, tenant, calls, chance, operator=ground.operator, words=options.words)
        for tenant in tenants
    ]
    return Outcomes(
        calls=calls,
        rest=rest,
        violations=check(calls, rest),
        faults=Counter(step.fault for step in steps),
        settled=all(settled),
    )


async def _tenants(ground: Ground) -> list[Tenant]:
    """Each with a key of its own."""
    made: list[Tenant] = []
    headers = {"Authorization": f"Bearer {ground.operator}"}
    async with httpx.AsyncClient(base_url=ground.url, headers=headers, timeout=60) as http:
        for name in TENANTS:
            asked = {"role": "writer", "label": "chaos", "tenant": name}
            answer = await http.post("/v1/keys", json=asked)
            answer.raise_for_status()
            made.append(Tenant(name=name, key=answer.json()["secret"]))
    return made


def _clients(
    ground: Ground, tenants: list[Tenant], recorder: Recorder, chance: random.Random, options: Options
) -> list[Client]:
    return [
        Client(
            f"{tenant.name}-{number}",
            tenant,
            [other for other in tenants if other is not tenant],
            url=ground.url,
            recorder=recorder,
            chance=random.Random(chance.random()),
            pace_s=options.pace_s,
        )
        for tenant in tenants
        for number in range(options.clients)
    ]


async def _storm(ground: Ground, steps: Sequence[Step], seconds: float, recorder: Recorder) -> None:
    """Each step at its time, or as soon after as its victim is well again; over when all are."""
    began = time.monotonic()
    busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def happen(step: Step) -> None:
        async with busy[victim(step.fault)]:
            fault = ground.faults[step.fault]
            recorder.note(fault=step.fault, what="begins")
            await asyncio.to_thread(fault.begin)
            await asyncio.sleep(step.for_s)
            recorder.note(fault=step.fault, what="ends")
            async with asyncio.timeout(_FAULT_ENDS_WITHIN_S):
                await asyncio.to_thread(fault.end)
            recorder.note(fault=step.fault, what="over")

    async with asyncio.TaskGroup() as group:
        for step in steps:
            await asyncio.sleep(max(0.0, began + step.at_s - time.monotonic()))
            group.create_task(happen(step))
    await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))


def figures(outcomes: Outcomes) -> dict[str, object]:
    """A run in numbers."""
    counted = Counter(call.outcome for call in outcomes.calls)
    kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for call in outcomes.calls:
        kinds[call.kind][call.outcome] += 1
    refusals = Counter(
        f"{refusal['status']} {refusal.get('code', '')}".strip()
        for call in outcomes.calls
        for refusal in call.refusals
    )
    return {
        "calls": len(outcomes.calls),
        "acknowledged": counted[Outcome.OK],
        "refused": counted[Outcome.FAIL],
        "unknown": counted[Outcome.INFO],
        "acknowledged_writes": sum(call.writes and call.outcome is Outcome.OK for call in outcomes.calls),
        "by_kind": {kind: dict(sorted(outcome.items())) for kind, outcome in sorted(kinds.items())},
        "refusals": dict(sorted(refusals.items())),
        "degraded_searches": sum(bool(call.degraded) for call in outcomes.calls),
        "repeated": sum(call.tries > 1 for call in outcomes.calls),
        "replayed": sum(call.replayed for call in outcomes.calls),
        "not_indexed_on_return": sum(
            call.writes and call.outcome is Outcome.OK and not call.indexed for call in outcomes.calls
        ),
        "faults": sum(outcomes.faults.values()),
        "faults_by_name": dict(sorted(outcomes.faults.items())),
        "memories": sum(len(one.histories) for one in outcomes.rest),
        "versions": sum(len(versions) for one in outcomes.rest for versions in one.histories.values()),
        "looked_for": sum(len(one.found) for one in outcomes.rest),
        "settled": outcomes.settled,
        "violations": [
            {"promise": one.promise, "what": one.what, "calls": list(one.calls)}
            for one in outcomes.violations
        ],
    }
