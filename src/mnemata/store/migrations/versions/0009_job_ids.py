"""Names of jobs that tell nobody how many jobs there are."""

from __future__ import annotations

from mnemata.store.revisions import run_sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
