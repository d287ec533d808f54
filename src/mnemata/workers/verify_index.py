"""Compares an index with the store, range by range, while both are written to; and brings the index back in line.

A page of memories is projected as the indexer would, and its marks are summed; the index sums its own over the same range of ids.
Where the sums agree nothing more is asked. Where they differ the index lists the range, and each memory that differs is looked at
again until it is certain that no write under way explains it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mnemata.domain.clock import Clock
from mnemata.domain.fault import Fault, Findings, Part
from mnemata.domain.ids import MemoryId
from mnemata.index.marks import Digest, Held, Listing, MemoryKey, Span
from mnemata.index.protocol import SearchIndex, Upsert
from mnemata.observability.logging import get_logger
from mnemata.services.operations import Progress, no_progress
from mnemata.store.database import Database
from mnemata.workers.indexer import Indexer
from mnemata.workers.lasting import lasting
from mnemata.workers.pace import Pace

log = get_logger("workers")

_PAGE = 1_000
_ROUNDS = 8
_PAUSE_S = 0.3
"""Between two looks at what differs: a vector that was just made is in the index a moment before it is in the store."""
_LAST_LOOKS = 3
_LAST_PAUSE_S = 2.0
"""Before each of the last looks at what kept changing: who writes a memory again and again pauses at some time."""

Reach = Callable[[int], Awaitable[bool]]
"""Returns once the index has every change of the transactions below an xid; False where it does not come that far."""

Seen = Callable[[Upsert], None]
"""Told of the memories that are compared, as they should be in the index."""

_REBUILD = "mnemata rebuild"
_REPAIR = "mnemata index verify --repair"


@dataclass(frozen=True, slots=True)
class _State:
    """What there should be of some memories, what could not be told, and below which xid the index must have seen all."""

    wanted: Mapping[MemoryKey, Held]
    untold: Mapping[MemoryId, str]
    horizon: int


class IndexVerifier:
    def __init__(self, database: Database, indexer: Indexer, *, clock: Clock) -> None:
        self._database = database
        self._indexer = indexer
        self._clock = clock

    async def verify(
        self,
        index: SearchIndex,
        reach: Reach,
        *,
        repair: bool,
        findings: Findings,
        pace: Pace,
        progress: Progress = no_progress,
        seen: Seen | None = None,
    ) -> None:
        """Compare every memory. `repair`: announce what differs in the feed, and see that it is mended."""
        listing = await index.listing()
        run = _Run(self, index, reach, repair=repair, findings=findings)
        async with self._database.platform() as transaction:
            total = await transaction.memories_in_all()
        last: MemoryId | None = None
        while True:
            async with self._database.platform() as transaction:
                ids = await transaction.scan(after=last, limit=_PAGE)
            upto = ids[-1] if len(ids) == _PAGE else None
            await run.page(listing, ids, Span(after=last, upto=upto), seen)
            findings.checked["memories"] += len(ids)
            progress(findings.checked["memories"], max(total, findings.checked["memories"]))
            if upto is None:
                break
            last = upto
            await pace.after(len(ids))
        await run.last_looks()

    async def state(self, ids: Sequence[MemoryId], seen: Seen | None = None) -> _State:
        """What the index should hold of these memories, by the store, at this moment."""
        async with self._database.platform() as transaction:
            horizon = await transaction.feed.horizon()
        try:
            wanted, untold = await self._projected(ids, seen), dict[MemoryId, str]()
        except Exception as error:  # noqa: BLE001 (whatever one memory does, the others are compared)
            lasting(error)
            wanted, untold = await self._one_by_one(ids, seen)
        return _State(wanted, untold, horizon)

    async def announce(self, again: Iterable[MemoryId], gone: Iterable[MemoryKey]) -> None:
        """Let the feed tell of memories once more, and of such as are no more."""
        now = self._clock.now()
        async with self._database.platform() as transaction:
            await transaction.feed.announce_again(list(again), now=now)
            await transaction.feed.announce_gone(list(gone), now=now)

    async def explained(self, faults: Mapping[MemoryKey, Fault]) -> list[Fault]:
        """The faults; of memories that were set aside, as that."""
        if not faults:
            return []
        async with self._database.platform() as transaction:
            codes = await transaction.poison.codes([memory_id for _, memory_id in faults])
        return [
            fault
            if fault.repaired or memory_id not in codes
            else replace(
                fault,
                what="set_aside",
                detail=f"the index could not take it: {codes[memory_id]}",
                remedy="mnemata index set-aside --retry",
            )
            for (_, memory_id), fault in faults.items()
        ]

    async def _projected(self, ids: Sequence[MemoryId], seen: Seen | None) -> dict[MemoryKey, Held]:
        wanted: dict[MemoryKey, Held] = {}
        for action in await self._indexer.projected(ids):
            if isinstance(action, Upsert):
                memory = action.memory
                held = Held(
                    tenant=memory.tenant, memory_id=memory.id, version=memory.version, mark=action.mark
                )
                wanted[held.key] = held
                if seen is not None:
                    seen(action)
        return wanted

    async def _one_by_one(
        self, ids: Sequence[MemoryId], seen: Seen | None
    ) -> tuple[dict[MemoryKey, Held], dict[MemoryId, str]]:
        wanted, untold = dict[MemoryKey, Held](), dict[MemoryId, str]()
        for memory_id in ids:
            try:
                wanted |= await self._projected([memory_id], seen)
            except Exception as error:  # noqa: BLE001 (as above)
                untold[memory_id] = lasting(error)
        return wanted, untold

    async def check_files(self, index: SearchIndex, findings: Findings) -> None:
        """Read every file of the index."""
        for damage in await index.damages():
            log.error("index_file_damaged", path=damage.path, reason=damage.reason)
            detail = f"{damage.path}: {damage.reason}"
            fault = Fault(
                part=Part.INDEX, what="damaged_file", detail=detail, remedy=_REBUILD, tenant=damage.tenant
            )
            findings.add(fault)


class _Run:
    """One verification of one index."""

    def __init__(
        self, verifier: IndexVerifier, index: SearchIndex, reach: Reach, *, repair: bool, findings: Findings
    ) -> None:
        self._verifier = verifier
        self._index = index
        self._reach = reach
        self._repair = repair
        self._findings = findings
        self._open: set[MemoryKey] = set()
        """What kept changing when it was looked at, and is looked at again at the end; a page of it at most."""

    async def page(self, listing: Listing, ids: Sequence[MemoryId], span: Span, seen: Seen | None) -> None:
        state = await self._verifier.state(ids, seen)
        self._tell_untold(state.untold)
        (digest,) = await listing.digests([span])
        if digest == Digest.of(state.wanted.values()):
            return
        suspects = await self._differing(listing, span, state.wanted)
        await self._tell({key for key in suspects if key[1] not in state.untold})

    async def last_looks(self) -> None:
        """Look again, later, at what kept changing; what still does is undecided."""
        for _ in range(_LAST_LOOKS):
            if not self._open:
                return
            await asyncio.sleep(_LAST_PAUSE_S)
            keys, self._open = self._open, set[MemoryKey]()
            await self._tell(keys)
        self._findings.undecided += len(self._open)

    async def _tell(self, keys: set[MemoryKey]) -> None:
        """Tell which of them are wrong, mended where that is asked for."""
        faults = await self._certain(keys)
        if faults and self._repair:
            faults = await self._mended(faults)
        for fault in await self._verifier.explained(faults):
            log.error(
                "index_differs", what=fault.what, memory_id=str(fault.memory_id), repaired=fault.repaired
            )
            self._findings.add(fault)

    def _tell_untold(self, untold: Mapping[MemoryId, str]) -> None:
        for memory_id, code in untold.items():
            fault = Fault(
                part=Part.INDEX,
                what="not_projected",
                detail=f"what the index should hold of it cannot be told: {code}",
                remedy="mnemata verify --store --repair",
                memory_id=memory_id,
            )
            self._findings.add(fault)

    async def _differing(
        self, listing: Listing, span: Span, wanted: Mapping[MemoryKey, Held]
    ) -> set[MemoryKey]:
        """The memories of a span of which the index does not hold what it should."""
        missing, different = dict(wanted), set[MemoryKey]()
        while True:
            held = await listing.held(span, limit=_PAGE)
            full = len(held) == _PAGE
            # Those of one id stay together: the last id of a full page may go on in the next.
            whole = [one for one in held if not full or one.memory_id != held[-1].memory_id] or held
            for one in whole:
                if missing.pop(one.key, None) != one:
                    different.add(one.key)
            if not full:
                return different | missing.keys()
            span = Span(after=whole[-1].memory_id, upto=span.upto)

    async def _certain(self, keys: set[MemoryKey]) -> dict[MemoryKey, Fault]:
        """Those that are wrong, and not only under way: seen alike twice, by a store that did not change in between."""
        faults: dict[MemoryKey, Fault] = {}
        before: dict[MemoryKey, tuple[Held | None, Held | None]] = {}
        for _ in range(_ROUNDS):
            if not keys:
                return faults
            found = await self._pairs(keys)
            if found is None:
                break
            differing = {key: pair for key, pair in found.items() if pair[0] != pair[1]}
            for key, pair in differing.items():
                if before.get(key) == pair:
                    faults[key] = await self._fault(key, *pair)
            # What is not in `found` changed while it was looked at.
            keys = {key for key in keys if key not in found or key in differing} - faults.keys()
            before = differing
            if keys:
                await asyncio.sleep(_PAUSE_S)
        self._keep_open(keys)
        return faults

    def _keep_open(self, keys: set[MemoryKey]) -> None:
        if len(self._open) + len(keys) <= _PAGE:
            self._open |= keys
        else:
            # So many do not keep changing: the index is behind.
            self._findings.undecided += len(keys)

    async def _pairs(self, keys: set[MemoryKey]) -> dict[MemoryKey, tuple[Held | None, Held | None]] | None:
        """What there should be and what the index holds, of those whose memories did not change meanwhile.

        None where the index does not come as far as the store.
        """
        ids = list({memory_id for _, memory_id in keys})
        first = await self._verifier.state(ids)
        if not await self._reach(first.horizon):
            return None
        held = {one.key: one for one in await self._index.held(list(keys))}
        second = await self._verifier.state(ids)
        return {
            key: (first.wanted.get(key), held.get(key))
            for key in keys
            if first.wanted.get(key) == second.wanted.get(key)
        }

    async def _mended(self, faults: Mapping[MemoryKey, Fault]) -> dict[MemoryKey, Fault]:
        gone = [key for key, fault in faults.items() if fault.what == "extra"]
        await self._verifier.announce((key[1] for key in faults.keys() - set(gone)), gone)
        left = await self._certain(set(faults))
        return {key: left.get(key, fault.mended()) for key, fault in faults.items()}

    async def _fault(self, key: MemoryKey, wanted: Held | None, held: Held | None) -> Fault:
        what, field, detail = _told(wanted, held)
        return Fault(
            part=Part.INDEX,
            what=what,
            detail=detail,
            remedy=_REPAIR,
            tenant=key[0],
            memory_id=key[1],
            field=field,
        )


def _told(wanted: Held | None, held: Held | None) -> tuple[str, str | None, str]:
    """What is wrong, in which field, and the facts."""
    if held is None:
        return "missing", None, "the store has it, the index has not"
    if wanted is None:
        return "extra", None, "the index has it; it was forgotten, superseded or never stored"
    if not held.whole:
        return "torn", None, "words and vectors of the index do not hold the same of it"
    if held.version != wanted.version:
        detail = f"version {held.version} in the index, {wanted.version} in the store"
        return "stale" if held.version < wanted.version else "ahead", "version", detail
    return "different", "mark", f"{held.mark:016x} in the index, {wanted.mark:016x} by the store"
