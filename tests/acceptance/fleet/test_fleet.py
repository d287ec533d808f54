"""A whole fleet through its balancer: found on return, restarted process by process, and what is said when parts are gone."""

from __future__ import annotations

import re
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.acceptance.fleet.waiting import PATIENCE_S, until

pytestmark = pytest.mark.slow


@pytest.fixture
def client(fleet):
    with httpx.Client(base_url=fleet.url, timeout=PATIENCE_S) as client:
        yield client


def test_screen_names_every_member_and_its_commands_work_as_pasted(tried):
    names = set(re.findall(r"^  (\S+) +\S+ +pid \d+$", tried.screen, re.MULTILINE))
    assert names == {"search-1", "postgres", "redis", "worker-1", "worker-2", "api-1", "api-2", "balancer"}
    added, found = tried.answers
    assert added.strip()
    assert "Ana prefers the window seat" in found


def test_members_end_with_their_starter_even_when_it_is_killed(tried):
    assert tried.left == []


def test_second_start_has_what_the_first_stored(client):
    found = client.post("/v1/search", json={"query": "window seat", "mode": "lexical"}).json()
    assert [hit["memory"]["user_id"] for hit in found["hits"]] == ["ana"]
    assert found["degraded"] == []


def test_write_through_the_pooler_is_found_by_every_door(fleet, client):
    stored = client.post("/v1/memories", json={"content": "The ferry leaves at noon", "user_id": "ferry"})
    assert (stored.status_code, stored.headers["mnemata-indexed"]) == (201, "true")
    for api in fleet.apis:
        body = {"query": "ferry", "filter": {"user_id": "ferry"}}
        found = httpx.post(f"{api.url}/v1/search", json=body, timeout=PATIENCE_S).json()
        assert [hit["memory"]["id"] for hit in found["hits"]] == [stored.json()["id"]]


class Traffic:
    """Writers and readers that never rest; what each was answered is counted."""

    def __init__(self, url):
        self.answers = Counter()
        self._url = url
        self._over = threading.Event()
        self._threads = ThreadPoolExecutor(4)

    def __enter__(self):
        self._running = [
            self._threads.submit(work) for work in (self._write, self._write, self._search, self._list)
        ]
        return self

    def __exit__(self, *_):
        self._over.set()
        self._threads.shutdown()

    def settle(self):
        for one in self._running:
            one.result()

    def _repeat(self, name, ask):
        with httpx.Client(base_url=self._url, timeout=PATIENCE_S) as client:
            while not self._over.is_set():
                try:
                    answer = ask(client)
                except httpx.TransportError as error:
                    self.answers[name, type(error).__name__] += 1
                else:
                    self.answers[name, answer.status_code] += 1

    def _write(self):
        body = {"content": "The tide comes in twice a day", "user_id": "tide"}
        self._repeat("write", lambda client: client.post("/v1/memories", json=body))

    def _search(self):
        body = {"query": "tide", "filter": {"user_id": "tide"}, "limit": 3}
        self._repeat("search", lambda client: client.post("/v1/search", json=body))

    def _list(self):
        self._repeat("list", lambda client: client.get("/v1/memories", params={"limit": 3}))


def test_doors_are_restarted_one_by_one_and_not_one_request_fails(fleet):
    with Traffic(fleet.url) as traffic:
        for api in fleet.apis:
            before = traffic.answers.total()
            api.stop()
            api.start()
            until(lambda before=before: traffic.answers.total() > before + 50)
    traffic.settle()
    assert set(traffic.answers) == {("write", 201), ("search", 200), ("list", 200)}


def test_door_that_is_killed_is_not_missed(fleet, client):
    killed = fleet.apis[0]
    killed.kill(signal.SIGKILL)
    answers = {client.get("/v1/search", params={"q": "ferry"}).status_code for _ in range(20)}
    stored = client.post("/v1/memories", json={"content": "Written while one door is gone"})
    killed.start()
    assert (answers, stored.status_code) == ({200}, 201)


def test_doors_say_themselves_what_is_wrong_when_none_is_ready(fleet, client):
    fleet.postgres.stop()
    try:
        until(lambda: all(api.state().get("ready") is False for api in fleet.apis))
        refused = client.post("/v1/memories", json={"content": "x"})
    finally:
        fleet.postgres.start()
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert refused.headers["retry-after"]
    until(lambda: client.post("/v1/memories", json={"content": "x"}).status_code == 201)


def test_balancer_without_a_door_answers_in_the_form_of_our_errors(fleet, client):
    for api in fleet.apis:
        api.kill(signal.SIGKILL)
    try:
        answer = client.post("/v1/memories", json={"content": "x"})
    finally:
        for api in fleet.apis:
            api.start()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    until(lambda: client.get("/readyz").status_code == 200)
