"""The sender against a small server of its own, which can be told to fail."""

import asyncio
import json
from types import SimpleNamespace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from mnemata.cli.client import Client
from mnemata.cli.exits import ServerProblem
from mnemata.cli.importing import sender as sender_module
from mnemata.cli.importing.lines import Place
from mnemata.cli.importing.sender import Sender
from mnemata.domain.ids import SequentialIds


class Server:
    """Stores by external id; `failures` are answered first, in order."""

    def __init__(self, failures=(), refuse=lambda _: None):
        self.failures = list(failures)
        self.refuse = refuse
        self.stored = {}
        self.requests = []
        self.in_flight = self.most_in_flight = 0

    async def answer(self, request):
        items = json.loads(await request.body())["items"]
        self.requests.append((request.headers["idempotency-key"], len(items)))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0.005)
        self.in_flight -= 1
        if self.failures:
            status = self.failures.pop(0)
            return JSONResponse({"code": "failed", "detail": f"Failed with {status}."}, status)
        if any(item["content"] == "poison" for item in items):
            return JSONResponse({"code": "malformed_body", "detail": "Too deep."}, 422)
        return JSONResponse({"items": [self.outcome(place, item) for place, item in enumerate(items)]})

    def outcome(self, place, item):
        problem = self.refuse(item)
        if problem:
            return {"index": place, "status": problem, "error": {"code": "no", "detail": "Not that one."}}
        status = 200 if item.get("external_id") in self.stored else 201
        self.stored[item.get("external_id", len(self.stored))] = item["content"]
        return {"index": place, "status": status, "memory": {}}


async def send(server, memories, *, batch_size=10, in_flight=4, note=lambda _: None):
    app = Starlette(routes=[Route("/v1/memories:batch", server.answer, methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as http:
        client = Client(http, where="The test's server", has_key=False)
        sender = Sender(
            client,
            ids=SequentialIds(),
            batch_size=batch_size,
            in_flight=in_flight,
            wait=True,
            progress=lambda _: None,
            note=note,
        )
        try:
            for number, memory in enumerate(memories, start=1):
                await sender.add(Place(file="f", line=number), memory, 100)
            await sender.finish()
        finally:
            sender.stop()
    return sender.report


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    def shorter(seconds):
        return asyncio.sleep(min(seconds, 0.005))

    # In that module alone: other tests may keep a server in this process.
    monkeypatch.setattr(sender_module, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": shorter}))


def memories(count):
    return [{"content": f"text {number}", "external_id": str(number)} for number in range(count)]


async def test_every_memory_is_sent_once_in_batches_that_overlap():
    server = Server()

    report = await send(server, memories(95))

    assert (report.stored, report.updated, report.refused) == (95, 0, [])
    assert sorted(size for _, size in server.requests) == [5] + [10] * 9
    assert 2 <= server.most_in_flight <= 4


async def test_batch_is_sent_again_with_the_same_key_while_the_server_is_away():
    server = Server(failures=[503, 429, 504])

    report = await send(server, memories(5))

    assert report.stored == 5
    assert len({key for key, _ in server.requests}) == 1


async def test_who_waits_for_a_server_is_told_once_why():
    notes = []

    await send(Server(failures=[503] * 9), memories(30), note=notes.append)

    assert len(notes) == 1
    assert "Failed with 503" in notes[0]


async def test_problem_that_will_not_pass_ends_the_import():
    with pytest.raises(ServerProblem, match="Failed with 403"):
        await send(Server(failures=[403]), memories(5))


async def test_line_that_spoils_its_whole_request_is_found_and_the_others_are_stored():
    spoiled = [*memories(7), {"content": "poison"}, *memories(9)[7:]]
    server = Server()

    report = await send(server, spoiled)

    assert report.stored == 9
    assert [(item.place.line, item.reason) for item in report.refused] == [(8, "Too deep.")]


async def test_refused_item_is_reported_with_its_line():
    report = await send(Server(refuse=lambda item: 422 if item["external_id"] == "3" else None), memories(6))

    assert report.stored == 5
    assert [(item.place.line, item.code) for item in report.refused] == [(4, "no")]


async def test_item_that_could_not_be_taken_just_now_is_sent_again_by_itself():
    answers = iter([503, None])
    server = Server(refuse=lambda item: next(answers) if item["external_id"] == "3" else None)

    report = await send(server, memories(6))

    assert report.stored == 6
    assert report.refused == []
    assert [size for _, size in server.requests] == [6, 1]


async def test_later_line_of_the_same_external_id_wins():
    twice = [{"content": f"v{number}", "external_id": str(number % 7)} for number in range(70)]
    server = Server()

    report = await send(server, twice)

    assert (report.stored, report.updated) == (7, 63)
    assert server.stored == {str(number % 7): f"v{number}" for number in range(63, 70)}
