"""Every hot query goes by an index: proven by EXPLAIN on 100,000 memories. docs/indexes.md says which serves what."""

# ruff: noqa: ARG005 (the queries of a table share one signature)

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg
import pytest
from psycopg import sql

from mnemata.domain.change import START, Position
from mnemata.domain.filter import EVERYTHING, AnyOf, Field, metadata_term
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Operation
from mnemata.domain.query import Words
from mnemata.domain.scope import DEFAULT_TENANT, Scope
from mnemata.domain.vector import Space
from mnemata.store.database import Database
from mnemata.store.listing import After, SortKey
from mnemata.store.migrate import migrate
from mnemata.store.rows import tag_hash, term_hash

pytestmark = pytest.mark.every_postgres

ROWS = 100_000
BIG = {"memories", "versions", "changes", "embeddings", "api_keys", "idempotency_keys"}
SPACE = Space(name="s", dimensions=4)
PAGE = Path(__file__).parents[3] / "docs" / "indexes.md"

LOAD = """
INSERT INTO memories (
    id, version, importance, created_at, updated_at, occurred_at, expires_at, deleted_at, sequence, tenant, kind,
    user_id, agent_id, session_id, external_id, tags, metadata, attributes, term_hashes, content_hash, embedding_key,
    content
)
SELECT
    lpad(to_hex(n), 32, '0')::uuid, 1, (n %% 101) / 100.0, t.at, t.at, CASE WHEN n %% 3 = 0 THEN t.at END,
    CASE WHEN n %% 50 = 0 THEN t.at + interval '1 year' END, CASE WHEN n %% 90 = 1 THEN t.at END, n %% 20, 'default',
    CASE WHEN n %% 50 = 3 THEN 'episodic' ELSE 'semantic' END, 'user' || n %% 1000,
    CASE WHEN n %% 2 = 0 THEN 'agent' || n %% 1000 END, 'session' || n / 20, 'e' || n,
    CASE WHEN n %% 1000 = 5 THEN ARRAY['rare'] ELSE ARRAY['common'] END, '{}',
    CASE WHEN n %% 1000 = 7 THEN ARRAY[%(term)s] ELSE '{}' END,
    CASE WHEN n %% 1000 = 5 THEN ARRAY[%(rare)s] WHEN n %% 1000 = 7 THEN ARRAY[%(term_hash)s] ELSE ARRAY[%(common)s] END,
    sha256(n::text::bytea), sha256(n::text::bytea), 'turn number ' || n || CASE WHEN n %% 997 = 0 THEN ' zebra' ELSE '' END
FROM generate_series(1, %(rows)s) AS n, LATERAL (SELECT '2026-01-01Z'::timestamptz + n * interval '1 minute' AS at) AS t;
INSERT INTO versions (
    memory_id, version, recorded_at, importance, created_at, occurred_at, expires_at, deleted_at, sequence, operation,
    tenant, kind, user_id, agent_id, session_id, external_id, tags, metadata, attributes, content_hash, embedding_key,
    content
)
SELECT id, version, updated_at, importance, created_at, occurred_at, expires_at, deleted_at, sequence, 'created',
    tenant, kind, user_id, agent_id, session_id, external_id, tags, metadata, attributes, content_hash, embedding_key,
    content
FROM memories;
INSERT INTO changes (memory_id, recorded_at, version, operation, tenant)
SELECT id, updated_at, version, 'created', tenant FROM memories ORDER BY id;
INSERT INTO embeddings (dimensions, tenant, space, key, vector)
SELECT 4, tenant, 's', embedding_key, '\\x00000000000000000000000000000000' FROM memories WHERE id > %(bare)s::uuid;
INSERT INTO api_keys (id, tenant, role, label, secret_hash, created_at)
SELECT 'key' || n, 'default', 'reader', 'a key', sha256(n::text::bytea), now() FROM generate_series(1, 10000) AS n;
INSERT INTO idempotency_keys (tenant, key, fingerprint, outcome, expires_at)
SELECT 'default', 'key' || n, '', '', '2026-06-01Z' FROM generate_series(1, 10000) AS n;
"""


@pytest.fixture(scope="module")
def loaded(server) -> Iterator[str]:
    """A database with 100,000 memories, analysed."""
    name = "store_indexes"
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    url = server.url_of(name)
    migrate(url)
    term = metadata_term(("score",), 7.0)
    values = {
        "rows": ROWS,
        "term": term,
        "term_hash": term_hash(term),
        "rare": tag_hash("rare"),
        "common": tag_hash("common"),
        "bare": str(number(20)),
    }
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in LOAD.split(";\n"):
            if statement.strip():
                connection.execute(statement, values if "%(" in statement else None)
        connection.execute("VACUUM ANALYZE")
    yield url
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def number(n: int) -> MemoryId:
    return MemoryId(UUID(int=n))


