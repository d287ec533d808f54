"""Leases by which processes share work, and how far the partitions of an index are."""

from __future__ import annotations

from mnemata.store.revisions import run_sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
