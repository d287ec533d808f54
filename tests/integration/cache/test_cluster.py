"""The same on a real cluster of three: tenants lie in slots of their own, and scripts stay within one."""

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mnemata.cache.statistics import CacheStatistics
from mnemata.domain.change import START
from mnemata.domain.ids import TenantId

BUCKETS = 8
TENANTS = [TenantId(f"tenant-{number}") for number in range(12)]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(200)]
    # The bus listens 10,000 above.
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return [port for port in ports if port < 55_000][:count]


@pytest.fixture(scope="module")
def cluster():
    program, cli = shutil.which("redis-server"), shutil.which("redis-cli")
    if program is None or cli is None:
        pytest.skip("no redis-server and redis-cli here")
    folder = Path(tempfile.mkdtemp(prefix="mnemata-cluster-"))
    ports = free_ports(3)
    nodes = []
    for port in ports:
        home = folder / str(port)
        home.mkdir()
        options = {"port": port, "bind": "127.0.0.1", "cluster-enabled": "yes", "dir": home, "save": ""}
        arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        nodes.append(
            subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
    try:
        _create(cli, ports)
        yield f"redis+cluster://127.0.0.1:{ports[0]}"
    finally:
        for node in nodes:
            node.kill()
            node.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _create(cli, ports):
    addresses = [f"127.0.0.1:{port}" for port in ports]

    def said(port, *words):
        done = subprocess.run([cli, "-p", str(port), *words], capture_output=True, text=True, check=False)
        return done.stdout

    deadline = time.monotonic() + 60
    while not all("PONG" in said(port, "PING") for port in ports) and time.monotonic() < deadline:
        time.sleep(0.05)
    subprocess.run(
        [cli, "--cluster", "create", *addresses, "--cluster-yes"], capture_output=True, timeout=60, check=True
    )
    while not all("cluster_state:ok" in said(port, "CLUSTER", "INFO") for port in ports):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def server():
    """None of its own: the members speak to the cluster."""


async def test_cluster_answers_and_forgets_like_one_server(world, make_member, cluster):
    member = await make_member(url=cluster, buckets=BUCKETS)
    other = await make_member(url=cluster, buckets=BUCKETS, knows=lambda: (START,))
    member.publisher.resume(START)
    async with asyncio.timeout(60):
        while not await member.publisher.publish([], position=START):
            await asyncio.sleep(0.05)

    for reader in (member, other):
        for tenant in TENANTS:
            await reader.answers.through(tenant, world.query, None, world.find)
            await reader.answers.settled()
    assert world.searches == len(TENANTS)

    change = replace(world.apply(), tenant=TENANTS[0])
    assert await member.publisher.publish([change], position=change.position)
    for tenant in TENANTS:
        await other.answers.through(tenant, world.query, None, world.find)
        await other.answers.settled()
    assert world.searches == len(TENANTS) + 1
    assert other.count("hit") == 2 * len(TENANTS) - 1


async def test_statistics_and_clearing_reach_every_node(world, make_member, cluster):
    member = await make_member(url=cluster, buckets=BUCKETS)
    member.publisher.resume(START)
    await member.publisher.look_after()
    for tenant in TENANTS:
        await member.answers.through(tenant, world.query, None, world.find)
    await member.answers.settled()
    statistics = CacheStatistics(member.client, member.keys, metrics=member.metrics)

    report = await statistics.report()
    deleted = await statistics.clear()

    assert report["server"]["nodes"] == 3
    assert deleted >= 2 * len(TENANTS)
    assert await statistics.clear() == 0
