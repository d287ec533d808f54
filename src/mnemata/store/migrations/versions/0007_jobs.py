"""Jobs: the tables of the library that runs them, and how far they are."""

from __future__ import annotations

from mnemata.store.revisions import run_sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
