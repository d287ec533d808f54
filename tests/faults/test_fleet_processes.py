"""Real processes of a fleet, killed and paused while they are written to."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals")]

PATIENCE_S = 120.0
BUILT = 2_000


class Process:
    """`mnemata serve` or `mnemata worker`, started and ready."""

    def __init__(self, role: str, environment: dict[str, str], log: Path) -> None:
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mnemata", "--json", role, "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.url = self._announced()

    def _announced(self) -> str:
        """The URL in the document that the process writes when it is ready."""
        lines: queue.Queue[bytes] = queue.Queue()
        assert self._process.stdout is not None
        output = self._process.stdout

        def read() -> None:
            for line in output:
                lines.put(line)

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        text = b""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            text += lines.get(timeout=PATIENCE_S)
            with contextlib.suppress(ValueError):
                return json.loads(text)["url"]
        raise AssertionError(text)

    def send(self, how: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, how)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.send(how)
        self.send(signal.SIGCONT)
        code = self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()
        return code


@pytest.fixture
def start(tmp_path, database_url, cluster_url) -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONUNBUFFERED": "1",
        "MNEMATA_DATABASE__URL": database_url,
        "MNEMATA_DATABASE__STATEMENT_TIMEOUT_S": "60",
        "MNEMATA_SEARCH__KIND": "elasticsearch",
        "MNEMATA_SEARCH__URL": cluster_url("elasticsearch"),
        "MNEMATA_SEARCH__INDEX": f"processes_{os.getpid()}_{time.monotonic_ns()}",
        "MNEMATA_SEARCH__SHARDS": "1",
        "MNEMATA_CACHE__URL": "off",
        "MNEMATA_EMBEDDING__MODEL": "hashing",
        "MNEMATA_INDEX__WAIT_TIMEOUT_S": "60",
        "MNEMATA_HTTP__REQUEST_TIMEOUT_S": "110",
        "MNEMATA_WORKER__LEASE_S": "3",
        "MNEMATA_DATA_DIR": str(tmp_path / "data"),
    }

    def start(role: str, **more: str) -> Process:
        process = Process(role, {**environment, **more}, tmp_path / f"{role}-{len(processes)}.log")
        processes.append(process)
        return process

    yield start
    for process in processes:
        with contextlib.suppress(ValueError):
            process.end(signal.SIGKILL)


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it never came true")


def ready(process: Process) -> bool:
    return httpx.get(f"{process.url}/readyz", timeout=PATIENCE_S).status_code == 200


def indexed(doors: Process) -> bool:
    reasons = httpx.get(f"{doors.url}/readyz", timeout=PATIENCE_S).json()["reasons"]
    return reasons["index"] == "ok"


def owners(database_url: str) -> set[str]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT owner FROM leases WHERE name LIKE 'index/%' AND expires_at > clock_timestamp()"
        ).fetchall()
    return {row[0] for row in rows}


def write(doors: Process, number: int) -> bool:
    """Store a memory; whether it was found on return."""
    body = {"content": f"acknowledged number {number}", "external_id": f"n{number}"}
    answer = httpx.post(f"{doors.url}/v1/memories", json=body, timeout=PATIENCE_S)
    answer.raise_for_status()
    return answer.headers["mnemata-indexed"] == "true"


def ask(doors: Process, path: str, body: dict[str, Any]) -> Any:
    answer = httpx.post(f"{doors.url}{path}", json=body, timeout=PATIENCE_S)
    answer.raise_for_status()
    return answer.json()


def rebuild_of(doors: Process) -> dict[str, Any] | None:
    """The job that rebuilds the index."""
    jobs = httpx.get(f"{doors.url}/v1/jobs", timeout=PATIENCE_S).json()["items"]
    return next((job for job in jobs if job["kind"] == "rebuild"), None)


def found(doors: Process) -> list[str]:
    """Every external id that a search finds, duplicates included."""
    page = ask(doors, "/v1/search", {"query": "acknowledged number", "mode": "lexical", "limit": 200})
    assert page["degraded"] == []
    return sorted(hit["memory"]["external_id"] for hit in page["hits"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
def test_worker_is_lost_while_it_is_written_to_and_nothing_else_is(start, database_url, how):
    doors = start("serve")
    lost, _ = start("worker"), start("worker")
    until(lambda: indexed(doors))
    until(lambda: len(owners(database_url)) == 2)
    numbers = range(60)
    on_return: list[bool] = []
    for number in numbers:
        if number == 20:
            lost.send(how)
        on_return.append(write(doors, number))
    assert all(on_return)
    assert len(owners(database_url)) == 1
    everything = sorted(f"n{number}" for number in numbers)
    assert found(doors) == everything
    lost.send(signal.SIGCONT)
    if how is signal.SIGSTOP:
        # It comes back and does no harm: what it still had in hand is refused, and its share is given again.
        until(lambda: len(owners(database_url)) == 2)
        assert write(doors, 0) is True
        assert all(write(doors, number) for number in range(60, 80))
        everything = sorted({*everything, *(f"n{number}" for number in range(60, 80))})
        assert found(doors) == everything
    with psycopg.connect(database_url) as connection:
        # Versions, not changes: a vector that followed its memory is one more change of the same version.
        row = connection.execute("SELECT count(*), count(DISTINCT memory_id) FROM versions").fetchone()
    assert row == (len(everything), len(everything))


def test_index_build_goes_on_where_killed_workers_left_it(start):
    doors, lost = start("serve"), start("worker")
    until(lambda: indexed(doors))
    for place in range(0, BUILT, 400):
        items = [{"content": f"vole {number}"} for number in range(place, place + 400)]
        ask(doors, "/v1/memories:batch", {"items": items})
    building = threading.Thread(
        target=lambda: httpx.post(
            f"{doors.url}/v1/admin/index:rebuild", json={"rate": 150}, timeout=PATIENCE_S
        )
    )
    building.start()
    # Some of it was noted as done by then: that is made durable every few seconds.
    until(lambda: (job := rebuild_of(doors)) is not None and job["done"] > BUILT * 0.55)
    lost.send(signal.SIGKILL)
    start("worker")
    assert write(doors, 1)
    job = until(lambda: (job := rebuild_of(doors))["state"] == "succeeded" and job)
    building.join(PATIENCE_S)
    assert job["attempts"] > 1
    assert 0 < job["outcome"]["resumed"] < BUILT
    assert job["outcome"]["documents"] == BUILT + 1
    assert ask(doors, "/v1/search", {"query": "vole", "mode": "lexical", "limit": 1})["total"] == BUILT
    assert found(doors) == ["n1"]


def test_worker_that_is_told_to_end_hands_over_and_says_that_it_is_not_ready(start, database_url):
    doors = start("serve")
    leaving, staying = start("worker"), start("worker")
    until(lambda: ready(leaving) and ready(staying) and indexed(doors))
    until(lambda: len(owners(database_url)) == 2)
    assert leaving.end() == 0
    assert len(owners(database_url)) == 1
    assert write(doors, 1)
    assert found(doors) == ["n1"]
    metrics = httpx.get(f"{staying.url}/metrics", timeout=PATIENCE_S).text
    assert "mnemata_leases_held" in metrics


def test_server_with_a_worker_in_it_is_a_whole_fleet(start):
    doors = start("serve", MNEMATA_WORKER__IN_SERVER="true")
    until(lambda: indexed(doors))
    assert write(doors, 1)
    assert found(doors) == ["n1"]
    assert doors.end() == 0


def test_worker_refuses_a_local_index(tmp_path):
    environment = {"PATH": os.environ["PATH"], "MNEMATA_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "mnemata", "worker"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert "MNEMATA_SEARCH__KIND" in done.stderr
