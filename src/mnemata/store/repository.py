"""What every repository has: the session of its transaction."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from mnemata.domain.ids import TenantId
from mnemata.store.connection import Session
from mnemata.store.statements import Statement


class Repository:
    """Works in a transaction that belongs to the caller, and never commits."""

    def __init__(self, session: Session) -> None:
        self._session = session


class TenantRepository(Repository):
    """Works in a transaction that sees one tenant."""

    def __init__(self, session: Session, tenant: TenantId) -> None:
        super().__init__(session)
        self._tenant = tenant


def filled(statement: Statement, places: Mapping[str, sql.Composable]) -> sql.Composed:
    """The statement with its {places} filled by composed SQL."""
    return statement.text.format(**places)
