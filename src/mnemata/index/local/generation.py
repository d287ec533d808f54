"""One generation of the index: a folder with a manifest and a partition for each tenant."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mnemata.domain.change import START, Position
from mnemata.domain.errors import IndexDamaged, SpaceMismatch
from mnemata.domain.ids import TenantId
from mnemata.index.local import checksums
from mnemata.index.local.failures import translated
from mnemata.index.local.graph import Halted
from mnemata.index.local.manifest import Identity, Manifest, TenantRecord, read_manifest
from mnemata.index.local.options import LocalOptions
from mnemata.index.local.partition import Partition, PartitionCounts
from mnemata.index.protocol import Action, Embedded, Upsert


class GenerationClosed(Exception):
    """Another generation is in use: ask that one. Never leaves the engine."""


@dataclass(slots=True)
class _Open:
    """An open partition and how many calls use it right now."""

    partition: Partition
    users: int = 0


_NEVER_SAVED = TenantRecord()


class IndexGeneration:
    """Partitions by tenant, opened when needed. One writer at a time; any number of readers. Calls block."""

    def __init__(self, folder: Path, *, manifest: Manifest, options: LocalOptions) -> None:
        self.folder = folder
        self.identity = manifest.identity
        self.position = manifest.position
        self.durable_position = manifest.position
        self._options = options
        self._tenants: dict[TenantId, TenantRecord] = dict(manifest.tenants)
        self._open: OrderedDict[TenantId, _Open] = OrderedDict()
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._saving = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._closed = False

    @classmethod
    def create(cls, folder: Path, *, identity: Identity, options: LocalOptions) -> IndexGeneration:
        """An empty generation in a new folder."""
        manifest = Manifest(identity=identity, position=START, tenants={})
        with translated("create", folder):
            folder.mkdir(parents=True)
            manifest.write(folder)
        return cls(folder, manifest=manifest, options=options)

    @classmethod
    def open(cls, folder: Path, *, identity: Identity, options: LocalOptions) -> IndexGeneration:
        """The generation in the folder; raises IndexDamaged where any of it is missing, damaged or not as asked."""
        generation = cls(folder, manifest=read_manifest(folder, identity), options=options)
        try:
            generation._verify()
        except BaseException:
            generation.close()
            raise
        return generation

    @property
    def tenants(self) -> tuple[TenantId, ...]:
        with self._lock:
            return tuple(self._tenants)

    @contextmanager
    def using(self, tenant: TenantId) -> Generator[Partition | None]:
        """The tenant's partition, kept open meanwhile; None where the tenant has none."""
        if tenant not in self._tenants:
            yield None
            return
        entry = self._enter(tenant)
        try:
            yield entry.partition
        finally:
            self._leave(entry)

    def apply(self, actions: Sequence[Action], *, position: Position) -> bool:
        """Apply the actions, tenant by tenant, each tenant's in order; then `position` is reached.

        True where so many are in memory only that a `fold` is due.
        """
        self._check(actions)
        full = False
        by_tenant: dict[TenantId, list[Action]] = {}
        for action in actions:
            tenant = action.memory.tenant if isinstance(action, Upsert) else action.tenant
            by_tenant.setdefault(tenant, []).append(action)
        for tenant, own in by_tenant.items():
            with self._lock:
                self._tenants.setdefault(tenant, TenantRecord())
            with self.using(tenant) as partition:
                if partition is not None:
                    partition.apply(own, position=position)
                    full = full or partition.lexical.wants_folding
        self.position = max(self.position, position)
        return full

    def save(self) -> None:
        """Bring everything applied to disk, and then the position that it has."""
        with self._saving:
            reached = self.position
            saved = self._save_partitions()
            if reached == self.durable_position and not saved:
                return
            with self._lock:
                # One that never came to be has nothing that must be there.
                tenants = {
                    tenant: record for tenant, record in self._tenants.items() if record != _NEVER_SAVED
                }
                manifest = Manifest(identity=self.identity, position=reached, tenants=tenants)
            with translated("save", self.folder):
                manifest.write(self.folder)
            self.durable_position = reached

    def fold(self, *, everything: bool) -> None:
        """Move fresh memories to disk, or only those of tenants that have many, without a new durable position."""
        for tenant in self._opened():
            with self.using(tenant) as partition:
                if partition is not None and (everything or partition.lexical.wants_folding):
                    partition.lexical.fold()
                    # A fold that could not wait is one of many: the writer stays open for the next.
                    if everything:
                        partition.lexical.rest()

    def maintain(self, halted: Halted, *, patient: bool = False) -> bool:
        """One round of what makes searches faster and files smaller; whether there may be more to do.

        `patient`: what can wait without making searches slow is left for later.

        Then partitions that were not used for long are closed.
        """
        more = False
        for tenant in self._opened():
            with self.using(tenant) as partition:
                more |= partition is not None and partition.maintain(halted, patient=patient)
        self._close_surplus()
        return more

    def close(self) -> None:
        """Wait for running calls, then close. What was not saved is lost: the feed has it."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: not any(entry.users for entry in self._open.values()))
            entries, self._open = list(self._open.values()), OrderedDict()
        for entry in entries:
            entry.partition.close()

    def drop(self) -> None:
        """Close and delete."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def counts(self, tenant: TenantId) -> PartitionCounts:
        """Of an open partition what it has now; of a closed one what it had when it was saved last."""
        with self._lock:
            entry, record = self._open.get(tenant), self._tenants.get(tenant, TenantRecord())
        if entry is not None:
            return entry.partition.counts()
        return PartitionCounts(
            documents=record.documents,
            vectors=record.vectors,
            deleted=record.deleted,
            segments=record.segments,
        )

    def partition_folder(self, tenant: TenantId) -> Path:
        # A hash, because a tenant's name may hold anything.
        return self.folder / hashlib.sha256(tenant.encode()).hexdigest()[:32]

    def _verify(self) -> None:
        """Check every file of every partition, and leave the partitions that fit open."""
        for tenant, record in self._tenants.items():
            checksums.verify(self.partition_folder(tenant) / "lexical")
            with self.using(tenant) as partition:
                if partition is None or partition.position < record.position:
                    raise IndexDamaged(
                        path=str(self.partition_folder(tenant)), reason="it is older than it should be"
                    )
            self._close_surplus()

    def _check(self, actions: Sequence[Action]) -> None:
        vectors = (action.vector for action in actions if isinstance(action, Upsert))
        for vector in vectors:
            if isinstance(vector, Embedded) and vector.space != self.identity.space:
                raise SpaceMismatch(expected=self.identity.space.name, actual=vector.space.name)

    def _enter(self, tenant: TenantId) -> _Open:
        entry = self._in_use(tenant)
        if entry is not None:
            return entry
        with self._opening:
            entry = self._in_use(tenant)
            return entry if entry is not None else self._add(tenant, self._new_partition(tenant))

    def _add(self, tenant: TenantId, partition: Partition) -> _Open:
        with self._lock:
            if self._closed:
                partition.close()
                raise GenerationClosed
            entry = self._open[tenant] = _Open(partition, users=1)
            return entry

    def _in_use(self, tenant: TenantId) -> _Open | None:
        with self._lock:
            if self._closed:
                raise GenerationClosed
            entry = self._open.get(tenant)
            if entry is not None:
                entry.users += 1
                self._open.move_to_end(tenant)
            return entry

    def _leave(self, entry: _Open) -> None:
        with self._idle:
            entry.users -= 1
            self._idle.notify_all()

    def _new_partition(self, tenant: TenantId) -> Partition:
        return Partition(
            self.partition_folder(tenant),
            space=self.identity.space,
            metric=self.identity.metric,
            vectors=self._options.vectors,
            fold_changes=self._options.fold_changes,
        )

    def _opened(self) -> tuple[TenantId, ...]:
        with self._lock:
            return tuple(self._open)

    def _save_partitions(self) -> int:
        """Save those that changed; how many they were."""
        saved = 0
        for tenant in self._opened():
            with self.using(tenant) as partition:
                if partition is not None and partition.dirty:
                    record = _record(partition.save(), partition.counts())
                    with self._lock:
                        self._tenants[tenant] = record
                    saved += 1
        return saved

    def _close_surplus(self) -> None:
        """Close the partitions used longest ago, beyond the bound; those in use or not saved stay."""
        with self._lock:
            surplus = len(self._open) - self._options.open_partitions
            idle = [t for t, entry in self._open.items() if not entry.users and not entry.partition.dirty]
            closing = [self._open.pop(tenant) for tenant in idle[: max(0, surplus)]]
        for entry in closing:
            entry.partition.close()


def _record(position: Position, counts: PartitionCounts) -> TenantRecord:
    return TenantRecord(
        position=position,
        documents=counts.documents,
        vectors=counts.vectors,
        deleted=counts.deleted,
        segments=counts.segments,
    )
