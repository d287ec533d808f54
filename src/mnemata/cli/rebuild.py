"""`mnemata rebuild`: the index anew, beside the live one."""

from __future__ import annotations

from mnemata.cli import people
from mnemata.cli.call import Call


async def rebuild(call: Call) -> None:
    """Build the search index anew.

    It is built from the store beside the live one, which answers until the switch.
    """
    from mnemata.cli.connection import connected
    from mnemata.cli.watching import watched

    async with connected(call) as client:
        outcome = await watched(
            client, call.output, "/v1/admin:rebuild", {}, title="rebuilding", part="rebuild"
        )
    done = f"{people.amount(outcome['documents'], 'memory')} indexed in {people.duration(outcome['seconds'])}"
    call.output.answer(outcome, lambda console: console.print(done))
