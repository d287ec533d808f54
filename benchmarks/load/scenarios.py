"""Which clients come, and how many of them, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Step:
    """`clients`: how many of each kind. `label`: where steps differ by more than their number."""

    clients: dict[str, int]
    label: str = ""

    @property
    def total(self) -> int:
        return sum(self.clients.values())


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`counted`: the operation whose count a second is the throughput, or all of them. `climbs`: steps end at the knee."""

    name: str
    steps: Sequence[Step]
    climbs: bool
    per_operation: int = 1
    unit: str = "requests"


def chosen(name: str, *, most: int, batch: int) -> Scenario:
    """The scenario of this name, with at most so many clients."""
    doubling = [2**power for power in range(11) if 2**power <= most]
    match name:
        case "chat":
            steps = [Step(clients={"ChatAgent": count}) for count in doubling]
            return Scenario(name=name, steps=steps, climbs=True)
        case "bulk":
            steps = [Step(clients={"BulkLoader": count}) for count in doubling]
            return Scenario(name=name, steps=steps, climbs=True, per_operation=batch, unit="memories")
        case "tenants":
            light = min(LIGHT, most)
            return Scenario(
                name=name,
                steps=[
                    Step(clients={"LightAgent": light}, label="light tenants alone"),
                    Step(
                        clients={"LightAgent": light, "HeavyTenant": 1}, label="beside a heavy one, 1 client"
                    ),
                    Step(
                        clients={"LightAgent": light, "HeavyTenant": 4}, label="beside a heavy one, 4 clients"
                    ),
                ],
                climbs=False,
            )
    raise ValueError(name)


NAMES = ("chat", "bulk", "tenants")
LIGHT = 8
"""Tenants of one agent each."""
