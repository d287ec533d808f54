"""How far each partition is: a document each in the index itself, that only ever moves forward."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import orjson

from mnemata.domain.change import Position
from mnemata.index.cluster.connection import Connection, of_status, unavailable
from mnemata.index.cluster.generation import Generation, Place, least, place_of, position_name

_TRIES = 5


class Positions:
    """Of one generation. Others may move them at the same time: what was read last is only where a write begins."""

    def __init__(self, connection: Connection, generation: Generation, places: Sequence[Place]) -> None:
        self._connection = connection
        self._index = generation.name
        self._alias = generation.written_by(generation.name)
        self._places = list(places)

    @classmethod
    async def read(cls, connection: Connection, generation: Generation) -> Positions:
        places = await _read(connection, generation.name, range(generation.partitions))
        return cls(connection, generation, places)

    @property
    def all(self) -> tuple[Position, ...]:
        return tuple(place.position for place in self._places)

    @property
    def least(self) -> Position:
        return least(self._places)

    async def refresh(self) -> None:
        """Read again what others may have moved."""
        self._places = await _read(self._connection, self._index, range(len(self._places)))

    async def advance(self, partition: int | None, position: Position) -> None:
        """Move one partition, or all, forward to the position; those that are there or farther stay."""
        chosen = range(len(self._places)) if partition is None else (partition,)
        for _ in range(_TRIES):
            behind = [one for one in chosen if self._places[one].position < position]
            if not behind:
                return
            if await self._write(behind, position):
                continue
            for one, place in zip(behind, await _read(self._connection, self._index, behind), strict=True):
                self._places[one] = place
        raise unavailable("others keep moving the positions")

    async def _write(self, partitions: Sequence[int], position: Position) -> bool:
        """Whether all were written as they were last seen."""
        text = orjson.dumps({"position": str(position)})
        lines = [line for one in partitions for line in (self._action(one), text)]
        reply = await self._connection.send_lines("/_bulk?require_alias=true", lines)
        done = True
        for one, result in zip(partitions, reply.body["items"], strict=True):
            (outcome,) = result.values()
            if outcome["status"] < HTTPStatus.BAD_REQUEST:
                self._places[one] = Place(
                    position=position, sequence=outcome["_seq_no"], term=outcome["_primary_term"]
                )
            elif outcome["status"] == HTTPStatus.CONFLICT:
                done = False
            else:
                raise of_status(outcome["status"], outcome)
        return done

    def _action(self, partition: int) -> bytes:
        where: dict[str, Any] = {"_index": self._alias, "_id": position_name(partition)}
        place = self._places[partition]
        if place.sequence is None:
            return orjson.dumps({"create": where})
        return orjson.dumps({"index": {**where, "if_seq_no": place.sequence, "if_primary_term": place.term}})


async def _read(connection: Connection, index: str, partitions: Iterable[int]) -> list[Place]:
    names = [position_name(partition) for partition in partitions]
    reply = await connection.send("POST", f"/{index}/_mget", {"ids": names})
    return [place_of(document) for document in reply.body["docs"]]