class Plans:
    """Explains every statement of a transaction before it runs; with `ANALYZE, ` by running it once more."""

    def __init__(self, session, options: str = "") -> None:
        self._options = options
        self._rows = session.rows
        self.nodes: list[dict] = []
        session.rows = self.rows
        session.rows_of = self.rows_of

    async def rows(self, statement, parameters=None, **others):
        query = statement if isinstance(statement, sql.Composed) else sql.Composed([statement.text])
        explained = await self._rows(sql.SQL(f"EXPLAIN ({self._options}FORMAT JSON) ") + query, parameters)
        plan = explained[0][0]
        self.nodes += _nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        return await self._rows(statement, parameters, **others)

    async def rows_of(self, *asked):
        return [await self.rows(*one) for one in asked]

    @property
    def read_whole(self) -> set[str]:
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"} & BIG

    @property
    def looked_at(self) -> int:
        """Rows of the big tables that were read, chosen or not."""
        counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        nodes = [node for node in self.nodes if node.get("Relation Name") in BIG]
        return sum(round(node.get(count, 0) * node["Actual Loops"]) for node in nodes for count in counts)

    @property
    def indexes(self) -> set[str]:
        read = {node["Index Name"] for node in self.nodes if "Index Name" in node}
        return read.union(*(node.get("Conflict Arbiter Indexes", []) for node in self.nodes))


def _nodes(plan: dict) -> Iterator[dict]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


USER = AnyOf(field=Field(name="user_id"), values=("user5",))
AGENT = AnyOf(field=Field(name="agent_id"), values=("agent6",))
KIND = AnyOf(field=Field(name="kind"), values=("episodic",))
RARE = AnyOf(field=Field(name="tags"), values=("rare",))
SCORE = AnyOf(field=Field(name="metadata", path=("score",)), values=(7.0,))
SESSION = AnyOf(field=Field(name="session_id"), values=("session9",))


def page(sort, *, after=None, condition=EVERYTHING):
    return lambda tx, now: tx.memories.page(condition, sort=sort, after=after, limit=50, now=now)


async def insert(tx, make):
    await tx.memories.insert(
        [make(external_id=f"new{n}", session_id="s") for n in range(3)], operation=Operation.CREATED
    )


async def replace_some(tx, _):
    found = await tx.memories.get_many([number(n) for n in (2, 3)])
    after = [replace(memory, version=2) for memory in found.values()]
    await tx.memories.replace(after, operation=Operation.UPDATED)


