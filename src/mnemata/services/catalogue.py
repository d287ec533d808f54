"""Every use case, wired: what a door is given."""

from __future__ import annotations

from dataclasses import dataclass

from mnemata.domain.clock import Clock
from mnemata.services.access import Access
from mnemata.services.cache_admin import CacheAdmin
from mnemata.services.cached_recall import CachedRecall
from mnemata.services.forget import Forget
from mnemata.services.import_memories import ImportMemories
from mnemata.services.index_admin import IndexAdmin
from mnemata.services.jobs import Jobs
from mnemata.services.operations import Operations
from mnemata.services.rate_limit import RateLimit
from mnemata.services.read import Read
from mnemata.services.recall import Recall
from mnemata.services.remember import Remember
from mnemata.services.revise import Revise
from mnemata.services.status import StatusService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`clock`: the one that all of them go by."""

    remember: Remember
    revise: Revise
    read: Read
    forget: Forget
    recall: Recall | CachedRecall
    access: Access
    status: StatusService
    operations: Operations
    jobs: Jobs
    imports: ImportMemories
    cache: CacheAdmin
    index: IndexAdmin
    rates: RateLimit
    clock: Clock
