"""What a revision does: run the SQL file of its own name."""

from __future__ import annotations

from pathlib import Path

from alembic import op


def run_sql(revision_file: str) -> None:
    """Run the `.sql` file beside a revision's `.py`, in the transaction of the migration."""
    text = Path(revision_file).with_suffix(".sql").read_text("utf-8")
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("a revision runs on a connection")
    # Straight to the driver: SQLAlchemy would read colons and percent signs in the file as places of parameters.
    connection.execute(text)
