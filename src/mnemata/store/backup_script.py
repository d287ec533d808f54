"""The script that restores a dump: pg_restore writes it, psql runs it between statements of ours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from mnemata.store.backup_tools import PIECE, Running
from mnemata.store.statements import Statement, statements

_SQL = statements("restore")
_FEED = statements("feed")

# What our programs write and not every server takes, in the part of the script that makes tables. `transaction_timeout` is
# a setting since 17, which pg_restore sets for all. `pg_attver` is a mark that newer minor versions keep on columns for
# themselves, and an older pg_dump takes it for something of ours.
_FOREIGN = re.compile(
    rb"^(?:SET transaction_timeout = 0|ALTER TABLE ONLY \S+ ALTER COLUMN \S+ SET \(pg_attver=\d+\));\n",
    re.MULTILINE,
)
_DATA = b"\nCOPY "


async def run(script: Running, database: Running, tell: Callable[[], None]) -> None:
    """All of a dump's script, run by psql in one transaction and committed; `tell` is called after each piece.

    COMMIT is the last thing that psql is sent: one whose input ends early, as we were killed, keeps nothing. Raises
    StorageFull or StoreUnavailable, in the words of the program that failed.
    """
    assert database.process.stdin is not None  # noqa: S101 (it was started with one)
    to = database.process.stdin
    try:
        to.write(_opening())
        tables, data = await _tables(script.output)
        to.write(_FOREIGN.sub(b"", tables) + data)
        while piece := await script.output.read(PIECE):
            to.write(piece)
            await to.drain()
            tell()
        await script.end()
        to.write(_closing())
        await to.drain()
        to.close()
    except (BrokenPipeError, ConnectionResetError):
        # psql has ended over a failed statement, and says so itself.
        await database.end()
        raise
    await database.end()


def _opening() -> bytes:
    return b"BEGIN;\n" + _script(_SQL["make_roles"])


def _closing() -> bytes:
    steps = ("settle", "give_view", "act_for_platform", "forget_reports", "forget_poison")
    own = b"".join(_script(_SQL[step]) for step in steps)
    return own + _script(_FEED["begin_epoch"]) + _script(_FEED["age_changes"]) + b"COMMIT;\n"


def _script(statement: Statement) -> bytes:
    return f"\n{statement.text.as_string()};\n".encode()


async def _tables(script: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The beginning of the script that makes tables and holds no rows, and what was read behind it."""
    head = b""
    while _DATA not in head and (piece := await script.read(PIECE)):
        head += piece
    at = head.find(_DATA) if _DATA in head else len(head)
    return head[:at], head[at:]
