"""Memories and answers as plain values and back, exactly: times to the microsecond, numbers as they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory
from mnemata.domain.query import Answer, Explanation, Hit, Query, Words

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NO_QUERY = Query(text="", words=Words())


def memory_out(memory: Memory) -> list[Any]:
    """The memory as a list, in the order of `memory_in`."""
    return [
        memory.id.bytes,
        memory.tenant,
        memory.content,
        memory.content_hash,
        memory.kind,
        memory.user_id,
        memory.agent_id,
        memory.session_id,
        memory.sequence,
        memory.role,
        memory.tags,
        dict(memory.metadata),
        memory.importance,
        memory.source,
        memory.external_id,
        _time_out(memory.occurred_at),
        (memory.created_at - _EPOCH) // _MICROSECOND,
        (memory.updated_at - _EPOCH) // _MICROSECOND,
        _time_out(memory.expires_at),
        memory.version,
        None if memory.superseded_by is None else memory.superseded_by.bytes,
        _time_out(memory.deleted_at),
    ]


def memory_in(values: list[Any]) -> Memory:
    """The memory again. Raises ValueError, TypeError or IndexError where the values are not one."""
    return Memory(
        id=_id(values[0]),
        tenant=TenantId(values[1]),
        content=values[2],
        content_hash=values[3],
        kind=values[4],
        user_id=values[5],
        agent_id=values[6],
        session_id=values[7],
        sequence=values[8],
        role=values[9],
        tags=tuple(values[10]),
        metadata=values[11],
        importance=values[12],
        source=values[13],
        external_id=values[14],
        occurred_at=_time_in(values[15]),
        created_at=_EPOCH + values[16] * _MICROSECOND,
        updated_at=_EPOCH + values[17] * _MICROSECOND,
        expires_at=_time_in(values[18]),
        version=values[19],
        superseded_by=None if values[20] is None else _id(values[20]),
        deleted_at=_time_in(values[21]),
    )


def answer_out(answer: Answer, *, took_ms: float) -> list[Any]:
    """The answer as a list, with how long it took to find, in milliseconds."""
    return [took_ms, answer.total, answer.next_cursor, [_hit_out(hit) for hit in answer.hits]]


def answer_in(values: list[Any], query: Query, *, search_id: str) -> tuple[Answer, float]:
    """The answer to this query under a search id of its own, and how long it took at first. Raises as `memory_in`."""
    took_ms, total, next_cursor, hits = values
    answer = Answer(
        search_id=search_id,
        hits=tuple(_hit_in(hit) for hit in hits),
        total=total,
        next_cursor=next_cursor,
        filters=query.filter,
    )
    return answer, float(took_ms)


def comes_back_whole(answer: Answer, values: list[Any]) -> bool:
    """Whether nothing of the answer is missing from its values, also of what was added to answers since this was written."""
    again, _ = answer_in(values, _NO_QUERY, search_id=answer.search_id)
    return replace(again, took_ms=answer.took_ms, filters=answer.filters) == answer


def _hit_out(hit: Hit) -> list[Any]:
    explained = hit.explanation
    return [
        memory_out(hit.memory),
        hit.score,
        [memory_out(memory) for memory in hit.context],
        None
        if explained is None
        else [dict(explained.scores), dict(explained.ranks), explained.fused, dict(explained.personal)],
    ]


def _hit_in(values: list[Any]) -> Hit:
    memory, score, context, explained = values
    return Hit(
        memory=memory_in(memory),
        score=score,
        context=tuple(memory_in(one) for one in context),
        explanation=None
        if explained is None
        else Explanation(scores=explained[0], ranks=explained[1], fused=explained[2], personal=explained[3]),
    )


def _id(value: bytes) -> MemoryId:
    return MemoryId(UUID(bytes=value))


def _time_out(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def _time_in(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + value * _MICROSECOND
