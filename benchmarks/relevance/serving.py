"""A platform in a process of its own, on a temporary data folder, with its defaults."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path

import httpx

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 60.0


@contextlib.contextmanager
def serving(search: Mapping[str, str] | None = None, *, kept: Path | None = None) -> Generator[str]:
    """The URL of a platform that answers while the block runs. Raises SystemExit with its log where it does not start.

    `search`: settings of a search cluster, by their names; absent, the platform searches in its own process.
    `kept`: a data folder that is there afterwards; absent, one for this block alone.
    """
    with tempfile.TemporaryDirectory(prefix="mnemata-eval-") as folder:
        data_dir, log = kept or Path(folder) / "data", Path(folder) / "serve.log"
        # As root the embedded PostgreSQL runs as another user, who must be able to reach the folder.
        Path(folder).chmod(0o755)
        with log.open("wb") as written:
            process = subprocess.Popen(
                [sys.executable, "-m", "mnemata", "serve", "--port", "0"],
                env={**_environment(), **_chosen(search, data_dir)},
                stdout=written,
                stderr=subprocess.STDOUT,
            )
        try:
            yield _url(process, data_dir, log)
        except httpx.TransportError as error:
            raise SystemExit(f"the platform went away ({error}):\n{_tail(log)}") from error
        finally:
            _stop(process)


def _chosen(search: Mapping[str, str] | None, data_dir: Path) -> dict[str, str]:
    given = {f"MNEMATA_SEARCH__{name.upper()}": value for name, value in (search or {}).items()}
    if search:
        # With a search cluster a server is only the doors, unless it is told to do a worker's work too.
        given["MNEMATA_WORKER__IN_SERVER"] = "true"
    return {**given, "MNEMATA_DATA_DIR": str(data_dir), "MNEMATA_LOG__LEVEL": "warning"}


def _environment() -> dict[str, str]:
    """Without settings of ours: what is measured are the defaults."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MNEMATA_")}


def _url(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> str:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
            url = json.loads((data_dir / "server.json").read_text("utf-8"))["url"]
            if httpx.get(f"{url}/readyz", timeout=5).status_code == httpx.codes.OK:
                return url
        time.sleep(0.1)
    raise SystemExit(f"the platform did not become ready:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-4_000:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
