"""No statistics of what the planner never asks about."""

from __future__ import annotations

from mnemata.store.revisions import run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
