"""Which work of the fleet this process does: leases, kept while it lives and shared fairly with the others."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mnemata.domain.errors import MnemataError
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.store.database import Database
from mnemata.store.leases import Lease

log = get_logger("workers")

_WORKER = "worker/"
# A lease is renewed three times in its life: one lost answer of the server costs nothing.
_ROUNDS_IN_A_LIFE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """`shared`: leases of one kind, divided evenly among the workers of a `group`. `alone`: each done by one worker, whichever."""

    group: str = ""
    shared: Sequence[str] = ()
    alone: Sequence[str] = ()


class Leasing:
    """What this process holds. A process that could not renew in time holds nothing, whatever others have done."""

    def __init__(self, database: Database, *, owner: str, work: Work, ttl_s: float, metrics: Metrics) -> None:
        self._database = database
        self._work = work
        self._ttl_s = ttl_s
        self._metrics = metrics
        self._alike = f"{_WORKER}{work.group}/"
        self._held: dict[str, int] = {}
        self._until = -math.inf
        self._leaving = False
        self._lane = asyncio.Lock()
        self._changed = asyncio.Condition()
        self.owner = owner
        self.renew_every_s = ttl_s / _ROUNDS_IN_A_LIFE

    @property
    def held(self) -> Mapping[str, int]:
        """The tokens of what this process has at this moment, by name."""
        return self._held if self.alive and not self._leaving else {}

    @property
    def alive(self) -> bool:
        """Whether the other processes take this one for alive."""
        return time.monotonic() < self._until

    @property
    def _itself(self) -> str:
        """The lease by which the others of the group know that this worker lives."""
        return f"{self._alike}{self.owner}"

    async def run(self) -> None:
        """Keep, take and hand over until cancelled."""
        while not self._leaving:
            try:
                await self.round()
            except MnemataError as error:
                log.warning(
                    "leases_not_renewed", code=error.code, holds_s=round(self._until - time.monotonic(), 1)
                )
                await self._tell()
            await asyncio.sleep(self.renew_every_s)

    async def round(self) -> None:
        """Renew what is held, give back what is more than a fair share, and take what nobody has up to it."""
        async with self._lane:
            if not self._leaving:
                await self._renew()
        await self._tell()

    async def _renew(self) -> None:
        # Counted from before the server was asked: this process never thinks that it holds for longer than others do.
        asked = time.monotonic()
        async with self._database.platform(single=True) as transaction:
            renewed = await transaction.leases.renew(self.owner, ttl_s=self._ttl_s)
        leases = {lease.name: lease for lease in renewed}
        held = {lease.name: lease.token for lease in renewed if lease.owner == self.owner}
        surplus = self._surplus(held, leases)
        kept = {name: token for name, token in held.items() if name not in surplus}
        self._note(kept, until=asked + self._ttl_s)
        if surplus:
            await self._give_back(surplus)
        async with self._database.platform(single=True) as transaction:
            wanted = [self._itself, *self._wanted(held, leases)]
            taken = await transaction.leases.take(self.owner, wanted, ttl_s=self._ttl_s)
        self._note(kept | taken, until=asked + self._ttl_s)
        async with self._database.platform(single=True) as transaction:
            await transaction.leases.forget(_WORKER)

    async def _give_back(self, names: Sequence[str]) -> None:
        async with self._database.platform(single=True) as transaction:
            await transaction.leases.give_back(self.owner, names)

    def stop(self) -> None:
        """Hold nothing from now on, and take nothing."""
        self._leaving = True

    async def leave(self) -> None:
        """Give everything back, so that others have it at once. Never raises: what is not given back runs out."""
        self.stop()
        async with self._lane:
            names = [*self._held, self._itself]
            self._note({}, until=-math.inf)
            try:
                await self._give_back(names)
            except MnemataError as error:
                log.warning("leases_not_given_back", code=error.code, leases=len(names))
        await self._tell()

    async def changed(self, timeout_s: float) -> None:
        """Return after the next round, or after the time."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait()
        except TimeoutError:
            return

    def _share(self, leases: Mapping[str, Lease]) -> int:
        """How much of the shared work falls to each of those who are alive, this process among them."""
        alive = {name for name, lease in leases.items() if name.startswith(self._alike) and lease.holds_s > 0}
        return math.ceil(len(self._work.shared) / len(alive | {self._itself}))

    def _surplus(self, held: Mapping[str, int], leases: Mapping[str, Lease]) -> list[str]:
        mine = [name for name in self._work.shared if name in held]
        return mine[self._share(leases) :]

    def _wanted(self, held: Mapping[str, int], leases: Mapping[str, Lease]) -> list[str]:
        """What nobody has: of the shared work as much as is missing, and any work to be done alone."""
        free = [
            name
            for name in self._work.shared
            if name not in held and (name not in leases or leases[name].holds_s <= 0)
        ]
        missing = self._share(leases) - sum(name in held for name in self._work.shared)
        alone = [name for name in self._work.alone if name not in leases or leases[name].holds_s <= 0]
        return [*free[: max(missing, 0)], *alone]

    def _note(self, held: dict[str, int], *, until: float) -> None:
        if held.keys() != self._held.keys():
            gained, lost = held.keys() - self._held.keys(), self._held.keys() - held.keys()
            log.info("leases_changed", gained=sorted(gained), lost=sorted(lost), held=len(held))
        self._held, self._until = held, until
        self._metrics.leases_held.set(len(held))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
