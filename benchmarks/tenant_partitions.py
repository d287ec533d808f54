"""What hash partitions by tenant would change in PostgreSQL: hot statements and writes with none and with sixteen.

`python -m benchmarks.tenant_partitions --rows 1000000`: a server of its own, tables with the columns and indexes that the hot
statements use, tenants of very different size. Times are milliseconds of the server, by `EXPLAIN ANALYZE`, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import psycopg

from mnemata.observability.metrics import Metrics
from mnemata.store.embedded import EmbeddedPostgres

COLUMNS = """tenant text COLLATE "C" NOT NULL, id uuid NOT NULL, created_at timestamptz NOT NULL,
    user_id text COLLATE "C", session_id text COLLATE "C", content text NOT NULL"""
FILL = """INSERT INTO {table}
SELECT 't' || least(floor(200 * power(random(), 3)), 199)::int, gen_random_uuid(), now() - random() * interval '1 year',
       'u' || floor(random() * 50)::int, 's' || floor(random() * 5000)::int, repeat(md5(n::text), 3)
FROM generate_series(1, {rows}) AS n"""
HOT = {
    "newest of a tenant": "SELECT * FROM {t} WHERE tenant = 't7' ORDER BY created_at DESC, id LIMIT 20",
    "a user's in a tenant": "SELECT count(*) FROM {t} WHERE tenant = 't7' AND user_id = 'u3'",
    "fifty by id": "SELECT * FROM {t} WHERE id = ANY(ARRAY(SELECT id FROM sample)) AND tenant = 't7'",
    "fifty by id, any tenant": "SELECT * FROM {t} WHERE id = ANY(ARRAY(SELECT id FROM sample))",
}


def make(connection: psycopg.Connection, table: str, *, partitions: int, rows: int) -> float:
    """Seconds that it took to fill the table, its indexes there from the beginning."""
    divided = " PARTITION BY HASH (tenant)" if partitions else ""
    connection.execute(f"CREATE TABLE {table} ({COLUMNS}, PRIMARY KEY (tenant, id)){divided}")
    for number in range(partitions):
        connection.execute(
            f"CREATE TABLE {table}_{number} PARTITION OF {table}"
            f" FOR VALUES WITH (MODULUS {partitions}, REMAINDER {number})"
        )
    for columns in ("tenant, created_at DESC, id", "tenant, user_id, created_at", "id"):
        connection.execute(f"CREATE INDEX ON {table} ({columns})")
    connection.execute("SELECT setseed(0.5)")
    began = time.perf_counter()
    connection.execute(FILL.format(table=table, rows=rows))
    took = time.perf_counter() - began
    connection.execute(f"ANALYZE {table}")
    return took


def measured(connection: psycopg.Connection, statement: str, times: int) -> dict[str, float]:
    plans = [
        connection.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement).fetchone()[0][0]
        for _ in range(times)
    ]
    return {
        name: round(statistics.median(plan[key] for plan in plans), 3)
        for name, key in (("plan_ms", "Planning Time"), ("run_ms", "Execution Time"))
    }


def single_writes(connection: psycopg.Connection, table: str, count: int) -> float:
    """Milliseconds for one insert in a transaction of its own, without the wait for the disk."""
    began = time.perf_counter()
    for number in range(count):
        connection.execute(
            f"INSERT INTO {table} VALUES (%s, gen_random_uuid(), now(), 'u', 's', 'content')",
            (f"t{number % 200}",),
        )
    return round((time.perf_counter() - began) / count * 1_000, 3)


def run(url: str, rows: int) -> dict[str, object]:
    report: dict[str, object] = {"rows": rows}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        tables = {"memories_0": 0, "memories_16": 16}
        for table, partitions in tables.items():
            report[f"{table} fill_s"] = round(make(connection, table, partitions=partitions, rows=rows), 1)
        for table in tables:
            connection.execute("DROP TABLE IF EXISTS sample")
            connection.execute(f"CREATE TABLE sample AS SELECT id FROM {table} WHERE tenant = 't7' LIMIT 50")
            for name, statement in HOT.items():
                report[f"{table} {name}"] = measured(connection, statement.format(t=table), 15)
            report[f"{table} insert_ms"] = single_writes(connection, table, 2_000)
            size = (
                f"SELECT pg_total_relation_size('{table}') + coalesce(sum(pg_total_relation_size(relid)), 0)"
                f" FROM pg_partition_tree('{table}')"
            )
            report[f"{table} bytes"] = int(connection.execute(size).fetchone()[0])
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="mnemata-partitions-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres.start(Path(folder), metrics=Metrics())
        try:
            print(json.dumps(run(server.url, rows), indent=2))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
