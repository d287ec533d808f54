"""The schema as one file to read, `schema.sql`: what the migrations make, as pg_dump tells it.

`python -m mnemata.store.schema` writes it anew, from a server that it starts for the purpose.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from mnemata.observability.metrics import Metrics
from mnemata.store.embedded import EmbeddedPostgres
from mnemata.store.embedded_user import ENVIRONMENT, binaries
from mnemata.store.migrate import migrate

FILE = Path(__file__).with_name("schema.sql")

_DUMP_TIMEOUT_S = 60.0
# What pg_dump says of itself and of the session is not the schema; \restrict holds a new random word each time.
_NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)\n", re.MULTILINE)
_BLANK = re.compile(r"\n{3,}")
_HEAD = "-- Generated from the migrations by `python -m mnemata.store.schema`: read it, do not edit it.\n\n"


def dump(url: str) -> str:
    """The schema of a database, without its data, as SQL text that is the same for the same schema."""
    command = [str(binaries() / "pg_dump"), "--schema-only", "--no-owner", "--dbname", url]
    done = subprocess.run(  # noqa: S603 (our own program, no shell)
        command, check=True, capture_output=True, text=True, env=ENVIRONMENT, timeout=_DUMP_TIMEOUT_S
    )
    return _HEAD + _BLANK.sub("\n\n", _NOISE.sub("", done.stdout)).strip() + "\n"


def main() -> None:
    """Write `schema.sql`."""
    with tempfile.TemporaryDirectory(prefix="mnemata-schema-") as folder:
        # As root the server is another user, who has to reach it.
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres.start(Path(folder), metrics=Metrics())
        try:
            migrate(server.url)
            FILE.write_text(dump(server.url), "utf-8")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