OF_A_TENANT = {
    "get": ({"memories_pkey"}, lambda tx, now: tx.memories.get_many([number(n) for n in range(1, 200)])),
    "get_and_lock": ({"memories_pkey"}, lambda tx, now: tx.memories.get(number(3), lock=True)),
    "by_external_id": (
        {"memories_by_external_id"},
        lambda tx, now: tx.memories.by_external_ids(["e1", "e2"]),
    ),
    "page_by_created": ({"memories_by_created"}, page(SortKey.CREATED_AT)),
    "page_by_updated": ({"memories_by_updated"}, page(SortKey.UPDATED_AT)),
    "page_by_occurred": ({"memories_by_occurred"}, page(SortKey.OCCURRED_AT)),
    "page_by_importance": ({"memories_by_importance"}, page(SortKey.IMPORTANCE)),
    "later_page": (
        {"memories_by_importance"},
        page(SortKey.IMPORTANCE, after=After(value=0.5, id=number(50_000))),
    ),
    "page_of_a_user": ({"memories_by_user"}, page(SortKey.CREATED_AT, condition=USER)),
    "page_of_an_agent": ({"memories_by_agent"}, page(SortKey.CREATED_AT, condition=AGENT)),
    "page_of_a_kind": ({"memories_by_created"}, page(SortKey.CREATED_AT, condition=KIND)),
    "page_of_a_session": ({"memories_by_session"}, page(SortKey.CREATED_AT, condition=SESSION)),
    "page_of_a_tag": ({"memories_by_terms_and_words"}, page(SortKey.CREATED_AT, condition=RARE)),
    "page_of_metadata": ({"memories_by_terms_and_words"}, page(SortKey.CREATED_AT, condition=SCORE)),
    "page_as_of": (
        {"versions_by_created"},
        lambda tx, now: tx.memories.page_as_of(EVERYTHING, as_of=now, limit=50),
    ),
    "count_of_a_user": ({"memories_by_user"}, lambda tx, now: tx.memories.count(USER, now=now)),
    "count_of_an_agent": ({"memories_by_agent"}, lambda tx, now: tx.memories.count(AGENT, now=now)),
    "count_of_a_tag": ({"memories_by_terms_and_words"}, lambda tx, now: tx.memories.count(RARE, now=now)),
    "forget_by_filter": (
        {"memories_by_terms_and_words", "memories_pkey"},
        lambda tx, now: tx.memories.ids_matching(RARE, limit=1_000, now=now, lock=True),
    ),
    "forget_an_agent": (
        {"memories_by_agent"},
        lambda tx, now: tx.memories.ids_matching(AGENT, limit=1_000, now=now, lock=True),
    ),
    "search_words": (
        {"memories_by_terms_and_words"},
        lambda tx, now: tx.memories.search_words(Words(text="zebra"), EVERYTHING, limit=50, now=now),
    ),
    "search_phrase": (
        {"memories_by_terms_and_words"},
        lambda tx, now: tx.memories.search_words(
            Words(phrases=("997 zebra",)), EVERYTHING, limit=50, now=now
        ),
    ),
    "vectors_of_a_user": (
        {"memories_by_user", "embeddings_pkey"},
        lambda tx, now: tx.memories.vectors(SPACE, USER, limit=1_000, now=now),
    ),
    "vectors_of_an_agent": (
        {"memories_by_agent", "embeddings_pkey"},
        lambda tx, now: tx.memories.vectors(SPACE, AGENT, limit=1_000, now=now),
    ),
    "vectors_as_of": (
        {"versions_by_created", "embeddings_pkey"},
        lambda tx, now: tx.memories.vectors(SPACE, EVERYTHING, limit=1_000, now=now, as_of=now),
    ),
    "latest_of_a_user": (
        {"memories_by_user", "embeddings_pkey"},
        lambda tx, now: tx.memories.latest_of_user("user5", space=SPACE, limit=200, now=now),
    ),
    "traits": (
        {"memories_pkey", "embeddings_pkey"},
        lambda tx, now: tx.memories.traits([number(n) for n in range(50, 250)], space=SPACE),
    ),
    "traits_as_of": (
        {"versions_pkey", "embeddings_pkey"},
        lambda tx, now: tx.memories.traits([number(n) for n in range(50, 250)], space=SPACE, as_of=now),
    ),
    "around": (
        {"memories_pkey", "memories_by_session"},
        lambda tx, now: tx.memories.with_turns([number(n) for n in range(50, 60)], width=2, now=now),
    ),
    "history": ({"versions_pkey"}, lambda tx, now: tx.memories.history(number(5))),
    "as_of": (
        {"versions_pkey"},
        lambda tx, now: tx.memories.get_many([number(n) for n in range(1, 200)], as_of=now),
    ),
    "claim": (
        {"idempotency_keys_pkey"},
        lambda tx, now: tx.idempotency.claim("key7", b"", expires_at=now + timedelta(days=1)),
    ),
    "vectors_by_key": ({"embeddings_pkey"}, lambda tx, now: tx.embeddings.get(SPACE, [b"x" * 32, b"y" * 32])),
    "replace": ({"memories_pkey", "versions_pkey"}, replace_some),
}

# These look at all that a tenant has, and so at the whole table where it has most of it: the page says why.
OF_A_WHOLE_TENANT = {
    "count_of_a_kind": lambda tx, now: tx.memories.count(KIND, now=now),
    "forget_a_kind": lambda tx, now: tx.memories.ids_matching(KIND, limit=1_000, now=now, lock=True),
    "search_words_as_of": lambda tx, now: tx.memories.search_words(
        Words(text="zebra"), EVERYTHING, limit=50, now=now, as_of=now
    ),
}

