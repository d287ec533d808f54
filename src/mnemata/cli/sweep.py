"""`mnemata sweep`: expire and purge what is due, now."""

from __future__ import annotations

from mnemata.cli import people
from mnemata.cli.call import Call


async def sweep(call: Call) -> None:
    """Expire and purge what is due, now.

    The platform does so by itself at every interval (the setting retention.sweep_interval_s).
    """
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        outcome = await client.request("POST", "/v1/admin:sweep")
    done = f"{people.amount(outcome['expired'], 'memory')} expired, {outcome['purged']:,} purged"
    call.output.answer(outcome, lambda console: console.print(done))
