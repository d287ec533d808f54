"""What a fleet's processes tell one another of a cache that could not be told of a write."""

from __future__ import annotations

from mnemata.store.revisions import run_sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
