"""What there is of generations in the folder of the local engine, the open ones and those that only lie there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mnemata.domain.change import START
from mnemata.domain.memory import JsonValue
from mnemata.index.local.folders import Folders
from mnemata.index.local.generation import IndexGeneration
from mnemata.index.local.manifest import FORMAT, Identity, Manifest, written_manifest
from mnemata.index.local.notes import read_notes
from mnemata.index.local.statistics import bytes_below, of_generation
from mnemata.index.protocol import GenerationState, GenerationStatus


def statuses_of(
    folders: Folders, identity: Identity, opened: Mapping[Path, IndexGeneration], *, live: Path
) -> list[GenerationStatus]:
    """By name. `opened`: those that are open, by folder; of the others their manifests tell. Blocks."""
    return [_status(folder, identity, opened.get(folder), is_live=folder == live) for folder in folders.all()]


def _status(
    folder: Path, identity: Identity, opened: IndexGeneration | None, *, is_live: bool
) -> GenerationStatus:
    notes = read_notes(folder)
    manifest = written_manifest(folder)
    retired_at = None if notes is None else notes.retired_at
    state = GenerationState.OLD if retired_at is not None else GenerationState.BESIDE
    if opened is not None:
        documents, position = of_generation(opened, None).documents, opened.position
    else:
        records = () if manifest is None else manifest.tenants.values()
        documents = sum(record.documents for record in records)
        position = START if manifest is None else manifest.position
    return GenerationStatus(
        name=folder.name,
        state=GenerationState.LIVE if is_live else state,
        fits=manifest is not None and manifest.identity == identity,
        documents=documents,
        bytes_on_disk=bytes_below(folder),
        positions=(position,),
        created_at=None if notes is None else notes.created_at,
        retired_at=retired_at,
        made_for={} if manifest is None else _made_for(manifest),
        notes={} if notes is None else notes.notes,
    )


def _made_for(manifest: Manifest) -> Mapping[str, JsonValue]:
    identity = manifest.identity
    return {
        "epoch": identity.epoch,
        "space": identity.space.name,
        "dimensions": identity.space.dimensions,
        "metric": identity.metric.value,
        "format": FORMAT,
        "tenants": len(manifest.tenants),
    }
