"""A server that is full, slow, gone or speaks nonsense costs time and changes no answer."""

import asyncio
import random
import signal
import socket
import struct
from collections import Counter

import pytest
import uvloop

from mnemata.cache.breaker import Breaker
from mnemata.cache.client import CacheClient, CacheDown, ClientOptions
from mnemata.domain.errors import ConfigurationError
from mnemata.observability.metrics import Metrics

RESET = 0.3
"""How likely a connection is reset at each step."""


async def test_full_server_that_evicts_nothing_answers_nothing_old(world, member):
    await world.read(member)
    await member.answers.settled()
    await member.client.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    await member.client.command("CONFIG", "SET", "maxmemory", 1)

    for _ in range(3):
        await world.write(member)
        await world.read(member)
        await world.read(member)
    await member.answers.settled()
    await member.client.command("CONFIG", "SET", "maxmemory", 0)
    await member.publisher.look_after()
    await world.read(member)
    await member.answers.settled()
    await world.read(member)

    assert member.count("hit") == 1


async def test_slow_server_is_given_up_and_taken_up_again(world, make_member, server):
    member = await make_member(timeout_s=0.05)
    await member.publisher.look_after()
    server.signal(signal.SIGSTOP)
    for _ in range(5):
        await world.read(member)
    given_up = not member.client.available
    server.signal(signal.SIGCONT)

    assert given_up
    assert world.searches == 5
    async with asyncio.timeout(60):
        while not member.client.available:
            await asyncio.sleep(0.01)
            await world.read(member)


@pytest.mark.parametrize(
    "noise",
    [
        b"\x00\xff\xfe garbage\r\n" * 10,
        b"*5\r\n$3\r\nfoo\r\n:1\r\n",
        b"+OK\r\n" * 50,
        b"-OOM no\r\n" * 50,
        b"",
    ],
)
async def test_nonsense_from_the_server_is_no_answer(world, make_member, tmp_path, noise):
    async def babble(reader, writer):
        while await reader.read(65_536):
            writer.write(noise)
            await writer.drain()
            if not noise:
                break
        writer.close()

    babbler = await asyncio.start_unix_server(babble, tmp_path / "s")
    member = await make_member(url=f"unix://{tmp_path / 's'}", timeout_s=0.2)
    async with asyncio.timeout(60):
        for _ in range(3):
            assert await world.write(member) is False
            await world.read(member)
            await member.answers.settled()
    await member.client.close()
    babbler.close()

    assert world.searches == 3


async def test_address_where_nobody_listens_is_no_answer(world, make_member, tmp_path):
    member = await make_member(url=f"unix://{tmp_path / 'nobody'}")

    assert await world.write(member) is False
    await world.read(member)
    with pytest.raises(CacheDown):
        await member.client.command("PING")


async def test_client_that_was_not_opened_says_so():
    client = CacheClient(ClientOptions(url="redis://127.0.0.1:1"), metrics=Metrics())

    with pytest.raises(CacheDown, match="closed"):
        await client.command("PING")


async def test_url_that_cannot_be_read_is_a_wrong_setting():
    client = CacheClient(ClientOptions(url="http://127.0.0.1:1"), metrics=Metrics())

    with pytest.raises(ConfigurationError):
        await client.open()


def test_breaker_opens_after_failures_in_a_row_and_tries_after_growing_pauses():
    now = [0.0]
    breaker = Breaker(failures=2, pause_s=1.0, longest_s=3.0, monotonic=lambda: now[0])
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()

    tried_at = []
    while now[0] < 12:
        if breaker.allows():
            tried_at.append(now[0])
            breaker.failed()
        now[0] += 0.5

    assert tried_at == [1.0, 3.0, 6.0, 9.0]
    breaker.worked()
    assert breaker.allows()
    assert not breaker.open


def test_connections_that_are_reset_at_any_moment_are_no_answer():
    """On the loop that servers run on: it reports some of these in a way of its own."""
    chance = random.Random(5)

    async def reset(reader, writer):
        while chance.random() > RESET and await reader.read(4_096):
            writer.write(b"+OK\r\n")
            await asyncio.sleep(chance.random() * 0.002)
        close_at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, close_at_once)
        writer.transport.abort()

    async def ask(client, outcomes):
        for _ in range(200):
            try:
                outcomes[await client.command("PING")] += 1
            except CacheDown as down:
                outcomes[down.reason] += 1
            await asyncio.sleep(chance.random() * 0.002)

    async def run():
        server = await asyncio.start_server(reset, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        options = ClientOptions(url=f"redis://127.0.0.1:{address[1]}", connections=8)
        client = CacheClient(options, metrics=Metrics(), breaker=Breaker(failures=10**9))
        await client.open()
        outcomes = Counter()
        try:
            await asyncio.gather(*(ask(client, outcomes) for _ in range(10)))
        finally:
            await client.close()
            server.close()
        return outcomes

    outcomes = uvloop.run(run())
    assert outcomes["unreachable"] > 0
    assert outcomes.total() == 2_000
