"""One transaction on one connection: it takes a role and a tenant in the same round trip as its first statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from types import MappingProxyType
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from mnemata.domain.errors import MnemataError
from mnemata.store.errors import Limits, full, outcome_unknown, translated, was_refused
from mnemata.store.pipeline import Connection, Pipeline, together
from mnemata.store.statements import Statement, statements

Row: TypeAlias = Sequence[Any]
Parameters: TypeAlias = Mapping[str, Any]
Asked: TypeAlias = tuple[Statement | sql.Composed, Parameters | None]
"""A statement and its parameters."""

CHANNEL = "mnemata_changes"
_SQL = statements("transaction")
_COMMITTED = "COMMIT"
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")


class Session:
    """A transaction that begins with its first statement. Statements travel in a pipeline: no round trip for BEGIN.

    Not `pipelined`: behind a pooler, see docs/decisions. What begins a transaction is then one request of its own.
    `single`: it has one statement, or some that travel together, and ends in the same round trip.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        settings: Parameters,
        limits: Limits,
        pipelined: bool = True,
        single: bool = False,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._limits = limits
        self._pipelined = pipelined
        self._single = single
        self._first: list[Statement] = []
        self._begun = False
        self._ended = False
        self._failed = False
        self._announced = False
        self._wrote = False

    async def begun(self) -> Connection:
        """The connection, in the transaction: for what speaks to it itself."""
        await self.rows(_SQL["ping"])
        return self._connection

    async def rows(
        self,
        statement: Statement | sql.Composed,
        parameters: Parameters | None = None,
        *,
        identities: Mapping[str, str] = MappingProxyType({}),
        plan_again: bool = False,
    ) -> Sequence[Row]:
        """The rows that the statement gives: none for one that gives none. Raises as `store.errors.translated`.

        `plan_again`: not by a plan that was kept from when the tables were smaller.
        """
        (found,) = await self._rows([(statement, parameters)], identities, plan_again=plan_again)
        return found

    async def rows_of(self, *asked: Asked) -> Sequence[Sequence[Row]]:
        """The rows that each of some statements gives; they travel together, where they may. Raises as `rows`."""
        return await self._rows(asked, MappingProxyType({}), plan_again=False)

    async def _rows(
        self, asked: Sequence[Asked], identities: Mapping[str, str], *, plan_again: bool
    ) -> Sequence[Sequence[Row]]:
        with translated(self._limits, identities):
            try:
                cursors = await self._send(asked, plan_again=plan_again)
                found = [[] if cursor.description is None else await cursor.fetchall() for cursor in cursors]
            except psycopg.errors.ReadOnlySqlTransaction as error:
                self._failed = True
                # A server that is no standby refuses writes while its disk is full: the embedded one, and hosted ones.
                if self._connection.info.parameter_status("in_hot_standby") == "off":
                    raise full() from error
                raise
            except BaseException:
                self._failed = True
                raise
        self._wrote = self._wrote or any(
            (cursor.statusmessage or "").startswith(_WRITES) for cursor in cursors
        )
        return found

    async def row(
        self, statement: Statement | sql.Composed, parameters: Parameters | None = None
    ) -> Row | None:
        """The first row, or None."""
        found = await self.rows(statement, parameters)
        return found[0] if found else None

    def first(self, statement: Statement) -> None:
        """Let the next statement be preceded by one that takes no parameters and whose result nobody reads."""
        self._first.append(statement)

    def announce(self) -> None:
        """Wake those who listen for changes, once this transaction has committed."""
        self._announced = True

    async def commit(self) -> None:
        """Commit. A transaction in which a statement failed cannot: saying that it did would lose writes silently.

        Raises OutcomeUnknown where something was written and the server did not come to say what became of it.
        """
        if not self._begun or self._ended:
            return
        if self._failed:
            raise MnemataError
        done: psycopg.AsyncCursor[TupleRow] | None = None
        try:
            with translated(self._limits):
                async with self._together():
                    done = await self._connection.execute(_SQL["commit"].text)
                    if self._announced:
                        # A transaction of its own: NOTIFY holds a server-wide lock while it commits, and a commit that
                        # waits for the disk under that lock would make all writers wait in line. Polls cover a crash between.
                        await self._connection.execute(_SQL["notify"].text, {"channel": CHANNEL})
        except MnemataError as error:
            if done is not None and done.statusmessage == _COMMITTED:
                # Only the notification was lost.
                return
            if (self._wrote or self._announced) and not was_refused(error.__cause__):
                raise outcome_unknown() from error
            raise
        if done.statusmessage != _COMMITTED:
            raise MnemataError

    async def roll_back(self) -> None:
        """Undo everything. Never raises: a connection that cannot is closed by the pool."""
        if not self._begun or self._connection.closed:
            return
        try:
            await self._connection.execute(_SQL["rollback"].text)
        except psycopg.Error:
            await self._connection.close()

    async def _send(self, asked: Sequence[Asked], *, plan_again: bool) -> list[psycopg.AsyncCursor[TupleRow]]:
        if self._ended:
            reason = "a transaction of a single statement has ended with it"
            raise RuntimeError(reason)
        first, self._first = self._first, []
        alone = self._single and self._pipelined
        async with self._together() as pipeline:
            if not self._begun:
                self._begun = True
                await self._begin(alone=alone)
            for one in first:
                await self._connection.execute(one.text)
            if pipeline is not None:
                pipeline.hold()
            prepare = False if plan_again else None
            cursors = [
                await self._connection.execute(
                    statement.text if isinstance(statement, Statement) else statement,
                    parameters,
                    prepare=prepare,
                    binary=True,
                )
                for statement, parameters in asked
            ]
        self._ended = alone
        return cursors

    async def _begin(self, *, alone: bool) -> None:
        if self._pipelined:
            # What travels in one pipeline is one transaction by itself: it needs no BEGIN, and ends with the pipeline.
            if not alone:
                await self._connection.execute(_SQL["begin"].text)
            await self._connection.execute(_SQL["settle"].text, self._settings)
            return
        # Several statements in one request take no parameters: these values are none of a caller's.
        values = {name: sql.Literal(value) for name, value in self._settings.items()}
        await self._connection.execute(_SQL["begin_settled"].text.format(**values))

    def _together(self) -> AbstractAsyncContextManager[Pipeline | None]:
        """Statements in the block travel together, where they may."""
        return together(self._connection) if self._pipelined else nullcontext()
