"""Answers of searches: looked up by (tenant's generation, query), computed once, kept under the generation they began with."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter

from mnemata.cache.client import CacheClient, CacheDown
from mnemata.cache.fills import Fills
from mnemata.cache.keys import Keys
from mnemata.cache.lifetimes import Lifetimes, jittered_ms, until_ms
from mnemata.cache.memory_codec import answer_in, answer_out, comes_back_whole
from mnemata.cache.packing import Damaged, Packer
from mnemata.cache.publisher import GENERATION_S
from mnemata.cache.standing import Standing
from mnemata.domain.clock import Clock
from mnemata.domain.ids import IdFactory, TenantId
from mnemata.domain.query import Answer, Query
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics

log = get_logger("cache")

KIND = "answer"
_POLL_S = 0.004

Find = Callable[[], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """`largest`: bytes of a packed answer at most. `wait_s`: how long one waits for another who computes the same."""

    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    largest: int = 262_144
    wait_s: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an answer belongs: its key, and the epoch and generation that were current before it was computed."""

    tenant: TenantId
    digest: str
    epoch: str
    generation: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """`place` is None where the cache must be passed by; `mine`: this caller is the one who computes."""

    place: _Place | None
    payload: bytes | None = None
    mine: bool = True


class AnswerCache:
    """For one event loop. Never raises for reasons of its own: without an answer from the cache, `find` gives it."""

    def __init__(
        self,
        client: CacheClient,
        keys: Keys,
        standing: Standing,
        *,
        clock: Clock,
        ids: IdFactory,
        metrics: Metrics,
        options: AnswerOptions,
    ) -> None:
        self._client = client
        self._keys = keys
        self._standing = standing
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._options = options
        self._packer = Packer()
        self._fills = Fills()

    async def through(self, tenant: TenantId, query: Query, cursor: str | None, find: Find) -> Answer:
        """The cached answer, or the one that `find` gives, which is then kept in the background.

        Only whole answers are kept: none that is degraded. An answer is never older than the writes that had
        completed when this was called.
        """
        started = perf_counter()
        digest = digest_of(query, cursor)
        look = await self._look(tenant, digest)
        if look.payload is None and look.place is not None and not look.mine:
            look = await self._wait(look.place, look)
        if look.payload is not None and look.place is not None:
            known = self._unpacked(look.payload, query, started)
            if known is not None:
                if look.mine:
                    self._fills.start(self._refresh(look.place, find))
                return known
        return await self._found(look.place if look.mine else _unlocked(look.place), find)

    async def ahead(self, tenant: TenantId, query: Query, cursor: str | None, find: Find) -> bool:
        """Have the answer there before it is asked for; whether it had to be computed."""
        look = await self._look(tenant, digest_of(query, cursor))
        if look.place is None or look.payload is not None or not look.mine:
            return False
        await self._refresh(look.place, find)
        return True

    async def settled(self) -> None:
        """Return when nothing is left to be kept."""
        await self._fills.settled()

    async def close(self) -> None:
        """Give up what is still to be kept."""
        await self._fills.close()

    async def _look(self, tenant: TenantId, digest: str) -> _Look:
        token = secrets.token_hex(8)
        keys = [
            self._keys.meta(self._keys.bucket(tenant)),
            self._keys.generation(tenant),
            self._keys.answer(tenant, digest),
            self._keys.lock(tenant, digest),
        ]
        life = self._options.lifetimes
        arguments = [token, GENERATION_S, token, int(life.lock_s * 1_000), int(life.stale_s * 1_000)]
        try:
            meta, generation, payload, mine = await self._client.script("look", keys, arguments)
        except (CacheDown, ValueError, TypeError):
            self._count("down")
            return _Look(place=None)
        epoch = self._standing.epoch_of(meta)
        if epoch is None or not isinstance(generation, bytes):
            self._count("passed_by")
            return _Look(place=None)
        place = _Place(
            tenant=tenant,
            digest=digest,
            epoch=epoch,
            generation=generation.decode("ascii", "replace"),
            token=token,
        )
        return _Look(place=place, payload=payload or None, mine=bool(mine))

    async def _wait(self, place: _Place, look: _Look) -> _Look:
        """The answer that another caller computes, where it comes soon; nothing older than what the first look saw."""
        deadline = perf_counter() + self._options.wait_s
        pause_s = _POLL_S
        while perf_counter() < deadline:
            await asyncio.sleep(pause_s)
            pause_s *= 1.5
            look = await self._look(place.tenant, place.digest)
            if look.payload is not None or look.mine:
                return look
        self._count("waited_in_vain")
        return look

    def _unpacked(self, payload: bytes, query: Query, started: float) -> Answer | None:
        try:
            values = self._packer.unpack(payload)
            ends, content = values
            answer, cost_ms = answer_in(content, query, search_id=str(self._ids.new()))
        except (Damaged, ValueError, TypeError, IndexError, KeyError, AttributeError):
            self._count("damaged")
            return None
        if ends is not None and ends <= self._clock.now().timestamp():
            self._count("expired")
            return None
        took_ms = (perf_counter() - started) * 1_000
        self._count("hit")
        self._metrics.cache_bytes.labels(KIND, "read").inc(len(payload))
        self._metrics.cache_saved_seconds.labels(KIND).inc(max(0.0, cost_ms - took_ms) / 1_000)
        return replace(answer, took_ms={"cache": round(took_ms, 3), "total": round(took_ms, 3)})

    async def _found(self, place: _Place | None, find: Find) -> Answer:
        if place is None:
            return await find()
        self._count("miss")
        try:
            answer = await find()
        except BaseException:
            self._fills.start(self._keep(place, b"", 0))
            raise
        if not self._fills.full:
            self._fills.start(self._keep_answer(place, answer))
        return answer

    async def _refresh(self, place: _Place, find: Find) -> None:
        try:
            answer = await find()
        except Exception as error:  # noqa: BLE001 (nobody asked for this one: whoever asks next is told)
            log.debug("answer_not_refreshed", error=type(error).__name__)
            await self._keep(place, b"", 0)
        else:
            await self._keep_answer(place, answer)

    async def _keep_answer(self, place: _Place, answer: Answer) -> None:
        payload, life_ms = b"", 0
        if answer.degraded:
            self._metrics.cache_refused.labels(KIND, "degraded").inc()
        else:
            payload, life_ms = self._packed(answer)
        await self._keep(place, payload, life_ms)

    def _packed(self, answer: Answer) -> tuple[bytes, int]:
        """The bytes and how many milliseconds they are right for: until the first of its memories expires, at most."""
        ends = _ends(answer)
        now = self._clock.now()
        life_ms = until_ms(ends, now, jittered_ms(self._options.lifetimes.answer_s))
        content = answer_out(answer, took_ms=answer.took_ms.get("total", 0.0))
        if not comes_back_whole(answer, content):
            self._metrics.cache_refused.labels(KIND, "unpackable").inc()
            return b"", 0
        try:
            payload = self._packer.pack([None if ends is None else ends.timestamp(), content])
        except (ValueError, TypeError, OverflowError):
            self._metrics.cache_refused.labels(KIND, "unpackable").inc()
            return b"", 0
        if len(payload) > self._options.largest:
            self._metrics.cache_refused.labels(KIND, "too_large").inc()
            return b"", 0
        return payload, life_ms

    async def _keep(self, place: _Place, payload: bytes, life_ms: int) -> None:
        """Keep it and let the next one compute; only the latter where there is nothing to keep."""
        keys = [
            self._keys.meta(self._keys.bucket(place.tenant)),
            self._keys.generation(place.tenant),
            self._keys.answer(place.tenant, place.digest),
            self._keys.lock(place.tenant, place.digest),
        ]
        arguments = [place.epoch, place.generation, place.token, payload, life_ms]
        try:
            kept = await self._client.script("keep", keys, arguments)
        except CacheDown:
            return
        if life_ms == 0:
            return
        match kept:
            case 1:
                self._metrics.cache_bytes.labels(KIND, "written").inc(len(payload))
            case 0:
                self._metrics.cache_refused.labels(KIND, "outdated").inc()
            case _:
                self._metrics.cache_refused.labels(KIND, "full").inc()

    def _count(self, result: str) -> None:
        self._metrics.cache_requests.labels(KIND, result).inc()


def digest_of(query: Query, cursor: str | None) -> str:
    """A name for everything of a query that changes its answer."""
    # The repr of frozen data names every field: one that is added counts by itself.
    return hashlib.blake2b(
        repr((query, cursor)).encode("utf-8", "backslashreplace"), digest_size=16
    ).hexdigest()


def _unlocked(place: _Place | None) -> _Place | None:
    return None if place is None else replace(place, token="")


def _ends(answer: Answer) -> datetime | None:
    """When the first memory that it shows expires."""
    shown = [memory for hit in answer.hits for memory in (hit.memory, *hit.context)]
    return min((memory.expires_at for memory in shown if memory.expires_at is not None), default=None)
