"""The figures of an index: of one tenant, or of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mnemata.domain.ids import TenantId
from mnemata.index.local.generation import IndexGeneration
from mnemata.index.local.partition import PartitionCounts
from mnemata.index.protocol import IndexStatistics


def of_generation(generation: IndexGeneration, tenant: TenantId | None) -> IndexStatistics:
    """What is there now; of tenants whose files are closed, what was there when they were saved last."""
    tenants = generation.tenants if tenant is None else (tenant,)
    counts = [generation.counts(one) for one in tenants]
    folder = generation.folder if tenant is None else generation.partition_folder(tenant)
    total = _sum(counts)
    return IndexStatistics(
        documents=total.documents,
        vectors=total.vectors,
        deleted=total.deleted,
        segments=total.segments,
        bytes_on_disk=bytes_below(folder),
        position=generation.position,
        durable_position=generation.durable_position,
        epoch=generation.identity.epoch,
        space=generation.identity.space,
        positions=(generation.position,),
        details={
            "generation": generation.folder.name,
            "tenants": len(tenants),
            "unfolded": total.unfolded,
            "compared": total.compared,
        },
    )


def _sum(counts: Sequence[PartitionCounts]) -> PartitionCounts:
    figures = [asdict(count) for count in counts]
    return PartitionCounts(
        **{name: sum(each[name] for each in figures) for name in asdict(PartitionCounts())}
    )


def bytes_below(folder: Path) -> int:
    """Of all files in a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            # Merged away between the listing and the look.
            continue
    return total
