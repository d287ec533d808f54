"""When which fault begins, and for how long: from a seed, so that the same seed gives the same storm."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

_CALM_S = (1.0, 4.0)
_TOGETHER = 0.25
"""How often a fault begins while the one before it lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`at_s`: from the beginning. Ending a fault may take longer than `for_s`: a server has to start."""

    at_s: float
    fault: str
    for_s: float


def plan(faults: Sequence[str], *, seed: int, seconds: float, lasting_s: tuple[float, float]) -> list[Step]:
    """Steps that begin within so many seconds. Every fault comes once before any comes again.

    A fault's name ends with whom it befalls, after the last space: two that overlap never befall the same.
    """
    chance = random.Random(seed)
    steps: list[Step] = []
    at_s = chance.uniform(*_CALM_S)
    waiting: list[str] = []
    while at_s < seconds:
        waiting = waiting or chance.sample(list(faults), len(faults))
        step = Step(at_s=round(at_s, 2), fault=waiting.pop(), for_s=round(chance.uniform(*lasting_s), 2))
        steps.append(step)
        beside = waiting and chance.random() < _TOGETHER and victim(waiting[-1]) != victim(step.fault)
        at_s += step.for_s / 2 if beside else step.for_s + chance.uniform(*_CALM_S)
    return steps


def victim(fault: str) -> str:
    return fault.rpartition(" ")[2]
