"""Writes documents in bulk: within bounds, patiently where the cluster is busy, item by item where some fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from mnemata.domain.errors import IndexRefused
from mnemata.index.cluster.connection import Connection, of_status, reason_of, unavailable
from mnemata.observability.logging import get_logger

log = get_logger("index")

_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_SHORTEST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line or two of a bulk request. `name`: the id, for the log."""

    name: str
    lines: tuple[bytes, ...]

    @property
    def size(self) -> int:
        return sum(map(len, self.lines)) + len(self.lines)


def writing(alias: str, name: str, routing: str, version: int, document: dict[str, Any]) -> Item:
    """Puts the document in place of any that an earlier ticket, or this one, wrote. `alias`: to write by."""
    # As float32 a number takes half the digits that it takes as float64.
    written = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return Item(name=name, lines=(_action("index", alias, name, routing, version), written))


def deleting(alias: str, name: str, routing: str, version: int) -> Item:
    """Takes away the document that an earlier ticket, or this one, wrote."""
    return Item(name=name, lines=(_action("delete", alias, name, routing, version),))


class BulkWriter:
    def __init__(
        self, connection: Connection, *, bytes_at_once: int, items_at_once: int, patience_s: float
    ) -> None:
        self._connection = connection
        self._bytes = bytes_at_once
        self._items = items_at_once
        self._patience_s = patience_s

    async def write(self, items: Sequence[Item]) -> None:
        """Return once every item is written, or was refused for being older than what is there.

        Raises IndexUnavailable where the cluster stays busy for the whole patience, IndexRefused where items cannot be
        written at all: the others are.
        """
        refused: list[str] = []
        for chunk in self._chunks(items):
            refused += await self._write_patiently(chunk)
        if refused:
            raise IndexRefused(status=HTTPStatus.BAD_REQUEST, reason=", ".join(sorted(set(refused))))

    async def _write_patiently(self, items: Sequence[Item]) -> list[str]:
        """The reasons for which some were refused for good."""
        refused: list[str] = []
        until, wait_s = time.monotonic() + self._patience_s, _SHORTEST_WAIT_S
        while True:
            items, reasons = await self._write_once(items)
            refused += reasons
            if not items:
                return refused
            if time.monotonic() + wait_s > until:
                raise unavailable("it stays busy")
            log.warning("cluster_busy", items=len(items), wait_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _write_once(self, items: Sequence[Item]) -> tuple[Sequence[Item], list[str]]:
        """Those to be tried again, and why others never will be written."""
        lines = [line for item in items for line in item.lines]
        target = "/_bulk?require_alias=true&filter_path=items.*.status,items.*.error.type,items.*.error.caused_by.type"
        reply = await self._connection.send_lines(
            target, lines, accept=_BUSY | {HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
        )
        if reply.status in _BUSY:
            return items, []
        if reply.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return await self._write_halves(items)
        again: list[Item] = []
        refused: list[str] = []
        for item, result in zip(items, reply.body["items"], strict=True):
            ((operation, outcome),) = result.items()
            if outcome["status"] in _BUSY:
                again.append(item)
            elif not _settled(operation, outcome["status"]):
                if outcome["status"] != HTTPStatus.BAD_REQUEST:
                    # It is not the document: the index is gone, or takes no more writes.
                    raise of_status(outcome["status"], outcome)
                reason = reason_of(outcome)
                log.error("document_refused", document=item.name, status=outcome["status"], reason=reason)
                refused.append(reason)
        return again, refused

    async def _write_halves(self, items: Sequence[Item]) -> tuple[Sequence[Item], list[str]]:
        if len(items) == 1:
            log.error("document_refused", document=items[0].name, status=413, reason="too_large")
            return [], ["too_large"]
        middle = len(items) // 2
        again, refused = await self._write_once(items[:middle])
        more_again, more_refused = await self._write_once(items[middle:])
        return [*again, *more_again], [*refused, *more_refused]

    def _chunks(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        chunk: list[Item] = []
        size = 0
        for item in items:
            if chunk and (size + item.size > self._bytes or len(chunk) >= self._items):
                yield chunk
                chunk, size = [], 0
            chunk.append(item)
            size += item.size
        if chunk:
            yield chunk


def _action(operation: str, alias: str, name: str, routing: str, version: int) -> bytes:
    where = {"_index": alias, "_id": name, "routing": routing}
    return orjson.dumps({operation: {**where, "version": version, "version_type": "external_gte"}})


def _settled(operation: str, status: int) -> bool:
    """Written; or a later reading was written before; or what was to go is not there."""
    if status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.CONFLICT:
        return True
    return operation == "delete" and status == HTTPStatus.NOT_FOUND
