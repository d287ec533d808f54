"""Work that one process of a fleet does: whichever has the lease, for as long as it has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mnemata.observability.logging import get_logger
from mnemata.workers.leasing import Leasing

log = get_logger("workers")

_LOOK_AGAIN_S = 0.5


async def alone(leasing: Leasing, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do the work while the lease is held, until cancelled. Work that is done is done again by the next holder only.

    Raises what the work raises.
    """
    while True:
        while name not in leasing.held:
            await leasing.changed(_LOOK_AGAIN_S)
        await _while_held(leasing, name, asyncio.create_task(work(), name=name))
        while name in leasing.held:
            await leasing.changed(_LOOK_AGAIN_S)
        log.info("work_handed_over", work=name)


async def _while_held(leasing: Leasing, name: str, doing: asyncio.Task[None]) -> None:
    try:
        while name in leasing.held and not doing.done():
            await asyncio.wait({doing}, timeout=_LOOK_AGAIN_S)
    finally:
        doing.cancel()
        await asyncio.wait({doing})
    if not doing.cancelled():
        doing.result()
