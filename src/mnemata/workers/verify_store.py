"""Verifies the store page by page while it is written to. Each page is compared in one snapshot: writes raise no alarm."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.clock import Clock
from mnemata.domain.fault import Fault, Findings, Part
from mnemata.domain.ids import MemoryId
from mnemata.domain.vector import Space
from mnemata.observability.logging import get_logger
from mnemata.services.operations import Progress, no_progress
from mnemata.store.database import Database
from mnemata.store.verify import FIRST_VECTOR, SLICES, Checked, StoredVector, Version

log = get_logger("workers")

_PAGE = 500
_MOST = 1_000
_UNIT_WITHIN = 1e-3
"""A unit vector that was read back has its length to six digits; a flipped bit that matters moves it by more than this."""

_REPAIR = "mnemata verify --store --repair"
_RESTORE = "Bring it back from a backup, or write it again"
_READ_HISTORY = "Compare its history, and write the memory again as it should be"


class StoreVerifier:
    """`space`: the one in use, whose vectors must have its dimensions."""

    def __init__(self, database: Database, *, space: Space, clock: Clock) -> None:
        self._database = database
        self._space = space
        self._clock = clock

    async def verify(self, *, repair: bool, findings: Findings, progress: Progress = no_progress) -> None:
        """Compare everything that is stored with its hashes and with each other; mend where it is certain what is right."""
        await self._memories(findings, progress, repair=repair)
        for part in range(SLICES):
            await self._untold(part, findings, repair=repair)
            await self._orphans(part, findings)
        await self._vectors(findings, repair=repair)

    async def _memories(self, findings: Findings, progress: Progress, *, repair: bool) -> None:
        async with self._database.platform() as transaction:
            total = await transaction.memories_in_all()
        last: MemoryId | None = None
        while True:
            async with self._database.platform() as transaction:
                page = await transaction.verification.memories(after=last, limit=_PAGE)
            for checked in page:
                if not checked.sound:
                    await self._tell(checked, findings, repair=repair)
            findings.checked["stored_memories"] += len(page)
            findings.checked["versions"] += sum(checked.versions for checked in page)
            done = findings.checked["stored_memories"]
            progress(done, max(total, done))
            if len(page) < _PAGE:
                return
            last = page[-1].memory_id

    async def _tell(self, checked: Checked, findings: Findings, *, repair: bool) -> None:
        faults = list(_faults_of(checked))
        left: Checked | None = await self._mended(checked) if repair else checked
        still = set() if left is None else {(fault.what, fault.field) for fault in _faults_of(left)}
        for fault in faults:
            told = fault if (fault.what, fault.field) in still else fault.mended()
            log.error(
                "store_differs",
                what=told.what,
                memory_id=str(told.memory_id),
                field=told.field,
                repaired=told.repaired,
            )
            findings.add(told)

    async def _mended(self, checked: Checked) -> Checked | None:
        """The memory as it is after everything that is certain was put in order, and the indexes were told."""
        memory_id, version = checked.memory_id, checked.version
        async with self._database.platform() as transaction:
            verification = transaction.verification
            mended = False
            if not checked.content_sound:
                mended |= await verification.mend("content_from_version", memory_id, version)
            elif version in checked.broken:
                mended |= await verification.mend("version_from_memory", memory_id, version)
            if checked.content_sound and not checked.key_sound:
                mended |= await verification.mend("embedding_key", memory_id, version)
            if mended:
                await transaction.feed.announce_again([memory_id], now=self._clock.now())
            after = _before(memory_id)
            (left, *_) = await verification.memories(after=after, limit=1) or [None]
        return left if left is not None and left.memory_id == memory_id else None

    async def _untold(self, part: int, findings: Findings, *, repair: bool) -> None:
        last: Version | None = None
        while True:
            async with self._database.platform() as transaction:
                found = await transaction.verification.untold(part, after=last, limit=_MOST)
                if repair:
                    ids = [one.memory_id for one in found]
                    await transaction.feed.announce_again(ids, now=self._clock.now())
            for one in found:
                findings.add(_untold_fault(one, repaired=repair))
            if len(found) < _MOST:
                return
            last = found[-1]

    async def _orphans(self, part: int, findings: Findings) -> None:
        last: Version | None = None
        while True:
            async with self._database.platform() as transaction:
                found = await transaction.verification.orphans(part, after=last, limit=_MOST)
            for one in found:
                findings.add(_orphan_fault(one))
            if len(found) < _MOST:
                return
            last = found[-1]

    async def _vectors(self, findings: Findings, *, repair: bool) -> None:
        place = FIRST_VECTOR
        while True:
            async with self._database.platform() as transaction:
                page = await transaction.verification.vectors(after=place, limit=_PAGE)
            for vector, why in _unsound(page, self._space):
                await self._tell_vector(vector, why, findings, repair=repair)
            findings.checked["vectors"] += len(page)
            if len(page) < _PAGE:
                return
            place = page[-1].place

    async def _tell_vector(self, vector: StoredVector, why: str, findings: Findings, *, repair: bool) -> None:
        async with self._database.platform() as transaction:
            ids = await transaction.verification.memories_of(vector, limit=_MOST)
            if repair:
                # Whoever needs it makes it again: the indexer does, for the memories that are announced.
                await transaction.verification.drop_vector(vector)
                await transaction.feed.announce_again(ids, now=self._clock.now())
        fault = Fault(
            part=Part.STORE,
            what="vector",
            detail=f"the vector under {vector.key.hex()[:16]} in the space {vector.space} {why}",
            remedy=_REPAIR,
            tenant=vector.tenant,
            memory_id=ids[0] if ids else None,
            field="vector",
            repaired=repair,
        )
        log.error("store_differs", what=fault.what, memory_id=str(fault.memory_id), repaired=repair)
        findings.add(fault)


def _faults_of(checked: Checked) -> Iterator[Fault]:
    def fault(what: str, detail: str, remedy: str, field: str | None = None) -> Fault:
        return Fault(
            part=Part.STORE,
            what=what,
            detail=detail,
            remedy=remedy,
            tenant=checked.tenant,
            memory_id=checked.memory_id,
            field=field,
        )

    newest = checked.version
    if not checked.content_sound:
        yield fault("content", "its content does not have its hash", _REPAIR, "content")
    if checked.content_sound and not checked.key_sound:
        yield fault("embedding_key", "it is not the hash of the embedded text", _REPAIR, "embedding_key")
    if not checked.gapless:
        detail = f"{checked.versions} versions from {checked.lowest} to {checked.highest}; it is at {newest}"
        yield fault("versions", detail, _RESTORE)
    for version in checked.broken:
        remedy = _REPAIR if version == newest and checked.content_sound else _RESTORE
        yield fault(
            "version_content",
            f"the content of version {version} does not have its hash",
            remedy,
            f"versions[{version}].content",
        )
    for version in checked.loose:
        detail = f"version {version} does not end where the next one begins"
        yield fault("version_times", detail, _READ_HISTORY, f"versions[{version}].replaced_at")
    for column in checked.differing or ():
        # What is wrong with contents is told by their hashes.
        if column not in {"content", "content_hash"} or (
            checked.content_sound and newest not in checked.broken
        ):
            yield fault("differs", f"it is another in version {newest}", _READ_HISTORY, column)
    if not checked.tenant_known:
        yield fault("tenant", "there is no such tenant", "Make the tenant again", "tenant")


def _untold_fault(version: Version, *, repaired: bool) -> Fault:
    return Fault(
        part=Part.STORE,
        what="untold",
        detail=f"the feed does not tell of version {version.version}",
        remedy=_REPAIR,
        tenant=version.tenant,
        memory_id=version.memory_id,
        repaired=repaired,
    )


def _orphan_fault(version: Version) -> Fault:
    return Fault(
        part=Part.STORE,
        what="orphan_version",
        detail=f"version {version.version} is of a memory that is not there",
        remedy=_RESTORE,
        tenant=version.tenant,
        memory_id=version.memory_id,
    )


def _unsound(page: Sequence[StoredVector], space: Space) -> Iterator[tuple[StoredVector, str]]:
    """Those that are no unit vectors of the dimensions that they claim, or not what was stored, and why."""
    for vector in page:
        row = np.frombuffer(vector.data, "<f4") if len(vector.data) % 4 == 0 else np.empty(0, "<f4")
        expected = space.dimensions if vector.space == space.name else vector.dimensions
        if len(row) != expected:
            yield vector, f"has {len(row)} numbers, not {expected}"
        elif not np.isfinite(row).all():
            yield vector, "has numbers that are not finite"
        elif abs((length := _length(row)) - 1) > _UNIT_WITHIN:
            yield vector, f"has the length {length:.3g}, not 1"
        elif vector.checksum not in {None, zlib.crc32(vector.data)}:
            yield vector, "has not the checksum that it was stored with"


def _length(row: NDArray[np.float32]) -> float:
    # In doubles: the square of a damaged number may be beyond what a float holds.
    return float(np.linalg.norm(row.astype(np.float64)))


def _before(memory_id: MemoryId) -> MemoryId:
    """The id directly in front of another."""
    return MemoryId(UUID(int=max(0, memory_id.int - 1)))
