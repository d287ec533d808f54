"""`python -m benchmarks.scale`: many memories in PostgreSQL and an index."""

from __future__ import annotations

from typing import Any

from benchmarks.report.markdown import number, paragraphs, stages, table

_TIMES = ("p50_ms", "p95_ms", "p99_ms")


def section(figures: dict[str, Any]) -> str:
    about, chunks = figures["about"], figures["ingest"]
    seconds = sum(chunk["seconds"] for chunk in chunks)
    return paragraphs(
        f"{about['count']:,} memories of one tenant: {about['corpus']}. A fifth belong to one user, the others to users of some "
        f"dozens of memories each. Stored in {seconds / 60:,.0f} minutes by batches with vectors, {number(about['count'] / seconds)} a "
        "second until all were found.",
        _ingest(chunks),
        _searches(figures["searches"]),
        _sizes(figures),
    )


def _ingest(chunks: list[dict[str, Any]]) -> str:
    node = any(chunk["node_cpu_s"] for chunk in chunks)
    head = [
        "stored",
        "a second",
        "server ms",
        "PostgreSQL ms",
        *(["search node ms"] if node else []),
        "resident MB",
        "load",
    ]
    rows = []
    for chunk in _some(chunks):
        memories = chunk["last"] - chunk["first"]
        spent = [
            round(chunk[key] * 1e3 / memories, 3) for key in ("server_cpu_s", "database_cpu_s", "node_cpu_s")
        ]
        rows.append(
            (
                chunk["last"],
                chunk["memories_per_s"],
                *spent[: 3 if node else 2],
                chunk["resident_mb"],
                chunk["load"],
            )
        )
    return paragraphs("Processor time is a memory's.", table(head, rows))


def _some(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ten rows or so, evenly spread, the last one among them."""
    stride = max(len(chunks) // 10, 1)
    return chunks[stride - 1 :: stride]


def _searches(searches: dict[str, Any]) -> str:
    rows = [
        (f"{scenario}, {kind}", *(row[key] for key in _TIMES), stages(row), row["load"])
        for scenario, kinds in searches.items()
        for kind, row in kinds.items()
    ]
    return table(("search over HTTP", "p50 ms", "p95 ms", "p99 ms", "inside, p50 ms by stage", "load"), rows)


def _sizes(figures: dict[str, Any]) -> str:
    count, sizes, memory = figures["about"]["count"], figures["sizes"], figures["memory"]
    settled, start, rebuilt = figures["settled"], figures["start"], figures["rebuild"]
    rows = [
        (
            "PostgreSQL, tables and indexes",
            f"{sizes['database_mb']:,.0f} MB",
            f"{sizes['database_mb'] * 1e6 / count:,.0f}",
        ),
        ("search index on disk", f"{sizes['index_mb']:,.0f} MB", f"{sizes['index_mb'] * 1e6 / count:,.0f}"),
        (
            "resident memory beyond the empty platform, after a start and searches",
            f"{(memory['resident'] - figures['base']['resident']) / 1e6:,.0f} MB",
            f"{memory['bytes_per_memory']:,}",
        ),
        ("of it in no file", "", f"{memory['private_bytes_per_memory']:,}"),
        ("the empty platform", f"{figures['base']['resident'] / 1e6:,.0f} MB", ""),
        ("most that was resident while the background finished", f"{settled['peak_mb']:,.0f} MB", ""),
        ("most that was resident in a rebuild", f"{rebuilt['peak_mb']:,.0f} MB", ""),
        ("PostgreSQL and cache, resident", f"{memory['database'] / 1e6:,.0f} MB", ""),
    ]
    if "node_mb" in memory:
        rows.append(("search node, resident", f"{memory['node_mb']:,.0f} MB", ""))
    started = (
        f"The background was at rest {settled['seconds']:,.0f} s behind the last write. A start is ready in "
        f"{number(start['ready_s'])} s, and gives a whole answer in {number(start['first_whole_answer_s'])} s (load {start['load']})."
    )
    built = (
        f"A rebuild beside the live index takes {rebuilt['seconds']:,.0f} s ({rebuilt['documents_per_s']:,.0f} memories a second). "
        f"{rebuilt['searches']:,} searches meanwhile: p50 {number(rebuilt['searches_p50_ms'])} ms, p95 "
        f"{number(rebuilt['searches_p95_ms'])} ms, longest {number(rebuilt['searches_max_ms'])} ms, "
        f"{rebuilt['searches_not_whole']} not whole."
    )
    return paragraphs(table(("what", "size", "bytes a memory"), rows), started, built)
