"""What every use case and worker of a platform is made from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.ids import IdFactory
from mnemata.domain.vector import Space
from mnemata.embedding.batcher import Batcher
from mnemata.index.protocol import SearchIndex
from mnemata.observability.metrics import Metrics
from mnemata.platform.cache import Cache
from mnemata.platform.store import Store
from mnemata.services.barrier import IndexBarrier
from mnemata.services.embedding_ahead import EmbeddingAhead
from mnemata.services.just_written import JustWritten
from mnemata.services.model_health import ModelHealth
from mnemata.settings import Settings
from mnemata.workers.timekeeper import Timekeeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Opened, and not yet wired. `space`: the one in use; `index_ready`: set once the index has caught up.

    `index_name`: what leases, positions and jobs of the index are called after. `resume`: opens the index where that is still to be done, and gives the positions in the feed to go on from; raises
    IndexUnavailable while it cannot. `timekeeper`: keeps the clock; None where the clock was given.
    """

    settings: Settings
    store: Store
    index: SearchIndex
    index_name: str
    resume: Callable[[], Awaitable[tuple[Position, ...]]]
    batcher: Batcher | None
    space: Space
    cache: Cache | None
    barrier: IndexBarrier
    written: JustWritten
    ahead: EmbeddingAhead
    health: ModelHealth
    index_ready: asyncio.Event
    metrics: Metrics
    clock: Clock
    timekeeper: Timekeeper | None
    ids: IdFactory
