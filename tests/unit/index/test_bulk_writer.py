"""Writing in bulk against a cluster that answers as it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from mnemata.domain.errors import ConfigurationError, IndexRefused, IndexUnavailable
from mnemata.index.cluster.bulk import BulkWriter, deleting, writing
from mnemata.index.cluster.connection import Connection, Reply, Unreachable
from mnemata.index.cluster.drivers import hosts
from mnemata.index.cluster.options import Access


class ScriptedCluster:
    """Plays the answers to `_bulk`, one a request; what is a number is the status of every item, or of the whole."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[list[str]] = []

    async def request(self, *_asked, body, **_how) -> Reply:
        names = [action["_id"] for action in map(_action, body.splitlines()) if action is not None]
        self.asked.append(names)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return Reply(status=answer, body={"error": {"type": "told_to"}})
        items = [{"index": _outcome(answer.get(name, 201))} for name in names]
        return Reply(status=200, body={"items": items})

    async def close(self) -> None:
        return


def _action(line: bytes) -> dict[str, Any] | None:
    loaded = orjson.loads(line)
    return next((loaded[name] for name in ("index", "delete") if name in loaded), None)


def _outcome(status: int) -> dict[str, Any]:
    failed = {"error": {"type": "document_parsing_exception", "reason": "secret contents"}}
    return {"status": status} | (failed if status >= 400 else {})


def writer(cluster: ScriptedCluster, *, patience_s: float = 60.0, items_at_once: int = 1_000) -> BulkWriter:
    connection = Connection(cluster, search_timeout_s=1, write_timeout_s=1)
    return BulkWriter(connection, bytes_at_once=1_000, items_at_once=items_at_once, patience_s=patience_s)


def documents(names: Sequence[str]):
    return [writing("i", name, "t", 7, {"content": name}) for name in names]


async def test_only_the_items_that_met_a_busy_cluster_are_sent_again():
    cluster = ScriptedCluster({"b": 429}, {})
    await writer(cluster).write(documents("abc"))
    assert cluster.asked == [["a", "b", "c"], ["b"]]


async def test_a_whole_request_that_was_refused_for_being_too_much_is_sent_again():
    cluster = ScriptedCluster(429, 503, {})
    await writer(cluster).write(documents("ab"))
    assert cluster.asked == [["a", "b"]] * 3


async def test_a_cluster_that_stays_busy_is_given_up_after_the_patience():
    with pytest.raises(IndexUnavailable, match="busy"):
        await writer(ScriptedCluster(429), patience_s=0.05).write(documents("a"))


async def test_what_a_later_reading_wrote_is_no_failure():
    await writer(ScriptedCluster({"a": 409})).write(documents("a"))


async def test_a_document_that_is_refused_is_told_and_loses_no_other():
    cluster = ScriptedCluster({"b": 400}, {})
    with pytest.raises(IndexRefused) as refused:
        await writer(cluster, items_at_once=2).write(documents("abcd"))
    assert cluster.asked == [["a", "b"], ["c", "d"]]
    assert refused.value.facts["reason"] == "document_parsing_exception"
    assert "secret" not in str(refused.value)


async def test_an_index_that_takes_no_more_writes_is_not_the_documents_fault():
    with pytest.raises(IndexUnavailable):
        await writer(ScriptedCluster({"a": 403})).write(documents("a"))


async def test_a_request_that_is_too_large_is_halved():
    cluster = ScriptedCluster(413, {}, {})
    await writer(cluster).write(documents("abcd"))
    assert cluster.asked == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"]]


async def test_one_document_that_is_too_large_is_refused():
    with pytest.raises(IndexRefused, match="too_large"):
        await writer(ScriptedCluster(413)).write(documents("a"))


async def test_requests_stay_below_the_bytes_that_are_allowed():
    cluster = ScriptedCluster({}, {}, {}, {}, {})
    await writer(cluster).write([writing("i", name, "t", 1, {"content": "x" * 600}) for name in "abc"])
    assert cluster.asked == [["a"], ["b"], ["c"]]


async def test_a_cluster_out_of_reach_is_unavailable():
    with pytest.raises(IndexUnavailable, match="reached"):
        await writer(ScriptedCluster(Unreachable("it cannot be reached"))).write([deleting("i", "a", "t", 1)])


async def test_a_search_does_not_wait_for_what_did_not_answer_a_moment_ago():
    cluster = ScriptedCluster(Unreachable("it cannot be reached"))
    connection = Connection(cluster, search_timeout_s=1, write_timeout_s=1)
    for _ in range(2):
        with pytest.raises(IndexUnavailable):
            await connection.send_lines("/_msearch", [], searching=True)
    assert len(cluster.asked) == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "credential"), (403, "allow"), (404, "404"), (429, "busy"), (500, "500"), (502, "502")],
)
async def test_every_failure_of_the_cluster_itself_is_unavailable(status, reason):
    connection = Connection(ScriptedCluster(status), search_timeout_s=1, write_timeout_s=1)
    with pytest.raises(IndexUnavailable, match=reason):
        await connection.send_lines("/_bulk", [])


async def test_a_search_that_is_refused_can_be_answered_from_elsewhere():
    connection = Connection(ScriptedCluster(400), search_timeout_s=1, write_timeout_s=1)
    with pytest.raises(IndexUnavailable, match="told_to"):
        await connection.send_lines("/_msearch", [], searching=True)


def test_a_node_without_a_port_is_at_the_usual_one():
    access = Access(urls=("http://search", "https://search:443/under/", "http://[::1]"))
    assert hosts(access) == ["http://search:9200", "https://search:443/under", "http://[::1]:9200"]


@pytest.mark.parametrize(
    "url", ["search:9200", "ftp://search", "http://", "http://search:x", "http://u:secret@search"]
)
def test_what_is_no_url_of_a_node_is_refused_without_its_secret(url):
    with pytest.raises(ConfigurationError) as refused:
        hosts(Access(urls=(url,)))
    assert "secret" not in str(refused.value)
