"""A search cluster of three nodes that loses one under writes: nothing is lost, and nothing waits for its return."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from deploy.fleet import Fleet
from tests.acceptance.fleet.waiting import PATIENCE_S, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wide(folder, fleet_settings):
    """A fleet with three search nodes; what it indexes has one copy."""
    with tempfile.TemporaryDirectory(prefix="mnemata-nodes-") as own:
        Path(own).chmod(0o755)
        with Fleet(Path(own), api=1, workers=1, settings=fleet_settings, short_lived=True) as running:
            yield running


class Writers:
    """Write until they are told to stop; what was acknowledged is kept, by the word that only it has."""

    def __init__(self, url, count=3):
        self.answers = Counter()
        self.acknowledged: dict[str, str] = {}
        self._url = url
        self._over = threading.Event()
        self._threads = ThreadPoolExecutor(count)
        self._count = count

    def __enter__(self):
        self._running = [self._threads.submit(self._write, number) for number in range(self._count)]
        return self

    def __exit__(self, *_):
        self._over.set()
        self._threads.shutdown()

    def settle(self):
        for one in self._running:
            one.result()

    def _write(self, number):
        turn = 0
        with httpx.Client(base_url=self._url, timeout=PATIENCE_S) as client:
            while not self._over.is_set():
                turn += 1
                word = f"petrel{number}x{turn}"
                answer = client.post("/v1/memories", json={"content": f"{word} at sea", "user_id": "petrel"})
                indexed = answer.headers.get("mnemata-indexed")
                self.answers[answer.status_code, indexed] += 1
                if answer.status_code == 201:
                    self.acknowledged[word] = answer.json()["id"]


def master_of(nodes):
    """The node that decides for the cluster: the one whose loss asks most of the others."""
    (told,) = httpx.get(f"{nodes[0].url}/_cat/master?format=json", timeout=60).json()
    return next(node for node in nodes if f"node-{node.options.transport_port}" == told["node"])


def found(client, word):
    body = {"query": word, "mode": "lexical", "filter": {"user_id": "petrel"}}
    answer = client.post("/v1/search", json=body).raise_for_status().json()
    return {hit["memory"]["id"] for hit in answer["hits"]}, answer["degraded"]


def test_a_node_killed_under_writes_and_returned_costs_nothing_that_was_acknowledged(wide):
    with httpx.Client(base_url=wide.url, timeout=PATIENCE_S) as client:
        with Writers(wide.url) as writers:
            until(lambda: writers.answers[201, "true"] > 20)
            lost = master_of(wide.search_nodes)
            lost.kill()
            shown = writers.answers[201, "true"]
            # The two that are left take over: writes are found on return again while the third is away.
            until(lambda: writers.answers[201, "true"] > shown + 20)
            away = dict(writers.acknowledged)
            lost.start()
            shown = writers.answers[201, "true"]
            until(lambda: writers.answers[201, "true"] > shown + 20)
        writers.settle()
        assert {status for status, _ in writers.answers} == {201}

        until(lambda: found(client, "petrel0x1")[1] == [])
        for word in (*list(writers.acknowledged)[-5:], *list(away)[-5:]):
            assert found(client, word) == ({writers.acknowledged[word]}, [])
        until(lambda: _nodes_of(lost) == 3)
    report = verified(wide)
    assert (report["faults"], report["checked"]["memories"]) == (0, len(writers.acknowledged))


def _nodes_of(node):
    health = httpx.get(f"{node.url}/_cluster/health?wait_for_status=green&timeout=30s", timeout=60).json()
    return health["status"] == "green" and health["number_of_nodes"]


def verified(fleet):
    """What `mnemata verify` says of store, index and cache."""
    done = subprocess.run(
        [sys.executable, "-m", "mnemata", "--json", "verify"],
        env={"PATH": os.environ["PATH"], **fleet.apis[0].environment()},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
