"""`server.json` in a data folder: which server runs there and how this machine reaches it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "server.json"
KEY_NAME = "local.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    pid: int
    url: str


def read(data_dir: Path) -> RunningServer | None:
    """The server that wrote the file and whose process is alive, or None."""
    try:
        written = json.loads((data_dir / NAME).read_text("utf-8"))
        server = RunningServer(pid=int(written["pid"]), url=str(written["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if _alive(server.pid) else None


@contextlib.contextmanager
def announced(data_dir: Path, server: RunningServer) -> Generator[None]:
    """The file is there while the block runs."""
    path = data_dir / NAME
    _write(path, json.dumps(asdict(server)) + "\n", mode=0o644)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def local_key(data_dir: Path) -> str | None:
    """The API key that the folder's server left for the command line of those who may read it, or None."""
    try:
        return (data_dir / KEY_NAME).read_text("utf-8").strip() or None
    except OSError:
        return None


def keep_local_key(data_dir: Path, secret: str) -> None:
    """Write the key so that only the folder's owner can read it."""
    _write(data_dir / KEY_NAME, secret + "\n", mode=0o600)


def _write(path: Path, text: str, *, mode: int) -> None:
    # Renamed into place: a reader sees the old file or the new one, never half of it.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return pid > 0
