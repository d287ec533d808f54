"""What Alembic runs: the revisions, on the connection that `store.migrate` opened, in one transaction."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=False,
    version_table="schema_revision",
)
with context.begin_transaction():
    context.run_migrations()
