"""Where the programs of a fleet are on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# Debian puts servers where a plain user's path does not lead, and PostgreSQL's by its version.
_PLACES = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin:/usr/lib/postgresql/15/bin"


def program(name: str) -> str:
    """The program's path. Raises RuntimeError with the remedy where it is not installed."""
    found = shutil.which(name, path=_PLACES)
    if found is None:
        raise RuntimeError(f"{name} is not installed: run {installer()} as root")
    return found


def installer() -> Path:
    return Path(__file__).parents[1] / "servers" / "install.sh"
