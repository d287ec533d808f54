"""Imports in the background: what is still to be stored."""

from __future__ import annotations

from mnemata.store.revisions import run_sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
