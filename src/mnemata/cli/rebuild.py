"""`mnemata rebuild`: the index anew, beside the live one."""

from __future__ import annotations

from mnemata.cli import index
from mnemata.cli.call import Call


async def rebuild(call: Call) -> None:
    """Build the search index anew.

    It is built from the store beside the live one, which answers until the switch, and verified before it.
    """
    await index.rebuild(call)