OF_THE_PLATFORM = {
    "feed": ({"changes_pkey"}, lambda tx, now: tx.feed.read(START, limit=1_000)),
    "feed_from_the_middle": (
        {"changes_pkey"},
        lambda tx, now: tx.feed.read(Position(xid=1, sequence=50_000), limit=1_000),
    ),
    "feed_ahead": (
        {"changes_pkey"},
        lambda tx, now: tx.feed.glimpse(
            Position(xid=1, sequence=50_000), partitions=range(16), left_out=[], most=32, window=10_000
        ),
    ),
    "head": ({"changes_pkey"}, lambda tx, now: tx.feed.head()),
    "lag": ({"changes_pkey"}, lambda tx, now: tx.feed.lag(Position(xid=2**40, sequence=0))),
    "documents": (
        {"memories_pkey", "memories_by_session"},
        lambda tx, now: tx.documents([number(n) for n in range(100, 1_100)]),
    ),
    "affected": (
        {"versions_pkey", "memories_by_session"},
        lambda tx, now: tx.affected([number(n) for n in range(100, 1_100)]),
    ),
    "key": ({"api_keys_pkey"}, lambda tx, now: tx.access.key("key7")),
    "scan": ({"memories_pkey"}, lambda tx, now: tx.scan(after=number(500), limit=1_000)),
    "vectors_of_a_batch": (
        {"embeddings_pkey"},
        lambda tx, now: tx.embeddings.get(SPACE, [(DEFAULT_TENANT, bytes([n]) * 32) for n in range(200)]),
    ),
    "missing_vectors": ({"embeddings_pkey"}, lambda tx, now: tx.embeddings.missing(SPACE, limit=10)),
    "missing_vectors_of_some": (
        {"memories_pkey", "embeddings_pkey"},
        lambda tx, now: tx.embeddings.missing(SPACE, limit=256, after=number(500), until=number(5_500)),
    ),
    "spaces": ({"embeddings_pkey"}, lambda tx, now: tx.embeddings.spaces()),
    "next_expiry": ({"memories_to_expire"}, lambda tx, now: tx.next_expiry()),
    "expire": ({"memories_to_expire"}, lambda tx, now: tx.expire_due(now + timedelta(days=400), limit=100)),
    "purge": (
        {"memories_to_purge", "versions_by_embedding", "embeddings_pkey"},
        lambda tx, now: tx.purge_due(now, limit=100),
    ),
}


class Unused(Exception):
    """Ends a transaction: what it did is undone, for the next query."""


@pytest.fixture
async def opened(loaded, options, metrics, clock):
    database = await Database.open(loaded, options=options, metrics=metrics, clock=clock)
    yield database
    await database.close()


@pytest.mark.parametrize("name", OF_A_TENANT)
async def test_hot_query_of_a_tenant_reads_no_table_whole(opened, clock, name):
    expected, query = OF_A_TENANT[name]
    with pytest.raises(Unused):
        async with opened.tenant(Scope(tenant=DEFAULT_TENANT)) as transaction:
            plans = Plans(transaction.session)
            await query(transaction, clock.now())
            raise Unused
    assert plans.read_whole == set()
    assert expected <= plans.indexes


# How many memories these name by their ids, and so look at to see whose they are.
NAMED = {"get": 199, "as_of": 199, "get_and_lock": 1, "around": 20, "traits": 200, "traits_as_of": 200}


SEEN_FROM_OUTSIDE = {name: query for name, (_, query) in OF_A_TENANT.items()} | OF_A_WHOLE_TENANT


@pytest.mark.parametrize("name", sorted(SEEN_FROM_OUTSIDE.keys() - {"replace", "claim"}))
async def test_query_of_a_tenant_looks_at_no_row_of_another_so_that_its_time_tells_nothing(
    opened, clock, name
):
    query = SEEN_FROM_OUTSIDE[name]
    with pytest.raises(Unused):
        async with opened.tenant(Scope(tenant=TenantId("stranger"))) as transaction:
            plans = Plans(transaction.session, "ANALYZE, ")
            await query(transaction, clock.now())
            raise Unused
    assert plans.nodes
    assert plans.looked_at <= NAMED.get(name, 0)


@pytest.mark.parametrize("name", OF_THE_PLATFORM)
async def test_hot_query_of_the_platform_reads_no_table_whole(opened, clock, name):
    expected, query = OF_THE_PLATFORM[name]
    with pytest.raises(Unused):
        async with opened.platform() as transaction:
            plans = Plans(transaction.session)
            await query(transaction, clock.now())
            raise Unused
    assert plans.read_whole == set()
    assert expected <= plans.indexes


async def test_storing_reads_no_table_whole(opened, make):
    with pytest.raises(Unused):
        async with opened.tenant(Scope(tenant=DEFAULT_TENANT)) as transaction:
            plans = Plans(transaction.session)
            await insert(transaction, make)
            await transaction.embeddings.put(SPACE, {b"k" * 32: np.ones(4, dtype=np.float32)})
            raise Unused
    assert plans.read_whole == set()


def test_every_index_has_its_line_on_the_page(loaded):
    query = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'schema_revision'"
    with psycopg.connect(loaded) as connection:
        indexes = {row[0] for row in connection.execute(query)}
    page = PAGE.read_text("utf-8")
    assert {name for name in indexes if f"`{name}`" not in page} == set()
