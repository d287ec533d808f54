"""Rebuilding, switching and verifying, as long work that is asked for by its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mnemata.cache.entries import Entries
from mnemata.domain.fault import Findings
from mnemata.domain.job import JobKind
from mnemata.platform.parts import Parts
from mnemata.services.operations import Facts, Handler, Progress
from mnemata.workers.indexer import Indexer
from mnemata.workers.pace import Pace
from mnemata.workers.rebuild import Rebuilder, RebuildOptions
from mnemata.workers.verify_cache import CacheVerifier
from mnemata.workers.verify_index import IndexVerifier
from mnemata.workers.verify_store import StoreVerifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What keeps index, store and cache in line."""

    rebuilder: Rebuilder
    index: IndexVerifier
    store: StoreVerifier
    cache: CacheVerifier
    parts: Parts

    @property
    def handlers(self) -> Mapping[JobKind, Handler]:
        return {JobKind.REBUILD: self._rebuild, JobKind.SWITCH: self._switch, JobKind.VERIFY: self._verify}

    async def _rebuild(self, arguments: Facts, progress: Progress) -> Facts:
        rate = arguments.get("rate")
        name = arguments.get("generation")
        options = RebuildOptions(
            name=name if isinstance(name, str) else None,
            per_s=float(rate) if isinstance(rate, int | float) else self.parts.settings.index.rebuild_per_s,
            switch=arguments.get("switch") is not False,
            force=arguments.get("force") is True,
        )
        rebuilt = await self.rebuilder.rebuild(cause="asked", progress=progress, options=options)
        return rebuilt.facts()

    async def _switch(self, arguments: Facts, _: Progress) -> Facts:
        name = str(arguments["generation"])
        before = await self.rebuilder.switch(name, force=arguments.get("force") is True)
        return {"generation": name, "before": before}

    async def _verify(self, arguments: Facts, progress: Progress) -> Facts:
        """The store first: what it says is what the others are compared with."""
        repair, name = arguments.get("repair") is True, arguments.get("generation")
        if isinstance(name, str) and name != self.parts.index.name:
            return (await self.rebuilder.verify_beside(name, repair=repair, progress=progress)).facts()
        findings = Findings()
        if arguments.get("store") is not False:
            await self.store.verify(repair=repair, findings=findings, progress=progress)
        if arguments.get("index") is not False:
            await self._verify_live(findings, progress, repair=repair)
        if arguments.get("cache") is not False:
            await self.cache.verify(repair=repair, findings=findings)
        return findings.facts()

    async def _verify_live(self, findings: Findings, progress: Progress, *, repair: bool) -> None:
        await self.index.check_files(self.parts.index, findings)
        if repair and findings.counts["index.damaged_file"]:
            # Nothing mends a file: a whole index takes the place of the damaged one.
            await self.rebuilder.rebuild(cause="damaged", progress=progress)
            findings.mend("damaged_file")
        await self.index.verify(
            self.parts.index,
            self.rebuilder.reach_live(),
            repair=repair,
            findings=findings,
            pace=Pace(0),
            progress=progress,
        )


def upkeep_of(parts: Parts, indexer: Indexer) -> Upkeep:
    database, clock = parts.store.database, parts.clock
    verifier = IndexVerifier(database, indexer, clock=clock)
    rebuilder = Rebuilder(
        database,
        parts.index,
        indexer,
        parts.barrier,
        verifier,
        metrics=parts.metrics,
        clock=clock,
        reach_s=parts.settings.index.verify_wait_s,
    )
    cache = parts.cache
    return Upkeep(
        rebuilder=rebuilder,
        index=verifier,
        store=StoreVerifier(database, space=parts.space, clock=clock),
        cache=CacheVerifier(database, None if cache is None else Entries(cache.client, cache.keys)),
        parts=parts,
    )
