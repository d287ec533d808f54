"""Tells the cache what changed: after searches see it, before its writers are released."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from mnemata.cache.client import CacheClient, CacheDown
from mnemata.cache.keys import Keys
from mnemata.cache.standing import Standing
from mnemata.domain.change import Change, Position
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics

log = get_logger("cache")

GENERATION_S = 7 * 86_400
"""Life of a tenant's generation, in seconds: longer than that of any answer."""

_CHECK_EVERY_S = 1.0

TellOthers = Callable[[], Awaitable[None]]
"""Returns once no other process reads what the cache holds now; never raises."""


async def _nobody() -> None:
    """Where no other process reads the cache."""


class Publisher:
    """Raises generations and watermarks. One at a time has a partition of the feed.

    It knows what it published last. Where the server holds anything else (restarted empty, put back to a snapshot, a call
    of which nobody knows whether it arrived), a new epoch begins there and nothing of before is read again. What it cannot
    tell the server, it has to `tell_others` who read there.
    """

    def __init__(
        self,
        client: CacheClient,
        keys: Keys,
        standing: Standing,
        *,
        metrics: Metrics,
        tell_others: TellOthers = _nobody,
    ) -> None:
        self._client = client
        self._keys = keys
        self._standing = standing
        self._metrics = metrics
        self._tell_others = tell_others
        self._nonce = secrets.token_hex(6)
        self._count = 0
        # By (bucket, partition), what the server surely holds; nothing after a call of unknown outcome.
        self._last: dict[tuple[int, int], Position] = {}
        self._reached: dict[int, Position] = {}
        self._turn = asyncio.Lock()

    def resume(self, position: Position, *, partition: int = 0) -> None:
        """From where in the feed this process takes over the partition: everything up to there was published, or is lost."""
        self._reached[partition] = position
        for bucket in range(self._keys.buckets):
            self._last[bucket, partition] = position

    def leave(self, partition: int) -> None:
        """Another process has the partition from now on, and says what is true of it."""
        self._reached.pop(partition, None)
        for bucket in range(self._keys.buckets):
            self._last.pop((bucket, partition), None)

    async def publish(self, changes: Sequence[Change], *, position: Position, partition: int = 0) -> bool:
        """Whether the server knows of the changes now; never raises.

        False: readers go past the cache, those of this process until a later call or `run` has mended it.
        """
        told = await self._publish(changes, position=position, partition=partition)
        if not told and changes:
            # Their writers are released next, and a process that has not heard yet how far searches see reads on.
            await self._tell_others()
        return told

    async def _publish(self, changes: Sequence[Change], *, position: Position, partition: int) -> bool:
        async with self._turn:
            if not changes and partition not in self._reached:
                # Another process has had it since this call was made, and says what is true of it.
                return True
            self._reached[partition] = max(self._reached.get(partition, position), position)
            # One after the other: on a cluster the driver answers one lost connection by closing those of all calls.
            told = [
                await self._tell(bucket, partition, self._reached[partition], changed)
                for bucket, changed in self._by_bucket(changes).items()
            ]
        return all(told)

    async def changed(self, tenant: TenantId, ids: Iterable[MemoryId] | None) -> None:
        """Take away what is cached of memories that a write changed before the index has reached it; never raises.

        `ids` None: they are too many to be named, and everything is given up. It returns when no process reads it any more.
        """
        if ids is None:
            await self._give_up(cause="bulk")
            return
        keys = [self._keys.generation(tenant), *(self._keys.memory(tenant, one) for one in ids)]
        try:
            await self._client.command("DEL", *keys)
        except CacheDown as error:
            await self._distrust(error.reason)

    async def switched(self, positions: Mapping[int, Position]) -> None:
        """Another index answers from now on, at these positions of this process's partitions; never raises."""
        await self._give_up(cause="rebuild")
        for partition, position in positions.items():
            await self.publish([], position=position, partition=partition)

    async def _give_up(self, *, cause: str) -> None:
        if not await self.renew(cause=cause):
            await self._distrust(cause)

    async def renew(self, *, cause: str) -> bool:
        """Begin a new epoch everywhere; whether that was possible."""
        try:
            for bucket in range(self._keys.buckets):
                await self._client.script("renew", [self._keys.meta(bucket)], [self._fresh()])
        except CacheDown:
            return False
        self._metrics.cache_epochs.labels(cause).inc()
        return True

    async def run(self) -> None:
        """Until cancelled: mend what a failed call left behind, and notice a server that lost its data."""
        while True:
            await self.look_after()
            await asyncio.sleep(_CHECK_EVERY_S)

    async def look_after(self) -> None:
        """One round of `run`."""
        if not self._standing.trusted and await self.renew(cause="distrusted"):
            self._standing.trusted = True
        sound = [
            await self.publish([], position=position, partition=partition)
            for partition, position in list(self._reached.items())
        ]
        self._metrics.cache_up.set(self._client.available and all(sound))

    async def _distrust(self, reason: str) -> None:
        if self._standing.trusted:
            log.warning("cache_distrusted", reason=reason)
        self._standing.trusted = False
        await self._tell_others()

    def _by_bucket(self, changes: Sequence[Change]) -> dict[int, dict[TenantId, set[MemoryId]]]:
        """Every bucket, for all have the watermark; with the changed memories of its tenants."""
        found: dict[int, dict[TenantId, set[MemoryId]]] = {bucket: {} for bucket in range(self._keys.buckets)}
        for change in changes:
            tenants = found[self._keys.bucket(change.tenant)]
            tenants.setdefault(change.tenant, set()).add(change.memory_id)
        return found

    async def _tell(
        self, bucket: int, partition: int, position: Position, changed: dict[TenantId, set[MemoryId]]
    ) -> bool:
        place = (bucket, partition)
        keys = [self._keys.meta(bucket), *map(self._keys.generation, changed)]
        keys += [self._keys.memory(tenant, one) for tenant, ids in changed.items() for one in ids]
        last = self._last.get(place)
        arguments = [
            partition,
            "" if last is None else str(last),
            str(position),
            self._fresh(),
            self._fresh(),
            GENERATION_S,
            len(changed),
        ]
        try:
            lost = await self._client.script("publish", keys, arguments)
        except CacheDown as error:
            # What these changes made old stands there still: the next call must not take it for told.
            self._last.pop(place, None)
            log.debug("cache_not_told", reason=error.reason, position=str(position))
            return False
        self._last[place] = position
        if lost:
            self._metrics.cache_epochs.labels("lost").inc()
            log.info("cache_epoch_begun", bucket=bucket, partition=partition)
        return True

    def _fresh(self) -> str:
        """A name that no epoch or generation had before."""
        self._count += 1
        return f"{self._nonce}.{self._count}"
