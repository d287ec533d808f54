"""Blocking calls that are seen to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from mnemata.domain.errors import MnemataError

Outcome = TypeVar("Outcome")


async def to_its_end(call: Callable[[], Outcome], *, undo: Callable[[Outcome], None]) -> Outcome:
    """What the call returns, made in a thread. Where the caller is cancelled it is waited for and undone.

    A thread cannot be cancelled: a server that it still starts would outlive the lock under which it was begun, and
    meet the one that the folder's next process starts.
    """
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await _ended(work)
        with suppress(MnemataError, OSError):
            outcome = work.result()
            await _ended(asyncio.ensure_future(asyncio.to_thread(undo, outcome)))
        raise


async def _ended(work: asyncio.Future[Outcome]) -> None:
    """Return when it has, however often the caller is cancelled meanwhile."""
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({work})
