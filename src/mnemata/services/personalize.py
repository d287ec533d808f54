"""Rank the same hits with regard to one user, by what that user stored lately."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mnemata.domain.clock import Clock
from mnemata.domain.errors import DeadlineExceeded, Unavailable
from mnemata.domain.scope import Scope
from mnemata.domain.vector import Space
from mnemata.observability.logging import get_logger
from mnemata.ranking.defaults import LIFT, PROFILE_HALF_LIFE_S, PROFILE_SIZE
from mnemata.ranking.personal import Profile, affinity, personalize, profile_of, span_of, within_reach
from mnemata.ranking.tiers import Tier, windows
from mnemata.services.profiles import Known, ProfileCache
from mnemata.store.database import Database, TenantTransaction

log = get_logger("services")

PERSONALIZATION = "personalization"
"""How an answer names it in `degraded`: the ranking is not, or only in part, with regard to the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The tiers with their hits in the new order, and what could not be regarded."""

    tiers: Sequence[Tier]
    degraded: tuple[str, ...] = ()


class Personalize:
    def __init__(
        self, database: Database, cache: ProfileCache, *, space: Space, timeout_s: float, clock: Clock
    ) -> None:
        self._database = database
        self._cache = cache
        self._space = space
        self._timeout_s = timeout_s
        self._clock = clock

    async def rank(
        self, scope: Scope, tiers: Sequence[Tier], *, asked: range, user_id: str, as_of: datetime | None
    ) -> Ranked:
        """The same hits, those at the places asked for in their order with regard to the user as the tenant knows them.

        `as_of`: as the user was known then. A hit rises within its tier alone: across its edge it would be on a page that
        was read already. A user without memories changes nothing. Where the store does not say in time what the hits and
        the user are like, the order stays; where no vector of the user's is there, meaning does not count. Both are told
        in `degraded`.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._rank(scope, tiers, asked, user_id, as_of)
        except (TimeoutError, Unavailable, DeadlineExceeded) as error:
            log.warning("search_not_personalized", error=type(error).__name__)
            return Ranked(tiers=tiers, degraded=(PERSONALIZATION,))

    async def _rank(
        self, scope: Scope, tiers: Sequence[Tier], asked: range, user_id: str, as_of: datetime | None
    ) -> Ranked:
        span = span_of(tiers[0].hits)
        parts = windows(tiers, asked.start, asked.stop)
        async with self._database.tenant(scope) as transaction:
            profile = await self._profile(transaction, user_id, as_of)
            if profile is None:
                return Ranked(tiers=tiers)
            ids = [
                fused.memory_id
                for tier, within in parts
                if within
                for fused in tier.hits[: within_reach(tier.hits, LIFT, top=within.stop, span=span)]
            ]
            traits = await transaction.memories.traits(ids, space=self._space, as_of=as_of)
        near = {memory_id: affinity(profile, found) for memory_id, found in traits.items()}
        regarded = [
            replace(tier, hits=personalize(tier.hits, near, LIFT, span=span)) if within else tier
            for tier, within in parts
        ]
        return Ranked(tiers=regarded, degraded=() if profile.centroid is not None else (PERSONALIZATION,))

    async def _profile(
        self, transaction: TenantTransaction, user_id: str, as_of: datetime | None
    ) -> Profile | None:
        key = (transaction.scope.tenant, user_id, as_of)
        known = self._cache.get(key)
        if known is not None:
            return known.profile
        fresh = self._cache.freshness()
        latest = await transaction.memories.latest_of_user(
            user_id, space=self._space, limit=PROFILE_SIZE, now=self._clock.now(), as_of=as_of
        )
        profile = profile_of(user_id, latest, half_life_s=PROFILE_HALF_LIFE_S)
        # Vectors reach the store a moment after the write is found: what still lacks one is asked for again.
        if all(traits.vector is not None for traits in latest):
            self._cache.keep(key, Known(profile=profile), fresh=fresh)
        return profile
