"""Real servers for the cache, and a small world whose one figure is what searches would find."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mnemata.cache import embedded
from mnemata.cache.answers import AnswerCache, AnswerOptions
from mnemata.cache.breaker import Breaker
from mnemata.cache.client import CacheClient, ClientOptions
from mnemata.cache.keys import Keys
from mnemata.cache.memories import MemoryCache
from mnemata.cache.publisher import Publisher
from mnemata.cache.standing import Standing
from mnemata.cache.vectors import VectorCache
from mnemata.domain.change import START, Change, Position
from mnemata.domain.clock import ManualClock, SystemClock
from mnemata.domain.ids import TenantId, Uuid7Factory
from mnemata.domain.memory import Operation
from mnemata.domain.query import Answer
from mnemata.observability.metrics import Metrics
from mnemata.query.plan import plan
from mnemata.store.database import Database, PoolOptions
from mnemata.workers.cache_doubts import SURE_S, CacheDoubts

TENANT = TenantId("ana")


class Server:
    """A server on a socket in a folder of its own."""

    def __init__(self, program):
        self.program = program
        self.folder = Path(tempfile.mkdtemp(prefix="mnemata-cache-"))
        self.socket = self.folder / "socket"
        self.url = f"unix://{self.socket}"
        self.process = None
        self.start()

    def start(self):
        self.socket.unlink(missing_ok=True)
        arguments = ["--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--save", ""]
        self.process = subprocess.Popen(
            [self.program, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not self.socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(60)

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Member:
    """What one process of a fleet has of the cache."""

    def __init__(
        self,
        server_url,
        known,
        *,
        timeout_s=1.0,
        wait_s=5.0,
        buckets=1,
        clock=None,
        largest=262_144,
        database=None,
        sure_s=SURE_S,
    ):
        self.metrics = Metrics()
        self.client = CacheClient(
            ClientOptions(url=server_url, timeout_s=timeout_s),
            metrics=self.metrics,
            breaker=Breaker(pause_s=0.01, longest_s=0.02),
        )
        self.keys = Keys(namespace="test", buckets=buckets)
        self.caught_up = True
        self.standing = Standing(known, caught_up=lambda: self.caught_up)
        clock = clock or SystemClock()
        ids = Uuid7Factory()
        shared = {}
        if database is not None:
            self.doubts = CacheDoubts(database, self.standing, cache=self.keys.namespace, sure_s=sure_s)
            shared["tell_others"] = self.doubts.tell
        self.publisher = Publisher(self.client, self.keys, self.standing, metrics=self.metrics, **shared)
        self.answers = AnswerCache(
            self.client,
            self.keys,
            self.standing,
            clock=clock,
            ids=ids,
            metrics=self.metrics,
            options=AnswerOptions(wait_s=wait_s, largest=largest),
        )
        self.memories = MemoryCache(
            self.client, self.keys, self.standing, metrics=self.metrics, largest=largest
        )
        self.vectors = VectorCache(self.client, self.keys, metrics=self.metrics, largest=largest)

    def count(self, result, kind="answer"):
        return self.metrics.cache_requests.labels(kind, result)._value.get()

    def refused(self, reason, kind="answer"):
        return self.metrics.cache_refused.labels(kind, reason)._value.get()

    async def close(self):
        await self.answers.close()
        await self.memories.close()
        await self.vectors.close()
        await self.client.close()


class World:
    """An index whose searches find `visible`. `completed`: what writers have been told."""

    query = plan("green tea")
    tenant = TENANT

    def __init__(self):
        self.visible = 0
        self.completed = 0
        self.position = START
        self.searches = 0
        self.ids = Uuid7Factory()

    async def find(self):
        self.searches += 1
        found = self.visible
        await asyncio.sleep(0)
        return Answer(search_id="first", hits=(), total=found, took_ms={"total": 5.0})

    def apply(self):
        """A change that searches see from here on; it is not complete before it was published."""
        self.visible += 1
        self.position = Position(xid=self.position.xid + 1, sequence=self.position.sequence + 1)
        return Change(
            position=self.position,
            tenant=TENANT,
            memory_id=self.ids.new(),
            version=1,
            operation=Operation.CREATED,
            recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        )

    async def write(self, member):
        change = self.apply()
        told = await member.publisher.publish([change], position=change.position)
        self.completed = max(self.completed, self.visible)
        return told

    async def read(self, member):
        """What a search through the cache finds; it must not be older than what was complete when it began."""
        before = self.completed
        answer = await member.answers.through(TENANT, self.query, None, self.find)
        assert answer.total >= before
        return answer


def programs():
    found = {"valkey": embedded._program(), "redis": shutil.which("redis-server")}
    return {name: program for name, program in found.items() if program is not None}


@pytest.fixture(params=["valkey", "redis"])
def server(request):
    program = programs().get(request.param)
    if program is None:
        pytest.skip(f"no {request.param}-server here")
    running = Server(program)
    yield running
    running.close()


@pytest.fixture
def world():
    return World()


@pytest.fixture
async def make_member(server, world):
    """A member of the fleet; `knows`: what its process has learned of the feed, by default what is true."""
    made = []

    async def make(*, knows=None, url=None, **options):
        known = knows if knows is not None else lambda: (world.position,)
        member = Member(url or server.url, known, **options)
        await member.client.open()
        made.append(member)
        return member

    yield make
    for member in made:
        await member.close()


@pytest.fixture
async def member(make_member):
    one = await make_member()
    one.publisher.resume(START)
    await one.publisher.look_after()
    return one


@pytest.fixture
async def open_database(database_url, patience):
    """Opens the one database of all members, once for each of them."""
    opened = []

    async def open_(**options):
        database = await Database.open(
            database_url,
            options=PoolOptions(**patience["database"], **options),
            metrics=Metrics(),
            clock=SystemClock(),
        )
        opened.append(database)
        return database

    yield open_
    for database in opened:
        await database.close()


@pytest.fixture
def manual_clock():
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
