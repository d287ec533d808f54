"""One generation of the index: physical indices of one name and number, what they were built for, and how far they are.

The alias names the live generation. Every index of a generation is created at once and switched at once; the first of them
holds all tenants but those that have an index of their own, and the positions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnemata.domain.change import START, Position
from mnemata.domain.ids import TenantId
from mnemata.domain.vector import Metric, Space

_WRITING = "-writing"
_MODEL_CHARACTERS = 40

FORMAT = 3
"""Raised when documents or mappings change so that an index must be built again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an index was built for: one that was built for anything else is never searched."""

    epoch: str
    space: Space
    metric: Metric

    def meta(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "epoch": self.epoch,
            "space": self.space.name,
            "dimensions": self.space.dimensions,
            "metric": self.metric.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """`name`: of its first index. `analysis`: who takes text apart. `own`: tenants that have an index of their own.

    `term`: how often it was taken up again after another had replaced it. It is written by another name each time, so that
    who still takes it for what it was before is refused.
    """

    alias: str
    name: str
    partitions: int
    analysis: str
    own: frozenset[TenantId]
    term: int = 0

    @classmethod
    def read(cls, alias: str, name: str, meta: Mapping[str, Any]) -> Generation:
        return cls(
            alias=alias,
            name=name,
            partitions=int(meta["partitions"]),
            analysis=str(meta["analysis"]),
            own=frozenset(TenantId(tenant) for tenant in meta["own"]),
            term=int(meta.get("term", 0)),
        )

    def meta(self) -> dict[str, Any]:
        own = sorted(self.own)
        return {"partitions": self.partitions, "analysis": self.analysis, "own": own, "term": self.term}

    @property
    def number(self) -> int:
        return number_of(self.alias, self.name)

    @property
    def indices(self) -> tuple[str, ...]:
        return (self.name, *(f"{self.name}{_mark(tenant)}" for tenant in sorted(self.own)))

    def index_of(self, tenant: TenantId) -> str:
        """The index that the tenant's memories are written to."""
        return f"{self.name}{_mark(tenant)}" if tenant in self.own else self.name

    def written_by(self, index: str) -> str:
        """The alias that one of its indices is written by.

        Writes ask for an alias: a cluster makes an index of its own guess where the name of a deleted one is written to.
        """
        return f"{index}{_WRITING}{f'-{self.term}' if self.term else ''}"

    def aliases(self) -> dict[str, str]:
        """The alias of each of its indices."""
        return {
            self.name: self.alias,
            **{f"{self.name}{_mark(tenant)}": f"{self.alias}{_mark(tenant)}" for tenant in self.own},
        }

    def is_live(self, live: Mapping[str, Any]) -> bool:
        """Whether each of its indices is searched by its alias, among those that are searched."""
        return all(
            name in live and alias in live_aliases(live[name]) for name, alias in self.aliases().items()
        )


def family_of(base: str, *, space: Space, metric: Metric) -> str:
    """The alias of the index for this space and metric, in this release's format.

    Each has an alias of its own, so that processes of two models or two releases, each with workers, go on side by side.
    """
    made_for = Identity(epoch="", space=space, metric=metric).meta()
    digest = hashlib.sha256(repr(sorted(made_for.items())).encode()).hexdigest()[:8]
    model = re.sub(r"[^a-z0-9]+", "-", space.name.lower()).strip("-")[:_MODEL_CHARACTERS]
    return f"{base}-{model}-{digest}"


def family_in(base: str, index: str) -> str | None:
    """The alias whose generation an index is of; None where its name is none of an index of that base."""
    found = re.fullmatch(rf"({re.escape(base)}(?:-.+?)??)-\d{{6,}}(?:-own-[0-9a-f]+)?", index)
    return None if found is None else found[1]


def name_of(alias: str, number: int) -> str:
    return f"{alias}-{number:06d}"


def number_of(alias: str, index: str) -> int:
    """The number in an index's name; 0 where the name is none of ours."""
    digits = index.removeprefix(f"{alias}-").split("-", 1)[0]
    return int(digits) if index.startswith(f"{alias}-") and digits.isdecimal() else 0


def live_aliases(described: Mapping[str, Any]) -> list[str]:
    """The aliases by which an index is searched; none where it is not live."""
    return [alias for alias in described["aliases"] if _WRITING not in alias]


def position_name(partition: int) -> str:
    """The id of the document that holds a partition's position. No memory's id looks like it."""
    return f"position-{partition}"


def parse_position(text: str) -> Position:
    xid, _, sequence = text.partition("-")
    return Position(xid=int(xid), sequence=int(sequence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A partition's position and which write of its document said so. START: it has none yet."""

    position: Position = START
    sequence: int | None = None
    term: int | None = None


NOWHERE = Place()


def place_of(document: Mapping[str, Any]) -> Place:
    """From what a document is read as."""
    if not document.get("found"):
        return NOWHERE
    return Place(
        position=parse_position(document["_source"]["position"]),
        sequence=document["_seq_no"],
        term=document["_primary_term"],
    )


def least(places: Sequence[Place]) -> Position:
    return min(place.position for place in places)


def _mark(tenant: TenantId) -> str:
    # A hash, because a tenant's name may hold anything.
    return f"-own-{hashlib.sha256(tenant.encode()).hexdigest()[:16]}"
