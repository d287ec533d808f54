"""Build a generation of the index beside the live one, verify it, and switch to it: searches never stop.

A build that was broken off goes on where it was: it notes with its generation how far it has come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from mnemata.domain.change import START, Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import AlreadyExists, GenerationNotFound, GenerationRefused
from mnemata.domain.fault import Findings
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import JsonValue
from mnemata.index.protocol import GenerationState, GenerationStatus, SearchIndex
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.services.barrier import IndexBarrier
from mnemata.services.operations import Progress, no_progress
from mnemata.store.database import Database
from mnemata.workers.alike import Sample, overlap
from mnemata.workers.indexer import Indexer, whole
from mnemata.workers.pace import Pace
from mnemata.workers.verify_index import IndexVerifier, Reach

log = get_logger("workers")

_PAGE = 1_000
_NOTE_EVERY_S = 5.0
_POLL_S = 0.05
_LEAST_OVERLAP = 0.8
"""Of the best ten of a sample of searches: two indexes of the same memories share nearly all of them."""

# What a build notes with its generation.
FILLED_TO, BEGAN_AT, FILLED, VERIFIED = "filled_to", "began_at", "filled", "verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildOptions:
    """`name`: of a generation to go on with; None: the one on its way, else a new one. `per_s`: memories a second, 0: any.

    `switch`: make it the live one. `force`: also where it does not agree with the store, or answers unlike the live one.
    """

    name: str | None = None
    per_s: float = 0.0
    switch: bool = True
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """`resumed`: from how many memories on. `overlap`: of a sample of searches; None where there was nothing to compare."""

    name: str
    documents: int
    seconds: float
    resumed: int
    switched: bool
    overlap: float | None
    findings: Findings

    def facts(self) -> dict[str, JsonValue]:
        return {
            "generation": self.name,
            "documents": self.documents,
            "seconds": round(self.seconds, 3),
            "resumed": self.resumed,
            "switched": self.switched,
            "overlap": None if self.overlap is None else round(self.overlap, 3),
            "verified": self.findings.facts(),
        }


class Rebuilder:
    """Fills a generation from the memories as they are, lets it follow the feed, verifies it, and makes it the live one."""

    def __init__(
        self,
        database: Database,
        index: SearchIndex,
        indexer: Indexer,
        barrier: IndexBarrier,
        verifier: IndexVerifier,
        *,
        metrics: Metrics,
        clock: Clock,
        reach_s: float,
    ) -> None:
        self._database = database
        self._index = index
        self._indexer = indexer
        self._barrier = barrier
        self._verifier = verifier
        self._metrics = metrics
        self._clock = clock
        self._reach_s = reach_s
        self._running = asyncio.Lock()

    async def rebuild(
        self,
        *,
        cause: str,
        progress: Progress = no_progress,
        options: RebuildOptions = RebuildOptions(),
    ) -> Rebuilt:
        """Build beside the live index, verify and switch; `progress` is told memories done and in all, of both.

        Raises AlreadyExists while another rebuild is running, GenerationRefused where what was built may not be switched to.
        """
        self._only_one()
        async with self._running:
            started = time.perf_counter()
            self._metrics.index_rebuilds.labels(cause).inc()
            pace, sample = Pace(options.per_s), Sample()
            staged = await self._beside(options.name)
            resumed, documents = await self._fill(staged, pace, _half(progress, 0))
            findings = await self._verify(staged, pace, sample, _half(progress, 1))
            alike = await overlap(self._index, staged, sample)
            if options.switch:
                self._refuse(staged.name, findings, alike, force=options.force)
                await self._switch(staged)
            seconds = time.perf_counter() - started
            log.info("index_rebuilt", cause=cause, documents=documents, seconds=round(seconds, 3))
            return Rebuilt(
                name=staged.name if not options.switch else self._index.name,
                documents=documents,
                seconds=seconds,
                resumed=resumed,
                switched=options.switch,
                overlap=alike,
                findings=findings,
            )

    async def switch(self, name: str, *, force: bool) -> str:
        """Make a generation the live one, with everything that it missed; the name of the one before.

        Raises GenerationNotFound; and GenerationRefused where it was not verified, unless it was live before or `force`.
        """
        self._only_one()
        async with self._running:
            status = await self._status(name)
            if status.state is GenerationState.BESIDE and not force and not status.notes.get(VERIFIED):
                raise GenerationRefused(
                    name=name,
                    reason="it was not verified",
                    remedy=f"Run `mnemata index rebuild {name}`, or `mnemata index verify {name}`, or force it",
                )
            before = self._index.name
            await self._switch(await self._index.beside(name))
            return before

    async def verify_beside(self, name: str, *, repair: bool, progress: Progress = no_progress) -> Findings:
        """Compare a generation that is not live with the store; it follows the feed meanwhile."""
        self._only_one()
        async with self._running:
            staged = await self._index.beside(name)
            while await self._follow(staged):
                pass
            return await self._verify(staged, Pace(0), Sample(), progress, repair=repair)

    def _only_one(self) -> None:
        if self._running.locked():
            raise AlreadyExists(what="rebuild", identity="running")

    async def _beside(self, name: str | None) -> SearchIndex:
        """The generation that was named, else the one that is on its way, else a new one."""
        if name is not None:
            return await self._index.beside(name)
        waiting = [one for one in await self._index.generations() if one.state is GenerationState.BESIDE]
        for one in waiting:
            if one.fits:
                log.info("index_build_resumed", index=one.name)
                return await self._index.beside(one.name)
            await self._index.discard(one.name)
        return await self._index.stage()

    async def _status(self, name: str) -> GenerationStatus:
        for one in await self._index.generations():
            if one.name == name:
                return one
        raise GenerationNotFound(name=name)

    async def _fill(self, staged: SearchIndex, pace: Pace, progress: Progress) -> tuple[int, int]:
        """Every memory as it is now; how many were there before, and how many there are.

        What changes meanwhile is in the feed behind the position taken first.
        """
        status = await self._status(staged.name)
        if status.state is GenerationState.OLD or status.notes.get(FILLED):
            return status.documents, status.documents
        last, start, done = await self._begun(staged, status)
        async with self._database.platform() as transaction:
            total = await transaction.memories_in_all()
        resumed, noted_at = done, time.monotonic()
        while True:
            async with self._database.platform() as transaction:
                ids = await transaction.scan(after=last, limit=pace.page(_PAGE))
            if not ids:
                break
            await self._indexer.fill(staged, ids, position=START)
            last, done = ids[-1], done + len(ids)
            progress(done, max(total, done))
            if time.monotonic() - noted_at > _NOTE_EVERY_S:
                await self._note(staged, last, done)
                noted_at = time.monotonic()
            await pace.after(len(ids))
        await staged.apply([], position=start)
        await staged.flush()
        await self._index.note(staged.name, {FILLED: True, FILLED_TO: None, "done": done})
        return resumed, done

    async def _begun(
        self, staged: SearchIndex, status: GenerationStatus
    ) -> tuple[MemoryId | None, Position, int]:
        """From where to go on, and the position that all of it will have."""
        filled_to, began_at = status.notes.get(FILLED_TO), status.notes.get(BEGAN_AT)
        if isinstance(began_at, str):
            xid, _, sequence = began_at.partition("-")
            start = Position(xid=int(xid), sequence=int(sequence))
            done = status.notes.get("done")
            last = MemoryId(UUID(filled_to)) if isinstance(filled_to, str) else None
            return last, start, done if isinstance(done, int) and last is not None else 0
        async with self._database.platform() as transaction:
            start = await transaction.feed.head()
        await self._index.note(staged.name, {BEGAN_AT: str(start), "done": 0})
        return None, start, 0

    async def _note(self, staged: SearchIndex, last: MemoryId, done: int) -> None:
        """What is noted as done must be there after a crash: it is made durable first."""
        await staged.flush()
        await self._index.note(staged.name, {FILLED_TO: str(last), "done": done})

    async def _verify(
        self, staged: SearchIndex, pace: Pace, sample: Sample, progress: Progress, *, repair: bool = True
    ) -> Findings:
        """Compare it with the store, the feed being followed. What differs is announced anew, which the live one hears, too."""
        while await self._follow(staged) >= _PAGE:
            pass
        findings = Findings()
        await self._verifier.check_files(staged, findings)
        await self._verifier.verify(
            staged,
            self._reach(staged),
            repair=repair,
            findings=findings,
            pace=pace,
            progress=progress,
            seen=sample.see,
        )
        clean = not _not_agreeing(findings)
        await staged.flush()
        noted: JsonValue = {"at": self._clock.now().isoformat(), "memories": findings.checked["memories"]}
        await self._index.note(staged.name, {VERIFIED: noted if clean else None})
        return findings

    def _refuse(self, name: str, findings: Findings, alike: float | None, *, force: bool) -> None:
        if force:
            return
        wrong = _not_agreeing(findings)
        if wrong:
            raise GenerationRefused(
                name=name,
                reason=f"{wrong} memories in it are not as in the store",
                remedy=f"See `mnemata index verify {name}`, drop it, or force it",
            )
        if alike is not None and alike < _LEAST_OVERLAP:
            raise GenerationRefused(
                name=name,
                reason=f"a sample of searches finds {alike:.0%} of what the live one finds",
                remedy="Look at its answers; where they are meant to be others, force it",
            )

    async def _switch(self, staged: SearchIndex) -> None:
        """Follow the feed to where the live index is, the last stretch while that one stands still."""
        while await self._follow(staged) >= _PAGE:
            pass
        async with self._indexer.turn:
            while await self._follow(staged):
                pass
            reached = (await staged.statistics()).position
            await staged.flush()
            await self._index.adopt(staged)
            await self._indexer.switched(reached)
        await self._bring_up()

    async def _bring_up(self) -> None:
        """Apply to the new index what others brought to the old one when it was on its way.

        The old one takes nothing since the switch: what it got before that is in front of the head.
        """
        async with self._database.platform() as transaction:
            head = await transaction.feed.head()
        if self._index.partitions > 1:
            while (await self._index.statistics()).position < head and await self._follow(self._index):
                pass
            await self._indexer.brought_up()

    def _reach(self, staged: SearchIndex) -> Reach:
        async def reach(horizon: int) -> bool:
            until = time.monotonic() + self._reach_s
            while True:
                followed = await self._follow(staged)
                positions = (await staged.statistics()).positions
                if not await self._unseen(positions, horizon):
                    return True
                if time.monotonic() > until:
                    return False
                if not followed:
                    # A transaction that still runs holds back what others have committed.
                    await asyncio.sleep(_POLL_S)

        return reach

    def reach_live(self) -> Reach:
        """Waits for the live index, which others feed."""

        async def reach(horizon: int) -> bool:
            until = time.monotonic() + self._reach_s
            while await self._unseen(self._barrier.positions, horizon):
                if time.monotonic() > until:
                    return False
                self._barrier.wake()
                await asyncio.sleep(_POLL_S)
            return True

        return reach

    async def _unseen(self, positions: Sequence[Position], horizon: int) -> bool:
        async with self._database.platform() as transaction:
            return await transaction.feed.unseen(positions, below=horizon)

    async def _follow(self, staged: SearchIndex) -> int:
        """Apply the next changes to the staged index; how many there were."""
        after = (await staged.statistics()).position
        async with self._database.platform() as transaction:
            changes = await transaction.feed.read(after, limit=_PAGE)
        if changes:
            await self._indexer.apply(staged, changes, marks=whole)
        return len(changes)


def _not_agreeing(findings: Findings) -> int:
    """Memories that are not in the index as they should be, but for those that no index can take."""
    refused = findings.counts["index.not_projected"] + findings.counts["index.set_aside"]
    return findings.left - refused + findings.undecided


def _half(progress: Progress, half: int) -> Progress:
    """Of two rounds over the same memories, the first or the second."""

    def told(done: int, total: int) -> None:
        progress(half * total + done, 2 * total)

    return told
