"""What a verification finds: something that is not as it should be, named so that somebody can act on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import JsonValue

NAMED = 1_000
"""Faults that are told one by one; more are only counted."""


class Part(StrEnum):
    STORE = "store"
    INDEX = "index"
    CACHE = "cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`what`: a stable word. `detail`: facts, never contents. `remedy`: what to do where it is not `repaired`."""

    part: Part
    what: str
    detail: str
    remedy: str
    tenant: TenantId | None = None
    memory_id: MemoryId | None = None
    field: str | None = None
    repaired: bool = False

    def mended(self) -> Fault:
        return replace(self, repaired=True)

    def facts(self) -> dict[str, JsonValue]:
        return {
            "part": self.part.value,
            "what": self.what,
            "tenant": self.tenant,
            "memory_id": None if self.memory_id is None else str(self.memory_id),
            "field": self.field,
            "detail": self.detail,
            "remedy": self.remedy,
            "repaired": self.repaired,
        }


@dataclass(slots=True)
class Findings:
    """Collects what is found, within bounds."""

    faults: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    repaired: int = 0
    undecided: int = 0
    """Memories that kept changing, or whose changes did not arrive in time: nothing is said of them."""

    def add(self, fault: Fault) -> None:
        self.counts[f"{fault.part.value}.{fault.what}"] += 1
        self.repaired += fault.repaired
        if len(self.faults) < NAMED:
            self.faults.append(fault)

    def mend(self, what: str) -> None:
        """Note that every fault of this kind is repaired now."""
        repaired = [fault.mended() if fault.what == what else fault for fault in self.faults]
        self.repaired += sum(fault.what == what and not fault.repaired for fault in self.faults)
        self.faults = repaired

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def left(self) -> int:
        """Faults that were not repaired."""
        return self.total - self.repaired

    def facts(self) -> dict[str, JsonValue]:
        return {
            "checked": dict(self.checked),
            "faults": self.total,
            "repaired": self.repaired,
            "left": self.left,
            "undecided": self.undecided,
            "counts": dict(self.counts),
            "named": [fault.facts() for fault in self.faults],
        }
