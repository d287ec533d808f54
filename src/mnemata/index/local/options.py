"""What can be chosen about the local engine, with units."""

from __future__ import annotations

from dataclasses import dataclass, field

from mnemata.domain.vector import Metric
from mnemata.index.local.vectors import VectorOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """`keep_old_s`: how long a generation that was replaced, or is on its way, is kept, in seconds. 0: not at all.

    `fold_changes`: fresh memories of one tenant that are kept in memory before they go to disk.

    `fold_interval_s`: how often they are looked after; `save_interval_s`: how often the durable position moves, and so how
    much of the feed a crash replays. `open_partitions`: tenants whose files stay open when they are not used.
    """

    metric: Metric = Metric.COSINE
    threads: int = 2
    fold_changes: int = 2_048
    fold_interval_s: float = 2.0
    save_interval_s: float = 10.0
    open_partitions: int = 256
    keep_old_s: float = 0.0
    vectors: VectorOptions = field(default_factory=VectorOptions)
