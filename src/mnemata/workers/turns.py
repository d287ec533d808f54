"""Fair turns: whoever has little to index does not wait behind whoever has much.

The feed is one line. Where more waits in it than one batch holds, the indexer looks ahead and takes along what tenants with
few changes have further back. It comes again in its place, which changes nothing in an index. Of each tenant the first
changes behind the position are taken and none is left out between them, so that searches see of the tenant all that it wrote
up to the last one taken.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mnemata.domain.change import START, Change, Position
from mnemata.domain.ids import TenantId
from mnemata.store.database import Database
from mnemata.store.feed import Glimpse

MOST_OF_A_TENANT = 32
"""Changes of one tenant that one look takes along: who has more waits for its place."""

_MOST = 256
_WINDOW = 10_000
# Who waits for a turn waits for the whole batch with which it comes.
_PART_OF_A_BATCH = 4


class Turns:
    """Goes through the feed ahead of its position, once. Not shared: it belongs to one loop that follows the feed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.begin_again()

    def begin_again(self) -> None:
        """Forget what was taken along: after a failure, or where the position of anything that is followed goes back."""
        self._looked_to = START
        # By tenant, the last change that was, or may have been, left out.
        self._left_out: dict[TenantId, Position] = {}
        self._took_along = False

    def of_the_line(self, batch: int) -> int:
        """How many of a batch's changes to take from the line itself: fewer, while others' turns come along."""
        return max(batch // _PART_OF_A_BATCH, 1) if self._took_along else batch

    async def ahead(self, position: Position, partitions: Collection[int]) -> list[Change]:
        """The next changes behind the position that are to be applied before their place, in the order of the feed.

        Everything of these partitions up to the position has been applied, or will be together with them.
        """
        self._looked_to = max(self._looked_to, position)
        self._left_out = {tenant: last for tenant, last in self._left_out.items() if last > position}
        async with self._database.platform(single=True) as transaction:
            glimpses = await transaction.feed.glimpse(
                self._looked_to,
                partitions=partitions,
                left_out=list(self._left_out),
                most=MOST_OF_A_TENANT,
                window=_WINDOW,
            )
        taken = self._take(glimpses)
        self._took_along = bool(taken)
        return taken

    def _take(self, glimpses: Sequence[Glimpse]) -> list[Change]:
        taken: list[Change] = []
        for glimpse in glimpses:
            change = glimpse.change
            self._looked_to = change.position
            if glimpse.number <= MOST_OF_A_TENANT and change.tenant not in self._left_out:
                taken.append(change)
            else:
                self._left_out[change.tenant] = change.position
            if len(taken) == _MOST:
                # What lies between this change and the last one told of is unknown.
                self._left_out = dict.fromkeys(self._left_out, self._looked_to)
                break
        return taken
