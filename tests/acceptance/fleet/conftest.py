"""A fleet of real servers with one search node, as `make fleet` begins it and as tests do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from deploy.fleet import Fleet
from deploy.fleet.programs import program
from deploy.servers import artifacts
from tests.acceptance.fleet.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]
MODEL = {"MNEMATA_EMBEDDING__MODEL": "hashing"}
# A machine that has more to do than these tests is no reason to fail.
PATIENT = {
    "MNEMATA_DATABASE__STATEMENT_TIMEOUT_S": "60",
    "MNEMATA_DATABASE__ACQUIRE_TIMEOUT_S": "20",
    "MNEMATA_INDEX__WAIT_TIMEOUT_S": "50",
    "MNEMATA_HTTP__REQUEST_TIMEOUT_S": "55",
    "MNEMATA_SEARCH__SHARDS": "1",
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    try:
        for name in ("initdb", "redis-server", "haproxy", "pgbouncer"):
            program(name)
        artifacts.elasticsearch()
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        pytest.skip(f"a fleet cannot be started here: {error}")
    made = Path(tempfile.mkdtemp(prefix="mnemata-fleet-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def fleet_settings() -> dict[str, str]:
    """Of every process of a fleet in tests."""
    return {**MODEL, **PATIENT}


@dataclass(frozen=True, kw_only=True)
class Tried:
    """`python -m deploy.fleet` as a person saw it, until it was killed."""

    screen: str
    answers: list[str]
    left: list[psutil.Process]


@pytest.fixture(scope="module")
def tried(folder) -> Tried:
    """The fleet is started, what its screen says is pasted into a shell, and its starter is killed."""
    command = [
        sys.executable,
        "-m",
        "deploy.fleet",
        "--folder",
        str(folder),
        "--port",
        "0",
        "--search-nodes",
        "1",
    ]
    environment = {"PATH": os.environ["PATH"], **MODEL, **PATIENT}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        screen = ""
        for line in starter.stdout:
            screen += line
            if line.startswith("Its servers"):
                break
        pids = [int(pid) for pid in re.findall(r"pid (\d+)", screen)]
        members = [psutil.Process(pid) for pid in pids]
        pasted = [line for line in screen.splitlines() if " --url " in line]
        answers = [
            subprocess.run(
                ["sh", "-c", line],
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
                env=environment,
            ).stdout
            for line in pasted
        ]
        starter.send_signal(signal.SIGKILL)
    _, left = psutil.wait_procs(members, timeout=PATIENCE_S)
    return Tried(screen=screen, answers=answers, left=left)


@pytest.fixture(scope="module")
def fleet(folder, tried, fleet_settings) -> Iterator[Fleet]:
    """The same folder once more, with PgBouncer in front of PostgreSQL."""
    with Fleet(folder, search_nodes=1, pooler=True, settings=fleet_settings, short_lived=True) as running:
        yield running
