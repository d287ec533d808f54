"""What an index folder says of itself: for which feed and space it is, and how far in the feed all of it is on disk."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnemata.domain.change import START, Position
from mnemata.domain.errors import IndexDamaged
from mnemata.domain.ids import TenantId
from mnemata.domain.vector import Metric, Space
from mnemata.index.local.durable import write_durably

FORMAT = 3
"""Raised with every change of the files that an older index cannot be read with: it is then rebuilt."""

_NAME = "manifest.json"
_ANOTHER = "it is of another format, feed or vector space"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An index of another identity is never read, only rebuilt."""

    epoch: str
    space: Space
    metric: Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRecord:
    """A partition that must be there: the position that it must have reached, and what it counted then."""

    position: Position = START
    documents: int = 0
    vectors: int = 0
    deleted: int = 0
    segments: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    identity: Identity
    position: Position = START
    tenants: Mapping[TenantId, TenantRecord]

    def write(self, folder: Path) -> None:
        identity = self.identity
        written = {
            "format": FORMAT,
            "epoch": identity.epoch,
            "space": identity.space.name,
            "dimensions": identity.space.dimensions,
            "metric": identity.metric.value,
            "position": str(self.position),
            "tenants": {tenant: _written(record) for tenant, record in self.tenants.items()},
        }
        write_durably(folder / _NAME, sealed(written))


def read_manifest(folder: Path, identity: Identity) -> Manifest:
    """The folder's manifest; raises IndexDamaged where it is missing, unreadable or of another identity."""
    try:
        manifest = _read_file(folder)
        if manifest.identity != identity:
            raise ValueError(_ANOTHER)
    except _UNREADABLE as error:
        raise IndexDamaged(path=str(folder), reason=str(error) or type(error).__name__) from error
    return manifest


def written_manifest(folder: Path) -> Manifest | None:
    """The folder's manifest, of whatever identity; None where it is missing, unreadable or of another format."""
    try:
        return _read_file(folder)
    except _UNREADABLE:
        return None


def written_epoch(folder: Path) -> str | None:
    """The epoch that the folder's manifest names; None where it is missing or unreadable."""
    try:
        epoch = _unsealed((folder / _NAME).read_bytes())["epoch"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return epoch if isinstance(epoch, str) else None


def sealed(body: dict[str, Any]) -> bytes:
    """The file of a manifest with this body: a digit of a position that a disk turned into another must not be believed."""
    return json.dumps({"crc32": _checksum(body), "body": body}).encode()


def parse_position(text: str) -> Position:
    """The position that `str(position)` wrote."""
    xid, _, sequence = text.partition("-")
    return Position(xid=int(xid), sequence=int(sequence))


def _read_file(folder: Path) -> Manifest:
    read = _unsealed((folder / _NAME).read_bytes())
    if read["format"] != FORMAT:
        raise ValueError(_ANOTHER)
    identity = Identity(
        epoch=read["epoch"],
        space=Space(name=read["space"], dimensions=read["dimensions"]),
        metric=Metric(read["metric"]),
    )
    tenants = {TenantId(tenant): _read(record) for tenant, record in read["tenants"].items()}
    return Manifest(identity=identity, position=parse_position(read["position"]), tenants=tenants)


def _unsealed(data: bytes) -> dict[str, Any]:
    """Raises ValueError, KeyError or TypeError where it is no manifest, or not as it was written."""
    whole = json.loads(data)
    if "crc32" not in whole:
        raise ValueError(_ANOTHER)
    if whole["crc32"] != _checksum(whole["body"]):
        raise ValueError("the manifest's checksum is wrong")
    return whole["body"]


def _checksum(body: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def _written(record: TenantRecord) -> list[str | int]:
    return [str(record.position), record.documents, record.vectors, record.deleted, record.segments]


def _read(record: list[Any]) -> TenantRecord:
    position, documents, vectors, deleted, segments = record
    return TenantRecord(
        position=parse_position(position),
        documents=documents,
        vectors=vectors,
        deleted=deleted,
        segments=segments,
    )
