"""Positions and set-aside changes of indexes."""

from __future__ import annotations

from mnemata.store.revisions import run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
